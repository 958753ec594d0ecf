"""Timers run in the order in which they are due; setting one again moves it."""

from __future__ import annotations

import random
import tracemalloc
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.engine.timers import Timers

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine


def act(_engine: Engine, _subject: Any, _when: float) -> None:
    raise AssertionError("only compared")


@given(st.integers(0, 1 << 30))
def test_against_a_list(seed: int) -> None:
    rng = random.Random(seed)
    timers = Timers()
    subjects = [object() for _ in range(6)]
    plain: dict[int, tuple[float, int]] = {}
    for step in range(300):
        i = rng.randrange(6)
        match rng.randrange(4):
            case 0:
                timers.cancel(subjects[i], act)
                plain.pop(i, None)
            case 1:
                now = float(rng.randrange(20))
                due = timers.pop(now)
                ready = [(when, order, k) for k, (when, order) in plain.items() if when <= now]
                if not ready:
                    assert due is None
                else:
                    when, _, k = min(ready)
                    assert due is not None
                    assert (due.when, due.subject) == (when, subjects[k])
                    del plain[k]
            case _:
                when = float(rng.randrange(20))
                timers.set(subjects[i], act, when)
                plain[i] = (when, step)
        expected = min((when for when, _ in plain.values()), default=None)
        assert timers.next_deadline() == expected


def test_a_subjects_own_timer_can_be_taken_out_of_turn() -> None:
    timers = Timers()
    one, other = object(), object()
    timers.set(one, act, 5.0)
    timers.set(other, act, 7.0)
    timers.set(other, another, 6.0)
    assert timers.take(other, 5.9) is None
    assert timers.take(object(), 99.0) is None
    assert timers.take(other, 6.0) == (6.0, other, another)
    assert timers.take(other, 99.0) == (7.0, other, act)
    assert timers.take(other, 99.0) is None
    assert timers.next_deadline() == 5.0
    assert timers.pop(99.0) == (5.0, one, act)
    assert timers.next_deadline() is None


def test_timers_that_were_moved_or_forgotten_cost_nothing() -> None:
    timers = Timers()
    one, other = object(), object()
    timers.set(other, act, 1e9)
    tracemalloc.start()
    try:
        for moment in range(20_000):
            timers.set(one, act, 1e8 + moment)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 50_000  # bytes
    assert timers.next_deadline() == 1e8 + 19_999


def another(_engine: Engine, _subject: Any, _when: float) -> None:
    raise AssertionError("only compared")
