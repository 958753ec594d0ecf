"""docs/replay.md names every kind of input that a replay counts."""

from __future__ import annotations

from pathlib import Path

from pyxfrm.cli.replay_view import INPUTS
from pyxfrm.transport.recording import bundled
from pyxfrm.transport.replay import others
from pyxfrm.transport.replay.kernel import profile_of
from pyxfrm.transport.replay.session import replay

TEXT = (Path(__file__).parents[2] / "docs" / "replay.md").read_text()
OTHERS = {others.PUT_IN, others.TAKEN_OUT, others.POLICIES_TAKEN_OUT, others.REPEATED}


def test_every_kind_is_told() -> None:
    for kind in {kind for kinds in INPUTS.values() for kind in kinds} | OTHERS:
        assert f"`{kind}`" in TEXT
    for column in INPUTS:
        assert f"| {column} |" in TEXT


def test_every_kind_has_a_column() -> None:
    known = {kind for kinds in INPUTS.values() for kind in kinds} | OTHERS
    for path in bundled():
        assert replay(path, profile_of(path)).inputs.keys() <= known
