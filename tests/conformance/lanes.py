"""The lanes of the suite: where cases run, and what makes two lanes alike.

``engine``   an engine in this process (:func:`on_engine`)
``7.2``, ``6.12``  a kernel in the lab, all cases in one boot (:func:`on_kernel`)

A case is alike on two lanes if every step has the same outcome on both, byte for byte; :func:`differences` tells the first step that has not.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, Profile
from pyxfrm.engine.chance import Chance
from pyxfrm.lab import Lab
from pyxfrm.lab.imitation import Imitator
from pyxfrm.lab.script import Outcome, Send, Step, Transcript
from pyxfrm.wire import describe
from pyxfrm.wire.messages import decode_all
from tests.conformance.cases import CASES
from tests.conformance.talk import Talk

__all__ = [
    "KERNELS",
    "NAMES",
    "Results",
    "cases_of",
    "differences",
    "on_engine",
    "on_kernel",
    "transcript",
]

# Of each case: {"outcomes", "failed"} in "value", or "error" and "traceback" (pyxfrm.lab: JobResult).
Results = dict[str, dict[str, Any]]

KERNELS = {"7.2": LINUX_7_2, "6.12": LINUX_6_12}
NAMES = sorted(CASES)
_PATIENCE = 120.0  # seconds for a case, which a busy machine may have to run several times


def cases_of(profile: Profile) -> list[str]:
    """Names of the cases that run under a profile."""
    return [n for n in NAMES if not CASES[n].profiles or profile.name in CASES[n].profiles]


def on_engine(name: str, profile: Profile, kernel: Transcript | None = None) -> Talk:
    """Run a case on a fresh engine; what a kernel decided by chance in it is decided alike."""
    chance = None if kernel is None else _chance(kernel)
    return CASES[name].run(Talk(Imitator(profile, chance), profile))


def _chance(kernel: Transcript) -> Chance:
    """The acquire numbers of a kernel, which counts them for all namespaces together, and the SPIs that it chose."""
    read = [one for data in kernel.datagrams for one in decode_all(data)]
    acquires = [one.body.seq for one in read if one.header.nlmsg_type == m.XFRM_MSG_ACQUIRE]
    shown = [one for one in read if one.header.nlmsg_type == m.XFRM_MSG_NEWSA]
    larval = dict.fromkeys(one.body.id.spi for one in shown if not one.body.sel.family)
    spis = iter(larval)
    chance = Chance(spi=lambda low, high: next((n for n in spis if low <= n <= high), low))
    if acquires:
        chance.acquire_seq = count(acquires[0]).__next__
    return chance


def on_kernel(lab: Lab, profile: Profile) -> Results:
    """All cases of a profile on a kernel, each in its own namespace."""
    names = cases_of(profile)
    arguments = [[name, profile.name] for name in names]
    jobs = lab.map("tests.conformance.guest:run_case", arguments, timeout=_PATIENCE)
    return {
        name: {"value": job.value, "error": job.error, "traceback": job.traceback}
        for name, job in zip(names, jobs, strict=True)
    }


def transcript(result: dict[str, Any]) -> Transcript:
    """What a kernel did in a case."""
    return Transcript.from_json(result["value"]["outcomes"])


def _told(step: Step, outcome: Outcome) -> str:
    """A step and its outcome in words."""
    what = describe.summary(step.data) if isinstance(step, Send) else str(step)
    heard = [
        describe.summary(r.data) if not r.errno else f"errno {r.errno}" for r in outcome.received
    ]
    return f"{what} -> errno {outcome.errno} {heard}"


def differences(talk: Talk, kernel: Transcript) -> list[str]:
    """The first step in which an engine and a kernel differ, field by field; empty if they are alike."""
    for (step, engine), linux in zip(talk.notes, kernel.outcomes, strict=False):
        if engine != linux:
            lines = [f"kernel: {_told(step, linux)}", f"engine: {_told(step, engine)}"]
            for one, other in zip(linux.received, engine.received, strict=False):
                for field, a, b in describe.difference(one.data, other.data):
                    lines.append(f"  {field}: kernel {a}, engine {b}")
            return lines
    if len(talk.notes) != len(kernel.outcomes):
        return ["the case went another way on the two lanes"]
    return []
