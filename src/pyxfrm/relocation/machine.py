"""The states of a relocation and what leads from one to the next. The table is all there is.

A state is written to the journal *before* anything is asked of a kernel under it: it tells what may have been done, not what was
done. What was done is read from the kernel (:mod:`pyxfrm.relocation.recovery`).

House rule: a step that is not in :data:`TRANSITIONS` is a mistake in this program, and :func:`step` says so. docs/relocation.md shows the table as a
diagram, drawn by :func:`diagram`; a test holds both together.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Event", "State", "TERMINAL", "TRANSITIONS", "diagram", "step"]


class State(Enum):
    """Where a relocation stands.

    ``PLANNED``    nothing was asked of the kernel
    ``MOVING``     on the way to the new place; the kernel may be anywhere between the two
    ``RETURNING``  on the way back
    ``BLOCKING``   neither way is open: what is whole is put in order where it is, what is lost is blocked
    ``MOVED``, ``AS_BEFORE``, ``LOST``  the end, in three ways
    """

    PLANNED = "planned"
    MOVING = "moving"
    RETURNING = "returning"
    BLOCKING = "blocking"
    MOVED = "moved"
    AS_BEFORE = "as before"
    LOST = "lost and blocked"


class Event(Enum):
    """What happened.

    ``START``    the kernel is as the plan says; go
    ``STALE``    it is not: SAs or policies changed since the plan was made
    ``ARRIVED``  everything is at the new place
    ``RETURNED`` everything is at the old place
    ``REFUSED``  the kernel refuses this way
    ``GONE``     an SA is at neither place
    ``STUCK``    only forward is safe, and forward is refused
    ``ABORT``    somebody asks to go back
    ``ONWARD``   going back would use sequence numbers twice: only forward is safe
    ``BLOCKED``  what is lost is blocked, or Child SAs are left at different ends
    """

    START = "start"
    STALE = "stale"
    ARRIVED = "arrived"
    RETURNED = "returned"
    REFUSED = "refused"
    GONE = "gone"
    STUCK = "stuck"
    ABORT = "abort"
    ONWARD = "onward"
    BLOCKED = "blocked"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.PLANNED, Event.START): State.MOVING,
    (State.PLANNED, Event.STALE): State.AS_BEFORE,
    (State.PLANNED, Event.ABORT): State.AS_BEFORE,
    (State.MOVING, Event.ARRIVED): State.MOVED,
    (State.MOVING, Event.REFUSED): State.RETURNING,
    (State.MOVING, Event.ABORT): State.RETURNING,
    (State.MOVING, Event.GONE): State.BLOCKING,
    (State.MOVING, Event.STUCK): State.BLOCKING,
    (State.RETURNING, Event.RETURNED): State.AS_BEFORE,
    (State.RETURNING, Event.ONWARD): State.MOVING,
    (State.RETURNING, Event.REFUSED): State.BLOCKING,
    (State.RETURNING, Event.GONE): State.BLOCKING,
    (State.BLOCKING, Event.BLOCKED): State.LOST,
    (State.BLOCKING, Event.ARRIVED): State.MOVED,
    (State.BLOCKING, Event.RETURNED): State.AS_BEFORE,
}

TERMINAL = frozenset({State.MOVED, State.AS_BEFORE, State.LOST})


def step(state: State, event: Event) -> State:
    """The next state. KeyError where the table has none: a mistake in this program."""
    return TRANSITIONS[state, event]


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    names = {state: state.name.lower() for state in State}
    lines = ["stateDiagram-v2", f"    [*] --> {names[State.PLANNED]}"]
    lines += [
        f"    {names[here]} --> {names[there]}: {event.value}"
        for (here, event), there in TRANSITIONS.items()
    ]
    lines += [f"    {names[state]} --> [*]" for state in State if state in TERMINAL]
    return "\n".join(lines)
