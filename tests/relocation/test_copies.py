"""Copies of an SA: where they start, what they keep."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.model import (
    Algorithm,
    Counters,
    Encap,
    ExtraFlag,
    Limits,
    ReplayState,
    SaDir,
    StateFlag,
)
from pyxfrm.relocation.copies import copied, cut_of, readable, receiving
from pyxfrm.relocation.footprint import Footprint
from tests.relocation.world import KEY, A, B, C, sa


def moved(old: Footprint, **more: object) -> Footprint:
    return replace(old, saddr=B, **more)  # type: ignore[arg-type]


@given(st.integers(0, 2**32 - 1), st.integers(1, 2**20), st.booleans())
def test_a_cut_leaves_room_on_both_sides(oseq: int, jump: int, esn: bool) -> None:
    state = replace(ReplayState.of(64, esn=esn), oseq=oseq)
    cut = cut_of(sa(A, C, 1, replay=state), jump)
    if cut is None:
        assert not esn or oseq > 2**63
        assert 2**32 - 1 - oseq <= 2 * jump
    else:
        assert cut == oseq + jump
        assert cut + jump < (2**64 if esn else 2**32)


def test_a_copy_keeps_what_a_move_keeps() -> None:
    old = sa(
        A,
        C,
        1,
        limits=Limits(hard_bytes=10**9, soft_add=3600),
        counters=Counters(5, 6, 7, 8),
        tfc_pad=100,
        if_id=4,
        encap=Encap(4500, 4500),
        nat_keepalive=20,
        flags=StateFlag.DECAP_DSCP,
    )
    made = copied(old, moved(Footprint.of(old)), oseq=500)
    assert made.saddr == B
    assert made.replay.oseq == 500
    assert made.algorithms == old.algorithms
    for name in ("limits", "counters", "tfc_pad", "if_id", "encap", "nat_keepalive", "flags", "id"):
        assert getattr(made, name) == getattr(old, name)


def test_without_encapsulation_nothing_of_it_stays() -> None:
    old = sa(A, C, 1, encap=Encap(4500, 4500), nat_keepalive=20)
    made = copied(old, moved(Footprint.of(old), encap=None))
    assert (made.encap, made.nat_keepalive, made.mapping_threshold) == (None, 0, 0)


def test_an_inbound_copy_has_no_flag_that_kernels_refuse_inbound() -> None:
    """18: NOPMTUDISC, which older kernels set by themselves."""
    old = sa(
        C,
        A,
        1,
        dir=SaDir.IN,
        flags=StateFlag.NOPMTUDISC | StateFlag.DECAP_DSCP,
        extra_flags=ExtraFlag.OSEQ_MAY_WRAP,
    )
    made = copied(old, Footprint.of(old))
    assert made.flags == StateFlag.DECAP_DSCP
    assert made.extra_flags == 0
    out = replace(old, dir=SaDir.OUT, replay=ReplayState.off())
    assert copied(out, Footprint.of(out)).flags == old.flags


@given(st.sampled_from([32, 64, 128, 1000]), st.integers(1, 2**31))
def test_a_receiver_takes_nothing_up_to_the_cut(window: int, cut: int) -> None:
    old = sa(C, A, 1, window=window)
    made = receiving(old, Footprint.of(old), cut)
    assert made.replay.seq == cut
    bits = 32 * (made.replay.words or 1)
    assert made.replay.bitmap == (1 << bits) - 1
    assert made.replay.window == window


def test_keys_of_zeros_are_unreadable() -> None:
    assert readable(sa(A, C, 1))
    assert not readable(sa(A, C, 1, algorithms=(Algorithm.aes_gcm(bytes(20)),)))
    half = (Algorithm.aes_cbc(KEY[:16]), Algorithm.hmac_sha256(bytes(32)))
    assert not readable(sa(A, C, 1, algorithms=half))
