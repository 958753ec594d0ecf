"""Recovery: from what the journal says and what the kernel shows to what is done next. The table is all there is.

The journal tells the direction (:class:`~pyxfrm.relocation.machine.State`); the kernel tells where the SAs are (:class:`~pyxfrm.relocation.sight.Places`). The same table serves a
relocation that runs and one that another process left: both only look and go on. docs/relocation.md shows it, drawn by :func:`table`.
"""

from __future__ import annotations

from enum import Enum

from pyxfrm.relocation.machine import State
from pyxfrm.relocation.sight import Places

__all__ = ["DECISIONS", "Verdict", "table", "verdict"]


class Verdict(Enum):
    """What to do.

    ``ACT``       one more pass in the direction of the state: finish the move, or move back
    ``ARRIVED``   nothing is left to do: it is moved
    ``RETURNED``  nothing is left to do: it is as before
    ``ONWARD``    a copy has sent packets: going back would use their numbers again, so finish the move
    ``GONE``      an SA is nowhere: give up, block what it protected
    ``BLOCK``     block what is lost, and tell
    """

    ACT = "act"
    ARRIVED = "arrived"
    RETURNED = "returned"
    ONWARD = "onward"
    GONE = "gone"
    BLOCK = "block"


# SAs where they shall be are looked at together with the policies: see verdict().
DECISIONS: dict[tuple[State, Places], Verdict] = {
    (State.MOVING, Places.OLD): Verdict.ACT,
    (State.MOVING, Places.MIXED): Verdict.ACT,
    (State.MOVING, Places.NEW): Verdict.ACT,
    (State.MOVING, Places.BOTH): Verdict.ACT,
    (State.MOVING, Places.USED): Verdict.ACT,
    (State.MOVING, Places.GONE): Verdict.GONE,
    (State.RETURNING, Places.OLD): Verdict.ACT,
    (State.RETURNING, Places.MIXED): Verdict.ACT,
    (State.RETURNING, Places.NEW): Verdict.ACT,
    (State.RETURNING, Places.BOTH): Verdict.ACT,
    (State.RETURNING, Places.USED): Verdict.ONWARD,
    (State.RETURNING, Places.GONE): Verdict.GONE,
    (State.BLOCKING, Places.OLD): Verdict.BLOCK,
    (State.BLOCKING, Places.MIXED): Verdict.BLOCK,
    (State.BLOCKING, Places.NEW): Verdict.BLOCK,
    (State.BLOCKING, Places.BOTH): Verdict.BLOCK,
    (State.BLOCKING, Places.USED): Verdict.BLOCK,
    (State.BLOCKING, Places.GONE): Verdict.BLOCK,
}

_FINISHED = {State.MOVING: Verdict.ARRIVED, State.RETURNING: Verdict.RETURNED}


def verdict(state: State, places: Places, *, arrived: bool) -> Verdict:
    """What to do. ``arrived``: SAs *and* policies are all where the state wants them."""
    if arrived and state in _FINISHED:
        return _FINISHED[state]
    return DECISIONS[state, places]


_SAYS = {
    Verdict.ACT: "one more pass",
    Verdict.ONWARD: "finish the move instead",
    Verdict.GONE: "block what is lost",
    Verdict.BLOCK: "block what is lost, report LOST",
}


def table() -> str:
    """The decisions as a Markdown table."""
    lines = ["| journal | SAs in the kernel | what is done |", "|---|---|---|"]
    lines += [
        f"| {state.value} | {places.value} | {_SAYS[decision]} |"
        for (state, places), decision in DECISIONS.items()
    ]
    lines.append("| moving | new, policies too | nothing: it is moved |")
    lines.append("| returning | old, policies too | nothing: it is as before |")
    return "\n".join(lines)
