"""Byte strings for consecutive numbers, written 256 at a time.

Each packet needs the next sequence number in several places: in the header, in what is
authenticated, in the nonce. Making these few bytes one packet at a time costs as much as
encrypting a small packet. Among 256 numbers that differ in their lowest byte only, the records
differ only in the places where that byte stands; so one record is made, repeated 256 times, and
the low bytes are written with one strided assignment for each place.

:class:`Ahead` hands these records out through a C-level iterator: ``take()`` is the next record,
once and never again, and ``StopIteration`` after the last number. ``position`` tells afterwards,
without any work done per packet, which number was taken last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from operator import length_hint
from struct import Struct
from typing import Any

__all__ = ["Ahead", "BLOCK", "Record", "write_block"]

Record = tuple[bytes, ...]

BLOCK = 256
_LOW_BYTES = bytes(range(BLOCK))


class Ahead:
    """Records ``pack(first)``, ``pack(first + 1)``, ... ``pack(last)``, each handed out once.

    ``pack(number)`` must give byte strings of fixed lengths, in which consecutive numbers differ
    only in bytes that *are* the number's low byte.

    ``take``      the next record; raises StopIteration after the last, and after ``close()``
    ``records``   the iterator behind it
    ``position``  the number taken last; ``first - 1`` before the first
    """

    __slots__ = ("_block", "_last", "_next", "_pack", "records", "take")

    def __init__(self, pack: Callable[[int], Record], first: int, last: int) -> None:
        self._pack = pack
        self._next = first  # the first number that is not in a block yet
        self._last = last
        self._block: Iterator[Record] = iter(())
        self.records: Iterator[Any] = chain.from_iterable(self._blocks())
        self.take: Callable[[], Record] = self.records.__next__

    @property
    def position(self) -> int:
        """The number taken last; one less than the first, if none was taken."""
        return self._next - 1 - length_hint(self._block)

    def close(self) -> None:
        """Hand out nothing more. ``position`` stays what it is."""
        position = self.position
        self._last = -1
        for _ in self._block:
            pass
        self._next = position + 1

    def _blocks(self) -> Iterator[Iterator[Record]]:
        while self._next <= self._last:
            base = self._next & -BLOCK
            stop = min(base + BLOCK, self._last + 1)
            record = self._pack(base)
            layout = Struct("".join(f"{len(part)}s" for part in record))
            block = write_block(b"".join(record), b"".join(self._pack(base + 1)))
            start, end = (self._next - base) * layout.size, (stop - base) * layout.size
            self._block = layout.iter_unpack(block[start:end])
            self._next = stop
            yield self._block


def write_block(first: bytes, second: bytes) -> bytes:
    """The strings of 256 consecutive numbers in a row, from those of the first two.

    The first number's low byte is 0, so the two differ exactly where that byte stands.
    """
    size = len(first)
    block = bytearray(first * BLOCK)
    for offset in range(size):
        if first[offset] != second[offset]:
            block[offset::size] = _LOW_BYTES
    return bytes(block)
