"""Every case: the engine shows what Linux 7.2 has shown (``recorded.json``), and Linux 7.2 still shows it.

After a change of the cases: ``python -m tests.engine.datapath.test_conformance`` writes the recording anew, from the kernel.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyxfrm.engine.datapath import COUNTERS
from pyxfrm.lab import Lab
from pyxfrm.wire.describe import describe
from tests.engine.datapath.cases import CASES
from tests.engine.datapath.lane import EngineLane

RECORDED = Path(__file__).with_name("recorded.json")


def recorded(name: str) -> list[dict[str, Any]]:
    notes: list[dict[str, Any]] = json.loads(RECORDED.read_text())[name]
    return notes


def on_engine(name: str) -> list[dict[str, Any]]:
    lane = EngineLane()
    CASES[name](lane)
    return lane.notes


@pytest.fixture(scope="session")
def linux(lab72: Lab) -> dict[str, Any]:
    names = sorted(CASES)
    return dict(zip(names, lab72.map("tests.engine.datapath.guest:run", names), strict=True))


def in_words(note: dict[str, Any]) -> dict[str, Any]:
    """A note with its netlink datagrams told."""
    told = dict(note)
    for field in ("answers", "heard"):
        if field in note:
            told[field] = [str(describe(bytes.fromhex(one))) for one in note[field]]
    return told


@pytest.mark.parametrize("name", sorted(CASES))
def test_engine(name: str) -> None:
    for step, (engine, kernel) in enumerate(zip(on_engine(name), recorded(name), strict=True)):
        if engine != kernel:
            assert (step, in_words(engine)) == (step, in_words(kernel))
            assert (step, engine) == (step, kernel)


@pytest.mark.kernel
@pytest.mark.parametrize("name", sorted(CASES))
def test_linux_7_2(name: str, linux: dict[str, Any]) -> None:
    result = linux[name]
    assert not result.error, f"{result.error}\n{result.traceback}"
    assert result.value == recorded(name)


@pytest.mark.kernel
def test_the_counters_are_the_kernels(lab72: Lab) -> None:
    assert lab72.call("tests.engine.datapath.guest:names", None) == list(COUNTERS)


def record() -> None:
    """Write what Linux shows now."""
    names = sorted(CASES)
    with Lab("7.2") as lab:
        shown = [result.value for result in lab.map("tests.engine.datapath.guest:run", names)]
    lines = (
        f"{json.dumps(name)}: {json.dumps(notes)}" for name, notes in zip(names, shown, strict=True)
    )
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    record()
