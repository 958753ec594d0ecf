"""Every case on every lane: what it expects comes true, and kernel and engine say the same bytes."""

from __future__ import annotations

from typing import Any

import pytest

from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, Profile
from pyxfrm.lab import Lab
from pyxfrm.lab.imitation import Imitator
from pyxfrm.lab.script import Outcome, Send, Step, Transcript
from pyxfrm.wire import describe
from tests.conformance.cases import CASES
from tests.conformance.talk import Case, Talk

NAMES = sorted(CASES)


def runs(name: str, profile: Profile) -> bool:
    """Whether a case is for this profile."""
    return not CASES[name].profiles or profile.name in CASES[name].profiles


def on_engine(case: Case, profile: Profile) -> Talk:
    """Run a case on a fresh engine."""
    return case.run(Talk(Imitator(profile), profile))


@pytest.mark.parametrize("name", [n for n in NAMES if runs(n, LINUX_7_2)])
def test_engine(name: str) -> None:
    assert on_engine(CASES[name], LINUX_7_2).failed == []


Results = dict[str, Any]


def on_kernel(lab: Lab, profile: Profile) -> Results:
    """All cases of a profile on a kernel, each in its own namespace."""
    names = [name for name in NAMES if runs(name, profile)]
    arguments = [[name, profile.name] for name in names]
    results = lab.map("tests.conformance.guest:run_case", arguments)
    return dict(zip(names, results, strict=True))


@pytest.fixture(scope="session")
def linux72(lab72: Lab) -> Results:
    return on_kernel(lab72, LINUX_7_2)


@pytest.fixture(scope="session")
def linux612(lab612: Lab) -> Results:
    return on_kernel(lab612, LINUX_6_12)


def told(step: Step, outcome: Outcome) -> str:
    """A step and its outcome in words."""
    what = describe.summary(step.data) if isinstance(step, Send) else str(step)
    heard = [
        describe.summary(r.data) if not r.errno else f"errno {r.errno}" for r in outcome.received
    ]
    return f"{what} -> errno {outcome.errno} {heard}"


def differences(talk: Talk, kernel: Transcript) -> list[str]:
    """The first step in which two lanes differ, field by field."""
    for (step, engine), linux in zip(talk.notes, kernel.outcomes, strict=False):
        if engine != linux:
            lines = [f"kernel: {told(step, linux)}", f"engine: {told(step, engine)}"]
            for one, other in zip(linux.received, engine.received, strict=False):
                for field, a, b in describe.difference(one.data, other.data):
                    lines.append(f"  {field}: kernel {a}, engine {b}")
            return lines
    if len(talk.notes) != len(kernel.outcomes):
        return ["the case went another way on the two lanes"]
    return []


def agree(name: str, profile: Profile, results: Results) -> None:
    """A case's expectations on the kernel, and the engine's likeness to it."""
    result = results[name]
    assert not result.error, f"{result.error}\n{result.traceback}"
    assert result.value["failed"] == [], "the kernel did not do what the case expects"
    engine = on_engine(CASES[name], profile)
    assert differences(engine, Transcript.from_json(result.value["outcomes"])) == []


@pytest.mark.kernel
@pytest.mark.parametrize("name", [n for n in NAMES if runs(n, LINUX_7_2)])
def test_linux_7_2(name: str, linux72: Results) -> None:
    agree(name, LINUX_7_2, linux72)


@pytest.mark.kernel
@pytest.mark.parametrize("name", [n for n in NAMES if runs(n, LINUX_6_12)])
def test_linux_6_12(name: str, linux612: Results) -> None:
    agree(name, LINUX_6_12, linux612)
