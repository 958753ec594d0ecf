"""Runs a case on the kernel this process is on: called by name inside the lab's guest.

A case that waits for a kernel's timers is a matter of tenths of a second. Where the machine was too busy for that, the case is run again, in a new
namespace. Short waits are for what a kernel does in the background: there it does no harm to be late.
"""

from __future__ import annotations

import time
from typing import Any

from pyxfrm.abi.profiles import PROFILES
from pyxfrm.lab.guest.linux import new_network_namespace
from pyxfrm.lab.kernel import Executor
from pyxfrm.lab.script import Sleep, Transcript
from tests.conformance.cases import CASES
from tests.conformance.talk import Talk

_TRIES = 6
_PATIENCE = 0.3  # seconds that a case may take besides those that it sleeps
_TIMERS = 0.5  # seconds: who sleeps so long waits for timers


def run_case(argument: list[str]) -> Any:
    """``[name of a case, name of a profile]``; its outcomes and failed expectations as JSON."""
    for _ in range(_TRIES - 1):
        began = time.monotonic()
        talk = _run(*argument)
        naps = [step.seconds for step, _ in talk.notes if isinstance(step, Sleep)]
        late = time.monotonic() - began - sum(naps)
        if max(naps, default=0.0) < _TIMERS or late < _PATIENCE:
            break
        new_network_namespace()
    else:
        talk = _run(*argument)
    outcomes = Transcript(tuple(outcome for _, outcome in talk.notes)).to_json()
    return {"outcomes": outcomes, "failed": talk.failed}


def _run(name: str, profile: str) -> Talk:
    executor = Executor(own_clock=True)
    try:
        return CASES[name].run(Talk(executor, PROFILES[profile]))
    finally:
        executor.close()
