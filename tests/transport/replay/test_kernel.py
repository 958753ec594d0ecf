"""A recording's file name says which kernel answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, LINUX_7_3
from pyxfrm.errors import UsageError
from pyxfrm.transport.recording import bundled
from pyxfrm.transport.replay.kernel import profile_of


def test_the_name_says_which() -> None:
    assert profile_of(Path("x/A1-v4.jsonl")) is LINUX_7_2
    assert profile_of(Path("A1@7.2.7.jsonl")) is LINUX_7_2
    assert profile_of(Path("A1@7.3.4.jsonl")) is LINUX_7_3
    assert profile_of(Path("A1@6.12.101.jsonl")) is LINUX_6_12
    assert profile_of(Path("A1@6.12")) is LINUX_6_12


def test_a_kernel_without_migrate() -> None:
    found = profile_of(Path("A1@7.3.4-nomig.jsonl"))
    assert not found.migrate
    assert found == LINUX_7_3._replace(name=found.name, migrate=False)


@pytest.mark.parametrize("suffix", ["5.4.0", "7.3.4-odd", "", "7", "x", "6.12.101@7.2"])
def test_a_kernel_nobody_knows_is_refused(suffix: str) -> None:
    with pytest.raises(UsageError, match="no profile covers"):
        profile_of(Path(f"A1@{suffix}.jsonl"))


def test_every_bundled_recording_has_a_profile() -> None:
    assert {profile_of(path).name for path in bundled()} == {
        "LINUX_6_12", "LINUX_7_2", "LINUX_7_3", "LINUX_7_3_NOMIG",
    }  # fmt: skip
