"""What packets do to SAs: counters, numbers up to the last, larval SAs, mappings, reports."""

from __future__ import annotations

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.xfrm import XFRMNLGRP_ACQUIRE
from pyxfrm.engine import traffic
from pyxfrm.engine.policy import Flow, Policy
from pyxfrm.engine.sa import Sa, State
from tests.engine.algos import AUTH, comp, encap, esn, sec_ctx
from tests.engine.helpers import ANY4, NO_COUNTERS, NO_LIMITS, NOW, ZERO, Talk, add_sa, sa_info, v4

FULL = 0xFFFFFFFF
FLOW = Flow(2, v4(7), v4(8), 7777, 5555, 17, 3)


def one(talk: Talk) -> Sa:
    talk.events()
    (sa,) = talk.engine.sadb
    return sa


# -- counters and numbers ----------------------------------------------------------------------------


def test_a_packet_counts() -> None:
    talk = Talk()
    add_sa(talk)
    sa = one(talk)
    talk.engine.now = NOW + 5
    assert traffic.output(talk.engine, sa, 38)
    assert (sa.bytes, sa.packets, sa.use_time, sa.lastused) == (38, 1, int(NOW) + 5, int(NOW) + 5)
    assert sa.replay.oseq == 1
    traffic.count(talk.engine, sa, 100, 3)
    assert (sa.bytes, sa.packets) == (138, 4)


def test_a_larval_sa_takes_none() -> None:
    talk = Talk()
    talk.send(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa_info(spi=0), 5, 5), flags=0)
    sa = one(talk)
    assert not traffic.output(talk.engine, sa, 38)
    assert (sa.packets, sa.replay.oseq) == (0, 0)


def test_ipcomp_has_no_numbers() -> None:
    talk = Talk()
    talk.ok(m.XFRM_MSG_NEWSA, sa_info(proto=108, mode=0), [comp()])
    sa = one(talk)
    assert traffic.output(talk.engine, sa, 38)
    assert sa.replay.oseq == 0


def test_numbers_end_at_the_last() -> None:
    talk = Talk()
    add_sa(talk, attrs=[(m.XFRMA_REPLAY_VAL, s.ReplayState(FULL - 1, 0, 0))])
    sa = one(talk)
    assert [traffic.output(talk.engine, sa, 1) for _ in range(3)] == [True, False, False]
    assert (sa.replay.oseq, sa.packets) == (FULL, 1)


def test_numbers_may_wrap_where_that_is_allowed() -> None:
    talk = Talk()
    attrs = [(m.XFRMA_REPLAY_VAL, s.ReplayState(FULL, 0, 0)), (m.XFRMA_SA_EXTRA_FLAGS, 2), AUTH]
    talk.ok(m.XFRM_MSG_NEWSA, sa_info(proto=51), attrs)
    sa = one(talk)
    assert traffic.output(talk.engine, sa, 1)
    assert sa.replay.oseq == 0


def test_extended_numbers_carry_and_end() -> None:
    talk = Talk()
    add_sa(talk, sa_info(flags=128), [esn(oseq=FULL)])
    sa = one(talk)
    assert traffic.output(talk.engine, sa, 1)
    assert sa.esn is not None
    assert (sa.esn.oseq, sa.esn.oseq_hi) == (0, 1)
    sa.esn = sa.esn._replace(oseq=FULL, oseq_hi=FULL)
    assert not traffic.output(talk.engine, sa, 1)
    assert (sa.esn.oseq, sa.esn.oseq_hi) == (FULL, FULL)


def test_a_bitmap_without_esn_does_not_carry() -> None:
    talk = Talk()
    add_sa(talk, attrs=[esn(oseq=FULL)])
    assert not traffic.output(talk.engine, one(talk), 1)


def test_failures_add_up() -> None:
    talk = Talk()
    add_sa(talk)
    sa = one(talk)
    traffic.fail(sa, replay=1)
    traffic.fail(sa, replay_window=2, integrity_failed=3)
    assert sa.stats == (2, 1, 3)


# -- ACQUIRE ---------------------------------------------------------------------------------------------


def policy(talk: Talk, template: s.UserTmpl, *attrs: tuple[int, object]) -> Policy:
    info = s.UserPolicyInfo(ANY4, NO_LIMITS, NO_COUNTERS, 0, 0, 1, 0, 0, 0)
    talk.ok(m.XFRM_MSG_NEWPOLICY, info, [(m.XFRMA_TMPL, (template,)), *attrs])
    talk.events()
    (made,) = talk.engine.spd
    return made


def template(daddr: bytes = v4(1), saddr: bytes = v4(2), **more: object) -> s.UserTmpl:
    made = s.UserTmpl(s.Id(daddr, 0, 50, b"abc"), 2, saddr, 6, 1, 0, 0, 1, 2, 3)
    return made._replace(**more)  # type: ignore[arg-type]


