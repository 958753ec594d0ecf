"""``gap``: make before break. A copy of the SA stands beside the old one, behind a gap in the sequence numbers.

1. read the old SA's number; the *cut* is that number and a jump; write it down
2. add the copy at the new place, sending on from the cut, and see that the old SA is still far from it
3. one UPDPOLICY is the switch: new packets take the copy, those under way still find the old SA
4. after the drain: the old SA must be below the cut, then it goes

Nothing waits and nothing is blocked, so a stall of this process loses nothing. It needs a destination that changes, because two SAs of one SPI cannot have one
destination. SAs that keep theirs, and inbound ones, move by MIGRATE_STATE: outbound ones while their packets wait, inbound ones behind an opened policy and, where asked for, with tc
taking packets for the old address, too. On a kernel without MIGRATE_STATE these are recreated (:mod:`~pyxfrm.relocation.ways.recreate`) at the same moment, outbound ones while their packets
wait instead of being blocked.
"""

from __future__ import annotations

from dataclasses import replace

from pyxfrm.model import Sa, SaDir
from pyxfrm.relocation.commands import (
    AddSa,
    Batch,
    Below,
    DualAccept,
    Failed,
    Journal,
    KernelCommand,
    ReadSa,
    RemoveSa,
    Script,
    Sight,
    Wait,
)
from pyxfrm.relocation.copies import copied, cut_of, readable
from pyxfrm.relocation.dual import Rule
from pyxfrm.relocation.moves import Plan, SaMove
from pyxfrm.relocation.passes import (
    finals,
    inbound_finals,
    migrations,
    opens,
    switches,
    to_move,
)
from pyxfrm.relocation.run import Run, Steps, Trouble, each_end, worse
from pyxfrm.relocation.sight import Place, Target, place_of, policy_at, used
from pyxfrm.relocation.ways import hold, recreate

__all__ = [
    "check_below_cut",
    "drain",
    "dual_accept",
    "make_cuts",
    "shifted",
    "switched",
    "way",
]

# Seconds for a thread that was stopped in the middle of sending: two ticks of a slow kernel (HZ=100).
LINGER = 0.02


def way(run: Run, sights: list[Sight], target: Target) -> Steps[Trouble]:
    """One pass over every end, one after the other; :mod:`pyxfrm.relocation.ways.pair` keeps two in step."""
    one_end = _forward if target is Target.NEW else _back
    return each_end(run, sights, lambda *at: one_end(run, *at))


def copies_of(plan: Plan) -> list[SaMove]:
    """The SAs that are copied: outbound ones whose destination changes."""
    return [m for m in plan.sas if m.dir == SaDir.OUT and not m.same_tuple]


# -- forward ---------------------------------------------------------------------------------------


def _forward(run: Run, end: int, plan: Plan, sight: Sight) -> Steps[Trouble]:
    doubles = [m for m in copies_of(plan) if place_of(m, sight) is Place.BOTH]
    if doubles and not switched(run, end, plan, doubles, sight):
        return (yield from _start_over(run, end, doubles))
    # tc takes its time, and while it does, the old SA must not run towards the cut.
    trouble = yield from dual_accept(run, end, plan, on=True)
    if trouble is Trouble.NONE:
        trouble = yield from _move_on(run, end, plan, sight, doubles)
    yield from dual_accept(run, end, plan, on=False)
    return trouble


def _move_on(run: Run, end: int, plan: Plan, sight: Sight, doubles: list[SaMove]) -> Steps[Trouble]:
    fresh = [m for m in copies_of(plan) if place_of(m, sight) is Place.OLD]
    trouble = yield from recreate.make_cuts(run, end, plan, to_remake(plan, sight), Target.NEW)
    if trouble is not Trouble.NONE:
        return trouble
    adds = yield from make_cuts(run, end, plan, fresh)
    if isinstance(adds, Trouble):
        return adds
    trouble = yield from _switch_over(run, end, plan, sight, adds)
    if trouble is Trouble.NONE:
        trouble = yield from _finish(run, end, [*doubles, *fresh])
    return trouble


def switched(run: Run, end: int, plan: Plan, doubles: list[SaMove], sight: Sight) -> bool:
    """Whether a copy that another process made is in use: then it stays."""
    if any(used(m, sight, run.cuts.get((end, m.old.id))) for m in doubles):
        return True
    return any(policy_at(p, sight, Target.NEW) for p in plan.policies if p.outbound)


