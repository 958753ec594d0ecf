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
static      a tunnel from keys that both ends have
keepalives  for NATs
stats       what an end counts
loop        one thread for any number of ends
==========  ==========================================================================
"""

from pyxfrm.tunnel.end import End, steady_clock
from pyxfrm.tunnel.framing import Run
from pyxfrm.tunnel.inner import Delivered, Inner, Queue
from pyxfrm.tunnel.loop import Loop
from pyxfrm.tunnel.place import Place, Via
from pyxfrm.tunnel.static import Keys, Point, Static
from pyxfrm.tunnel.station import Arrival, Arrivals, Ping, Pong, Station, Stream
from pyxfrm.tunnel.stats import Stats

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
    "Via",
    "steady_clock",
]
