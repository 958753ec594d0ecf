"""Every case on every lane: what it expects comes true, and kernel and engine say the same bytes."""

from __future__ import annotations

import os
import sys

import pytest

from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, Profile
from pyxfrm.errors import UsageError
from pyxfrm.lab import Lab
from tests.conformance import host
from tests.conformance.lanes import Results, cases_of, differences, on_engine, transcript


@pytest.mark.parametrize("name", cases_of(LINUX_7_2))
def test_engine(name: str) -> None:
    assert on_engine(name, LINUX_7_2).failed == []


def agree(name: str, profile: Profile, results: Results) -> None:
    """A case's expectations on the kernel, and the engine's likeness to it."""
    result = results[name]
    assert not result["error"], f"{result['error']}\n{result['traceback']}"
    assert result["value"]["failed"] == [], "the kernel did not do what the case expects"
    kernel = transcript(result)
    assert differences(on_engine(name, profile, kernel), kernel) == []


@pytest.mark.kernel
@pytest.mark.parametrize("name", cases_of(LINUX_7_2))
def test_linux_7_2(name: str, linux72: Results) -> None:
    agree(name, LINUX_7_2, linux72)


@pytest.mark.kernel
@pytest.mark.parametrize("name", cases_of(LINUX_6_12))
def test_linux_6_12(name: str, linux612: Results) -> None:
    agree(name, LINUX_6_12, linux612)


RELEASE = os.uname().release


def test_this_machine() -> None:
    profile = host.profile_of(RELEASE)
    if profile is None or host.why_not(RELEASE):
        pytest.skip(host.why_not(RELEASE))
    found = {
        name: host.unlike(name, profile, host.run(name, profile)) for name in host.names_of(profile)
    }
    assert {name: what for name, what in found.items() if what} == {}


def test_cases_of_the_lane_are_chosen_by_name_or_file() -> None:
    (one,) = host.chosen(LINUX_7_2, ["migrate_state:occupied"])
    assert one == "migrate_state:occupied"
    whole = host.chosen(LINUX_7_2, ["migrate_state:"])
    assert one in whole
    assert {name.partition(":")[0] for name in whole} == {"migrate_state"}
    assert host.chosen(LINUX_7_2, []) == host.names_of(LINUX_7_2)
    for nobody in ("migrate_state", "occupied", "nonsense:"):
        with pytest.raises(UsageError, match=f"{nobody}: no case of LINUX_7_2"):
            host.chosen(LINUX_7_2, [one, nobody])


@pytest.mark.kernel
def test_a_kernel_is_held_to_the_profile_that_is_asked_for(lab612: Lab) -> None:
    """As a kernel with a backport is; this one has none, and all that it says is another thing."""
    words = ["--profile", "7.2", "migrate_state:occupied", "sa_contents:"]
    done = lab612.run([sys.executable, "-m", "tests.conformance.host", *words], timeout=120)
    told = done.stdout.decode()
    assert done.returncode == 1, told + done.stderr.decode()
    assert "migrate_state:occupied: kernel: NLMSG_ERROR -22 EINVAL" in told
    assert f"Linux {lab612.release} as LINUX_7_2: " in told


@pytest.mark.kernel
def test_the_lane_of_this_machine_works(lab72: Lab) -> None:
    """Inside the lab the lab's kernel is "this machine": so the lane itself is tried wherever there is a lab."""
    names = [name for name in cases_of(LINUX_7_2) if name.startswith("migrate_state:")]
    done = lab72.run([sys.executable, "-m", "tests.conformance.host", *names], timeout=120)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert f"{len(names)} cases, 0 not alike" in done.stdout.decode()
