"""NAT keepalives (RFC 3948 §4): when an SA has sent nothing for its interval, a datagram of one byte goes its way.

As Linux does it (net/xfrm/xfrm_nat_keepalive.c), the SA's last packet counts, to the second.
"""

from __future__ import annotations

from heapq import heappop, heappush

from pyxfrm.engine.sa import Sa
from pyxfrm.tunnel.place import Via

__all__ = ["Keepalives"]


class Keepalives:
    """When which is due: a heap, from which entries that are out of date are dropped when they come up."""

    def __init__(self) -> None:
        self._ways: dict[int, tuple[Sa, Via]] = {}  # by the SA's serial number
        self._due: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []

    def put(self, sa: Sa, via: Via, now: float) -> None:
        """From now on keep this SA's way open, every ``sa.nat_keepalive`` seconds."""
        self._ways[sa.serial] = sa, via
        self._set(sa.serial, now + sa.nat_keepalive)

    def drop(self, sa: Sa) -> None:
        """No more of this one; no matter if there was none."""
        self._ways.pop(sa.serial, None)
        self._due.pop(sa.serial, None)

    def _set(self, serial: int, when: float) -> None:
        self._due[serial] = when
        heappush(self._heap, (when, serial))

    def deadline(self) -> float | None:
        """When the next is due."""
        heap = self._heap
        while heap and self._due.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def take(self, now: float) -> list[Via]:
        """Where to send one now."""
        ways: list[Via] = []
        while (when := self.deadline()) is not None and when <= now:
            _, serial = heappop(self._heap)
            sa, via = self._ways[serial]
            quiet = now - sa.lastused
            if quiet >= sa.nat_keepalive:
                ways.append(via)
                quiet = 0.0
            self._set(serial, now + sa.nat_keepalive - quiet)
        return ways
