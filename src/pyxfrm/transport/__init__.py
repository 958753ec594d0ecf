"""The only IO for netlink, and what wraps around it.

``base``       what a transport is; multicast groups; the marker of a loss
``kernel``     a Linux kernel, in any network namespace (``netns`` goes there)
``local``      an engine in this process
``remote``     an engine of another process; ``server`` serves it; ``frames``: what goes between them
``tracer``     shows what passes
``recorder``   writes it down; ``replayer`` plays it back to a client
``faults``     makes it fail, as often as asked
``recording``  the file format of recorded conversations: read, check, write
"""
