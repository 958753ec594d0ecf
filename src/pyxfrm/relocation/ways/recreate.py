"""``recreate``: for kernels with neither message. Read the SA, add it at its new place, delete the old one.

The hazard of this way is a number used twice: a packet sent after the read and before the delete. So outbound traffic is blocked *before* the read, and the copy starts
behind a cut all the same, because a packet may be past its policy lookup when the block comes.

Where the destination changes, the copy is added before the old SA is deleted: a refusal then loses nothing. Where it stays, both cannot stand together, so delete and
add go in one send: no death of this process can come between. If the add is refused then, the SA goes back to its old place, behind the cut.
"""

from __future__ import annotations

from dataclasses import replace

from pyxfrm.model import Sa, SaDir
from pyxfrm.relocation.commands import (
    UNKNOWN,
    AddSa,
    Batch,
    Journal,
    ReadSa,
    RemoveSa,
    Script,
    Sight,
)
from pyxfrm.relocation.copies import copied, cut_of, readable
from pyxfrm.relocation.footprint import Footprint
from pyxfrm.relocation.moves import Plan, SaMove
from pyxfrm.relocation.passes import finals, guards, opens, to_move
from pyxfrm.relocation.run import Run, Steps, Trouble, each_end
from pyxfrm.relocation.sight import Place, Target, place_of, used
from pyxfrm.relocation.ways.block import clean_up

__all__ = ["drop_double", "make_cuts", "one_end", "one_sa", "way"]


def way(run: Run, sights: list[Sight], target: Target) -> Steps[Trouble]:
    """One pass over every end, one after the other."""
    return each_end(run, sights, lambda *at: one_end(run, target, *at))


def one_end(run: Run, target: Target, end: int, plan: Plan, sight: Sight) -> Steps[Trouble]:
    """One pass over one end."""
    moves = to_move(plan, sight, target)
    doubles = [m for m in plan.sas if place_of(m, sight) is Place.BOTH]
    trouble = yield from make_cuts(run, end, plan, moves, target)
    if trouble is not Trouble.NONE:
        return trouble
    stop = guards(plan, sight) if moves or doubles else []
    opened = opens(plan, sight, target) if moves or doubles else []
    if stop or opened:
        trouble = yield from run.do(Script((Batch((*stop, *opened), end),)))
    for move in moves:
        if trouble is Trouble.NONE:
            trouble = yield from one_sa(run, end, plan, move, target)
    for move in doubles:
        if trouble is Trouble.NONE:
            trouble = yield from drop_double(run, end, move, sight, target)
    if trouble is not Trouble.NONE:
        return trouble
    last = finals(plan, sight, target, again=bool(moves or doubles))
    if last:
        trouble = yield from run.do(Script((Batch(tuple(last), end),)))
    if trouble is Trouble.NONE:
        trouble = yield from clean_up(run, end, plan, sight, target, blocked=bool(stop))
    return trouble


def _ends(move: SaMove, target: Target) -> tuple[Footprint, Footprint]:
    return (move.old, move.new) if target is Target.NEW else (move.new, move.old)


def make_cuts(
    run: Run, end: int, plan: Plan, moves: list[SaMove], target: Target
) -> Steps[Trouble]:
    """Choose the cuts and write them down while traffic still flows: fsync takes its time."""
    found = False
    for move in moves:
        if move.dir != SaDir.OUT:
            continue
        sa = yield ReadSa(_ends(move, target)[0].id, end)
        if not isinstance(sa, Sa):
            return Trouble.UNSURE
        cut = cut_of(sa, plan.jump)
        if cut is None:
            run.troubles.append(f"{sa.id}: too few sequence numbers are left to leave any out")
            return Trouble.REFUSED
        run.cuts[end, move.old.id] = cut
        found = True
    if found:
        yield Journal(run.state, "cuts", run.cuts_flat())
    return Trouble.NONE


def one_sa(run: Run, end: int, plan: Plan, move: SaMove, target: Target) -> Steps[Trouble]:
    """Read one SA, add it where it shall be, delete it where it was; nothing may be sent by it meanwhile."""
    here, there = _ends(move, target)
    sa = yield ReadSa(here.id, end)
    if sa is None or sa is UNKNOWN:
        return Trouble.UNSURE
    if not readable(sa):
        run.troubles.append(f"{here.id}: its keys cannot be read (lockdown)")
        return Trouble.REFUSED
    cut = run.cuts.get((end, move.old.id))
    if cut is not None and sa.replay.oseq >= cut:
        run.cuts[end, move.old.id] = cut = sa.replay.oseq + plan.jump
    copy = copied(sa, there, oseq=cut)
    if here.id.daddr != there.id.daddr:
        trouble = yield from run.do(Script((Batch((AddSa(copy),), end),)))
        if trouble is Trouble.NONE:
            trouble = yield from run.do(Script((Batch((RemoveSa(here.id),), end),)))
        return trouble
    trouble = yield from run.do(Script((Batch((RemoveSa(here.id), AddSa(copy)), end),)))
    if trouble is not Trouble.NONE:
        put_back = sa if cut is None else replace(sa, replay=replace(sa.replay, oseq=cut))
        yield from _rescue(run, end, (copy, put_back))
    return trouble


def _rescue(run: Run, end: int, tries: tuple[Sa, ...]) -> Steps[None]:
    """The old SA is deleted, perhaps; the new one was not added, perhaps: nobody else has its keys."""
    for attempt in tries:
        there = yield ReadSa(attempt.id, end)
        if there is not None:
            return
        yield from run.do(Script((Batch((AddSa(attempt),), end),)))


def drop_double(run: Run, end: int, move: SaMove, sight: Sight, target: Target) -> Steps[Trouble]:
    """A copy and its original stand together, cut off between add and delete; all is blocked."""
    keep_new = target is Target.NEW or used(move, sight, run.cuts.get((end, move.old.id)))
    gone = move.old.id if keep_new else move.new.id
    return (yield from run.do(Script((Batch((RemoveSa(gone),), end),))))
