"""What iproute2 7.3 prints of SAs, policies and events, to the byte.

Scripts read that text, so its oddities stay: a ``seq`` in decimal behind ``0x``, a missing blank before
``extra_flag``, a ``flag`` that is followed by two blanks. Each was seen on iproute2 7.3 and is held to it by a test that
prints the same kernel tables with both.

``form``    how to print: statistics, one line, keys
``parts``   addresses, selectors, limits, marks
``attributes``  what SAs, policies and events have in common
``state``   one SA
``policy``  one policy
``event``   what ``monitor`` prints
"""
