"""The set of open places, kept equal to what is wanted. No sockets here: opening and closing is somebody else's.

    wanted, not open     open it now; if that fails, again every RETRY seconds while it is wanted
    open, not wanted     leave it open for ``drain`` seconds, for packets that are under way; then close it
    wanted again         it stays

So after a move the new place is open before anything is sent from it, and the old one still listens for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from pyxfrm.tunnel.place import Place

__all__ = ["Keeper", "RETRY"]

RETRY = 0.1  # seconds


class _Closes(Protocol):
    def close(self) -> None: ...


S = TypeVar("S", bound=_Closes)


class Keeper(Generic[S]):
    """``make(place)`` opens, and raises OSError if it cannot.

    ``leaving``  places that are not wanted any more, and when they are closed
    ``missing``  places that are wanted and could not be opened: (when to try again, why)
    """

    def __init__(self, make: Callable[[Place], S], drain: float) -> None:
        self.drain = drain
        self.leaving: dict[Place, float] = {}
        self.missing: dict[Place, tuple[float, str]] = {}
        self._make = make
        self._wanted: frozenset[Place] = frozenset()
        self._open: dict[Place, S] = {}

    def __iter__(self) -> Iterator[S]:
        return iter(list(self._open.values()))

    def __len__(self) -> int:
        return len(self._open)

    @property
    def places(self) -> frozenset[Place]:
        """All that are open."""
        return frozenset(self._open)

    def get(self, place: Place) -> S | None:
        """What is open there."""
        return self._open.get(place)

    def want(self, places: Iterable[Place], now: float) -> bool:
        """From now on just these are wanted; whether that is a change."""
        wanted = frozenset(places)
        if wanted == self._wanted:
            return False
        for place in self._wanted - wanted:
            self.missing.pop(place, None)
            if place in self._open:
                self.leaving[place] = now + self.drain
        self._wanted = wanted
        for place in sorted(wanted):
            self.leaving.pop(place, None)
            if place not in self._open and place not in self.missing:
                self._try(place, now)
        return True

    def _try(self, place: Place, now: float) -> None:
        try:
            self._open[place] = self._make(place)
        except OSError as why:
            self.missing[place] = now + RETRY, why.strerror or str(why)
        else:
            self.missing.pop(place, None)

    def deadline(self) -> float | None:
        """When :meth:`expire` has something to do."""
        if not self.leaving and not self.missing:  # as nearly always, and it is asked at every turn
            return None
        times = [*self.leaving.values(), *(when for when, _ in self.missing.values())]
        return min(times, default=None)

    def expire(self, now: float) -> bool:
        """Close what has been left long enough, try again what is missing; whether that changed anything."""
        before = self.places
        for place in [place for place, until in self.leaving.items() if until <= now]:
            del self.leaving[place]
            self._open.pop(place).close()
        for place in [place for place, (when, _) in self.missing.items() if when <= now]:
            self._try(place, now)
        return self.places != before

    def close(self) -> None:
        """Close everything."""
        self._wanted = frozenset()
        self.leaving.clear()
        self.missing.clear()
        while self._open:
            self._open.popitem()[1].close()
