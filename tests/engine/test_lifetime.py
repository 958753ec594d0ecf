"""Limits in time, bytes and packets, second by second, as Linux 7.2.7 and 6.12 were seen to keep them."""

from __future__ import annotations

from typing import Any

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.xfrm import XFRM_INF
from pyxfrm.engine import lifetime, traffic
from pyxfrm.engine.sa import Sa, State
from tests.engine.algos import AEAD, IN
from tests.engine.helpers import NO_LIMITS, NOW, Talk, add_sa, sa_info

EXPIRE = m.XFRM_MSG_EXPIRE
START = int(NOW)


def limits(**more: int) -> s.LifetimeCfg:
    return NO_LIMITS._replace(**more)


def given(**more: int) -> tuple[int, Any]:
    """XFRMA_LTIME_VAL: counters that the SA starts with."""
    return m.XFRMA_LTIME_VAL, s.LifetimeCur(0, 0, START, 0)._replace(**more)


def told(talk: Talk, seconds: int) -> list[tuple[int, str]]:
    """(second, "soft" or "hard") of every EXPIRE within that many seconds."""
    heard = []
    for second in range(1, seconds + 1):
        talk.engine.expire(NOW + second)
        for event in talk.events():
            assert event.header.nlmsg_type == EXPIRE
            assert (event.header.nlmsg_seq, event.header.nlmsg_pid) == (0, 0)
            heard.append((second, "hard" if event.body.hard else "soft"))
    return heard


def life(lft: s.LifetimeCfg, *attrs: Any, seconds: int = 8) -> list[tuple[int, str]]:
    talk = Talk()
    add_sa(talk, sa_info(lft=lft), attrs)
    talk.events()
    return told(talk, seconds)


@pytest.mark.parametrize(
    ("lft", "expected"),
    [
        (limits(), []),
        (limits(hard_add_expires_seconds=2), [(2, "hard")]),
        (
            limits(soft_add_expires_seconds=1, hard_add_expires_seconds=3),
            [(1, "soft"), (3, "hard")],
        ),
        (limits(soft_add_expires_seconds=2, hard_add_expires_seconds=2), [(2, "hard")]),
        (limits(soft_add_expires_seconds=3, hard_add_expires_seconds=2), [(2, "hard")]),
        # One counts from the first packet: without one it never comes nearer.
        (limits(soft_use_expires_seconds=2, hard_use_expires_seconds=4), []),
        # What is left is a signed number: beyond its largest lies the past.
        (limits(hard_add_expires_seconds=1 << 63), []),
        (limits(hard_add_expires_seconds=(1 << 63) + 2), [(1, "hard")]),
        (s.LifetimeCfg(0, 0, 0, 0, 0, 0, 0, 0), []),
    ],
)
def test_by_age(lft: s.LifetimeCfg, expected: list[tuple[int, str]]) -> None:
    assert life(lft) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("soft_add_expires_seconds", "soft"),
        ("hard_add_expires_seconds", "hard"),
        ("soft_use_expires_seconds", "soft"),
        ("hard_use_expires_seconds", "hard"),
    ],
)
def test_xfrm_inf_in_seconds_is_reached_at_the_first_look(name: str, expected: str) -> None:
    assert life(limits(**{name: XFRM_INF})) == [(1, expected)]


def test_by_use() -> None:
    lft = limits(soft_use_expires_seconds=2, hard_use_expires_seconds=4)
    assert life(lft, given(use_time=START)) == [(2, "soft"), (4, "hard")]


def test_both_whichever_is_nearer() -> None:
    lft = limits(
        soft_add_expires_seconds=1,
        hard_add_expires_seconds=5,
        soft_use_expires_seconds=2,
        hard_use_expires_seconds=3,
    )
    assert life(lft, given(use_time=START)) == [(1, "soft"), (3, "hard")]


@pytest.mark.parametrize(
    ("age", "expected"), [(5, [(5, "soft")]), (50, [(1, "soft")]), (500, [(1, "hard")])]
)
def test_an_sa_may_be_older_than_it_looks(age: int, expected: list[tuple[int, str]]) -> None:
    lft = limits(soft_add_expires_seconds=10, hard_add_expires_seconds=100)
    assert life(lft, given(add_time=START - age)) == expected


def test_the_clock_that_jumps_does_not_skip_the_soft_limit() -> None:
    talk = Talk()
    add_sa(talk, sa_info(lft=limits(soft_add_expires_seconds=100, hard_add_expires_seconds=200)))
    talk.events()
    talk.engine.expire(NOW + 1)
    (sa,) = talk.engine.sadb
    sa.add_time -= 1000
    assert told(talk, 300) == [(100, "soft"), (201, "hard")]


def shortened(soft: int, hard: int) -> Talk:
    """An SA with limits of 5 and 10 seconds that gets others once its timer was set for the soft one."""
    talk = Talk()
    lft = limits(soft_add_expires_seconds=5, hard_add_expires_seconds=10)
    add_sa(talk, sa_info(lft=lft))
    talk.engine.expire(NOW + 1)
    talk.now = NOW + 1
    lft = limits(soft_add_expires_seconds=soft, hard_add_expires_seconds=hard)
    talk.ok(m.XFRM_MSG_UPDSA, sa_info(lft=lft), [AEAD])
    talk.events()
    return talk


