"""Sequence numbers have one truth: what packets do, netlink shows; what netlink sets, packets go by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REPLACE
from pyxfrm.abi.xfrm import AF_INET
from pyxfrm.engine.datapath import Action
from pyxfrm.engine.sa import Sa
from pyxfrm.esp import EspSealer
from tests.engine.datapath.support import OUT, Host, packet4, pair, tmpl
from tests.engine.helpers import GCM, ZERO, sa_id, sa_info, v4


def number_and_iv(packet: bytes) -> tuple[int, int]:
    return int.from_bytes(packet[24:28], "big"), int.from_bytes(packet[28:36], "big")


def set_numbers(host: Host, sa: Sa, state: s.ReplayState) -> None:
    event = s.AeventId(sa_id(0x100, sa.daddr), sa.saddr, 0, 0)
    flags = NLM_F_ACK | NLM_F_REPLACE
    assert (
        host.send(m.XFRM_MSG_NEWAE, event, [(m.XFRMA_REPLAY_VAL, state)], flags)[0].body.error == 0
    )


def test_netlink_shows_what_packets_did() -> None:
    one, two = pair()
    sent, received = next(iter(one.engine.sadb)), next(iter(two.engine.sadb))
    for _ in range(3):
        two.into(one.out(packet4()).packet)
    assert sent.replay == s.ReplayState(3, 0, 0)
    assert received.replay == s.ReplayState(0, 3, 7)
    assert (sent.packets, sent.bytes) == (received.packets, received.bytes) == (3, 3 * 33)


def test_packets_go_by_what_netlink_sets() -> None:
    one, two = pair()
    sent, received = next(iter(one.engine.sadb)), next(iter(two.engine.sadb))
    old = one.out(packet4()).packet
    two.into(old)
    set_numbers(one, sent, s.ReplayState(1000, 0, 0))
    assert number_and_iv(one.out(packet4()).packet) == (1001, 1001)
    set_numbers(two, received, s.ReplayState(0, 0, 0))
    assert two.into(old).action is Action.DELIVERED


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8))
def test_no_iv_twice_wherever_netlink_puts_the_numbers(starts: list[int]) -> None:
    one, _ = pair()
    sa = next(iter(one.engine.sadb))
    ivs = []
    for start in starts:
        set_numbers(one, sa, s.ReplayState(start, 0, 0))
        for step in range(3):
            number, iv = number_and_iv(one.out(packet4()).packet)
            assert number == start + step + 1
            ivs.append(iv)
    assert len(set(ivs)) == len(ivs)


@pytest.mark.parametrize("moves", [False, True])
def test_numbers_set_back_before_the_first_packet(moves: bool) -> None:
    """The SA came with a number: its key may have been used up to there, so IVs go on from there."""
    one, _ = pair(attrs=[(m.XFRMA_REPLAY_VAL, s.ReplayState(500, 0, 0))])
    sa = next(iter(one.engine.sadb))
    for last in (400, 100, 450):
        set_numbers(one, sa, s.ReplayState(last, 0, 0))
    if moves:
        one.move(sa, v4(1), v4(9))
        one.policy(OUT, tmpl(v4(1), v4(9)))
    number, iv = number_and_iv(one.out(packet4()).packet)
    assert number == 451
    assert iv > 500


def test_a_move_keeps_its_cipher_object() -> None:
    one, _ = pair()
    sa = next(iter(one.engine.sadb))
    one.out(packet4())
    live = sa.live
    assert live is not None
    assert isinstance(live.sealer, EspSealer)
    transform = live.sealer.transform
    new = one.move(sa, v4(1), v4(9))
    one.policy(OUT, tmpl(v4(1), v4(9)))
    packet = one.out(packet4()).packet
    assert packet[16:20] == v4(9)[:4]
    assert number_and_iv(packet) == (2, 2)
    assert new.live is live
    assert isinstance(live.sealer, EspSealer)
    assert live.sealer.transform is transform
    assert sa.live is None
    assert sa.replay.oseq == 1


def test_a_move_before_the_first_packet() -> None:
    one, _ = pair(attrs=[(m.XFRMA_REPLAY_VAL, s.ReplayState(41, 0, 0))])
    one.move(next(iter(one.engine.sadb)), v4(1), v4(9))
    one.policy(OUT, tmpl(v4(1), v4(9)))
    assert number_and_iv(one.out(packet4()).packet) == (42, 42)


def test_a_refused_move_changes_nothing() -> None:
    one, _ = pair()
    one.out(packet4())
    sa = next(iter(one.engine.sadb))
    one.sa(0x100, v4(1), v4(9))
    um = s.UserMigrateState(
        sa_id(0x100, sa.daddr), v4(9), v4(1), s.MarkVM(0, 0), sa.sel, 7, 0, AF_INET, 0
    )
    one.refused(m.XFRM_MSG_MIGRATE_STATE, um)
    assert number_and_iv(one.out(packet4()).packet) == (2, 2)


def test_encapsulation_that_is_updated() -> None:
    one, _ = pair(attrs=[(m.XFRMA_ENCAP, s.EncapTmpl(2, 4500, 4500, ZERO))])
    assert one.out(packet4()).packet[20:24].hex() == "11941194"
    sa = next(iter(one.engine.sadb))
    info_attrs = [(m.XFRMA_ENCAP, s.EncapTmpl(2, 4500, 4501, ZERO))]
    info = sa_info(0x100, sa.daddr, sa.saddr, reqid=7)
    one.ok(m.XFRM_MSG_UPDSA, info, [(m.XFRMA_ALG_AEAD, GCM), *info_attrs])
    packet = one.out(packet4()).packet
    assert packet[20:24].hex() == "11941195"
    assert packet[32:36].hex() == "00000002"


def test_two_clones_of_one_sa_share_no_iv() -> None:
    """MIGRATE with two entries that name the same SA: Linux makes two SAs that go on from the same number."""
    one, _ = pair()
    one.out(packet4())
    entries = [
        s.UserMigrate(v4(2), v4(1), v4(8), v4(1), 50, 1, 0, 7, AF_INET, AF_INET),
        s.UserMigrate(v4(2), v4(1), v4(9), v4(1), 50, 1, 0, 0, AF_INET, AF_INET),
    ]
    policy = next(iter(one.engine.spd))
    who = s.UserPolicyId(policy.sel, 0, OUT)
    one.ok(m.XFRM_MSG_MIGRATE, who, [(m.XFRMA_MIGRATE, entries)])
    assert len(one.engine.sadb) == 2
    seen = set()
    for daddr in (v4(8), v4(9)):
        one.policy(OUT, tmpl(v4(1), daddr))
        for _ in range(300):
            seen.add(number_and_iv(one.out(packet4()).packet)[1])
    assert len(seen) == 600
    assert 1 not in seen


@pytest.mark.parametrize("mode", [2, 5])
def test_what_cannot_be_carried_is_dropped(mode: int) -> None:
    one, _ = pair()
    sa = next(iter(one.engine.sadb))
    sa.traits = sa.traits._replace(mode=mode)
    policy = next(iter(one.engine.spd))
    policy.templates = (policy.templates[0]._replace(mode=mode),)
    verdict = one.out(packet4())
    assert verdict.action is Action.DROPPED
    assert len(verdict.counters) == 1
