"""A move without loss, beyond what Linux does: packets wait for the SA to arrive, and what comes to its old place is still taken.

Both are off until asked for.

**Waiting** (:meth:`Moves.wait`, until :meth:`Moves.done`). A packet that a policy protects, and that would be dropped because no SA fits, the SA has just gone, or
a policy blocks (the one that a relocation puts in the way), waits instead: in order, at most so many, at most so long. Whenever something changes it tries again,
before any packet that comes later; one whose time is over, or for which there is no room, is dropped, and counted as it would have been. No key manager is asked meanwhile.

**The old place** (``accept_old`` seconds). After an SA has moved, packets to its old address, or in its old wrapping, are opened with the same keys and the
same window: none is accepted twice, and none that another SA wants is taken.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.abi.xfrm import AF_INET, AF_INET6
from pyxfrm.engine.live import association_of
from pyxfrm.engine.sa import State, key_of

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.datapath.path import Datapath
    from pyxfrm.engine.sa import Sa
    from pyxfrm.esp import Arrival, Inbound

__all__ = ["Moves", "Waiting"]

_LOST = frozenset(("XfrmOutNoStates", "XfrmOutPolBlock", "XfrmOutStateInvalid"))


class Waiting(NamedTuple):
    """A packet that waits, and until when."""

    packet: bytes
    mark: int
    if_id: int
    oif: int
    until: float


class _Old:
    """A place where an SA was: who opens what still comes there, and until when."""

    __slots__ = ("left", "opener", "sa", "until")

    def __init__(self, sa: Sa, left: Sa, until: float) -> None:
        self.sa = sa
        self.left = left
        self.until = until
        self.opener: Inbound | None = None


class Moves:
    """What a data path does about SAs that move.

    ``accept_old``  seconds for which an SA's old place is still good; 0: not at all
    ``waiting``     packets that wait, in order
    """

    def __init__(self, datapath: Datapath) -> None:
        self._datapath = datapath
        self.accept_old = 0.0
        self.waiting: deque[Waiting] = deque()
        self._seconds = 0.0
        self._room = 0
        self._old: dict[tuple[bytes, bool], _Old] = {}

    # -- waiting -------------------------------------------------------------------------------------

    def wait(self, seconds: float = 5.0, packets: int = 4096) -> None:
        """From now on let packets wait for SAs, each at most ``seconds``, at most ``packets`` of them."""
        self._seconds = seconds
        self._room = packets

    def done(self) -> None:
        """The relocation is over: what still cannot leave is dropped."""
        self._seconds = 0.0
        self.retry()

    def may_wait(self, counters: tuple[str, ...]) -> bool:
        """Whether a packet that would be dropped with these counters has a place to wait."""
        return self._seconds > 0 and len(self.waiting) < self._room and self.is_lost(counters)

    @staticmethod
    def is_lost(counters: tuple[str, ...]) -> bool:
        """Whether these counters tell of a packet that the end of a move may still let go."""
        return not _LOST.isdisjoint(counters)

    def add(self, packet: bytes, mark: int, if_id: int, oif: int) -> None:
        """Let a packet wait."""
        engine = self._datapath.engine
        until = engine.now + self._seconds
        self.waiting.append(Waiting(packet, mark, if_id, oif, until))
        if len(self.waiting) == 1:
            engine.timers.set(self, _overdue, until)

    def retry(self) -> None:
        """Something has changed, or time has passed: let go what can, drop what is over its time."""
        if not self.waiting:
            return
        datapath, engine = self._datapath, self._datapath.engine
        tried, self.waiting = self.waiting, deque()
        for one in tried:
            hold = self._seconds > 0 and engine.now < one.until
            verdict = datapath.release(one, hold=hold)
            if verdict is None:
                self.waiting.append(one)
            else:
                datapath.leave(verdict)
        engine.timers.cancel(self, _overdue)
        if self.waiting:
            engine.timers.set(self, _overdue, self.waiting[0].until)

    # -- the old place -------------------------------------------------------------------------------

    def moved(self, old: Sa, new: Sa) -> None:
        """An SA has moved: note where it was."""
        for place in self._old.values():
            if place.sa is old:
                place.sa = new
        if self.accept_old > 0:
            now = self._datapath.engine.now
            self._old = {key: old for key, old in self._old.items() if old.until > now}
            where = old.key, old.encap is not None
            self._old[where] = _Old(new, old, now + self.accept_old)

    def find(
        self, arrival: Arrival, sa: Sa | None, *, encapsulated: bool
    ) -> tuple[Sa, Inbound] | None:
        """Who opens a packet that came to an old place; None: nobody does, or the SA ``sa`` found by the rules does."""
        if not self._old or (sa is not None and (sa.encap is not None) == encapsulated):
            return None
        family = AF_INET if len(arrival.daddr) == 4 else AF_INET6
        spi = arrival.spi.to_bytes(4, "big")
        key = key_of(arrival.daddr.ljust(16, b"\0"), spi, family, arrival.proto)
        place = self._old.get((key, encapsulated))
        if place is None or place.until <= self._datapath.engine.now:
            return None
        if place.sa.state is not State.VALID:
            return None
        if place.opener is None:
            place.opener = self._datapath.opening.opener(place.sa).at(association_of(place.left))
        return place.sa, place.opener


def _overdue(_: Engine, moves: Moves, __: float) -> None:
    moves.retry()
