"""NAT keepalives (RFC 3948 §4): when an SA has sent nothing for its interval, a datagram of one byte goes its way.

As Linux does it (net/xfrm/xfrm_nat_keepalive.c), the SA's last packet counts, to the second.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyxfrm.engine.sa import Sa
from pyxfrm.tunnel.needs import Keepalive
from pyxfrm.tunnel.place import Via

__all__ = ["Keepalives"]


class Keepalives:
    """When which is due."""

    def __init__(self) -> None:
        self._due: dict[Sa, tuple[float, Keepalive]] = {}

    def want(self, wanted: Iterable[Keepalive], now: float) -> None:
        """From now on just these."""
        before, self._due = self._due, {}
        for one in wanted:
            old = before.get(one.sa)
            same = old is not None and old[1] == one
            self._due[one.sa] = old if old is not None and same else (now + one.seconds, one)

    def deadline(self) -> float | None:
        """When the next is due."""
        return min((when for when, _ in self._due.values()), default=None)

    def take(self, now: float) -> list[Via]:
        """Where to send one now."""
        ways: list[Via] = []
        for sa, (when, one) in self._due.items():
            if when > now:
                continue
            quiet = now - sa.lastused
            if quiet >= one.seconds:
                ways.append(one.via)
                self._due[sa] = now + one.seconds, one
            else:
                self._due[sa] = now + one.seconds - quiet, one
        return ways
