"""``hold``: packets wait in the policy while their SA moves.

With ``net.core.xfrm_larval_drop`` 0 the kernel queues a packet whose policy names an SA that is not there, up to 101 a policy, instead of dropping it
(net/xfrm/xfrm_policy.c: xdst_queue_output). So the new templates come first: from then on packets wait. Those under way arrive meanwhile. Then the SAs move, and the same
policy once more is the kick: what waits is sent at the kernel's next tick.

A move that leaves the templates as they are (another encapsulation) would hold nothing: so they name a reqid of nobody meanwhile.

Going back is the same with the old templates: what waits is kicked back onto the old SA.
"""

from __future__ import annotations

from dataclasses import replace

from pyxfrm.model import Policy
from pyxfrm.relocation.commands import (
    Batch,
    Failed,
    KernelCommand,
    Script,
    SetSysctl,
    Sight,
    UpdatePolicy,
    Wait,
)
from pyxfrm.relocation.moves import Plan, PolicyMove
from pyxfrm.relocation.passes import finals, migrations, opens
from pyxfrm.relocation.run import Run, Steps, Trouble, each_end
from pyxfrm.relocation.sight import Target, form_at
from pyxfrm.relocation.strategies import NOBODY
from pyxfrm.relocation.ways.block import clean_up

__all__ = ["LARVAL_DROP", "SETTLE", "held", "let_go", "start_holding", "way"]

LARVAL_DROP = "net.core.xfrm_larval_drop"

# A packet that was queued just as the kick came waits for the next timer: 100 ms, doubling.
SETTLE = 0.2


def way(run: Run, sights: list[Sight], target: Target) -> Steps[Trouble]:
    """One pass over every end, one after the other; :mod:`pyxfrm.relocation.ways.pair` keeps two in step."""
    one_end = _forward if target is Target.NEW else _back
    return each_end(run, sights, lambda *at: one_end(run, *at))


def start_holding(run: Run, end: int) -> Steps[Trouble]:
    """From now on, packets without an SA wait."""
    reply = yield SetSysctl(LARVAL_DROP, "0", end)
    if isinstance(reply, Failed):
        run.troubles.append(f"{LARVAL_DROP}: {reply.text}")
        return Trouble.REFUSED
    return Trouble.NONE


def let_go(*ends: int) -> Steps[None]:
    """Wait for the last stragglers, then put the setting back."""
    if ends:
        yield Wait(SETTLE)
    for end in ends:
        yield SetSysctl(LARVAL_DROP, None, end)


def held(plan: Plan, target: Target) -> list[KernelCommand]:
    """Outbound policies with templates to which no SA belongs yet: packets wait."""
    return [UpdatePolicy(_waiting(p, target)) for p in plan.policies if p.outbound]


def _waiting(policy: PolicyMove, target: Target) -> Policy:
    form = form_at(policy, target)
    if policy.old.templates != policy.new.templates:
        return form
    return replace(form, templates=tuple(replace(t, reqid=NOBODY) for t in form.templates))


def _forward(run: Run, end: int, plan: Plan, sight: Sight) -> Steps[Trouble]:
    target = Target.NEW
    trouble = yield from start_holding(run, end)
    if trouble is not Trouble.NONE:
        return trouble
    move = [
        *opens(plan, sight, target),
        *migrations(plan, sight, target),
        *finals(plan, sight, target, again=True),
    ]
    hold = held(plan, target)
    first = (Batch(tuple(hold), end), Wait(plan.drain)) if hold else ()
    script = Script((*first, Batch(tuple(move), end))) if move else Script(first)
    trouble = yield from run.do(script)
    if trouble is Trouble.NONE:
        trouble = yield from clean_up(run, end, plan, sight, target, blocked=False)
    yield from let_go(end)
    return trouble


def _back(run: Run, end: int, plan: Plan, sight: Sight) -> Steps[Trouble]:
    """No block here: it would drop what waits."""
    target = Target.OLD
    moves = migrations(plan, sight, target)
    commands = [
        *(held(plan, target) if moves else ()),
        *(opens(plan, sight, target) if moves else ()),
        *moves,
        *finals(plan, sight, target, again=True),
    ]
    if not commands:
        return Trouble.NONE
    trouble = yield from run.do(Script((Batch(tuple(commands), end),)))
    if trouble is Trouble.NONE:
        trouble = yield from clean_up(run, end, plan, sight, target, blocked=False)
    return trouble
