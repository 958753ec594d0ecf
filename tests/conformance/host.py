"""The third lane: the kernel of the machine that runs the tests, where it is one that the engine knows.

Each case gets a process and an empty network namespace. The machine's clock is not ours: times are left out of the comparison here, and
only here, and two cases that give SAs a time of their own are not run.

    python -m tests.conformance.host [--profile NAME] [CASE ...]     tells how many cases are alike

A case is named as in docs/fidelity.md; ``migrate_state:`` names all of a file. The profile is that of the kernel's release unless given: give it for a
kernel with a backport, whose release says nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from itertools import zip_longest
from typing import Any

from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, PROFILES, Profile
from pyxfrm.cli.arguments import Parser, add_profile
from pyxfrm.errors import UsageError
from pyxfrm.lab.guest.linux import new_network_namespace
from pyxfrm.lab.kernel import Executor
from pyxfrm.lab.script import Clock, Outcome, Transcript
from pyxfrm.wire import describe
from pyxfrm.wire.netlink import frames
from tests.conformance.cases import CASES
from tests.conformance.lanes import cases_of, on_engine
from tests.conformance.talk import Talk

__all__ = ["names_of", "profile_of", "run", "unlike", "why_not"]

_PROFILES = {(6, 12): LINUX_6_12, (7, 2): LINUX_7_2, (7, 3): LINUX_7_2}
_OWN_CLOCK = ("lifetimes:counted_from_the_time_given", "sa_contents:counters")
_TIMES = re.compile(r"(add_time|use_time|XFRMA_LASTUSED)$")


def profile_of(release: str) -> Profile | None:
    """The profile of a kernel by its release, None if there is none."""
    major, minor = map(int, release.split(".")[:2])
    return _PROFILES.get((major, minor))


def names_of(profile: Profile) -> list[str]:
    """The cases that run here."""
    return [name for name in cases_of(profile) if name not in _OWN_CLOCK]


def why_not(release: str) -> str:
    """Why the lane cannot run here; "" if it can."""
    if profile_of(release) is None:
        return f"this machine's Linux {release} has no profile"
    return "" if os.geteuid() == 0 else "needs root, for a network namespace of its own"


def run(name: str, profile: Profile) -> dict[str, Any]:
    """One case in a process and a namespace of its own: its outcomes, failed expectations, or an error."""
    here, there = os.pipe()
    if pid := os.fork():
        os.close(there)
        with os.fdopen(here, "rb") as pipe:
            data = pipe.read()
        os.waitpid(pid, 0)
        answer: dict[str, Any] = json.loads(data or b'{"error": "the case ended its process"}')
        return answer
    try:
        new_network_namespace()
        talk = CASES[name].run(Talk(Executor(), profile))
        made: dict[str, Any] = {
            "failed": talk.failed,
            "outcomes": Transcript(tuple(outcome for _, outcome in talk.notes)).to_json(),
        }
    except Exception as problem:  # noqa: BLE001 - whatever it was, the other side is to be told
        made = {"error": repr(problem)}
    with os.fdopen(there, "wb") as pipe:
        pipe.write(json.dumps(made).encode())
    os._exit(0)


def unlike(name: str, profile: Profile, result: dict[str, Any]) -> str:
    """What differs between this machine's kernel and the engine, times aside; "" if nothing."""
    if "error" in result:
        return str(result["error"])
    kernel = Transcript.from_json(result["outcomes"])
    engine = on_engine(name, profile, kernel)
    if len(engine.notes) != len(kernel.outcomes):
        return "the case went another way"
    for (step, mine), theirs in zip(engine.notes, kernel.outcomes, strict=True):
        if not isinstance(step, Clock) and (found := _differ(mine, theirs)):
            return found
    return "; ".join(result["failed"])


def _differ(mine: Outcome, theirs: Outcome) -> str:
    if mine.errno != theirs.errno or len(mine.received) != len(theirs.received):
        return f"errno {theirs.errno}, {len(theirs.received)} datagrams, not {mine.errno}, {len(mine.received)}"
    for one, other in zip(theirs.received, mine.received, strict=True):
        if (one.errno, one.groups) != (other.errno, other.groups):
            return "another socket error or group"
        pairs = zip_longest(frames(one.data), frames(other.data), fillvalue=(0, 0))
        for theirs_at, mine_at in pairs:
            kernels, engines = one.data[slice(*theirs_at)], other.data[slice(*mine_at)]
            for field, kernel, engine in describe.difference(kernels, engines):
                if not _TIMES.search(field):
                    said = (
                        f"kernel: {describe.summary(kernels)}; engine: {describe.summary(engines)}"
                    )
                    return f"{said}; first in {field}: {kernel} and {engine}"
    return ""


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def chosen(profile: Profile, wanted: list[str]) -> list[str]:
    """The cases that run here and are wanted by name or by file; all unless some are named. UsageError for a name that nobody has."""
    known = names_of(profile)
    for word in wanted:
        if not any(word in (name, _file(name)) for name in known):
            raise UsageError(f"{word}: no case of {profile.name} that can run here has this name")
    return [name for name in known if not wanted or {name, _file(name)} & {*wanted}]


def _file(name: str) -> str:
    return f"{name.partition(':')[0]}:"


def _words() -> argparse.Namespace:
    made = Parser("python -m tests.conformance.host", description=__doc__.partition("\n")[0])
    made.add_argument(
        "case", nargs="*", help="as in docs/fidelity.md, or all of a file: sa_contents:"
    )
    add_profile(made, "what this kernel should be like (by its release unless given)")
    return made.parse_args()


def main() -> int:
    """Run the named cases, or all, on this kernel."""
    release = os.uname().release
    try:
        words = _words()
        profile = PROFILES[words.profile] if words.profile else profile_of(release)
        if profile is None or os.geteuid():
            why = why_not(release)
            raise UsageError(f"not run: {why}" + "; name one with --profile" * (profile is None))
        names = chosen(profile, words.case)
    except UsageError as why:
        _tell(str(why))
        return 2
    found = {name: unlike(name, profile, run(name, profile)) for name in names}
    for name, what in found.items():
        if what:
            _tell(f"{name}: {what}")
    unlikes = sum(map(bool, found.values()))
    _tell(f"Linux {release} as {profile.name}: {len(names)} cases, {unlikes} not alike")
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
