"""Both ends are ours: message by message, in step.

A *flow* is an outbound SA at one end and the inbound SA with its SPI at the other. Whether its destination changes decides how it moves:

========================  ==========================================  =====================================
flow                      at the sender                               at the receiver
========================  ==========================================  =====================================
gap, destination changes  a copy behind the cut; the policy switches  a copy that takes all up to the cut as seen,
                                                                      or (``dual``) MIGRATE_STATE, before the switch
                                                                      and while tc takes packets for both addresses
gap, only source changes  held: policy, then MIGRATE_STATE, kick      MIGRATE_STATE while the flow is held
hold, any                 held: policy, then MIGRATE_STATE, kick      MIGRATE_STATE while the flow is held
migrate-state             block, MIGRATE_STATE, allow                 MIGRATE_STATE, one send before the sender
========================  ==========================================  =====================================

Going back, and going on from a cut, each end works by itself as in :mod:`~pyxfrm.relocation.ways.gap` and :mod:`~pyxfrm.relocation.ways.hold`: both are
sighted together, so neither is taken back while the other goes on.
"""

from __future__ import annotations

from pyxfrm.model import Sa, SaDir, SaId
from pyxfrm.relocation.commands import (
    AddSa,
    Batch,
    Journal,
    KernelCommand,
    ReadSa,
    RemoveSa,
    Script,
    Sight,
    Wait,
)
from pyxfrm.relocation.copies import receiving
from pyxfrm.relocation.moves import Plan, SaMove, Strategy
from pyxfrm.relocation.passes import (
    finals,
    halves,
    inbound_finals,
    migrations,
    opens,
    switches,
)
from pyxfrm.relocation.run import Run, Steps, Trouble, worse
from pyxfrm.relocation.sight import Place, Target, place_of
from pyxfrm.relocation.ways import block, gap, hold

__all__ = ["WAYS", "way"]

ENDS = (0, 1)


def way(run: Run, sights: list[Sight], target: Target) -> Steps[Trouble]:
    """One pass over both ends."""
    alone, together = WAYS[run.plans[0].strategy]
    if target is Target.OLD:
        return (yield from alone(run, sights, target))
    return (yield from together(run, sights))


# -- block -----------------------------------------------------------------------------------------


def _block(run: Run, sights: list[Sight]) -> Steps[Trouble]:
    """Each receiver just before its sender: what is sent between the two is lost, and nothing else."""
    ins = [_inbound(run.plans[end], sights[end], copies=False) for end in ENDS]
    outs = [block.outbound(run.plans[end], sights[end], Target.NEW) for end in ENDS]
    trouble = yield from run.do(_script((0, ins[0]), (1, [*ins[1], *outs[1]]), (0, outs[0])))
    for end in ENDS:
        if trouble is Trouble.NONE:
            plan, sight = run.plans[end], sights[end]
            moved = bool(outs[end])
            trouble = yield from block.clean_up(run, end, plan, sight, Target.NEW, blocked=moved)
    return trouble


# -- hold ------------------------------------------------------------------------------------------


def _hold(run: Run, sights: list[Sight]) -> Steps[Trouble]:
    """Hold both, let what is under way arrive, inbound SAs, then release one end after the other."""
    for end in ENDS:
        trouble = yield from hold.start_holding(run, end)
        if trouble is not Trouble.NONE:
            return trouble
    ins = [_inbound(run.plans[end], sights[end], copies=False) for end in ENDS]
    outs = [_outbound(run.plans[end], sights[end]) for end in ENDS]
    trouble = yield from run.do(
        _script(
            (0, hold.held(run.plans[0], Target.NEW)),
            (1, hold.held(run.plans[1], Target.NEW)),
            gap.drain(*run.plans, waits=True),
            (0, ins[0]),
            (1, [*ins[1], *outs[1]]),
            (0, outs[0]),
        )
    )
    yield from hold.let_go(*ENDS)
    return trouble


def _script(*parts: tuple[int, list[KernelCommand]] | Wait) -> Script:
    made: list[Batch | Wait] = []
    for part in parts:
        if isinstance(part, Wait):
            made.append(part)
        elif part[1]:
            made.append(Batch(tuple(part[1]), part[0]))
    return Script(tuple(made))


