"""Anti-replay: which inbound sequence numbers are new (RFC 4303 §3.4.3 and Appendix A).

A window remembers the highest number accepted (``seq``, with ESN also ``seq_hi``) and one bit for
each of the ``window`` numbers up to it. Left of the window everything is refused, inside it what
was seen, right of it nothing: accepting such a number moves the window. The kernel has three kinds
(net/xfrm/xfrm_replay.c) and so has this file; :func:`make_window` picks one as the kernel does.

=========  =======================  =======================================================
kind       state                    bit of a number ``n``
=========  =======================  =======================================================
Legacy     xfrm_replay_state        ``1 << (seq - n)`` of one 32-bit word: the newest is bit 0
Bitmap     xfrm_replay_state_esn    ``(n - 1) % window`` of the words ``bmp``: the words are a
                                    ring, bits stay where they are and old ones are cleared
Esn        xfrm_replay_state_esn    the same ring, of 64-bit numbers whose high half is inferred
=========  =======================  =======================================================

A window of 0 accepts everything and remembers nothing, not even ``seq``. Number 0 is refused
otherwise (but for one case in Linux's ESN check: the newest number is ``window - 1``; no sender uses
number 0).

A fault of the ring in Linux (7.2 and before): ``(seq - 1) % window`` is taken of 32 bits, so where
``window`` is no power of two the ring jumps when the low half passes 0. The first packet of an SA
then marks the bit of another number and is accepted once more; around 2**32 with ESN there are more
such numbers. These windows do the same, bit for bit, unless they are made with ``exact_ring``.

The order of use, for each packet: ``check`` before anything else is spent on it, then its ICV,
then ``recheck`` (other packets may have come in between) and at once ``advance``. ``check`` gives
the whole number, that is with the high half which goes into the ICV.

``outside``, ``seen`` and ``forged`` count as ``xfrm_stats`` does in ``replay_window``, ``replay``
and ``integrity_failed``; the last one is moved by whoever checks the ICV.
"""

from __future__ import annotations

from collections.abc import Sequence as Words

from pyxfrm.errors import UsageError
from pyxfrm.esp.drop import Counter, Drop

__all__ = ["BitmapWindow", "EsnWindow", "LegacyWindow", "Window", "make_window"]

_MASK = 0xFFFFFFFF
_HALF = 1 << 63


class Window:
    """What the three kinds share. Numbers of packets are those on the wire: 32 bits.

    ``window``  size in packets; ``seq``, ``seq_hi``: the highest number accepted
    """

    __slots__ = ("forged", "outside", "seen", "seq", "seq_hi", "window")

    def __init__(self, window: int, seq: int = 0, seq_hi: int = 0) -> None:
        self.window = window
        self.seq = seq
        self.seq_hi = seq_hi
        self.outside = 0
        self.seen = 0
        self.forged = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}(window={self.window}, top={self.top})"

    @property
    def top(self) -> int:
        """The highest number accepted, 64 bits with ESN."""
        return self.seq

    def check(self, seq: int) -> int:
        """The whole number of a packet that says ``seq``; raises Drop where it cannot be new."""
        raise NotImplementedError

    def recheck(self, number: int) -> None:
        """``check`` once more, after the ICV was found right for ``number``."""
        self.check(number)

    def advance(self, number: int) -> None:
        """Remember ``number`` (as ``check`` gave it) as accepted."""
        raise NotImplementedError

    def _refuse_outside(self, seq: int) -> None:
        self.outside += 1
        raise Drop(Counter.IN_STATE_SEQ_ERROR, f"sequence number {seq} is left of the window")

    def _refuse_seen(self, seq: int) -> None:
        self.seen += 1
        raise Drop(Counter.IN_STATE_SEQ_ERROR, f"sequence number {seq} was seen before")


def _refuse_zero() -> None:
    raise Drop(Counter.IN_STATE_SEQ_ERROR, "sequence number 0 is never used")


class LegacyWindow(Window):
    """At most 32 packets, in one word (xfrm_replay_check_legacy)."""

    __slots__ = ("bitmap",)

    def __init__(self, window: int = 32, seq: int = 0, bitmap: int = 0) -> None:
        if not 0 <= window <= 32:
            raise UsageError(f"replay window {window}: without a bitmap it is 0 to 32")
        super().__init__(window, seq)
        self.bitmap = bitmap

    def check(self, seq: int) -> int:  # noqa: D102
        if self.window:
            if seq == 0:
                _refuse_zero()
            behind = self.seq - seq
            if behind >= self.window:
                self._refuse_outside(seq)
            if behind >= 0 and self.bitmap >> behind & 1:
                self._refuse_seen(seq)
        return seq

    def advance(self, number: int) -> None:  # noqa: D102
        if not self.window:
            return
        ahead = number - self.seq
        if ahead <= 0:
            self.bitmap |= 1 << -ahead
            return
        self.bitmap = (self.bitmap << ahead | 1) & _MASK if ahead < self.window else 1
        self.seq = number


