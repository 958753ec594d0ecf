"""The procedure: from a plan to its end, through whatever comes between.

:func:`relocate` is a generator of :mod:`pyxfrm.relocation.commands`. It looks whether the plan still holds, writes down that it starts, lets the strategy do its
best way (:mod:`pyxfrm.relocation.ways`), and then *settles*: looks, decides by the table of :mod:`pyxfrm.relocation.recovery`, acts, and looks again, until
everything is at the new place, or at the old one, or what is lost is blocked. :func:`resume` settles what another process left. Both end in the
same three ways.

Nothing that a reply says is trusted to be the whole truth. An ACK may be lost, an error may come after a success: the kernel's tables tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pyxfrm.model import PolicyId, SaId
from pyxfrm.relocation.commands import Journal, ReadCounters, Sight
from pyxfrm.relocation.machine import TERMINAL, Event, State, step
from pyxfrm.relocation.moves import Plan
from pyxfrm.relocation.recovery import Verdict, verdict
from pyxfrm.relocation.run import Run, Steps, Trouble
from pyxfrm.relocation.sight import Target, arrived, sum_up, why_gone, why_stale
from pyxfrm.relocation.ways import way_of
from pyxfrm.relocation.ways.giving_up import block_lost

__all__ = ["Outcome", "relocate", "resume"]

# Passes in one direction. What is refused once is refused again; what was lost may pass.
PASSES = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended.

    ``state``     MOVED, AS_BEFORE or LOST
    ``lost``      SAs that must be re-established at the IKE level
    ``blocked``   policies that block, so that nothing leaves in clear meanwhile
    ``troubles``  what was refused or lost on the way
    ``account``   by end: how each counter of xfrm_stat rose between begin and end (of the resumption, where it was cut off)
    """

    state: State
    lost: tuple[SaId, ...] = ()
    blocked: tuple[PolicyId, ...] = ()
    troubles: tuple[str, ...] = ()
    account: tuple[dict[str, int], ...] = field(default=())


def relocate(plans: tuple[Plan, ...]) -> Steps[Outcome]:
    """Do it. One plan an end: one, or two that are the two ends of the same SAs."""
    run = Run(plans)
    before = yield from _counters(run)
    why = yield from _still_true(run)
    if why:
        yield from _go(run, Event.STALE, why)
        return Outcome(run.state, troubles=(why,))
    yield from _go(run, Event.START)
    outcome = yield from _settle(run)
    return (yield from _with_account(run, outcome, before))


def resume(
    plans: tuple[Plan, ...],
    state: State,
    cuts: dict[tuple[int, SaId], int],
    *,
    abort: bool = False,
) -> Steps[Outcome]:
    """Finish what was begun and cut off, or with ``abort`` undo it."""
    run = Run(plans, state, dict(cuts))
    if abort and state in (State.PLANNED, State.MOVING):
        yield from _go(run, Event.ABORT)
    if run.state is State.PLANNED:
        return (yield from relocate(plans))
    if run.state in TERMINAL:
        return Outcome(run.state)
    before = yield from _counters(run)
    outcome = yield from _settle(run)
    return (yield from _with_account(run, outcome, before))


def _still_true(run: Run) -> Steps[str]:
    sights = yield from run.look()
    for plan, sight in zip(run.plans, sights, strict=True):
        why = why_stale(plan, sight)
        if why:
            return f"the plan does not hold any more: {why}"
    return ""


def _go(run: Run, event: Event, note: str = "") -> Steps[None]:
    """The next state, in the journal before anything is done under it."""
    run.state = step(run.state, event)
    yield Journal(run.state, note, run.cuts_flat())


# -- settling --------------------------------------------------------------------------------------


def _settle(run: Run) -> Steps[Outcome]:
    passes, trouble = 0, Trouble.NONE
    while run.state not in TERMINAL:
        sights = yield from run.look()
        places = sum_up(run.plans, sights, run.cuts)
        decision = verdict(run.state, places, arrived=_all_arrived(run, sights))
        if decision is Verdict.BLOCK:
            return (yield from _give_up(run, sights))
        event = EVENTS.get(decision)
        if decision is Verdict.ACT:
            event = _meaning(run, trouble, passes)
        if event is None:
            trouble = yield from way_of(run.plans)(run, sights, _target(run))
            passes += 1
        else:
            why = run.troubles[-1] if event in _FOR_A_REASON and run.troubles else ""
            if event is Event.GONE:
                gone = [w for p, s in zip(run.plans, sights, strict=True) for w in why_gone(p, s)]
                run.troubles += gone
                why = why or " ".join(gone[:1])
            yield from _go(run, event, why)
            run.onward |= event is Event.ONWARD
            passes, trouble = 0, Trouble.NONE
    return Outcome(run.state, troubles=tuple(run.troubles))


EVENTS = {
    Verdict.ARRIVED: Event.ARRIVED,
    Verdict.RETURNED: Event.RETURNED,
    Verdict.GONE: Event.GONE,
    Verdict.ONWARD: Event.ONWARD,
}


_FOR_A_REASON = {Event.REFUSED, Event.STUCK, Event.GONE}


def _target(run: Run) -> Target:
    return Target.NEW if run.state is State.MOVING else Target.OLD


def _all_arrived(run: Run, sights: list[Sight]) -> bool:
    target = _target(run)
    return all(arrived(p, s, target) for p, s in zip(run.plans, sights, strict=True))


def _meaning(run: Run, trouble: Trouble, passes: int) -> Event | None:
    """What the last pass means, now that it is seen that it did not arrive; None: go on trying."""
    if trouble is Trouble.GONE:
        return Event.GONE
    if trouble is Trouble.REFUSED or passes >= PASSES:
        return Event.STUCK if run.state is State.MOVING and run.onward else Event.REFUSED
    return None


def _give_up(run: Run, sights: list[Sight]) -> Steps[Outcome]:
    lost, blocked = yield from block_lost(run, sights)
    event = Event.BLOCKED
    if not lost:
        # What was refused may have been done, and what was stuck may have come loose.
        sights = yield from run.look()
        for target, end in ((Target.NEW, Event.ARRIVED), (Target.OLD, Event.RETURNED)):
            if all(arrived(p, s, target) for p, s in zip(run.plans, sights, strict=True)):
                event = end
    yield from _go(run, event, f"{len(lost)} SAs lost")
    return Outcome(run.state, lost, blocked, tuple(run.troubles))


# -- the account -----------------------------------------------------------------------------------


def _counters(run: Run) -> Steps[list[dict[str, int]]]:
    found = []
    for end in range(len(run.plans)):
        counters: dict[str, int] = yield ReadCounters(end)
        found.append(counters)
    return found


def _with_account(run: Run, outcome: Outcome, before: list[dict[str, int]]) -> Steps[Outcome]:
    after = yield from _counters(run)
    rises = tuple(
        {name: value - old.get(name, 0) for name, value in new.items() if value != old.get(name, 0)}
        for old, new in zip(before, after, strict=True)
    )
    return Outcome(outcome.state, outcome.lost, outcome.blocked, outcome.troubles, rises)