def _inbound(plan: Plan, sight: Sight, *, copies: bool) -> list[KernelCommand]:
    """The inbound half by MIGRATE_STATE; with ``copies`` only what keeps its destination, and nothing around it."""
    ins, _ = halves(plan)
    moved = [m for m in migrations(ins, sight, Target.NEW) if not (copies and _changes(m, plan))]
    if copies:
        return moved
    return [*opens(ins, sight, Target.NEW), *moved, *inbound_finals(ins, sight, Target.NEW)]


def _changes(command: KernelCommand, plan: Plan) -> bool:
    name = getattr(command, "migration", None)
    return any(m.migration == name and not m.same_tuple for m in plan.sas)


def _outbound(plan: Plan, sight: Sight) -> list[KernelCommand]:
    _, outs = halves(plan)
    return [
        *migrations(outs, sight, Target.NEW),
        *finals(outs, sight, Target.NEW, again=True),
    ]


# -- gap -------------------------------------------------------------------------------------------


def _copies(plan: Plan, way: SaDir) -> list[SaMove]:
    """SAs of one direction that are copied."""
    if way == SaDir.IN and plan.options.dual:
        return []
    return [m for m in plan.sas if m.dir == way and not m.same_tuple]


def _doubles(run: Run, sights: list[Sight]) -> list[tuple[int, SaMove]]:
    return [
        (end, move)
        for end in ENDS
        for move in run.plans[end].sas
        if place_of(move, sights[end]) is Place.BOTH
    ]


def _gap(run: Run, sights: list[Sight]) -> Steps[Trouble]:
    doubles = _doubles(run, sights)
    if doubles and not _in_use(run, sights):
        return (yield from _start_over(run, doubles))
    trouble = Trouble.NONE
    for end in ENDS:
        if trouble is Trouble.NONE:
            trouble = yield from gap.dual_accept(run, end, run.plans[end], on=True)
    if trouble is Trouble.NONE:
        trouble = yield from _move_on(run, sights)
    for end in ENDS:
        yield from gap.dual_accept(run, end, run.plans[end], on=False)
    return trouble


def _move_on(run: Run, sights: list[Sight]) -> Steps[Trouble]:
    adds = yield from _make_copies(run, sights)
    if isinstance(adds, Trouble):
        return adds
    trouble = yield from _switch_over(run, sights, adds)
    return trouble if trouble is not Trouble.NONE else (yield from _finish(run))


def _in_use(run: Run, sights: list[Sight]) -> bool:
    for end in ENDS:
        plan, sight = run.plans[end], sights[end]
        copies = [m for m in _copies(plan, SaDir.OUT) if place_of(m, sight) is Place.BOTH]
        if copies and gap.switched(run, end, plan, copies, sight):
            return True
        if any(place_of(m, sight) is Place.NEW for m in _copies(plan, SaDir.OUT)):
            return True
    return False


def _start_over(run: Run, doubles: list[tuple[int, SaMove]]) -> Steps[Trouble]:
    """Copies that were never used, behind a cut that may be outrun by now: make them anew."""
    run.outran += 1
    worst = Trouble.UNSURE
    for end in ENDS:
        gone = tuple(RemoveSa(m.new.id) for at, m in doubles if at == end)
        if gone:
            trouble = yield from run.do(Script((Batch(gone, end),)))
            worst = worse(worst, trouble)
    return worst


def _make_copies(
    run: Run, sights: list[Sight]
) -> Steps[tuple[list[list[KernelCommand]], list[list[KernelCommand]]] | Trouble]:
    """Requests that add copies: at the receivers, and at the senders; by end."""
    senders: list[list[KernelCommand]] = []
    for end in ENDS:
        plan, sight = run.plans[end], sights[end]
        fresh = [m for m in _copies(plan, SaDir.OUT) if place_of(m, sight) is Place.OLD]
        made = yield from gap.make_cuts(run, end, plan, fresh)
        if isinstance(made, Trouble):
            return made
        senders.append(made)
    receivers: list[list[KernelCommand]] = []
    for end in ENDS:
        plan, sight = run.plans[end], sights[end]
        fresh = [m for m in _copies(plan, SaDir.IN) if place_of(m, sight) is Place.OLD]
        found = yield from _receivers(run, end, fresh)
        if isinstance(found, Trouble):
            return found
        receivers.append(found)
    yield Journal(run.state, "cuts", run.cuts_flat())
    return receivers, senders


