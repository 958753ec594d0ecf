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
``notify``, ``notify_events``, ``notify_policy``  who hears of a change
``sa``, ``sadb``        an SA; the SA database with the kernel's lookup rules and order
``sa_verify``, ``sa_build``, ``sa_install``, ``sa_encode``  an SA from a request: checked, made, put in; and back to bytes
``algorithms``, ``ipcomp``, ``offload``, ``security``       what an SA leans on
``larval``, ``lifetime``, ``aevents``                       how an SA begins, ends and tells of itself
``migrate``   the rule: old SA + request + profile -> new SA or refusal; no side effect
``policy``, ``spd``     a policy; the policy database; ``spd_chains``: which policy a packet meets
``policy_verify``, ``policy_install``, ``policy_encode``    a policy from a request, its life, and back to bytes
``devices``, ``links``  devices that can offload, and what goes with one
``datapath``, ``live``, ``traffic``  packets through it all; what an SA's packets use; what packets do to SAs
``inputs``    what is told to the engine from outside netlink
``timers``, ``chance``, ``sysctl``, ``hashing``             what a kernel has besides
``handlers``  one file per family of messages
"""

from pyxfrm.engine.core import Engine
from pyxfrm.engine.port import GROUPS, Port

__all__ = ["Engine", "GROUPS", "Port"]
