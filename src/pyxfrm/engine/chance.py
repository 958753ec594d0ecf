"""What a kernel decides by chance or by counter, passed in.

The default is deterministic: two engines given the same requests answer the same. A program that wants unpredictable SPIs
passes its own ``spi``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

__all__ = ["Chance"]


class Chance:
    """Sources of what is not decided by requests.

    ``spi(low, high)``  an SPI of the inclusive range, host order; called again if it is taken
    ``acquire_seq()``   the next ACQUIRE's sequence number: 1, 2, ... (net/xfrm/xfrm_state.c: xfrm_get_acqseq)
    ``policy_index(direction)``  an index for a new policy, or None to count as the kernel does
    ``leftovers()``  (sequence number, port) of a NEWAE that no request caused: the kernel forgets to set them, and sends
                     what lies on its stack (net/xfrm/xfrm_replay.c: xfrm_replay_notify); here zeros
    """

    def __init__(
        self,
        *,
        spi: Callable[[int, int], int] | None = None,
        policy_index: Callable[[int], int | None] | None = None,
    ) -> None:
        self._tries = count()
        self.spi = spi or self._spread
        self._acquires = count(1)
        self.acquire_seq: Callable[[], int] = lambda: next(self._acquires)
        self.policy_index: Callable[[int], int | None] = policy_index or (lambda _: None)
        self.leftovers: Callable[[], tuple[int, int]] = lambda: (0, 0)

    def _spread(self, low: int, high: int) -> int:
        # Multiplying by an odd number visits all residues of a power of two before it repeats.
        return low + (next(self._tries) * 0x9E3779B1 + 0x5851F42D) % 0x1_0000_0000 % (
            high - low + 1
        )