def _receivers(run: Run, end: int, moves: list[SaMove]) -> Steps[list[KernelCommand] | Trouble]:
    made: list[KernelCommand] = []
    for move in moves:
        cut = _cut_of_flow(run, end, move.old.id)
        sa = yield ReadSa(move.old.id, end)
        if not isinstance(sa, Sa):
            return Trouble.UNSURE
        if cut is None:
            run.troubles.append(f"{sa.id}: its sender is not part of this relocation")
            return Trouble.REFUSED
        # Its own oseq is never used; the cut of its flow tells whether it may go.
        run.cuts[end, move.old.id] = sa.replay.oseq
        made.append(AddSa(receiving(sa, move.new, cut)))
    return made


def _cut_of_flow(run: Run, end: int, receiver: SaId) -> int | None:
    for (at, sender), cut in run.cuts.items():
        same = (sender.proto, sender.spi, sender.daddr)
        if at != end and same == (receiver.proto, receiver.spi, receiver.daddr):
            return cut
    return None


def _switch_over(
    run: Run,
    sights: list[Sight],
    adds: tuple[list[list[KernelCommand]], list[list[KernelCommand]]],
) -> Steps[Trouble]:
    receivers, senders = adds
    waits = [_holds(run.plans[end], sights[end]) for end in ENDS]
    for end in ENDS:
        if waits[end]:
            trouble = yield from hold.start_holding(run, end)
            if trouble is not Trouble.NONE:
                return trouble
    first = [
        [
            *receivers[end],
            *opens(run.plans[end], sights[end], Target.NEW),
            *gap.shifted(run.plans[end], sights[end]),
        ]
        for end in ENDS
    ]
    turned = [switches(run.plans[end], Target.NEW) for end in ENDS]
    ins = [_inbound(run.plans[end], sights[end], copies=True) for end in ENDS]
    outs = [_kicked(run.plans[end], sights[end]) if waits[end] else [] for end in ENDS]
    trouble = yield from run.do(
        _script(
            (0, first[0]),
            (1, first[1]),
            (0, senders[0]),
            (1, senders[1]),
            (0, turned[0]),
            (1, turned[1]),
            gap.drain(*run.plans, waits=any(waits)),
            (0, ins[0]),
            (1, [*ins[1], *outs[1]]),
            (0, outs[0]),
        )
    )
    yield from hold.let_go(*(end for end in ENDS if waits[end]))
    return trouble


def _holds(plan: Plan, sight: Sight) -> bool:
    return any(
        m.dir == SaDir.OUT and m.same_tuple and place_of(m, sight) is Place.OLD for m in plan.sas
    )


def _kicked(plan: Plan, sight: Sight) -> list[KernelCommand]:
    """Outbound SAs that keep their destination, and the kick."""
    _, outs = halves(plan)
    stay = [m for m in migrations(outs, sight, Target.NEW) if not _changes(m, plan)]
    return [*stay, *finals(outs, sight, Target.NEW, again=True)]


def _finish(run: Run) -> Steps[Trouble]:
    """After the drain: the old SAs of copies go, senders first, and inbound policies become exact."""
    sights = yield from run.look()
    doubles = _doubles(run, sights)
    for end in ENDS:
        mine = [m for at, m in doubles if at == end and m.dir == SaDir.OUT]
        trouble = yield from gap.check_below_cut(run, end, mine)
        if trouble is not Trouble.NONE:
            return trouble
    for end in ENDS:
        gone: list[KernelCommand] = [RemoveSa(m.old.id) for at, m in doubles if at == end]
        gone += inbound_finals(run.plans[end], sights[end], Target.NEW)
        if gone:
            trouble = yield from run.do(Script((Batch(tuple(gone), end),)))
            if trouble is not Trouble.NONE:
                return trouble
    return Trouble.NONE


WAYS = {
    Strategy.MIGRATE_STATE: (block.way, _block),
    Strategy.HOLD: (hold.way, _hold),
    Strategy.GAP: (gap.way, _gap),
}
