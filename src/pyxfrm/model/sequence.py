"""Sequence numbers and replay windows of an SA.

The kernel has two forms. The *short* one (``struct xfrm_replay_state``) has a window of at most 32 packets and 32-bit numbers; the
*long* one (``struct xfrm_replay_state_esn``) has a bitmap of any length up to 4096 packets, and is needed for extended
sequence numbers (RFC 4303 §2.2.1) and for windows over 32. An SA keeps the form it was made with.

>>> ReplayState.of(32)
ReplayState(window=32, oseq=0, seq=0, bitmap=0, esn=False, words=None)
>>> ReplayState.of(128, esn=True).words
4
"""

from __future__ import annotations

from dataclasses import dataclass

from pyxfrm.errors import UsageError
from pyxfrm.model.checks import U32, U64, uint

__all__ = ["ReplayState"]

_MAX_WORDS = 128  # net/xfrm/xfrm_user.c: verify_replay


@dataclass(frozen=True, slots=True)
class ReplayState:
    """Where an SA stands.

    ``window``  packets that may come late; 0: replays are not looked for
    ``oseq``    last number sent; ``seq``: highest number seen (64 bits in the long form)
    ``bitmap``  which of the last packets were seen; bit 0 of word 0 is bit 0 here
    ``esn``     extended sequence numbers: the high 32 bits count too
    ``words``   32-bit words of the bitmap in the long form; None: the short form
    """

    window: int
    oseq: int = 0
    seq: int = 0
    bitmap: int = 0
    esn: bool = False
    words: int | None = None

    def __post_init__(self) -> None:
        if self.words is None:
            if self.esn:
                raise UsageError("replay: ESN needs the long form (words)")
            limit, bits, number = 32, 32, U32
        else:
            uint("replay: words of the bitmap", self.words, _MAX_WORDS)
            limit, bits, number = 32 * self.words, 32 * self.words, U64
        uint("replay: oseq", self.oseq, number)
        uint("replay: seq", self.seq, number)
        uint("replay: bitmap", self.bitmap, (1 << bits) - 1)
        if not 0 <= self.window <= limit:
            raise UsageError(f"replay: a window of {self.window} needs a longer bitmap than {bits}")

    @classmethod
    def of(cls, window: int, *, esn: bool = False) -> ReplayState:
        """A new SA's state: the short form where it will do, else the long one."""
        if window <= 32 and not esn:
            return cls(window)
        uint("replay window", window, 32 * _MAX_WORDS)
        return cls(window, esn=esn, words=(window + 31) // 32)

    @classmethod
    def off(cls, *, esn: bool = False) -> ReplayState:
        """No window: for an SA that only sends. On one that receives, replays are then let in."""
        return cls.of(0, esn=esn)

    @property
    def left(self) -> int:
        """Packets that can still be sent before the numbers run out (RFC 4303 §3.3.3)."""
        return (U64 if self.esn else U32) - self.oseq
