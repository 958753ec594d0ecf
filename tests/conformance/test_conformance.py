"""Every case on every lane: what it expects comes true, and kernel and engine say the same bytes."""

from __future__ import annotations

import pytest

from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, Profile
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
