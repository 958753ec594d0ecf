"""Profiles are found by what people call them."""

from __future__ import annotations

import doctest

import pytest

from pyxfrm.abi import profiles
from pyxfrm.abi.profiles import EXACT_MARKS, LINUX_6_12, LINUX_7_2, PROFILES, profile_named
from pyxfrm.errors import UsageError


def test_by_name() -> None:
    assert profile_named("linux-7.2") is LINUX_7_2
    assert profile_named("7.2") is LINUX_7_2
    assert profile_named("LINUX_6_12") is LINUX_6_12
    assert profile_named("exact_marks") is EXACT_MARKS
    for name in PROFILES:
        assert profile_named(name) is PROFILES[name]


@pytest.mark.parametrize("name", ["linux-1.0", "", "9", "linux"])
def test_nobodys_name(name: str) -> None:
    with pytest.raises(UsageError, match=f"no profile '{name}': choose one of EXACT_MARKS, "):
        profile_named(name)


def test_the_example() -> None:
    assert doctest.testmod(profiles).failed == 0
