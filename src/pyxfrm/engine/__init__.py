"""The kernel side of NETLINK_XFRM, sans-IO.

One :class:`~pyxfrm.engine.core.Engine` is one network namespace. Bytes go in on a port, bytes come out on ports; time is an argument,
and everything that a kernel decides by chance (an allocated SPI, an acquire's sequence number) or learns from traffic is passed in. There are no sockets,
threads, clocks or random numbers here.

``core``      the engine: ports, handle, expire
``port``      one socket's state: address, groups, options, what waits to be read
``dispatch``  the kernel's three tables: minimum length, attribute policy, handler
``request``   one message on its way through a handler
``refusal``   the only way a handler says no
``replies``   the only place that builds ACK, error, extended ACK, DONE and dumps
``notify``    who hears of a change
``sa``, ``sadb``        an SA; the SA database with the kernel's lookup rules and order
``live``      what an SA's packets use: its sealer and opener, which go with it when it moves
``policy``, ``spd``     a policy; the policy database
``migrate``   the rule: old SA + request + profile -> new SA or refusal; no side effect
``datapath``  packets through it all
``handlers``  one file per family of messages
"""

from pyxfrm.engine.core import Engine
from pyxfrm.engine.port import Port

__all__ = ["Engine", "Port"]
