"""Haste ends as it began, and a wait leaves room for others."""

from __future__ import annotations

import gc
import os
import time

import pytest

from pyxfrm.relocation.haste import CHANCES, hurry, wait


def test_nothing_of_a_hurry_is_left() -> None:
    before = gc.isenabled(), os.sched_getscheduler(0)

    def fail() -> None:
        with hurry():
            assert not gc.isenabled()
            raise ValueError("in a hurry")

    with pytest.raises(ValueError, match="in a hurry"):
        fail()
    assert (gc.isenabled(), os.sched_getscheduler(0)) == before


def test_a_collector_at_rest_stays_at_rest() -> None:
    gc.disable()
    try:
        with hurry():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_machine_that_stands_still_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """However late the first sleep ends, others get their chances after it."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    wait(0.001)
    assert slept[0] == 0.001
    assert len(slept[1:]) == CHANCES
    assert all(slept[1:])
