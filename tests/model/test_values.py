"""Selectors, marks, sequence numbers, SAs, policies, migrations: what can be built and what not."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.errors import UsageError
from pyxfrm.model import (
    HOST_TO_HOST,
    INHERIT,
    REMOVE,
    Action,
    Address,
    AddressMove,
    Algorithm,
    Counters,
    Direction,
    Encap,
    EncapKind,
    Family,
    KmAddress,
    Limits,
    Mark,
    Migration,
    Mode,
    Offload,
    Policy,
    PolicyId,
    PolicyMigration,
    Port,
    Proto,
    ReplayState,
    Sa,
    SaId,
    SecurityContext,
    Selector,
    StateFlag,
    Template,
    ip,
    network,
)
from pyxfrm.model.checks import as_seen

U32S = st.integers(0, 0xFFFFFFFF)
GCM = Algorithm.aes_gcm(bytes(range(20)))
SA = Sa(
    SaId(ip("198.51.100.1"), Proto.ESP, 0xC0000001, Mark(1, 0xFF)),
    ip("192.0.2.10"),
    Mode.TUNNEL,
    (GCM,),
    ReplayState.of(128),
    reqid=7,
    sel=Selector(network("10.1.0.0/16"), network("10.2.0.0/16")),
)
V6 = ip("2001:db8::1")


@given(U32S, U32S, U32S)
def test_a_mark_matches_bit_by_bit(value: int, mask: int, packet: int) -> None:
    seen = as_seen(Mark, value, mask)
    slow = all((packet >> i & 1 if mask >> i & 1 else 0) == (value >> i & 1) for i in range(32))
    assert seen.matches(packet) == slow
    if seen.findable:
        assert seen == Mark(value, mask)
        assert seen.matches(seen.key)
    else:
        assert not seen.matches(packet)
        with pytest.raises(UsageError, match="outside the mask"):
            Mark(value, mask)


def test_a_mark_of_zeros_is_a_mark() -> None:
    assert Mark(0, 0) is not None
    assert bool(Mark(0, 0))
    assert Mark(0, 0).matches(0x1234)
    assert Mark(0) != Mark(0, 0)
    assert not Mark(0).matches(1)


@given(st.integers(0, 5000), st.booleans())
def test_a_replay_window_takes_the_form_it_needs(window: int, esn: bool) -> None:
    if window > 4096:
        with pytest.raises(UsageError, match="window"):
            ReplayState.of(window, esn=esn)
        return
    made = ReplayState.of(window, esn=esn)
    assert (made.words is None) == (window <= 32 and not esn)
    if made.words is not None:
        assert 32 * (made.words - 1) < window <= 32 * made.words or window == made.words == 0
    assert made.left == (2**64 if esn else 2**32) - 1


def test_numbers_know_unnamed_values() -> None:
    assert Proto(99) == 99
    assert str(Proto(99)) == "99"
    assert str(Proto.HAO) == "hao"
    assert repr(Mode(17)) == "<Mode.17: 17>"
    assert Family(7).bits == 128
    with pytest.raises(ValueError, match="'x'"):
        Proto("x")  # type: ignore[arg-type]


def test_choices_are_neither_values_nor_each_other() -> None:
    choices = [INHERIT, REMOVE, HOST_TO_HOST, None, 0, Mark(0, 0)]
    for i, a in enumerate(choices):
        for b in choices[i + 1 :]:
            assert a != b
    assert repr([INHERIT, REMOVE]) == "[INHERIT, REMOVE]"


def test_values_are_frozen_and_compare_by_value() -> None:
    with pytest.raises(FrozenInstanceError):
        SA.reqid = 8  # type: ignore[misc]
    assert replace(SA, reqid=7) == SA
    assert hash(replace(SA, reqid=7)) == hash(SA)
    assert replace(SA, reqid=8) != SA
    assert not hasattr(SA, "__dict__")


def test_an_sa_does_not_show_its_key() -> None:
    assert bytes(range(20)).hex() not in repr(SA)
    assert "hidden" in repr(SA)


def test_an_sa_says_its_name() -> None:
    assert str(SA.id) == "dst 198.51.100.1 proto esp spi 0xc0000001 mark 0x1/0xff"
    hao = SaId(V6, Proto.HAO, saddr=ip("2001:db8::2"))
    assert str(hao) == "src 2001:db8::2 dst 2001:db8::1 proto hao"
    assert SA.id.key == 1
    assert replace(SA.id, mark=None).key == 0


def test_a_selector_can_be_turned_round() -> None:
    sel = Selector(network("10.0.0.1"), network("10.1.0.0/16"), 17, Port(500), Port(0, 0xFF00), 3)
    assert sel.reversed().reversed() == sel
    assert sel.reversed().saddr == sel.daddr
    assert str(sel) == "src 10.0.0.1/32 dst 10.1.0.0/16 proto 17 sport 500 dport 0/0xff00 dev 3"
    assert "sport=500" in repr(sel)


def test_a_migration_keeps_what_is_not_named() -> None:
    move = Migration.of(SA, saddr=ip("203.0.113.10"))
    assert move.sel == SA.sel
    assert move.reqid == SA.reqid
    assert move.new_daddr == SA.id.daddr
    assert move.mark is move.encap is move.offload is move.set_mark is INHERIT
    assert move.same_tuple
    assert move.new_id == SA.id
    assert replace(move, mark=REMOVE).new_id.mark is None
    assert replace(move, mark=Mark(0, 0)).new_id.mark == Mark(0, 0)
    assert not replace(move, new_daddr=ip("203.0.113.1")).same_tuple


def test_an_address_no_address_is_no_original_address() -> None:
    assert Encap(4500, 4500, oa=ip("0.0.0.0")) == Encap(4500, 4500)


def test_a_policy_is_named_by_selector_or_by_index() -> None:
    policy = Policy(Direction.OUT, SA.sel, Action.BLOCK, index=9, if_id=5)
    assert policy.id == PolicyId(Direction.OUT, SA.sel, if_id=5)
    assert str(policy.id) == "dir out src 10.1.0.0/16 dst 10.2.0.0/16 if_id 0x5"
    assert str(PolicyId.by_index(Direction.IN, 8)) == "dir in index 8"


BAD: list[tuple[Any, str]] = [
    (lambda: Selector(network("10.0.0.0/8"), network("::/0")), "two families"),
    (lambda: Selector.hosts(ip("1.1.1.1"), V6), "two families"),
    (lambda: replace(SA.sel, proto=256), "protocol"),
    (lambda: replace(SA.sel, ifindex=-1), "interface"),
    (lambda: Port(70000), "70000"),
    (lambda: Port(3, 0xFFFC), "outside the mask"),
    (lambda: Mark(1 << 32), "mark"),
    (lambda: Mark("1"), "whole number"),  # type: ignore[arg-type]
    (lambda: Mark(True), "whole number"),
    (lambda: SaId(V6, Proto.ESP, 1 << 32), "spi"),
    (lambda: SaId(V6, Proto.HAO, saddr=ip("1.1.1.1")), "two families"),
    (lambda: replace(SA, saddr=V6), "another family"),
    (lambda: replace(SA, reqid=-1), "reqid"),
    (lambda: replace(SA, cpu=-1), "cpu"),
    (lambda: replace(SA, care_of=V6), "care-of"),
    (lambda: replace(SA, flags=StateFlag(128)), "ESN"),
    (lambda: replace(SA, algorithms=(GCM, GCM)), "two algorithms"),
    (lambda: replace(SA, algorithms=(GCM, Algorithm.aes_cbc(bytes(16)))), "AEAD stands alone"),
    (lambda: ReplayState(33), "window of 33"),
    (lambda: ReplayState(0, esn=True), "long form"),
    (lambda: ReplayState(0, oseq=1 << 32), "oseq"),
    (lambda: ReplayState(0, words=129), "words"),
    (lambda: ReplayState(32, bitmap=1 << 32), "bitmap"),
    (lambda: ReplayState(-1), "window"),
    (lambda: Limits(hard_add=0), "leave it out"),
    (lambda: Limits(soft_bytes=2**64 - 1), "soft_bytes"),
    (lambda: Counters(-1, 0), "bytes"),
    (lambda: Encap(1, 2, EncapKind(0)), "REMOVE"),
    (lambda: Encap(70000, 2), "source port"),
    (lambda: Offload(-1), "interface"),
    (lambda: SecurityContext(b"x" * 70000), "length"),
    (lambda: Template(V6, ip("1.1.1.1"), Proto.ESP, Mode.TUNNEL), "two families"),
    (lambda: Policy(Direction.OUT, Selector.any(Family.UNSPEC)), "must have a family"),
    (
        lambda: Policy(
            Direction.OUT, SA.sel, templates=(Template(V6, V6, Proto.ESP, Mode.TUNNEL),) * 7
        ),
        "7 templates",
    ),
    (lambda: PolicyId(Direction.OUT, None), "one of the two"),
    (lambda: PolicyId(Direction.OUT, SA.sel, 8), "one of the two"),
    (lambda: Migration.of(replace(SA, id=replace(SA.id, spi=0))), "without SPI"),
    (lambda: Migration.of(SA, saddr=V6), "two families"),
    (
        lambda: Migration(
            SA.id, Address.any(Family.UNSPEC), Address.any(Family.UNSPEC), 0, HOST_TO_HOST
        ),
        "must have a family",
    ),
    (
        lambda: replace(Migration.of(SA), encap=REMOVE, nat_keepalive=20),
        "needs an encapsulation",
    ),
    (lambda: replace(Migration.of(SA), mapping_threshold=1 << 32), "mapping_threshold"),
    (lambda: PolicyMigration(SA.sel, Direction.OUT, ()), "0 moves"),
    (lambda: KmAddress(V6, ip("1.1.1.1")), "two families"),
    (
        lambda: AddressMove(V6, ip("1.1.1.1"), V6, V6, Proto.ESP, Mode.TUNNEL),
        "two families",
    ),
]


@pytest.mark.parametrize(("make", "why"), BAD, ids=[why for _, why in BAD])
def test_what_cannot_be_meant_is_refused_in_one_line(make: Any, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        make()
    assert "\n" not in str(caught.value)


@dataclass(frozen=True, slots=True)
class Awkward:
    """Fields of names that code about them might use, too."""

    new: int
    made: int
    cls: int


def test_what_is_seen_may_have_fields_of_any_name() -> None:
    assert as_seen(Awkward, 1, 2, 3) == Awkward(1, 2, 3)
    with pytest.raises(TypeError):
        as_seen(Awkward, 1, 2)
