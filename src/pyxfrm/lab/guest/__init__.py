"""What runs inside the lab's kernel. Everything here runs on the *guest's* side of the line.

The guest's root file system is the host's own (hostfs, read only, under a writable layer in the
guest's memory), so the very same Python and the very same package run there; no image is built.

    init      process 1: mounts, modules, then the agent; powers off when the agent ends
    modprobe  what the kernel calls when it misses a module
    agent     executes the host's requests: commands, and Python functions in fresh namespaces
    worker    the process that runs those functions
    linux     the few system calls that Python 3.11 has no function for
"""
