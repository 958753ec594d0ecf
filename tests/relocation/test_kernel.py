"""The same relocations on real kernels: undisturbed, and with death in their middle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxfrm.relocation.machine import State
from tests.relocation.test_crash import CASES, FIRST

if TYPE_CHECKING:
    from pyxfrm.lab import Lab

ONE = "tests.relocation.guest:one"
OLD = (
    "gap-recreate-",
    "recreate-",
    "migrate-local",
    "migrate-both",
    "migrate-v6",
    "migrate-old",
    "hosts-recreate",
)


@pytest.mark.kernel
def test_every_case_on_linux_7_2(lab72: Lab) -> None:
    for name, done in zip(CASES, lab72.map(ONE, [{"name": n} for n in CASES]), strict=True):
        assert not done.error, f"{name}: {done.traceback}"
        assert done.value["state"] == State.MOVED.value, (name, done.value)
        assert done.value["there"]
        assert done.value["troubles"] == []
        assert done.value["larval_drop"] == "1"


@pytest.mark.kernel
def test_the_fallbacks_on_linux_6_12(lab612: Lab) -> None:
    names = [n for n in CASES if n.startswith(OLD)]
    for name, done in zip(names, lab612.map(ONE, [{"name": n} for n in names]), strict=True):
        assert not done.error, f"{name}: {done.traceback}"
        assert (done.value["state"], done.value["there"]) == (State.MOVED.value, True), name


@pytest.mark.kernel
def test_what_linux_6_12_cannot_is_refused(lab612: Lab) -> None:
    done = lab612.call(ONE, {"name": "migrate-state-local"})
    assert "no MIGRATE_STATE" in done["refused"][0]


@pytest.mark.kernel
@pytest.mark.parametrize("abort", [False, True], ids=["resume", "abort"])
def test_death_on_linux_7_2(lab72: Lab, abort: bool) -> None:
    """Every third message of every way of working."""
    jobs = [{"name": n, "left": left, "abort": abort} for n in FIRST for left in range(0, 56, 3)]
    ends = set()
    for job, done in zip(jobs, lab72.map(ONE, jobs), strict=True):
        assert not done.error, f"{job}: {done.traceback}"
        assert done.value["there"] or done.value["state"] == State.LOST.value, (job, done.value)
        if "recreate" not in str(job["name"]):
            assert done.value["state"] != State.LOST.value, (job, done.value)
        ends.add(done.value["state"])
    assert (State.AS_BEFORE if abort else State.MOVED).value in ends