def _start_over(run: Run, end: int, doubles: list[SaMove]) -> Steps[Trouble]:
    """Copies that were never used, behind a cut that may be outrun by now: make them anew."""
    run.outran += 1
    gone = tuple(RemoveSa(m.new.id) for m in doubles)
    trouble = yield from run.do(Script((Batch(gone, end),)))
    return worse(trouble, Trouble.UNSURE)


def make_cuts(
    run: Run, end: int, plan: Plan, moves: list[SaMove]
) -> Steps[list[KernelCommand] | Trouble]:
    """Read each SA, choose its cut, write the cuts down; the requests that add the copies.

    With them it is asked how far each SA has come meanwhile. If this process had no time for so long that little of the gap is left, nothing is switched: the next pass makes the copies anew.
    """
    adds: list[KernelCommand] = []
    checks: list[KernelCommand] = []
    for move in moves:
        sa = yield ReadSa(move.old.id, end)
        if not isinstance(sa, Sa):
            return Trouble.UNSURE
        jump = run.jump(plan)
        cut = cut_of(sa, jump)
        if cut is None or not readable(sa):
            why = "too few sequence numbers are left" if cut is None else "its keys cannot be read"
            run.troubles.append(f"{sa.id}: {why}")
            return Trouble.REFUSED
        run.cuts[end, move.old.id] = cut
        adds.append(AddSa(copied(sa, move.new, oseq=cut)))
        checks.append(Below(move.old.id, cut - jump // 4))
    if adds:
        yield Journal(run.state, "cuts", run.cuts_flat())
    return [*adds, *checks]


def _switch_over(
    run: Run, end: int, plan: Plan, sight: Sight, adds: list[KernelCommand]
) -> Steps[Trouble]:
    target = Target.NEW
    early = shifted(plan, sight)
    rest = to_move(_without_copies(plan), sight, target)
    waits = any(m.dir == SaDir.OUT and m.same_tuple for m in rest)
    if waits:
        trouble = yield from hold.start_holding(run, end)
        if trouble is not Trouble.NONE:
            return trouble
    parts: list[Batch | Wait] = [Batch((*adds, *opens(plan, sight, target), *early), end)]
    if plan.policies:
        parts += [Batch(tuple(switches(plan, target)), end), drain(plan, waits=waits)]
    if plan.features.migrate_state:
        moves = [m for m in migrations(_without_copies(plan), sight, target) if m not in early]
        parts.append(Batch((*moves, *_last(plan, sight, again=waits)), end))
    trouble = yield from run.do(Script(tuple(p for p in parts if _something(p))))
    if trouble is Trouble.NONE and not plan.features.migrate_state:
        trouble = yield from _remake(run, end, plan, sight, again=waits)
    if waits:
        yield from hold.let_go(end)
    return trouble


def to_remake(plan: Plan, sight: Sight) -> list[SaMove]:
    """On a kernel without MIGRATE_STATE: the SAs that are recreated, and are not there yet."""
    if plan.features.migrate_state:
        return []
    return to_move(_without_copies(plan), sight, Target.NEW)


def _remake(run: Run, end: int, plan: Plan, sight: Sight, *, again: bool) -> Steps[Trouble]:
    trouble = Trouble.NONE
    for move in _without_copies(plan).sas:
        place = place_of(move, sight)
        if trouble is Trouble.NONE and place is Place.OLD:
            trouble = yield from recreate.one_sa(run, end, plan, move, Target.NEW)
        elif trouble is Trouble.NONE and place is Place.BOTH:
            trouble = yield from recreate.drop_double(run, end, plan, move, sight, Target.NEW)
    last = _last(plan, sight, again=again)
    if last and trouble is Trouble.NONE:
        trouble = yield from run.do(Script((Batch(tuple(last), end),)))
    return trouble


def shifted(plan: Plan, sight: Sight) -> list[KernelCommand]:
    """Inbound SAs that move first, because tc takes packets for both places from now on."""
    if not plan.options.dual:
        return []
    ins = replace(plan, sas=tuple(m for m in plan.sas if m.dir == SaDir.IN and not m.same_tuple))
    return migrations(ins, sight, Target.NEW)


def drain(*plans: Plan, waits: bool) -> Wait:
    """Time for what is under way. The old SA stays meanwhile, so where no packet waits there is more of it."""
    seconds = max(plan.drain for plan in plans)
    return Wait(seconds if waits else seconds + LINGER)


def _last(plan: Plan, sight: Sight, *, again: bool) -> list[KernelCommand]:
    """Inbound policies, exact; and outbound ones ``again`` where packets wait for the kick."""
    if again:
        return finals(plan, sight, Target.NEW, again=True)
    return inbound_finals(plan, sight, Target.NEW)


def _something(part: Batch | Wait) -> bool:
    return isinstance(part, Wait) or bool(part.commands)


def _without_copies(plan: Plan) -> Plan:
    copies = copies_of(plan)
    return replace(plan, sas=tuple(m for m in plan.sas if m not in copies))


def check_below_cut(run: Run, end: int, moves: list[SaMove]) -> Steps[Trouble]:
    """No old SA may have reached its cut. If one has, its key must not be used any more."""
    for move in moves:
        sa = yield ReadSa(move.old.id, end)
        if sa is None:
            continue
        if not isinstance(sa, Sa):
            return Trouble.UNSURE
        if sa.replay.oseq >= run.cuts.get((end, move.old.id), 0):
            run.spent.add((end, move.old.id))
            run.troubles.append(f"{sa.id}: it outran the gap; its key is spent")
    return Trouble.GONE if run.spent else Trouble.NONE


def _finish(run: Run, end: int, moves: list[SaMove]) -> Steps[Trouble]:
    if not moves:
        return Trouble.NONE
    trouble = yield from check_below_cut(run, end, moves)
    if trouble is not Trouble.NONE:
        return trouble
    gone = tuple(RemoveSa(m.old.id) for m in moves)
    return (yield from run.do(Script((Batch(gone, end),))))


def dual_accept(run: Run, end: int, plan: Plan, *, on: bool) -> Steps[Trouble]:
    """Take packets for the old local address, too; or no longer."""
    moved = [m for m in plan.sas if m.dir == SaDir.IN and not m.same_tuple]
    if not plan.options.dual or not moved:
        return Trouble.NONE
    reply = yield DualAccept(_rule(plan.options.dual, moved), on, end)
    if isinstance(reply, Failed):
        run.troubles.append(f"tc: {reply.text}")
        return Trouble.REFUSED
    return Trouble.NONE


def _rule(device: str, moved: list[SaMove]) -> Rule:
    first = moved[0]
    encap = first.old.encap
    spis = tuple(m.old.id.spi for m in moved)
    port = encap.dport if encap else 0
    return Rule(first.old.id.daddr, first.new.id.daddr, spis, device, port)


# -- back ------------------------------------------------------------------------------------------


def _back(run: Run, end: int, plan: Plan, sight: Sight) -> Steps[Trouble]:
    """The old templates first; a copy that was never used may go, one that was used may not."""
    target = Target.OLD
    doubles = [m for m in plan.sas if place_of(m, sight) is Place.BOTH]
    if not doubles:
        return (yield from _move_back(run, end, plan, sight))
    script = Script((Batch(tuple(switches(plan, target)), end), drain(plan, waits=False)))
    trouble = yield from run.do(script)
    if trouble is not Trouble.NONE:
        return trouble
    again = yield from run.look_at(plan, end)
    if any(used(m, again, run.cuts.get((end, m.old.id))) for m in doubles):
        return Trouble.UNSURE
    gone = tuple(RemoveSa(m.new.id) for m in doubles)
    trouble = yield from run.do(Script((Batch(gone, end),)))
    return worse(trouble, Trouble.UNSURE)


def _move_back(run: Run, end: int, plan: Plan, sight: Sight) -> Steps[Trouble]:
    if not plan.features.migrate_state:
        return (yield from recreate.one_end(run, Target.OLD, end, plan, sight))
    moves = migrations(plan, sight, Target.OLD)
    commands = [
        *(opens(plan, sight, Target.OLD) if moves else ()),
        *moves,
        *finals(plan, sight, Target.OLD, again=True),
    ]
    if not commands:
        return Trouble.NONE
    return (yield from run.do(Script((Batch(tuple(commands), end),))))
