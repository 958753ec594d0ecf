"""Byte strings for consecutive numbers, written 256 at a time.

Each packet needs the next sequence number in several places: in the header, in what is
authenticated, in the nonce. Making these few bytes one packet at a time costs as much as
encrypting a small packet. Among 256 numbers that differ in their lowest byte only, the records
differ only in the places where that byte stands; so one record is made, repeated 256 times, and
the low bytes are written with one strided assignment for each place. A record's parts are cut out
256 at a time as well, and put together by ``zip``, which uses one tuple again and again.

:class:`Ahead` hands these records out through a C-level iterator: ``take()`` is the next record,
once and never again, and ``StopIteration`` after the last number. ``position`` tells afterwards,
without any work done per packet, which number was taken last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from operator import length_hint
from struct import Struct
from typing import Any

__all__ = ["Ahead", "BLOCK", "Record", "columns", "write_block"]

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

    __slots__ = ("_block", "_last", "_left", "_next", "_pack", "records", "take")

    def __init__(self, pack: Callable[[int], Record], first: int, last: int) -> None:
        self._pack = pack
        self._next = first  # the first number that is not in a block yet
        self._last = last
        self._block: Iterator[Any] = iter(())
        self._left: Iterator[bytes] = iter(())  # one column of the block: it knows its length
        self.records: Iterator[Any] = chain.from_iterable(self._blocks())
        self.take: Callable[[], Record] = self.records.__next__

    @property
    def position(self) -> int:
        """The number taken last; one less than the first, if none was taken."""
        return self._next - 1 - length_hint(self._left)

    def close(self) -> None:
        """Hand out nothing more. ``position`` stays what it is."""
        position = self.position
        self._last = -1
        for _ in self._block:
            pass
        self._next = position + 1

    def _blocks(self) -> Iterator[Iterator[Any]]:
        while self._next <= self._last:
            base = self._next & -BLOCK
            stop = min(base + BLOCK, self._last + 1)
            start, end = self._next - base, stop - base
            parts = zip(self._pack(base), self._pack(base + 1), strict=True)
            left, *others = (columns(*both)[start:end] for both in parts)
            self._left = iter(left)
            self._block = zip(self._left, *others, strict=False)
            self._next = stop
            yield self._block


@cache
def _strings(size: int) -> Callable[[bytes], tuple[bytes, ...]]:
    """Cuts a block of 256 strings of one size."""
    return Struct(f"{size}s" * BLOCK).unpack


def columns(first: bytes, second: bytes) -> tuple[bytes, ...]:
    """The strings of 256 consecutive numbers, from those of the first two."""
    return _strings(len(first))(write_block(first, second))


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
