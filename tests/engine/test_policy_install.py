"""A policy's time limits, and what stops them."""

from __future__ import annotations

from typing import Any

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.xfrm import XFRM_INF
from pyxfrm.engine.policy import Policy
from pyxfrm.engine.policy_install import when_due
from pyxfrm.wire.codec import codec
from pyxfrm.wire.messages import Message
from tests.engine.helpers import (
    ANY4,
    NOW,
    Talk,
    add_sa,
    net,
    policy,
    sa_info,
)

NEW = m.XFRM_MSG_NEWPOLICY
UPD = m.XFRM_MSG_UPDPOLICY
DEL = m.XFRM_MSG_DELPOLICY


def seconds(*four: int) -> s.LifetimeCfg:
    return s.LifetimeCfg(*(XFRM_INF,) * 4, *four)


def told(events: list[Message]) -> list[tuple[str, int, int]]:
    """Name, index and hardness of POLEXPIRE events."""
    return [(one.name, one.body.pol.index, one.body.hard) for one in events]


def timed(add_time: int, use_time: int, *four: int) -> Policy:
    made = Policy(1, ANY4, codec(s.Selector).encode(ANY4), seconds(*four))
    made.add_time, made.use_time = add_time, use_time
    return made


@pytest.mark.parametrize(
    ("limits", "used", "now", "expected"),
    [
        ((0, 0, 0, 0), 0, 200, (None, False, False)),
        ((0, 10, 0, 0), 0, 109, (1, False, False)),
        ((0, 10, 0, 0), 0, 110, (None, False, True)),
        ((5, 100, 0, 0), 0, 104, (1, False, False)),
        ((5, 100, 0, 0), 0, 105, (30, True, False)),
        ((5, 100, 0, 0), 0, 180, (20, True, False)),
        ((0, 0, 0, 10), 0, 110, (None, False, True)),
        ((0, 0, 0, 10), 105, 110, (5, False, False)),
        ((0, 0, 7, 0), 105, 112, (30, True, False)),
        ((0, XFRM_INF, 0, 0), 0, 101, (None, False, True)),
        ((XFRM_INF, 0, 0, 0), 0, 101, (30, True, False)),
        ((0, (1 << 63) - 1, 0, 0), 0, 101, ((1 << 63) - 2, False, False)),
        ((0, (1 << 62), 0, 0), 0, 101, ((1 << 62) - 1, False, False)),
    ],
)
def test_when_limits_are_due(
    limits: tuple[int, int, int, int],
    used: int,
    now: int,
    expected: tuple[int | None, bool, bool],
) -> None:
    """A policy of second 100; wait, soft passed, hard passed."""
    assert when_due(timed(100, used, *limits), now) == expected


def test_a_soft_limit_is_told_every_thirty_seconds_until_the_hard_one() -> None:
    talk = Talk()
    talk.ok(NEW, policy(lft=seconds(10, 75, 0, 0)))
    talk.events()
    heard = []
    for _ in range(10):
        deadline = talk.engine.next_deadline()
        if deadline is None:
            break
        talk.engine.expire(deadline)
        heard += [(round(deadline - NOW), *one[1:]) for one in told(talk.events())]
    assert heard == [(10, 1, 0), (40, 1, 0), (70, 1, 0), (75, 1, 1)]
    assert len(talk.engine.spd) == 0
    assert talk.engine.next_deadline() is None


def test_an_end_of_any_kind_stops_the_clock() -> None:
    talk = Talk()
    ends: list[tuple[int, Any]] = [
        (DEL, s.UserPolicyId(ANY4, 0, 1)),
        (m.XFRM_MSG_FLUSHPOLICY, None),
        (m.XFRM_MSG_POLEXPIRE, s.UserPolExpire(policy(), 1)),
        (UPD, policy()),
    ]
    for kind, body in ends:
        talk.ok(NEW, policy(lft=seconds(0, 5, 0, 0)))
        assert talk.engine.next_deadline() is not None
        talk.ok(kind, body)
        assert talk.engine.next_deadline() is None


def test_of_limits_due_at_once_sas_come_first_and_policies_from_the_last_to_the_first() -> None:
    """So it was in 23 of 24 tries on Linux 7.2.7 and 6.12.101; once the wheel turned between two policies."""
    talk = Talk()
    for number in range(3):
        talk.ok(NEW, policy(sel=net(number), lft=seconds(0, 1, 0, 0)))
        add_sa(talk, sa_info(spi=0x100 + number, lft=seconds(1, 0, 0, 0)))
    talk.events()
    talk.engine.expire(NOW + 1)
    heard = talk.events()
    assert [one.name for one in heard] == ["XFRM_MSG_EXPIRE"] * 3 + ["XFRM_MSG_POLEXPIRE"] * 3
    assert [one.body.state.id.spi for one in heard[:3]] == [0x100, 0x101, 0x102]
    assert [one.body.pol.index for one in heard[3:]] == [17, 9, 1]
