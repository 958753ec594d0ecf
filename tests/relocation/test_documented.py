"""The program in docs/relocation.md does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pyxfrm.relocation import Journal, State, Wish
from tests.relocation.test_pair import other_end
from tests.relocation.world import A, B, World, child

DOC = Path(__file__).parents[2] / "docs" / "relocation.md"
LOCAL = Wish(local=A, new_local=B)


@pytest.fixture
def program() -> dict[str, Any]:
    (code,) = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # our own document
    return names


def test_move_goes_on_with_what_was_cut_off(program: dict[str, Any], tmp_path: Path) -> None:
    world = World(tmp_path, *child())
    with Journal(tmp_path / "j", durable=False) as journal:
        number = journal.begin([world.end().identity], (world.plan(LOCAL),))
        journal.enter(number, State.MOVING)
        back = Wish(local=B, new_local=A)
        outcome = program["move"](world.end(), journal, back)
        assert outcome.state is State.MOVED
        assert [entry.state for entry in journal.history()] == [State.MOVED, State.MOVED]
    assert A in {record.saddr for record in world.xfrm.sas()}


def test_both_ends_move(program: dict[str, Any], tmp_path: Path) -> None:
    here, there = World(tmp_path, *child()), World(tmp_path, *other_end(), name="there")
    with Journal(tmp_path / "j", durable=False) as journal:
        outcome = program["move_both"]((here.end(), there.end()), journal, LOCAL)
    assert outcome.state is State.MOVED
    for world in (here, there):
        ends = {address for record in world.xfrm.sas() for address in (record.saddr, record.daddr)}
        assert B in ends
        assert A not in ends