@pytest.mark.parametrize(("soft", "hard"), [(0, 1), (0, 2), (100, 2), (6, 1)])
def test_limits_that_cannot_be_repaired_end_the_timer(soft: int, hard: int) -> None:
    talk = shortened(soft, hard)
    assert told(talk, 30) == []
    assert talk.engine.next_deadline() is None
    talk.now = NOW + 30
    talk.ok(m.XFRM_MSG_UPDSA, sa_info(lft=limits(soft_add_expires_seconds=100)), [AEAD])
    talk.events()
    assert talk.engine.next_deadline() == NOW + 31


def test_a_soft_limit_that_the_repair_reaches_is_told_just_before_the_end() -> None:
    assert told(shortened(2, 1), 5) == [(2, "soft"), (2, "hard")]


def test_the_event_shows_mark_if_id_cpu_and_direction() -> None:
    talk = Talk()
    attrs = [
        (m.XFRMA_MARK, s.MarkVM(5, 0xFF)),
        (m.XFRMA_IF_ID, 7),
        (m.XFRMA_SA_PCPU, 0),
        IN,
    ]
    add_sa(talk, sa_info(lft=limits(hard_add_expires_seconds=1)), attrs)
    talk.events()
    talk.engine.expire(NOW + 1)
    (event,) = talk.events()
    assert [attr.number for attr in event.attrs] == [
        m.XFRMA_MARK,
        m.XFRMA_IF_ID,
        m.XFRMA_SA_PCPU,
        m.XFRMA_SA_DIR,
    ]


def test_an_update_starts_afresh() -> None:
    talk = Talk()
    lft = limits(soft_add_expires_seconds=1, hard_add_expires_seconds=30)
    add_sa(talk, sa_info(lft=lft))
    talk.events()
    assert told(talk, 2) == [(1, "soft")]
    talk.now = NOW + 2
    talk.ok(m.XFRM_MSG_UPDSA, sa_info(lft=lft), [AEAD])
    talk.events()
    talk.engine.expire(NOW + 3)
    assert [event.body.hard for event in talk.events()] == [0]
    talk.ok(m.XFRM_MSG_UPDSA, sa_info(lft=limits()), [AEAD])
    talk.events()
    assert told(talk, 60) == []


def test_an_update_looks_at_the_counters_at_once() -> None:
    talk = Talk()
    add_sa(talk, attrs=[given(bytes=100, packets=10, use_time=START)])
    talk.events()
    talk.ok(m.XFRM_MSG_UPDSA, sa_info(lft=limits(soft_byte_limit=100)), [AEAD])
    kinds = [event.header.nlmsg_type for event in talk.events()]
    assert kinds == [EXPIRE, m.XFRM_MSG_UPDSA]
    talk.ok(m.XFRM_MSG_UPDSA, sa_info(lft=limits(hard_packet_limit=10)), [AEAD])
    hard, update = talk.events()
    assert (hard.header.nlmsg_type, hard.body.hard) == (EXPIRE, 1)
    assert update.header.nlmsg_type == m.XFRM_MSG_UPDSA
    assert len(talk.engine.sadb) == 0


def test_an_unused_sa_s_counters_are_not_looked_at() -> None:
    talk = Talk()
    add_sa(talk, attrs=[given(bytes=100)])
    talk.ok(m.XFRM_MSG_UPDSA, sa_info(lft=limits(hard_byte_limit=1)), [AEAD])
    assert len(talk.engine.sadb) == 1


@pytest.mark.parametrize(("expires", "expected"), [(2, [(2, "hard")]), (0, [])])
def test_a_larval_sa(expires: int, expected: list[tuple[int, str]]) -> None:
    talk = Talk()
    talk.engine.sysctl.xfrm_acq_expires = expires
    talk.send(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa_info(spi=0), 5, 5), flags=0)
    assert told(talk, 5) == expected


def test_a_deleted_sa_says_nothing_more() -> None:
    talk = Talk()
    add_sa(talk, sa_info(lft=limits(hard_add_expires_seconds=2)))
    (sa,) = talk.engine.sadb
    assert lifetime.delete_sa(talk.engine, sa)
    assert not lifetime.delete_sa(talk.engine, sa)
    talk.events()
    assert told(talk, 5) == []
    assert talk.engine.next_deadline() is None


def test_an_sa_without_limits_sets_no_timer() -> None:
    talk = Talk()
    talk.engine.close(talk.listener)
    add_sa(talk)
    assert talk.engine.next_deadline() is None


# -- bytes and packets -----------------------------------------------------------------------------------


def counting(lft: s.LifetimeCfg) -> tuple[Talk, Sa]:
    talk = Talk()
    add_sa(talk, sa_info(lft=lft), [(m.XFRMA_REPLAY_THRESH, 0), (m.XFRMA_ETIMER_THRESH, 0)])
    talk.events()
    (sa,) = talk.engine.sadb
    return talk, sa


def test_packets() -> None:
    talk, sa = counting(limits(soft_packet_limit=2, hard_packet_limit=4))
    sent = []
    for _ in range(6):
        done = traffic.output(talk.engine, sa, 38)
        sent.append((done, [event.body.hard for event in talk.events()]))
    assert sent == [
        (True, []),
        (True, []),
        (True, [0]),
        (True, []),
        (False, [1]),
        (False, []),
    ]
    assert sa.state == State.DEAD


def test_bytes_and_the_time_of_first_use() -> None:
    talk, sa = counting(limits(soft_byte_limit=100, hard_byte_limit=200))
    assert [traffic.output(talk.engine, sa, 50) for _ in range(5)] == [True] * 4 + [False]
    soft, hard = talk.events()
    assert (soft.body.hard, soft.body.state.curlft.bytes) == (0, 100)
    assert (hard.body.hard, hard.body.state.curlft.bytes) == (1, 200)
    assert hard.body.state.curlft.use_time == START
