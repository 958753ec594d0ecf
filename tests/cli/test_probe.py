"""``xfrm probe``: what a kernel can do."""

from __future__ import annotations

import json

import pytest

from pyxfrm import cli

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("engine", "support"),
    [("7.2", "available"), ("LINUX_7_2_NOMIG", "built_without"), ("6.12", "too_old")],
)
def test_probe(engine: str, support: str, capsys: Captured) -> None:
    assert cli.main(["probe", "--json", "--engine", engine]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == 1
    assert told["probe"]["migrate_state"] == support
    assert told["probe"]["exact_marks"] is None
    assert cli.main(["probe", "--engine", engine]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("MIGRATE_STATE: ")
    assert second.startswith("marks: cannot tell: ")
