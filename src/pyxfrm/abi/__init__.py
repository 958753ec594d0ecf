"""Facts of ``<linux/netlink.h>`` and ``<linux/xfrm.h>``: numbers and layouts, no behaviour.

``ctypes``    the C scalar types that the layouts are made of
``netlink``   numbers and layouts of ``<linux/netlink.h>`` that an XFRM socket sees
``xfrm``      numbers of ``<linux/xfrm.h>``
``structs``   structures of ``<linux/xfrm.h>``, one row a field
``messages``  which structure opens which message, which payload an attribute has
``profiles``  what differs between kernels, as named behaviours

A golden file (tests/abi/golden.json) made by a C compiler from the real headers holds every number, size
and offset here to the truth; tools/abi_golden.py makes it.
"""
