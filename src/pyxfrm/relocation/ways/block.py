"""``migrate-state`` and ``migrate``: traffic stops, the SAs move, traffic goes on.

All requests of one end go in one send, so that the kernel does them without coming back to user space in between, and each Child SA is blocked only while its own
outbound SA moves: the blocked window is the time that the kernel takes for a block, a move and an allow. Nothing leaves in clear even where a request in the middle is refused: a policy is never absent, and templates that name an SA that is not there let nothing pass.
"""

from __future__ import annotations

from pyxfrm.relocation.commands import Batch, KernelCommand, Script, Sight
from pyxfrm.relocation.moves import Plan, Strategy
from pyxfrm.relocation.passes import (
    as_script,
    finals,
    guards,
    halves,
    leftovers,
    migrations,
    migrations_by_policy,
    opens,
)
from pyxfrm.relocation.run import Run, Steps, Trouble, each_end
from pyxfrm.relocation.sight import Target

__all__ = ["clean_up", "outbound", "way"]


def way(run: Run, sights: list[Sight], target: Target) -> Steps[Trouble]:
    """One pass over every end, one end after the other."""
    return each_end(run, sights, lambda *at: _one_end(run, target, *at))


def _one_end(run: Run, target: Target, end: int, plan: Plan, sight: Sight) -> Steps[Trouble]:
    phases: list[list[KernelCommand]] = []
    busy = False
    for number in plan.children:
        child = plan.child(number)
        moves = _moves(child, sight, target)
        busy |= bool(moves)
        phases += _phases(child, sight, target, moves)
    script = as_script(end, phases, split=plan.options.split)
    trouble = (yield from run.do(script)) if script.parts else Trouble.NONE
    if trouble is Trouble.NONE:
        trouble = yield from clean_up(run, end, plan, sight, target, blocked=busy)
    return trouble


def _moves(plan: Plan, sight: Sight, target: Target) -> list[KernelCommand]:
    if plan.strategy is Strategy.MIGRATE:
        return migrations_by_policy(plan, sight, target)
    return migrations(plan, sight, target)


def _phases(
    child: Plan, sight: Sight, target: Target, moves: list[KernelCommand]
) -> list[list[KernelCommand]]:
    """One Child SA: its inbound half first, then the outbound one, so that it is blocked no longer than it must."""
    if not moves:
        return [finals(child, sight, target, again=False)]
    if child.strategy is Strategy.MIGRATE:
        # One message moves policy and SA, and finds templates by their addresses: nothing is opened before it.
        return [guards(child, sight), moves, finals(child, sight, target, again=True)]
    ins, outs = halves(child)
    leaving = migrations(outs, sight, target)
    return [
        opens(ins, sight, target),
        migrations(ins, sight, target),
        finals(ins, sight, target, again=False),
        guards(outs, sight) if leaving else [],
        leaving,
        finals(outs, sight, target, again=bool(leaving)),
    ]


def outbound(plan: Plan, sight: Sight, target: Target) -> list[KernelCommand]:
    """Block, move and allow the outbound half of each Child SA, one after the other."""
    made: list[KernelCommand] = []
    for number in plan.children:
        _, outs = halves(plan.child(number))
        leaving = migrations(outs, sight, target)
        made += guards(outs, sight) if leaving else []
        made += [*leaving, *finals(outs, sight, target, again=bool(leaving))]
    return made


def clean_up(
    run: Run, end: int, plan: Plan, sight: Sight, target: Target, *, blocked: bool
) -> Steps[Trouble]:
    """Remove what is left over, once everything else is known to be in its place."""
    commands: list[KernelCommand] = leftovers(plan, sight, target, overlaid=blocked)
    if not commands:
        return Trouble.NONE
    return (yield from run.do(Script((Batch(tuple(commands), end),))))
