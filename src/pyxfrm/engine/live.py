"""An SA's live parts: the sealer and the opener that carry its packets.

:class:`Live` is made from an :class:`~pyxfrm.engine.sa.Sa` when its first packet comes, each half when it is needed: keys are expanded once, numbers
start where the SA says. From then on sequence and window are *here*, and the SA reads them back (``Sa.replay``, ``Sa.esn``, ``Sa.stats``).

**When the SA moves**, the new one takes these parts over (:func:`pyxfrm.engine.migrate.hand_over`): same cipher objects, same sequence, same
window. Nothing is copied, so nothing can be used twice; only the headers are made anew, when the next packet comes. The old SA keeps the
values of that moment and has no live parts any more, so it can seal nothing. What opens packets at the old place for a while
(:mod:`pyxfrm.engine.datapath.moves`) shares the window.

IPComp and bare tunnels have no numbers: what they show stays what was stored.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pyxfrm.abi.structs import ReplayState, ReplayStateEsn
from pyxfrm.abi.xfrm import (
    AF_INET,
    IPPROTO_AH,
    IPPROTO_ESP,
    XFRM_SA_XFLAG_OSEQ_MAY_WRAP,
    XFRM_STATE_ESN,
)
from pyxfrm.errors import UsageError
from pyxfrm.esp import (
    Algorithm,
    Association,
    BitmapWindow,
    Encap,
    EsnWindow,
    LegacyWindow,
    Mode,
    Sequence,
    make_opener,
    make_sealer,
)

if TYPE_CHECKING:
    from pyxfrm.abi.profiles import Profile
    from pyxfrm.abi.structs import Algo, AlgoAead, AlgoAuth
    from pyxfrm.engine.sa import Sa
    from pyxfrm.esp import Inbound, Outbound, Window
    from pyxfrm.esp.framing import Idents

__all__ = ["Live", "association_of", "scratch_opener"]

_U32 = 0xFFFFFFFF
_NUMBERED = (IPPROTO_ESP, IPPROTO_AH)
_encap = struct.Struct(">xxHH").unpack_from


def association_of(sa: Sa, profile: Profile) -> Association:
    """What the packets of an SA need to know of it. Raises UsageError for what cannot be carried."""
    traits = sa.traits
    try:
        mode = Mode(traits.mode)
    except ValueError:
        raise UsageError(f"SAs of mode {traits.mode} carry no packets here") from None
    size = 4 if sa.family == AF_INET else 16
    inner_size = 4 if sa.sel.family == AF_INET else 16
    return Association(
        proto=sa.proto,
        spi=int.from_bytes(sa.spi, "big"),
        saddr=sa.saddr[:size],
        daddr=sa.daddr[:size],
        mode=mode,
        aead=_algorithm(traits.aead, traits.aead.alg_icv_len if traits.aead else 0),
        crypt=_algorithm(traits.crypt),
        auth=_algorithm(traits.auth, traits.auth.alg_trunc_len if traits.auth else 0),
        comp=_algorithm(traits.comp),
        flags=traits.flags,
        extra_flags=traits.extra_flags,
        encap=None if sa.encap is None else Encap(*_encap(sa.encap)),
        inner=(sa.sel.saddr[:inner_size], sa.sel.daddr[:inner_size]) if mode is Mode.BEET else None,
        comp_gains=profile.comp_gains,
        tfcpad=traits.tfcpad,
    )


def _algorithm(algo: AlgoAead | AlgoAuth | Algo | None, icv: int = 0) -> Algorithm | None:
    if algo is None:
        return None
    return Algorithm(algo.alg_name.rstrip(b"\0").decode("ascii", "replace"), algo.alg_key, icv)


class Live:
    """The live parts of one SA.

    ``idents``   gives the identifications of new IPv4 headers
    ``profile``  the kernel it is to be like
    ``sealer``, ``opener``  None until :meth:`outbound`, :meth:`inbound` are first called, and while stale
    """

    __slots__ = ("_old_opener", "_old_sealer", "idents", "opener", "profile", "sealer")

    def __init__(self, idents: Idents, profile: Profile) -> None:
        self.idents = idents
        self.profile = profile
        self.sealer: Outbound | None = None
        self.opener: Inbound | None = None
        self._old_sealer: Outbound | None = None
        self._old_opener: Inbound | None = None

    def outbound(self, sa: Sa) -> Outbound:
        """The sealer, at the SA's place. Raises UsageError for what cannot be carried."""
        if self.sealer is None:
            association = association_of(sa, self.profile)
            if self._old_sealer is None:
                sequence = _sequence(sa) if sa.proto in _NUMBERED else None
                self.sealer = make_sealer(association, sequence=sequence, idents=self.idents)
            else:
                self.sealer = self._old_sealer.move(association)
                self._old_sealer = None
        return self.sealer

    def inbound(self, sa: Sa) -> Inbound:
        """The opener, at the SA's place. Raises UsageError for what cannot be carried."""
        if self.opener is None:
            association, stats = association_of(sa, self.profile), sa.stats
            if self._old_opener is None:
                self.opener = make_opener(association, window=_window(sa))
                self.restore_stats(stats)
            else:
                self.opener = self._old_opener.at(association)
                self._old_opener = None
        return self.opener

    def stale(self) -> None:
        """The SA's addresses or wrapping are others now: make the headers anew, keep keys and numbers."""
        if self.sealer is not None:
            self._old_sealer, self.sealer = self.sealer, None
        if self.opener is not None:
            self._old_opener, self.opener = self.opener, None

    @property
    def keeps_ivs(self) -> bool:
        """Whether there is a sealer, which knows the IVs that were used."""
        return self.sealer is not None or self._old_sealer is not None

    # -- what netlink sees and sets ----------------------------------------------------------------

    def _numbers(self) -> tuple[Sequence | None, Window | None]:
        sealer, opener = self.sealer or self._old_sealer, self.opener or self._old_opener
        return (
            None if sealer is None else sealer.sequence,
            None if opener is None else opener.replay,
        )

    def replay(self, stored: ReplayState) -> ReplayState:
        """struct xfrm_replay_state as it is now; what no packet has moved is as ``stored``."""
        sequence, window = self._numbers()
        oseq = stored.oseq if sequence is None else sequence.oseq
        if not isinstance(window, LegacyWindow):
            return stored._replace(oseq=oseq)
        return ReplayState(oseq, window.seq, window.bitmap)

    def esn(self, stored: ReplayStateEsn) -> ReplayStateEsn:
        """struct xfrm_replay_state_esn as it is now."""
        sequence, window = self._numbers()
        state = stored
        if sequence is not None:
            high = sequence.oseq_hi if sequence.esn else stored.oseq_hi
            state = state._replace(oseq=sequence.oseq, oseq_hi=high)
        if isinstance(window, BitmapWindow):
            bmp = struct.pack(f"={len(window.bmp)}I", *window.bmp)
            state = state._replace(seq=window.seq, seq_hi=window.seq_hi, bmp=bmp)
        return state

    def stats(self, stored: tuple[int, int, int]) -> tuple[int, int, int]:
        """Packets refused, as ``Sa.stats``."""
        window = self._numbers()[1]
        if window is None:
            return stored
        return window.outside & _U32, window.seen & _U32, window.forged & _U32

    def restore(self, sa: Sa) -> None:
        """Go on from the numbers that the SA has been given; no IV comes again, whatever they are."""
        sealer, opener = self.sealer or self._old_sealer, self.opener or self._old_opener
        if sealer is not None and sa.proto in _NUMBERED:
            last = sa.last(sa.stored)
            if last != (
                sealer.sequence.last if sa.traits.flags & XFRM_STATE_ESN else sealer.sequence.oseq
            ):
                sealer.restore(last, force=True)
        if opener is not None:
            window = _window(sa)
            window.outside, window.seen, window.forged = self.stats((0, 0, 0))
            opener.restore(window)

    def restore_stats(self, stats: tuple[int, int, int]) -> None:
        """Count refused packets on from ``stats``."""
        window = self._numbers()[1]
        if window is not None:
            window.outside, window.seen, window.forged = stats


def scratch_opener(sa: Sa, place: Association) -> Inbound:
    """An opener with the SA's keys and a copy of its window, at some place: what it opens leaves no trace."""
    sa.replay, sa.esn  # noqa: B018 (brings what is stored up to date)
    return make_opener(place, window=_window(sa))


def _sequence(sa: Sa) -> Sequence:
    last = sa.last(sa.stored)
    return Sequence(
        last,
        esn=bool(sa.traits.flags & XFRM_STATE_ESN),
        may_wrap=bool(sa.traits.extra_flags & XFRM_SA_XFLAG_OSEQ_MAY_WRAP),
        last_iv=last + sa.iv_lead,
    )


def _window(sa: Sa) -> LegacyWindow | BitmapWindow | EsnWindow:
    state = sa.stored
    if isinstance(state, ReplayState):
        return LegacyWindow(sa.traits.replay_window, state.seq, state.bitmap)
    bmp = list(struct.unpack(f"={len(state.bmp) // 4}I", state.bmp))
    kind = EsnWindow if sa.traits.flags & XFRM_STATE_ESN else BitmapWindow
    return kind(state.replay_window, state.seq, bmp, seq_hi=state.seq_hi)
