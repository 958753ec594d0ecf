"""The packet that is expected next.

Nearly every packet on a path is the one after the last. For it, nothing has to be parsed or looked
up in the window: its first 8 bytes, SPI and sequence number, are known beforehand.
:class:`InOrder` keeps them and steps on with one call; the window itself is brought up to date
when somebody looks at it (``settle``) or when a packet comes out of order.

Several openers may share one :class:`InOrder`: one SA that is accepted at two places for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from operator import length_hint
from struct import Struct

from pyxfrm.esp.ahead import BLOCK, write_block
from pyxfrm.esp.replay import EsnWindow, Window

__all__ = ["InOrder"]

_HEADS = Struct("8s" * BLOCK)
_NEVER = bytes(9)  # longer than what it is compared with


class InOrder:
    """The run of consecutive packets at the right edge of a window.

    ``head``    SPI and number (low half) expected next, 8 bytes; where nothing is expected (a
                window of 0, numbers used up) 9 bytes
    ``prefix``  ESN: SPI and high half of that number, 8 bytes
    ``take``    gives the next head; to be called for an accepted packet, and only then.
                StopIteration where it is not known yet: the packet goes the long road
    """

    __slots__ = ("_block", "_next", "_spi", "head", "prefix", "take", "window")

    def __init__(self, spi: int, window: Window) -> None:
        self.window = window
        self._spi = spi.to_bytes(4, "big")
        self.expect()

    def expect(self) -> None:
        """Expect the number after the window's newest, whatever was expected before."""
        self._next = self.window.top + 1  # the first number that is in no block yet
        self._block: Iterator[bytes] = iter(())
        self.prefix = self._spi + (self._next >> 32 & 0xFFFFFFFF).to_bytes(4, "big")
        last = self._next | 0xFFFFFFFF if isinstance(self.window, EsnWindow) else 0xFFFFFFFF
        blocks = self._blocks(last if self.window.window else -1)
        self.take: Callable[[], bytes] = chain.from_iterable(blocks).__next__
        self._step()

    def settle(self) -> Window:
        """The window, with the run written into it."""
        window = self.window
        if self.head is not _NEVER:
            newest = self._expected() - 1
            for number in range(max(window.top + 1, newest - window.window), newest + 1):
                window.advance(number)
        return window

    def accept(self, number: int) -> None:
        """Accept a packet on the long road; the run is settled."""
        self.window.advance(number)
        steps = self.window.top + 1 - self._expected() if self.head is not _NEVER else -1
        if not 0 <= steps < BLOCK:
            self.expect()
            return
        for _ in range(steps):
            self._step()

    def _expected(self) -> int:
        return self._next - 1 - length_hint(self._block)

    def _step(self) -> None:
        try:
            self.head = self.take()
        except StopIteration:
            self.head = _NEVER

    def _blocks(self, last: int) -> Iterator[Iterator[bytes]]:
        while self._next <= last:
            base = self._next & -BLOCK
            first, second = (
                self._spi + (number & 0xFFFFFFFF).to_bytes(4, "big") for number in (base, base + 1)
            )
            heads = _HEADS.unpack(write_block(first, second))
            stop = min(base + BLOCK, last + 1)
            self._block = iter(heads[self._next - base : stop - base])
            self._next = stop
            yield self._block
