"""``xfrm lab fuzz``: the differential fuzzer at the command line.

Prints a line as it goes; every disagreement is shrunk and printed as a test to paste. Exit status 1 if there was one.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, Profile
from pyxfrm.lab.fuzz import as_test, fuzz, shrink

if TYPE_CHECKING:
    from pyxfrm.lab.lab import Lab

__all__ = ["profile_of", "run"]

_ENOUGH = 10  # disagreements to show


def profile_of(release: str) -> Profile:
    """The profile that is nearest to a kernel of this release."""
    return LINUX_6_12 if int(release.split(".", maxsplit=1)[0]) < 7 else LINUX_7_2


def run(lab: Lab, profile: Profile, seed: int, messages: int | None, seconds: float) -> int:
    """Fuzz until ``messages`` have been sent, or ``seconds`` are over, or enough is found."""
    began = time.monotonic()
    for report in fuzz(lab.run_scripts, seed, profile=profile):
        took = time.monotonic() - began
        line = (
            f"{report.messages} messages in {report.sequences} sequences, {len(report.found)} disagreements, "
            f"{report.wavering} where the kernel wavers, {report.messages / took:.0f} messages/s"
        )
        if sys.stderr.isatty():
            print(f"\r{line} ", end="", file=sys.stderr, flush=True)
        done = report.messages >= messages if messages else took >= seconds
        if done or len(report.found) >= _ENOUGH:
            break
    if sys.stderr.isatty():
        print(file=sys.stderr, flush=True)
    print(f"Linux {lab.release}, {profile.name}, seed {seed}: {line}")
    for number, found in enumerate(report.found[:_ENOUGH]):
        small = shrink(lab.run_scripts, found, profile)
        print(as_test(small, f"seed_{seed}_{number}"))
    return 1 if report.found else 0
