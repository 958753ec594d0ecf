"""A move without loss, beyond what Linux does: packets wait for the SA to arrive, and what comes to its old place is still taken.

Both are off until asked for.

**Waiting** (:meth:`Moves.wait`, until :meth:`Moves.done`). A packet that a policy protects, and that would be dropped because no SA fits, the SA has just gone, or
a policy blocks (the one that a relocation puts in the way), waits instead: in order, at most so many, at most so long. Whenever something changes it tries again,
before any packet that comes later; one whose time is over, or for which there is no room, is dropped, and counted as it would have been. No key manager is asked meanwhile.
All this may be for some selectors only: the move of one child SA does not hold what another's would lose anyway. Several may run at a time, each with its own room and time.

**The old place** (``accept_old`` seconds). After an SA has moved, packets to its old address, or in its old wrapping, are opened with the same keys and the
same window: none is accepted twice, and none that another SA wants is taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.abi.xfrm import AF_INET, AF_INET6, XFRM_POLICY_OUT
from pyxfrm.engine.datapath.flow import selects
from pyxfrm.engine.live import association_of
from pyxfrm.engine.sa import State, key_of

if TYPE_CHECKING:
    from pyxfrm.abi.structs import Selector
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.datapath.path import Datapath
    from pyxfrm.engine.policy import Flow
    from pyxfrm.engine.sa import Sa
    from pyxfrm.esp import Arrival, Inbound

__all__ = ["Hold", "Moves", "Waiting"]

_LOST = frozenset(("XfrmOutNoStates", "XfrmOutPolBlock", "XfrmOutStateInvalid"))


class Hold:
    """Permission to wait, from :meth:`Moves.wait` to :meth:`Moves.done`.

    ``seconds``, ``packets``  how long each may wait, and how many
    ``selectors``  for which flows; None: for all
    ``waiting``    how many do
    """

    __slots__ = ("packets", "seconds", "selectors", "waiting")

    def __init__(
        self, seconds: float, packets: int, selectors: tuple[Selector, ...] | None
    ) -> None:
        self.seconds = seconds
        self.packets = packets
        self.selectors = selectors
        self.waiting = 0

    def takes(self, flow: Flow) -> bool:
        """Whether one more packet, of this flow, may wait."""
        if self.waiting >= self.packets:
            return False
        return self.selectors is None or any(
            sel.family in (0, flow.family) and selects(sel, flow) for sel in self.selectors
        )


class Waiting(NamedTuple):
    """A packet that waits: by which permission, and until when."""

    packet: bytes
    flow: Flow
    if_id: int
    hold: Hold
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
    ``holding``     who may wait, now
    ``waiting``     packets that wait, in order
    """

    def __init__(self, datapath: Datapath) -> None:
        self._datapath = datapath
        self.accept_old = 0.0
        self.holding: list[Hold] = []
        self.waiting: deque[Waiting] = deque()
        self._due = 0.0
        self._old: dict[tuple[bytes, bool], _Old] = {}

    # -- waiting -------------------------------------------------------------------------------------

    def wait(
        self,
        seconds: float = 5.0,
        packets: int = 4096,
        *,
        selectors: Iterable[Selector] | None = None,
        reqids: Iterable[int] | None = None,
    ) -> Hold:
        """From now on let packets wait for SAs, each at most ``seconds``, at most ``packets`` of them.

        ``selectors``  only those that one of these covers; ``reqids``: only those that an outbound policy with one of these in a template covers
        (as policies are now). Default: all. With both, either is enough. Give the result to :meth:`done`.
        """
        only: tuple[Selector, ...] | None = None
        if selectors is not None or reqids is not None:
            only = (*(selectors or ()), *self._selectors(frozenset(reqids or ())))
        hold = Hold(seconds, packets, only)
        self.holding.append(hold)
        return hold

    def _selectors(self, reqids: frozenset[int]) -> list[Selector]:
        return [
            policy.sel
            for policy in self._datapath.engine.spd
            if policy.dir == XFRM_POLICY_OUT
            and any(template.reqid in reqids for template in policy.templates)
        ]

    def done(self, hold: Hold | None = None) -> None:
        """A relocation is over (None: all are): what still cannot leave is dropped."""
        self.holding = [] if hold is None else [one for one in self.holding if one is not hold]
        self.retry()

    def may_wait(self, counters: tuple[str, ...], flow: Flow | None) -> bool:
        """Whether a packet that would be dropped with these counters has a place to wait."""
        return self.is_lost(counters) and self._hold(flow) is not None

    def _hold(self, flow: Flow | None) -> Hold | None:
        if flow is None:
            return None
        return next((hold for hold in self.holding if hold.takes(flow)), None)

    @staticmethod
    def is_lost(counters: tuple[str, ...]) -> bool:
        """Whether these counters tell of a packet that the end of a move may still let go."""
        return not _LOST.isdisjoint(counters)

    def add(self, packet: bytes, flow: Flow, if_id: int) -> None:
        """Let a packet wait, which may."""
        hold = self._hold(flow)
        assert hold is not None  # noqa: S101 (see may_wait)
        until = self._datapath.engine.now + hold.seconds
        hold.waiting += 1
        self.waiting.append(Waiting(packet, flow, if_id, hold, until))
        if len(self.waiting) == 1 or until < self._due:
            self._look_at(until)

    def _look_at(self, due: float) -> None:
        self._due = due
        self._datapath.engine.timers.set(self, _overdue, due)

    def retry(self) -> None:
        """Something has changed, or time has passed: let go what can, drop what is over its time."""
        if not self.waiting:
            return
        datapath, engine = self._datapath, self._datapath.engine
        tried, self.waiting = self.waiting, deque()
        for one in tried:
            hold = one.hold in self.holding and engine.now < one.until
            verdict = datapath.release(one, hold=hold)
            if verdict is None:
                self.waiting.append(one)
            else:
                one.hold.waiting -= 1
                datapath.leave(verdict)
        engine.timers.cancel(self, _overdue)
        if self.waiting:
            self._look_at(min(one.until for one in self.waiting))

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
            left = association_of(place.left, self._datapath.engine.profile)
            place.opener = self._datapath.opening.opener(place.sa).at(left)
        return place.sa, place.opener


def _overdue(_: Engine, moves: Moves, __: float) -> None:
    moves.retry()
