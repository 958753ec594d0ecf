"""Timers without a clock: a heap of what is due when.

A timer is named by its subject and kind; setting it again moves it. Heap entries of timers that were forgotten or moved are skipped when they come up,
and swept out once they are more than the others: SAs with limits of hours come and go by the second.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine

__all__ = ["Action", "Due", "Timers"]

_AFTER = 1 << 62  # more than there will ever be
_SPARE = 64  # heap entries that need no sweeping

Action = Callable[["Engine", Any, float], None]


class Due(NamedTuple):
    """A timer that ran off."""

    when: float
    subject: Any
    action: Action


class Timers:
    """All timers of an engine. ``set`` is O(log n); ``cancel`` is O(1)."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []
        self._live: dict[int, tuple[float, Any, Action]] = {}
        self._names: dict[tuple[int, Action], int] = {}
        self._serial = 0

    def set(self, subject: Any, action: Action, when: float, *, coarse: bool = False) -> None:
        """Call ``action(engine, subject, when)`` at ``when``; an earlier setting of the same pair is forgotten.

        Those due at the same moment run in the order in which they were set; after them the ``coarse`` ones, the last one first.
        A kernel's high-resolution timers are of the first kind. Its timer wheel is coarse: it rounds up, by up to an eighth of the wait, and
        runs what is due at once from the last to the first (kernel/time/timer.c: calc_wheel_index, enqueue_timer).
        """
        self.cancel(subject, action)
        self._serial += 1
        serial = _AFTER - self._serial if coarse else self._serial
        self._live[serial] = (when, subject, action)
        self._names[id(subject), action] = serial
        heappush(self._heap, (when, serial))

    def cancel(self, subject: Any, action: Action) -> None:
        """Forget a timer; no matter if it is not set."""
        if not self._names:
            return
        serial = self._names.pop((id(subject), action), None)
        if serial is not None:
            del self._live[serial]
            if len(self._heap) > 2 * len(self._live) + _SPARE:
                self._heap = [(live[0], serial) for serial, live in self._live.items()]
                heapify(self._heap)

    def next_deadline(self) -> float | None:
        """When the next timer is due."""
        while self._heap and self._heap[0][1] not in self._live:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, subject: Any, until: float) -> Due | None:
        """Take a subject's own earliest timer, if it is due until then, whatever else is due before it."""
        serials = [serial for (name, _), serial in self._names.items() if name == id(subject)]
        serial = min(serials, key=lambda serial: self._live[serial][0], default=None)
        if serial is None or self._live[serial][0] > until:
            return None
        when, _, action = self._live.pop(serial)
        del self._names[id(subject), action]
        return Due(when, subject, action)

    def pop(self, now: float) -> Due | None:
        """Take the earliest timer that is due at ``now``; None if there is none."""
        when = self.next_deadline()
        if when is None or when > now:
            return None
        _, serial = heappop(self._heap)
        when, subject, action = self._live.pop(serial)
        del self._names[id(subject), action]
        return Due(when, subject, action)
