"""The announced fixes: MIGRATE_STATE under EXACT_MARKS, beside what Linux 7.2 does."""

from __future__ import annotations

from errno import EEXIST, ESRCH
from typing import Any

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.profiles import EXACT_MARKS, LINUX_7_2
from tests.engine.helpers import ANY4, Talk, add_sa, get_sa, sa_id, sa_info, v4

MS = m.XFRM_MSG_MIGRATE_STATE


def mark(value: int, mask: int = 0xFFFFFFFF) -> tuple[int, Any]:
    return m.XFRMA_MARK, s.MarkVM(value, mask)


def move(daddr: bytes, old: tuple[int, int]) -> s.UserMigrateState:
    return s.UserMigrateState(sa_id(), daddr, v4(2), s.MarkVM(*old), ANY4, 7, 0, 2, 0)


@pytest.fixture
def exact() -> Talk:
    return Talk(EXACT_MARKS)


def test_the_one_that_was_named_moves(exact: Talk) -> None:
    add_sa(exact, sa_info(reqid=1), [mark(1, 1)])
    add_sa(exact, sa_info(reqid=2))
    exact.ok(MS, move(v4(9), (1, 1)))
    assert get_sa(exact, sa_id(daddr=v4(9)), [mark(1, 1)]).get(m.XFRMA_MARK) == (1, 1)
    assert get_sa(exact).body.reqid == 2


def test_a_mark_that_nobody_has_is_nobody(exact: Talk) -> None:
    add_sa(exact, attrs=[mark(1, 1)])
    assert exact.refused(MS, move(v4(9), (1, 3))) == (ESRCH, "Can not find state")


@pytest.mark.parametrize(("profile", "taken"), [(LINUX_7_2, False), (EXACT_MARKS, True)])
def test_a_move_onto_a_mark_that_is_taken(profile: Any, taken: bool) -> None:
    talk = Talk(profile)
    add_sa(talk, attrs=[mark(1)])
    add_sa(talk, attrs=[mark(2)])
    onto = move(v4(1), (1, 0xFFFFFFFF))
    if taken:
        assert talk.refused(MS, onto, [mark(2)]) == (EEXIST, "New SA tuple already occupied")
        talk.ok(MS, onto, [mark(3)])
        talk.ok(MS, move(v4(1), (3, 0xFFFFFFFF)), [mark(3)])  # onto itself
    else:
        talk.ok(MS, onto, [mark(2)])
    assert len(talk.engine.sadb) == 2


@pytest.mark.parametrize(("profile", "kept"), [(LINUX_7_2, (0, 0)), (EXACT_MARKS, (0, 0xFF))])
def test_a_mask_without_a_value(profile: Any, kept: tuple[int, int]) -> None:
    talk = Talk(profile)
    add_sa(talk, attrs=[mark(0, 0xFF)])
    asked = (0, 0xFF) if profile is EXACT_MARKS else (0, 0)
    talk.ok(MS, move(v4(9), asked))
    (sa,) = talk.engine.sadb
    assert sa.mark == kept
