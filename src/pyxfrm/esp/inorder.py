"""The packet that is expected next.

Nearly every packet on a path is the one after the last. For it, nothing has to be parsed or looked
up in the window: its first 8 bytes, SPI and sequence number, are known beforehand.
:class:`InOrder` keeps them and steps on with one call; the window itself is brought up to date
when somebody looks at it (``settle``) or when a packet comes out of order.

Several openers may share one :class:`InOrder`: one SA that is accepted at two places for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from operator import length_hint

from pyxfrm.esp.ahead import BLOCK, columns
from pyxfrm.esp.replay import EsnWindow, Window

__all__ = ["InOrder"]

_NEVER = bytes(9)  # longer than what it is compared with


class InOrder:
    """The run of consecutive packets at the right edge of a window.

    ``head``    SPI and number (low half) expected next, 8 bytes; 9 bytes where nothing is expected:
                before the first packet, with a window of 0, where the numbers are used up, at the
                edge of the low half
    ``prefix``  ESN: SPI and high half of that number, 8 bytes
    ``take``    gives the next head; to be called for an accepted packet, and only then
    """

    __slots__ = (
        "_block",
        "_heads",
        "_last",
        "_next",
        "_run",
        "_spi",
        "head",
        "prefix",
        "take",
        "window",
    )

    def __init__(self, spi: int, window: Window) -> None:
        self._spi = spi.to_bytes(4, "big")
        self._heads: tuple[bytes, ...] = ()  # of the current block
        self._block: Iterator[bytes] = iter(self._heads)
        self._run = chain.from_iterable(self._blocks())
        self.take: Callable[[], bytes] = self._run.__next__
        self.start(window)

    def start(self, window: Window) -> None:
        """Go on with this window. Nothing is expected, and written ahead, before a packet comes."""
        self.window = window
        self.head = _NEVER
        for _ in self._block:
            pass
        self._next = self.window.top + 1  # the first number that is in no block yet
        self.prefix = self._spi + (self._next >> 32 & 0xFFFFFFFF).to_bytes(4, "big")
        last = self._next | 0xFFFFFFFF if isinstance(self.window, EsnWindow) else 0xFFFFFFFF
        self._last = last if self.window.window else -1

    def settle(self) -> Window:
        """The window, with the run written into it."""
        window = self.window
        newest = self._taken() - (self.head is not _NEVER)
        for number in range(max(window.top + 1, newest - window.window), newest + 1):
            window.advance(number)
        return window

    def accept(self, number: int) -> None:
        """Accept a packet on the long road; the run is settled."""
        self.window.advance(number)
        steps = self.window.top + 1 - self._taken()
        if self.head is _NEVER or not 0 <= steps < BLOCK:
            self.start(self.window)
            steps = 1
        for _ in range(steps):
            self.head = self.take()

    @property
    def left(self) -> int:
        """How many packets from the expected one on are known beforehand; 0: none is expected."""
        return 0 if self.head is _NEVER else 1 + length_hint(self._block)

    def expected(self, count: int) -> list[bytes]:
        """The heads of the next ``count`` packets, at most ``left``; none of them is taken."""
        at = len(self._heads) - length_hint(self._block)
        return [self.head, *self._heads[at : at + count - 1]]

    def skip(self, count: int) -> None:
        """As many packets as that were accepted, all of them expected."""
        self.head = next(islice(self._run, count - 1, None))

    def _taken(self) -> int:
        """The number whose head was taken last."""
        return self._next - 1 - length_hint(self._block)

    def _blocks(self) -> Iterator[Iterator[bytes]]:
        while True:
            if self._next > self._last:
                self._heads = (_NEVER,)
                self._block = iter(self._heads)
                yield self._block
                continue
            base = self._next & -BLOCK
            first, second = (
                self._spi + (number & 0xFFFFFFFF).to_bytes(4, "big") for number in (base, base + 1)
            )
            heads = columns(first, second)
            stop = min(base + BLOCK, self._last + 1)
            self._heads = heads[self._next - base : stop - base]
            self._block = iter(self._heads)
            self._next = stop
            yield self._block
