"""Outbound sequence numbers, and the guard over IVs.

Every packet gets the next number (RFC 4303 §3.3.3), the first one 1. When the numbers are used up
sealing refuses: they never wrap (net/xfrm/xfrm_replay.c: xfrm_replay_overflow). With ESN there are
2**64 of them, without it 2**32; without ESN the flag OSEQ_MAY_WRAP lets the number on the wire
start again at 0, as Linux does.

**The IV is the sequence number.** AES-GCM, CCM, GMAC, CTR and ChaCha20-Poly1305 need an IV that is
never used twice with one key, and nothing more (RFC 4106 §3.1, RFC 4309 §3.1, RFC 3686 §2.1,
RFC 7634 §2). A counter gives that with no randomness and no memory beyond the SA's own sequence
number, which is exactly what moves with the SA: so a moved SA cannot repeat an IV. AES-CBC needs
IVs that cannot be predicted; its transform encrypts this counter under the key
(:mod:`pyxfrm.esp.transforms`).

The guard: :class:`Sequence` keeps the highest IV it has handed out and only ever hands out higher
ones. The *wire* number may go back in two cases, when it may wrap, and when the control plane
forces it (Linux accepts any number in XFRM_MSG_NEWAE). Then the IVs go on above the highest one
used and simply stop being equal to the number.

An SA whose packets were sealed by a kernel before has other IVs in use (Linux xors the number with
a random salt that user space cannot read): with an AEAD or CTR such an SA must be rekeyed, not
continued here.
"""

from __future__ import annotations

from collections.abc import Callable

from pyxfrm.errors import UsageError
from pyxfrm.esp.ahead import Ahead, Record

__all__ = ["Sequence"]

_LAST_32 = 0xFFFFFFFF
_LAST_64 = 0xFFFFFFFFFFFFFFFF


class Sequence:
    """Hands out (sequence number, IV) pairs: numbers in order, no IV ever twice.

    ``last``     the number used last; 0: none yet. Without ESN it still counts on beyond 32 bits
                 where it may wrap; the wire carries its low half
    ``last_iv``  the highest IV used; default: ``last``
    ``esn``      are numbers 64 bits?
    """

    __slots__ = ("_ahead", "_last", "_last_iv", "_may_wrap", "esn")

    def __init__(
        self,
        last: int = 0,
        *,
        esn: bool = False,
        may_wrap: bool = False,
        last_iv: int | None = None,
    ) -> None:
        self.esn = esn
        self._may_wrap = may_wrap and not esn
        self._last = self._checked(last)
        self._last_iv = last if last_iv is None else last_iv
        self._ahead: Ahead | None = None

    def __repr__(self) -> str:
        return f"Sequence(last={self.last}, last_iv={self.last_iv})"

    @property
    def last(self) -> int:
        """The number used last."""
        return self._last if self._ahead is None else self._ahead.position

    @property
    def last_iv(self) -> int:
        """The highest IV used so far."""
        if self._ahead is None or self._ahead.position == self._last:
            return self._last_iv
        return self._ahead.position + self._gap()

    @property
    def oseq(self) -> int:
        """Low half, as ``xfrm_replay_state.oseq`` and ``xfrm_replay_state_esn.oseq``."""
        return self.last & _LAST_32

    @property
    def oseq_hi(self) -> int:
        """High half, as ``xfrm_replay_state_esn.oseq_hi``; 0 without ESN."""
        return self.last >> 32 if self.esn else 0

    def restore(self, last: int, *, force: bool = False) -> None:
        """Go on after the number ``last`` from now on.

        Going back would use numbers twice and is refused with UsageError, unless forced: then the
        numbers are used again, the IVs are not. Whatever was taken with ``ahead`` is closed.
        """
        if last < self.last and not force:
            raise UsageError(
                f"sequence number {last} is behind {self.last}, which is in use; rekey instead"
            )
        self._checked(last)
        self._settle()
        self._last = last
        self._last_iv = max(self._last_iv, last)

    def ahead(self, pack: Callable[[int, int], Record]) -> Ahead:
        """Records ``pack(number, iv)`` of the numbers to come, in order.

        ``number`` is what the wire and the ICV need: 64 bits with ESN, else 32. ``iv`` has 64 bits.
        Only the newest of these gives records: an earlier one is closed, so that two sealers can
        never share a number.
        """
        self._settle()
        gap, mask = self._gap(), _LAST_64 if self.esn else _LAST_32
        last = _LAST_64 if self.esn or self._may_wrap else _LAST_32
        self._ahead = Ahead(
            lambda number: pack(number & mask, number + gap),
            self._last + 1,
            min(last, _LAST_64 - gap),
        )
        return self._ahead

    def _gap(self) -> int:
        """How far IVs run before numbers: 0, or a multiple of 256 (records share the low byte)."""
        return -(min(0, self._last - self._last_iv) // 0x100) * 0x100

    def _settle(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
            self._last, self._last_iv = self.last, self.last_iv
            self._ahead = None

    def _checked(self, last: int) -> int:
        most = _LAST_64 if self.esn or self._may_wrap else _LAST_32
        if not 0 <= last <= most:
            raise UsageError(f"sequence number {last} is not in 0..{most}")
        return last
