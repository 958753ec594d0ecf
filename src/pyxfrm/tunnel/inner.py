"""The inner side: where packets in clear come from and go to.

Three there are: a TUN device (:mod:`pyxfrm.tunnel.tun`), a host made of nothing but Python (:mod:`pyxfrm.tunnel.station`), and :class:`Queue`, whose owner puts
packets in and takes them out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pyxfrm.tunnel.place import Via

__all__ = ["Delivered", "Inner", "Queue"]


class Inner(Protocol):
    """What an end needs of its inner side. Packets are whole IP packets; times are the end's clock."""

    def fileno(self) -> int:
        """Readable when :meth:`read` has something; -1 where only time tells."""

    def deadline(self) -> float | None:
        """When :meth:`read` has something even if no descriptor says so; None: never."""

    def read(self, now: float, most: int) -> Sequence[bytes]:
        """The next packets to protect, ``most`` at most; empty: there are none now."""

    def write(self, packets: Sequence[bytes], via: Via | None, now: float) -> None:
        """Packets that came through the tunnel, all by one way; None: the end itself made them (ICMP errors)."""

    def close(self) -> None:
        """The end is closed."""


class Delivered(NamedTuple):
    """A packet that came out of the tunnel, by which way and when."""

    packet: bytes
    via: Via | None
    when: float


class Queue:
    """An inner side in memory. ``put`` what is to be sent; what came is in ``delivered``."""

    def __init__(self) -> None:
        self.delivered: list[Delivered] = []
        self._waiting: deque[bytes] = deque()

    def put(self, *packets: bytes) -> None:
        """Send these at the end's next turn."""
        self._waiting.extend(packets)

    def fileno(self) -> int:
        """See :class:`Inner`."""
        return -1

    def deadline(self) -> float | None:
        """See :class:`Inner`."""
        return 0.0 if self._waiting else None

    def read(self, now: float, most: int) -> Sequence[bytes]:  # noqa: ARG002
        """See :class:`Inner`."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def write(self, packets: Sequence[bytes], via: Via | None, now: float) -> None:
        """See :class:`Inner`."""
        self.delivered += [Delivered(packet, via, now) for packet in packets]

    def close(self) -> None:
        """See :class:`Inner`."""
