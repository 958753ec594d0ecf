"""Every case, for two kernels: the engine shows what Linux has shown (``recorded.json``, ``recorded612.json``), and Linux still shows it.

After a change of the cases: ``python -m tests.engine.datapath.test_conformance [CASE...]`` writes these, or all, into the recordings anew, from the kernels.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2
from pyxfrm.engine.datapath import COUNTERS
from pyxfrm.lab import Lab
from pyxfrm.wire.describe import describe
from tests.engine.datapath.cases import CASES
from tests.engine.datapath.lane import EngineLane

KERNELS = {
    "7.2": (LINUX_7_2, Path(__file__).with_name("recorded.json")),
    "6.12": (LINUX_6_12, Path(__file__).with_name("recorded612.json")),
}
Notes = list[dict[str, Any]]


@cache
def recorded(version: str) -> dict[str, Notes]:
    notes: dict[str, Notes] = json.loads(KERNELS[version][1].read_text())
    return notes


def on_engine(name: str, version: str = "7.2") -> Notes:
    lane = EngineLane(KERNELS[version][0])
    CASES[name](lane)
    return lane.notes


def on_linux(lab: Lab) -> dict[str, Any]:
    names = sorted(CASES)
    return dict(zip(names, lab.map("tests.engine.datapath.guest:run", names), strict=True))


@pytest.fixture(scope="session")
def linux72(lab72: Lab) -> dict[str, Any]:
    return on_linux(lab72)


@pytest.fixture(scope="session")
def linux612(lab612: Lab) -> dict[str, Any]:
    return on_linux(lab612)


def in_words(note: dict[str, Any]) -> dict[str, Any]:
    """A note with its netlink datagrams told."""
    told = dict(note)
    for field in ("answers", "heard"):
        if field in note:
            told[field] = [str(describe(bytes.fromhex(one))) for one in note[field]]
    return told


@pytest.mark.parametrize("version", KERNELS)
@pytest.mark.parametrize("name", sorted(CASES))
def test_engine(name: str, version: str) -> None:
    both = zip(on_engine(name, version), recorded(version)[name], strict=True)
    for step, (engine, kernel) in enumerate(both):
        if engine != kernel:
            assert (step, in_words(engine)) == (step, in_words(kernel))
            assert (step, engine) == (step, kernel)


def check(result: Any, expected: Notes) -> None:
    assert not result.error, f"{result.error}\n{result.traceback}"
    assert result.value == expected


@pytest.mark.kernel
@pytest.mark.parametrize("name", sorted(CASES))
def test_linux_7_2(name: str, linux72: dict[str, Any]) -> None:
    check(linux72[name], recorded("7.2")[name])


@pytest.mark.kernel
@pytest.mark.parametrize("name", sorted(CASES))
def test_linux_6_12(name: str, linux612: dict[str, Any]) -> None:
    check(linux612[name], recorded("6.12")[name])


@pytest.mark.kernel
def test_the_counters_are_the_kernels(lab72: Lab) -> None:
    assert lab72.call("tests.engine.datapath.guest:names", None) == list(COUNTERS)


def record(names: list[str]) -> None:
    """Write what the kernels show now."""
    for version, (_, path) in KERNELS.items():
        notes = json.loads(path.read_text())
        with Lab(version) as lab:
            shown = lab.map("tests.engine.datapath.guest:run", names)
            notes |= {name: one.value for name, one in zip(names, shown, strict=True)}
        lines = (f"{json.dumps(name)}: {json.dumps(notes[name])}" for name in sorted(CASES))
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    record(sys.argv[1:] or sorted(CASES))
