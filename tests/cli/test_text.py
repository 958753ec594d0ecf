"""The text of SAs and policies is iproute2's, to the byte."""

from __future__ import annotations

import re

import pytest

from pyxfrm.lab import Lab


@pytest.mark.kernel
@pytest.mark.parametrize("seed", range(6))
def test_the_same_tables_look_the_same(lab72: Lab, seed: int) -> None:
    (sas, policies), *pairs = lab72.call("tests.cli.guest:print_both", seed)
    assert sas > 30
    assert policies > 30
    for theirs, ours in pairs:
        assert ours.splitlines() == theirs.splitlines()
        assert ours == theirs


@pytest.mark.kernel
@pytest.mark.parametrize("options", [[], ["-s"], ["-o"], ["-s", "-o"]], ids=str)
def test_the_same_events_look_the_same(lab72: Lab, options: list[str]) -> None:
    theirs, ours = lab72.call("tests.cli.guest:monitor_both", options)
    theirs = re.sub(r"Unknown message: .*\n", "", theirs)
    moved = [record for record in re.split(r"(?m)^(?=\S)", ours) if record.startswith("Moved")]
    assert len(moved) == 1
    assert "to src 192.0.2.1 dst 203.0.113.1" in moved[0]
    ours = ours.replace(moved[0], "")
    assert ours.splitlines() == theirs.splitlines()
    assert ours == theirs