class BitmapWindow(Window):
    """Any size, 32-bit numbers: XFRMA_REPLAY_ESN_VAL without the ESN flag (..._check_bmp).

    ``bmp`` holds the words of ``xfrm_replay_state_esn.bmp`` as the kernel holds them.
    """

    __slots__ = ("bmp", "exact_ring")

    def __init__(
        self,
        window: int,
        seq: int = 0,
        bmp: Words[int] | None = None,
        *,
        seq_hi: int = 0,
        exact_ring: bool = False,
    ) -> None:
        super().__init__(window, seq, seq_hi)
        self.exact_ring = exact_ring
        self.bmp = list(bmp) if bmp is not None else [0] * ((window + 31) // 32)
        if not 0 <= window <= len(self.bmp) * 32:
            raise UsageError(f"replay window {window} needs more than {len(self.bmp)} bitmap words")

    def check(self, seq: int) -> int:  # noqa: D102
        if self.window:
            if seq == 0:
                _refuse_zero()
            behind = self.seq - seq
            if behind >= self.window:
                self._refuse_outside(seq)
            if behind >= 0 and self._is_set(behind):
                self._refuse_seen(seq)
        return seq

    def advance(self, number: int) -> None:  # noqa: D102
        if self.window:
            self._mark(number - self.seq)
            self.seq = max(self.seq, number)

    def _bit(self, offset: int) -> tuple[int, int]:
        """(word, mask) of the number ``top + offset``."""
        newest = self.top - 1 if self.exact_ring else (self.seq - 1) & _MASK
        bit = (newest % self.window + offset) % self.window
        return bit >> 5, 1 << (bit & 31)

    def _is_set(self, behind: int) -> bool:
        word, mask = self._bit(-behind)
        return bool(self.bmp[word] & mask)

    def _mark(self, offset: int) -> None:
        """Set the bit of ``seq + offset``; clear those that the window leaves behind."""
        if 0 < offset < self.window:
            for skipped in range(1, offset):
                word, mask = self._bit(skipped)
                self.bmp[word] &= ~mask
        elif offset >= self.window:
            words = (self.window + 31) // 32
            self.bmp[:words] = [0] * words
        word, mask = self._bit(offset)
        self.bmp[word] |= mask


class EsnWindow(BitmapWindow):
    """Extended sequence numbers (RFC 4303 Appendix A2; xfrm_replay_seqhi, ..._check_esn)."""

    __slots__ = ()

    @property
    def top(self) -> int:  # noqa: D102
        return self.seq_hi << 32 | self.seq

    def infer(self, seq: int) -> int:
        """The 64-bit number whose low half is ``seq``: the one nearest to the window.

        A low half left of the window must be the next subspace's. The result wraps at 64 bits, as
        a kernel's does: nothing authentic is there.
        """
        bottom = (self.seq - self.window + 1) & _MASK
        hi = self.seq_hi
        if self.seq >= (self.window - 1) & _MASK:
            hi += seq < bottom
        else:
            hi -= seq >= bottom
        return (hi & _MASK) << 32 | seq

    def check(self, seq: int) -> int:  # noqa: D102
        number = self.infer(seq)
        if not self.window:
            return number
        if seq == 0 and self.seq_hi == 0 and self.seq < self.window - 1:
            _refuse_zero()
        bottom = (self.seq - self.window + 1) & _MASK
        if self.seq >= self.window - 1:
            inside = bottom <= seq <= self.seq
        else:
            inside = seq <= self.seq or seq >= bottom
        if inside and self._is_set((self.seq - seq) & _MASK):
            self._refuse_seen(seq)
        return number

    def recheck(self, number: int) -> None:  # noqa: D102
        seq = number & _MASK
        if self.infer(seq) != number:
            self._refuse_outside(seq)
        self.check(seq)

    def advance(self, number: int) -> None:  # noqa: D102
        if not self.window:
            return
        offset = (number - self.top + _HALF) % (2 * _HALF) - _HALF
        self._mark(offset)
        if offset > 0:
            self.seq, self.seq_hi = number & _MASK, number >> 32


def make_window(
    window: int, *, esn: bool = False, bmp_len: int | None = None, exact_ring: bool = False
) -> LegacyWindow | BitmapWindow | EsnWindow:
    """An empty window, of the kind Linux uses (xfrm_init_replay); ``exact_ring``: see above.

    ``bmp_len`` is that of XFRMA_REPLAY_ESN_VAL (32-bit words, at most 128: a window of 4096), or
    None where the attribute is absent. Without it there is no ESN and the window is at most 32.
    """
    if bmp_len is None and not esn:
        return LegacyWindow(window)
    words = [0] * ((window + 31) // 32 if bmp_len is None else bmp_len)
    if len(words) > 128:
        raise UsageError(f"replay bitmap of {len(words)} words: at most 128 (a window of 4096)")
    kind = EsnWindow if esn else BitmapWindow
    return kind(window, bmp=words, exact_ring=exact_ring)