def test_an_acquire_and_its_larval_sa() -> None:
    talk = Talk()
    held = policy(talk, template(), (m.XFRMA_MARK, s.MarkVM(5, 0xFF)), (m.XFRMA_IF_ID, 7))
    sa = traffic.acquire(talk.engine, held, held.templates[0], FLOW)
    assert sa is not None
    (event,) = talk.events()
    body = event.body
    assert (event.header.nlmsg_type, event.header.nlmsg_seq) == (m.XFRM_MSG_ACQUIRE, 0)
    assert body.id == s.Id(v4(1), 0, 50, b"abc")
    assert (body.aalgos, body.ealgos, body.calgos, body.seq) == (1, 2, 3, 1)
    assert body.sel == s.Selector(
        FLOW.daddr, FLOW.saddr, 7777, 0xFFFF, 5555, 0xFFFF, 2, 32, 32, 17, 3, 0
    )
    assert body.policy.dir == 1
    assert [attr.number for attr in event.attrs] == [
        m.XFRMA_TMPL,
        m.XFRMA_POLICY_TYPE,
        m.XFRMA_MARK,
        m.XFRMA_IF_ID,
    ]
    assert (sa.state, sa.traits.seq, sa.traits.dir, sa.reqid) == (State.ACQ, 1, 2, 6)
    assert sa.traits.lft.hard_add_expires_seconds == 30
    talk.engine.expire(NOW + 31)
    assert [event.body.hard for event in talk.events()] == [1]


def test_the_sa_that_answers_it_by_number() -> None:
    talk = Talk()
    held = policy(talk, template())
    traffic.acquire(talk.engine, held, held.templates[0], FLOW)
    add_sa(talk, sa_info(saddr=v4(99), reqid=1, seq=1))
    (sa,) = talk.engine.sadb
    assert sa.state == State.VALID


def test_addresses_that_a_template_leaves_open_are_the_packet_s() -> None:
    talk = Talk()
    held = policy(talk, template(ZERO, ZERO, mode=0))
    sa = traffic.acquire(talk.engine, held, held.templates[0], FLOW)
    assert sa is not None
    assert (sa.daddr, sa.saddr) == (FLOW.daddr, FLOW.saddr)


def test_nobody_to_ask() -> None:
    talk = Talk()
    held = policy(talk, template())
    talk.engine.leave(talk.listener, XFRMNLGRP_ACQUIRE)
    assert traffic.acquire(talk.engine, held, held.templates[0], FLOW) is None
    assert len(talk.engine.sadb) == 0
    assert talk.engine.chance.acquire_seq() == 1


def test_nobody_with_room() -> None:
    talk = Talk()
    held = policy(talk, template())
    talk.listener.rcvbuf = 0
    talk.listener.put(b"one fits always")
    assert traffic.acquire(talk.engine, held, held.templates[0], FLOW) is None
    assert len(talk.engine.sadb) == 0


def test_of_a_cpu_of_its_own() -> None:
    talk = Talk()
    held = policy(talk, template())
    sa = traffic.acquire(talk.engine, held, held.templates[0], FLOW, pcpu_num=0)
    assert sa is not None
    (event,) = talk.events()
    assert event.get(m.XFRMA_SA_PCPU) == 0


def test_a_labelled_policy_asks_for_the_socket_s_label() -> None:
    talk = Talk()
    held = policy(talk, template(), sec_ctx(b"foo"))
    sa = traffic.acquire(talk.engine, held, held.templates[0], FLOW)
    assert sa is not None
    assert sa.traits.sec_ctx == (1, 1, b"kernel\0")
    (event,) = talk.events()
    assert event.get(m.XFRMA_SEC_CTX).ctx_str == b"kernel\0"


# -- MAPPING, REPORT ---------------------------------------------------------------------------------------


def test_every_packet_from_elsewhere_is_a_mapping() -> None:
    talk = Talk()
    add_sa(talk, sa_info(reqid=3), [encap(sport=4500)])
    sa = one(talk)
    for _ in range(2):
        assert traffic.mapping(talk.engine, sa, v4(9), 1234)
    first, second = talk.events()
    assert first.encode() == second.encode()
    body = first.body
    assert (body.old_saddr, body.new_saddr) == (v4(2), v4(9))
    assert (body.old_sport, body.new_sport, body.reqid) == (4500, 1234, 3)
    assert (sa.saddr, sa.encap) == (v4(2), sa.encap)


@pytest.mark.parametrize(
    ("wait", "port", "heard"), [(9, 1, False), (10, 1, False), (11, 1, True), (0, 2, True)]
)
def test_a_threshold_makes_them_fewer(wait: int, port: int, heard: bool) -> None:
    talk = Talk()
    add_sa(talk, attrs=[encap(), (m.XFRMA_MTIMER_THRESH, 10)])
    sa = one(talk)
    assert traffic.mapping(talk.engine, sa, v4(9), 1)
    talk.engine.now += wait
    assert traffic.mapping(talk.engine, sa, v4(10), port) is heard


def test_without_encapsulation_there_is_none() -> None:
    talk = Talk()
    add_sa(talk)
    assert not traffic.mapping(talk.engine, one(talk), v4(9), 1)
    assert talk.events() == []


def test_a_report() -> None:
    talk = Talk()
    assert traffic.report(talk.engine, 60, ANY4)
    assert traffic.report(talk.engine, 43, ANY4, v4(5))
    plain, with_address = talk.events()
    assert (plain.body.proto, plain.body.sel, plain.attrs) == (60, ANY4, ())
    assert with_address.get(m.XFRMA_COADDR) == v4(5)
