"""One pass over one end: the kernel commands that bring it from what was seen to where it shall be.

The order is the law of the house. A policy that protects packets is never absent: it is exchanged in place, or the new one is there before the old one goes. So at
every cut, packets are encapsulated, held or dropped, never sent in clear:

1. inbound policies are opened for their SA's new source, the SAs move, the policies take their final form
2. outbound policies block, the SAs move, the policies take their final form
3. what is left over is removed, in a batch of its own: the kernel does not stop a batch at an error, and a
   removal must not follow an installation that failed
"""

from __future__ import annotations

from dataclasses import replace

from pyxfrm.model import AddressMove, Direction, Encap, Mode, PolicyMigration, SaDir
from pyxfrm.relocation.blocks import Guard, in_place
from pyxfrm.relocation.commands import (
    Batch,
    Block,
    InstallPolicy,
    KernelCommand,
    Migrate,
    MigrateByPolicy,
    RemovePolicy,
    Script,
    Sight,
    Unblock,
    UpdatePolicy,
)
from pyxfrm.relocation.moves import Plan, PolicyMove, SaMove
from pyxfrm.relocation.sight import Place, Target, form_at, place_of, policy_at

__all__ = [
    "as_script",
    "finals",
    "guards",
    "halves",
    "inbound_finals",
    "leftovers",
    "migrations",
    "migrations_by_policy",
    "opens",
    "switches",
    "to_move",
]

# ACKs and errors of one batch must fit the socket's receive buffer; the client chunks by size.
LARGEST_BATCH = 200

Commands = list[KernelCommand]


def to_move(plan: Plan, sight: Sight, target: Target) -> list[SaMove]:
    """SAs that stand at the other end, in the order of work."""
    other = Place.OLD if target is Target.NEW else Place.NEW
    return [move for move in plan.sas if place_of(move, sight) is other]


def guards(plan: Plan, sight: Sight) -> Commands:
    """Stop outbound traffic: every policy whose SAs move, wherever it stands."""
    if plan.options.guard is Guard.TEMPLATES:
        return []
    if plan.options.guard is Guard.OVERLAY:
        return [
            Block(block, overlay=True) for block in plan.blocks if block.id not in sight.policies
        ]
    found: Commands = []
    for policy in plan.policies:
        forms = (policy.old,) if policy.in_place else (policy.old, policy.new)
        for form in forms if policy.outbound else ():
            seen = sight.policies.get(form.id)
            if seen is not None and seen.action != in_place(seen).action:
                found.append(Block(in_place(replace(seen, index=0))))
    return found


def switches(plan: Plan, target: Target) -> Commands:
    """Outbound policies with the templates of ``target``, as one exchange each."""
    return [UpdatePolicy(form_at(p, target)) for p in plan.policies if p.outbound]


def opens(plan: Plan, sight: Sight, target: Target) -> Commands:
    """Inbound policies take their SA wherever it comes from, while it moves."""
    return [
        UpdatePolicy(policy.opened)
        for policy in plan.policies
        if policy.opened is not None and not policy_at(policy, sight, target)
    ]


def migrations(plan: Plan, sight: Sight, target: Target) -> Commands:
    """MIGRATE_STATE for each SA that is not there yet."""
    return [
        Migrate(move.migration if target is Target.NEW else move.back)
        for move in to_move(plan, sight, target)
    ]


def finals(plan: Plan, sight: Sight, target: Target, *, again: bool) -> Commands:
    """Policies as they shall stand, inbound ones first.

    ``again``: outbound ones that seem to stand so already, too. To send the same policy again lets packets go
    that wait in it (net/xfrm/xfrm_policy.c: xfrm_policy_requeue).
    """
    outbound = [
        _final(policy, sight, target)
        for policy in plan.policies
        if policy.outbound and (again or not policy_at(policy, sight, target))
    ]
    return inbound_finals(plan, sight, target) + outbound


def inbound_finals(plan: Plan, sight: Sight, target: Target) -> Commands:
    """The inbound ones alone."""
    return [
        _final(policy, sight, target)
        for policy in plan.policies
        if not policy.outbound and not policy_at(policy, sight, target)
    ]


def _final(policy: PolicyMove, sight: Sight, target: Target) -> KernelCommand:
    """Under a new name nobody else's policy may be overwritten: NEWPOLICY refuses where one is."""
    form = form_at(policy, target)
    if policy.in_place or form.id in sight.policies:
        return UpdatePolicy(form)
    return InstallPolicy(form)


def halves(plan: Plan) -> tuple[Plan, Plan]:
    """The inbound half of a plan and the outbound one; their policies do not count SAs any more."""
    ins = replace(
        plan,
        sas=tuple(m for m in plan.sas if m.dir == SaDir.IN),
        policies=tuple(replace(p, sas=()) for p in plan.policies if not p.outbound),
        blocks=(),
    )
    outs = replace(
        plan,
        sas=tuple(m for m in plan.sas if m.dir != SaDir.IN),
        policies=tuple(replace(p, sas=()) for p in plan.policies if p.outbound),
    )
    return ins, outs


def leftovers(plan: Plan, sight: Sight, target: Target, *, overlaid: bool) -> Commands:
    """Overlays, and policies at the end that was left. ``overlaid``: this pass has set overlays."""
    found: Commands = [
        Unblock(block.id) for block in plan.blocks if overlaid or block.id in sight.policies
    ]
    for policy in plan.policies:
        other = policy.old if target is Target.NEW else policy.new
        if not policy.in_place and other.id in sight.policies:
            found.append(RemovePolicy(other.id))
    return found


def as_script(end: int, phases: list[Commands], *, split: bool) -> Script:
    """Phases as batches: all in one send, or one send each where asked for or too many."""
    phases = [phase for phase in phases if phase]
    if not split and sum(map(len, phases)) <= LARGEST_BATCH:
        phases = [[command for phase in phases for command in phase]] if phases else []
    return Script(tuple(Batch(tuple(phase), end) for phase in phases))


# -- the old message -------------------------------------------------------------------------------


def migrations_by_policy(plan: Plan, sight: Sight, target: Target) -> Commands:
    """The old MIGRATE for each policy whose templates are not there yet."""
    found: Commands = []
    for policy in plan.policies:
        if not policy.unchanged and not _templates_there(policy, sight, target):
            found.append(MigrateByPolicy(_by_policy(plan, policy, target)))
    return found


def _templates_there(policy: PolicyMove, sight: Sight, target: Target) -> bool:
    seen = sight.policies.get(policy.old.id)
    return seen is not None and seen.templates == form_at(policy, target).templates


def _by_policy(plan: Plan, policy: PolicyMove, target: Target) -> PolicyMigration:
    here, there = policy.old, policy.new
    if target is Target.OLD:
        here, there = there, here
    moves = tuple(
        AddressMove(a.saddr, a.daddr, b.saddr, b.daddr, a.proto, Mode(a.mode), a.reqid)
        for a, b in zip(here.templates, there.templates, strict=True)
        if a != b
    )
    encaps: set[Encap | None] = {
        (plan.sas[n].new if target is Target.NEW else plan.sas[n].old).encap for n in policy.sas
    }
    return PolicyMigration(
        here.sel,
        Direction(here.dir),
        moves,
        here.type,
        encap=next(iter(encaps), None),
        if_id=here.if_id,
    )
