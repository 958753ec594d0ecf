"""Neither way is open: block what is lost, put the rest where it belongs, and say what must be re-established.

A Child SA is whole if all its SAs are at one end; its policies are then set to that end. Any other Child SA is lost: an SA of it is nowhere, or its halves are at
different ends, or its key is spent, or the kernel does not let its policies be set. Its outbound policies block, in place, so that its packets stay where they are until an IKE daemon has made new SAs and set the
policies anew.
"""

from __future__ import annotations

from pyxfrm.model import PolicyId, SaId
from pyxfrm.relocation.blocks import in_place
from pyxfrm.relocation.commands import Batch, Block, KernelCommand, Script, Sight
from pyxfrm.relocation.moves import Plan
from pyxfrm.relocation.passes import finals, leftovers
from pyxfrm.relocation.run import Run, Steps, Trouble
from pyxfrm.relocation.sight import Place, Target, arrived, place_of

__all__ = ["block_lost"]


def block_lost(
    run: Run, sights: list[Sight]
) -> Steps[tuple[tuple[SaId, ...], tuple[PolicyId, ...]]]:
    """Block; the SAs that are lost, and the policies that block."""
    lost: list[SaId] = []
    blocked: list[PolicyId] = []
    for end, (plan, sight) in enumerate(zip(run.plans, sights, strict=True)):
        wholes = {n: _whole(run, end, plan.child(n), sight) for n in plan.children}
        yield from _settle_whole(run, end, plan, sight, wholes)
        after = yield from run.look_at(plan, end)
        for number, target in wholes.items():
            child = plan.child(number)
            if target is None or not arrived(child, after, target):
                lost += _lost_sas(child, after)
                blocked += yield from _block(run, end, child, after)
    return tuple(lost), tuple(blocked)


def _settle_whole(
    run: Run, end: int, plan: Plan, sight: Sight, wholes: dict[int, Target | None]
) -> Steps[None]:
    """Policies of what is whole, at its end."""
    commands: list[KernelCommand] = []
    last: list[KernelCommand] = []
    for number, target in wholes.items():
        if target is not None:
            child = plan.child(number)
            commands += finals(child, sight, target, again=True)
            last += leftovers(child, sight, target, overlaid=False)
    trouble = Trouble.NONE
    if commands:
        trouble = yield from run.do(Script((Batch(tuple(commands), end),)))
    if last and trouble is Trouble.NONE:
        yield from run.do(Script((Batch(tuple(last), end),)))


def _block(run: Run, end: int, child: Plan, sight: Sight) -> Steps[list[PolicyId]]:
    """Policies of a lost child that block now."""
    stops = _stops(child, sight)
    if not stops:
        return []
    yield from run.do(Script((Batch(tuple(stops), end),)))
    after = yield from run.look_at(child, end)
    return [b.policy.id for b in stops if after.policies.get(b.policy.id) == b.policy]


def _whole(run: Run, end: int, child: Plan, sight: Sight) -> Target | None:
    """The end where the whole Child SA is; None if it is not whole."""
    places = {place_of(move, sight) for move in child.sas}
    if any((end, move.old.id) in run.spent for move in child.sas):
        return None
    if places <= {Place.NEW}:
        return Target.NEW
    return Target.OLD if places == {Place.OLD} else None


def _lost_sas(child: Plan, sight: Sight) -> list[SaId]:
    """All SAs of a Child SA that is lost: it is re-established as one."""
    return [
        move.old.id if place_of(move, sight) is Place.OLD else move.new.id for move in child.sas
    ]


def _stops(child: Plan, sight: Sight) -> list[Block]:
    """Outbound policies, as they stand under each name that they have now, as blocks."""
    found = []
    for policy in child.policies:
        if not policy.outbound:
            continue
        names = dict.fromkeys((policy.old.id, policy.new.id))
        there = [sight.policies[name] for name in names if name in sight.policies]
        found += [Block(in_place(form)) for form in there or (policy.old,)]
    return found
