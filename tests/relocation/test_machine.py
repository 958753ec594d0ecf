"""The two tables: every row, no dead ends, and the document shows them as they are."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from pyxfrm.relocation.machine import TERMINAL, TRANSITIONS, Event, State, diagram, step
from pyxfrm.relocation.recovery import DECISIONS, Verdict, table, verdict
from pyxfrm.relocation.sight import Places

DOC = Path(__file__).parents[2] / "docs" / "relocation.md"


def test_a_step_that_is_not_in_the_table_is_an_error() -> None:
    for state, event in product(State, Event):
        if (state, event) in TRANSITIONS:
            assert step(state, event) is TRANSITIONS[state, event]
        else:
            with pytest.raises(KeyError):
                step(state, event)


def test_ends_are_ends_and_every_other_state_leads_to_one() -> None:
    assert not {here for here, _ in TRANSITIONS} & TERMINAL
    reaches = {
        state: {there for (here, _), there in TRANSITIONS.items() if here is state}
        for state in State
    }
    for state in set(State) - TERMINAL:
        seen: set[State] = set()
        todo = [state]
        while todo:
            seen |= (fresh := reaches[todo.pop()] - seen)
            todo += fresh
        assert seen & TERMINAL, state


@pytest.mark.parametrize("places", Places)
@pytest.mark.parametrize("state", [State.MOVING, State.RETURNING, State.BLOCKING])
def test_every_sight_has_a_decision(state: State, places: Places) -> None:
    decision = verdict(state, places, arrived=False)
    assert decision is DECISIONS[state, places]
    if places is Places.GONE:
        assert decision in (Verdict.GONE, Verdict.BLOCK)
    if state is State.BLOCKING:
        assert decision is Verdict.BLOCK


def test_what_arrived_is_finished() -> None:
    assert verdict(State.MOVING, Places.NEW, arrived=True) is Verdict.ARRIVED
    assert verdict(State.RETURNING, Places.OLD, arrived=True) is Verdict.RETURNED
    assert verdict(State.MOVING, Places.NEW, arrived=False) is Verdict.ACT


def test_the_document_shows_the_tables_as_they_are() -> None:
    text = DOC.read_text()
    assert diagram() in text, "run tools/relocation_docs.py"
    assert table() in text, "run tools/relocation_docs.py"
