"""What a kernel decides by chance or counts for itself, offered from a recording: SPIs, policy indexes, numbers of ACQUIREs."""

from __future__ import annotations

from collections import Counter
from itertools import count

from pyxfrm.engine.chance import Chance
from pyxfrm.errors import UsageError

__all__ = ["Dice"]

_DIRECTION = 7  # the bits of a policy's index that say its direction (net/xfrm/xfrm_policy.c: xfrm_policy_id2dir)


class Dice(Chance):
    """What is offered is taken once, when the engine asks; None: nothing was recorded, and anything will do.

    ACQUIREs are numbered upwards, over all namespaces, from 1.
    """

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__(spi=self._spi, policy_index=self._index)
        self.counts = counts
        self.acquire_seq = self._acquire
        self.last_acquire = 0
        self.offer()

    def offer(
        self,
        spi: int | None = None,
        index: int | None = None,
        acquire: int | None = None,
        leftovers: tuple[int, int] = (0, 0),
    ) -> None:
        """What the next step shows."""
        self.leftovers = lambda: leftovers
        self.offered_spi = spi
        self.offered_index = index
        self.offered_acquire = acquire
        self._used: int | None = None
        self._others = count()

    def _spi(self, low: int, high: int) -> int:
        if self._used is not None:
            raise UsageError(
                f"SPI 0x{self._used:08x} is taken already: the kernel cannot have chosen it"
            )
        spi = self.offered_spi
        if spi is None:
            return low + next(self._others) % (high - low + 1)
        if not spi or not low <= spi <= high:
            raise UsageError(f"SPI 0x{spi:08x} is not in the range 0x{low:08x} to 0x{high:08x}")
        self._used = spi
        self.counts["SPIs"] += 1
        return spi

    def _index(self, direction: int) -> int | None:
        index, self.offered_index = self.offered_index, None
        if index is None:
            return None
        if not index or index & _DIRECTION != direction:
            raise UsageError(f"policy index {index} is not one of direction {direction}")
        self.counts["policy indexes"] += 1
        return index

    def _acquire(self) -> int:
        seq = self.offered_acquire
        if seq is None:
            return self.last_acquire + 1
        if seq <= self.last_acquire:
            raise UsageError(f"ACQUIRE number {seq} after {self.last_acquire}")
        self.last_acquire = seq
        return seq
