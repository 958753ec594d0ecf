"""Runs a case on the kernel this process is on: called by name inside the lab's guest."""

from __future__ import annotations

from typing import Any

from pyxfrm.abi.profiles import PROFILES
from pyxfrm.lab.kernel import Executor
from pyxfrm.lab.script import Transcript
from tests.conformance.cases import CASES
from tests.conformance.talk import Talk


def run_case(argument: list[str]) -> Any:
    """``[name of a case, name of a profile]``; its outcomes and failed expectations as JSON."""
    name, profile = argument
    executor = Executor(own_clock=True)
    try:
        talk = CASES[name].run(Talk(executor, PROFILES[profile]))
    finally:
        executor.close()
    outcomes = Transcript(tuple(outcome for _, outcome in talk.notes)).to_json()
    return {"outcomes": outcomes, "failed": talk.failed}
