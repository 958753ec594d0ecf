"""The stage: two ends of a tunnel on loopback, a stream in each direction, and an account of every packet.

A scene is played by a script, a generator that yields seconds to wait: packets flow while it waits, and only then, for all of it is one thread. So a script
says exactly where in the middle of a move packets come and go. What passes between two :meth:`Scene.mark` is a *stretch*; each packet belongs to the stretch in which it was
under way, and each must be accounted for: it came, or something counted it as it was lost.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pyxfrm.cli.demo.sockets import drops
from pyxfrm.cli.demo.watch import Watch
from pyxfrm.closing import Closing
from pyxfrm.model import ip, network
from pyxfrm.tunnel import Arrivals, End, Keys, Loop, Point, Static, Station, Stream, steady_clock
from pyxfrm.tunnel.station import MARK

if TYPE_CHECKING:
    from pyxfrm.cli.demo.nat import Nat

__all__ = [
    "Boundary",
    "DRAIN",
    "HOLD",
    "INSIDE",
    "NAMES",
    "PAUSE",
    "SIZE",
    "Scene",
    "Script",
    "Side",
    "Stretch",
]

NAMES = ("left", "right")
INSIDE = ("10.9.0.1", "10.9.0.2")
SIZE = 200  # bytes of an inner packet
HOLD = 5.0  # seconds that packets wait for an SA on the move
DRAIN = 2.0  # seconds that an SA's old place is good
PAUSE = 0.005  # seconds between two calls of a move
SETTLE = 0.3  # seconds at the end, for packets under way
_LOOK = 0.1  # seconds between two looks at what buffers had no room for: sockets come and go

Script = Iterator[float]


class Boundary(NamedTuple):
    """Where things stand at one moment. ``at``: seconds since the streams began; ``sent``: numbers below are arrived or lost, by (left, right); the others: counts so far."""

    at: float
    sent: tuple[int, int]
    received: int
    twice: int
    clear: int
    reused: int
    late: int
    reasons: Counter[str]


@dataclass
class Stretch:
    """Part of a scene: a time without a move, or a move and the quiet after it.

    ``begin``, ``end``  where things stood; ``end`` is set when the next stretch begins
    ``took``     seconds from the first call to the last; ``calls``: requests to the two engines
    ``waited``   packets that waited at most at one time, at both ends together
    ``ways``     where the tunnel's packets went before and after, as text
    ``skipped``  why it was not done; empty: it was
    """

    name: str
    why: str
    begin: Boundary
    end: Boundary | None = None
    took: float = 0.0
    calls: int = 0
    waited: int = 0
    ways: tuple[str, str] = ("", "")
    skipped: str = ""

    @property
    def lost(self) -> int:
        """Packets that did not arrive, as far as one knows when it ends."""
        if self.end is None:
            return 0
        return sum(self.end.sent) - sum(self.begin.sent) - self.end.received + self.begin.received


@dataclass
class Side:
    """One end: ``tunnel`` is its view of the tunnel, kept up to date by whoever moves it."""

    name: str
    station: Station
    end: End
    tunnel: Static
    stream: Stream = field(init=False)

    def __post_init__(self) -> None:
        self.xfrm = self.end.client()
        self.tunnel.install(self.xfrm)


class Scene(Closing):
    """Two ends, at ``here`` and ``there``, and a stream of ``rate`` packets a second in each direction.

    ``hold``   seconds that packets wait for an SA on the move; ``drain``: that an SA's old place is good (see :class:`pyxfrm.tunnel.End`)
    ``pause``  seconds between two calls of a move: packets go on coming and going in between
    ``make``   opens the sockets of the ends; for tests
    """

    def __init__(
        self,
        here: Point,
        there: Point,
        *,
        rate: float,
        hold: float = HOLD,
        drain: float = DRAIN,
        pause: float = PAUSE,
        **options: Any,
    ) -> None:
        self.rate, self.pause = rate, pause
        self.watch = Watch([])
        self.nats: list[Nat] = []
        self.stretches: list[Stretch] = []
        inside = [[network(text)] for text in INSIDE]
        view = Static(Keys.fresh(), here, there, *inside)
        options = {"hold": hold, "drain": drain, "tap": self.watch.tap, **options}
        self.left, self.right = self.sides = tuple(
            self._side(name, text, tunnel, options)
            for name, text, tunnel in zip(NAMES, INSIDE, (view, view.mirror()), strict=True)
        )
        self.loop = Loop(self.left.end, self.right.end)
        self.start = steady_clock()
        self._overflowed: dict[object, int] = {}  # by socket, those that are closed too

    @staticmethod
    def _side(name: str, inside: str, tunnel: Static, options: dict[str, Any]) -> Side:
        station = Station(ip(inside))
        return Side(name, station, End(station, **options), tunnel)

    # -- playing ---------------------------------------------------------------------------------

    def play(self, script: Script) -> None:
        """Let the streams flow for as long as the script goes, and then until nothing is under way."""
        for side, other in zip(self.sides, INSIDE[::-1], strict=True):
            side.stream = side.station.stream(ip(other), rate=self.rate, size=SIZE)
            self.watch.secrets.append(MARK + struct.pack(">I", side.stream.number))
        self.start = steady_clock()
        self.loop.every(_LOOK, self._look_at_buffers)
        self._go_on(script)
        self.loop.run()
        for side in self.sides:
            side.stream.stop()
        self.loop.run(SETTLE)
        self._close_stretch()

    def _go_on(self, script: Script) -> None:
        """Up to the script's next wait."""
        pause = next(script, None)
        if pause is None:
            self.loop.stop()
        else:
            self.loop.after(pause, lambda: self._go_on(script))

    def every(self, seconds: float, call: Callable[[], object]) -> None:
        """Call again and again while it plays."""
        self.loop.every(seconds, call)

    @property
    def now(self) -> float:
        """Seconds since the streams began."""
        return steady_clock() - self.start

    @property
    def nat(self) -> Nat | None:
        """The NAT that is in the way."""
        return next((nat for nat in self.nats if nat.sockets), None)

    @property
    def way(self) -> str:
        """The way of the tunnel's packets, from left to right."""
        left, right, nat = self.left.tunnel.here, self.right.tunnel.here, self.nat
        return f"{left} - {right}" if nat is None else f"{left} - NAT {nat.outside} - {right}"

    # -- the account -----------------------------------------------------------------------------

    def mark(self, name: str, why: str = "", *, skipped: str = "") -> Stretch:
        """A new stretch begins."""
        self._close_stretch()
        stretch = Stretch(name, why, self.boundary(), skipped=skipped)
        self.stretches.append(stretch)
        return stretch

    def _close_stretch(self) -> None:
        if self.stretches:
            self.stretches[-1].end = self.boundary()

    def boundary(self) -> Boundary:
        """How things stand. Packets under way belong to what comes next."""
        left, right = map(self._through, self.sides)
        arrivals = [each for each in map(self.arrivals, self.sides) if each is not None]
        return Boundary(
            self.now,
            (left, right),
            sum(each.received for each in arrivals),
            sum(each.duplicates for each in arrivals),
            self.watch.clear,
            self.watch.reused,
            sum(side.end.stats.late for side in self.sides),
            self.reasons(),
        )

    def arrivals(self, sender: Side) -> Arrivals | None:
        """What came of a side's stream; None: nothing yet."""
        receiver = self.right if sender is self.left else self.left
        return receiver.station.arrivals.get(sender.stream.number)

    def _through(self, sender: Side) -> int:
        """The number from which on packets are under way, or not made yet; at the end nothing is under way."""
        if sender.stream.done:
            return sender.stream.sent
        arrivals = self.arrivals(sender)
        return arrivals.highest + 1 if arrivals else 0

    def reasons(self) -> Counter[str]:
        """What has counted lost packets so far: counters of xfrm_stat, errnos of sends, buffers that were full."""
        found: Counter[str] = Counter()
        for side in self.sides:
            found.update(side.end.datapath.stat)
            found.update({f"send: {name}": n for name, n in side.end.stats.unsent.items()})
        self._look_at_buffers()
        for nat in self.nats:
            found["send: NAT"] += nat.unsent
            found["socket buffer was full"] += nat.overflowed
        found["socket buffer was full"] += sum(self._overflowed.values())
        return +found

    def _look_at_buffers(self) -> None:
        for side in self.sides:
            for outer in side.end.outer:
                self._overflowed[outer] = drops(outer.fileno())

    @property
    def waiting(self) -> int:
        """Packets that wait for an SA now."""
        return sum(len(side.end.datapath.moves.waiting) for side in self.sides)

    # -- closing ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Close everything."""
        for nat in self.nats:
            nat.close()
        self.loop.close()
        for side in self.sides:
            side.end.close()
