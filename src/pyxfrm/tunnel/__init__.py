"""A VPN end in user space: TUN or a host made of Python inside, UDP or raw sockets outside, an engine between them. See :class:`End`, and in this order:

==========  ==========================================================================
place       where packets leave and arrive
end         one end: engine, data path, inner side, sockets
needs       what the SAs of an engine need of the network
keeper      the set of open sockets, kept equal to that
framing     between IP packets and payloads of sockets
outer       the sockets
inner       the other side: what it must be able to do; one in memory
station     a host in user space: streams, pings, and what came of them
tun         a network interface
static      a tunnel from keys that both ends have
keyfile     such keys in a file
names       where ends serve their engines
keepalives  for NATs
stats       what an end counts
loop        one thread for any number of ends
==========  ==========================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyxfrm.tunnel.end import End, steady_clock
    from pyxfrm.tunnel.framing import Run
    from pyxfrm.tunnel.inner import Delivered, Inner, Queue
    from pyxfrm.tunnel.loop import Loop
    from pyxfrm.tunnel.place import Place, Via
    from pyxfrm.tunnel.static import Keys, Point, Static
    from pyxfrm.tunnel.station import Arrival, Arrivals, Ping, Pong, Station, Stream
    from pyxfrm.tunnel.stats import Stats
    from pyxfrm.tunnel.tun import Tun

__all__ = [
    "Arrival",
    "Arrivals",
    "Delivered",
    "End",
    "Inner",
    "Keys",
    "Loop",
    "Ping",
    "Place",
    "Point",
    "Pong",
    "Queue",
    "Run",
    "Static",
    "Station",
    "Stats",
    "Stream",
    "Tun",
    "Via",
    "steady_clock",
]

# Where each name is: loaded when it is first asked for, since a command that looks for an end's socket should not wait for all of this.
_HOMES = {
    "Arrival": "pyxfrm.tunnel.station",
    "Arrivals": "pyxfrm.tunnel.station",
    "Delivered": "pyxfrm.tunnel.inner",
    "End": "pyxfrm.tunnel.end",
    "Inner": "pyxfrm.tunnel.inner",
    "Keys": "pyxfrm.tunnel.static",
    "Loop": "pyxfrm.tunnel.loop",
    "Ping": "pyxfrm.tunnel.station",
    "Place": "pyxfrm.tunnel.place",
    "Point": "pyxfrm.tunnel.static",
    "Pong": "pyxfrm.tunnel.station",
    "Queue": "pyxfrm.tunnel.inner",
    "Run": "pyxfrm.tunnel.framing",
    "Static": "pyxfrm.tunnel.static",
    "Station": "pyxfrm.tunnel.station",
    "Stats": "pyxfrm.tunnel.stats",
    "Stream": "pyxfrm.tunnel.station",
    "Tun": "pyxfrm.tunnel.tun",
    "Via": "pyxfrm.tunnel.place",
    "steady_clock": "pyxfrm.tunnel.end",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
