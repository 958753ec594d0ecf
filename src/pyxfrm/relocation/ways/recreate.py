"""``recreate``: for kernels with neither message. Read the SA, add it at its new place, delete the old one.

The hazard of this way is a number used twice: a packet sent after the read and before the delete. So outbound traffic is blocked *before* the read, and the copy starts
behind a cut all the same, because a packet may be past its policy lookup when the block comes. Nor need the block hold: another program may set the policy anew, and an SA
may have other users. So just before an SA is deleted it is asked how far it has come: one that is near the cut stays, and its copy, if it was never used, is made anew.

Where the destination changes, the copy is added before the old SA is deleted: a refusal then loses nothing. Where it stays, both cannot stand together, so delete and
add go in one send: no death of this process can come between. If the add is refused then, the SA goes back to its old place, behind the cut.
"""

from __future__ import annotations

from dataclasses import replace

from pyxfrm.model import Sa, SaDir, SaId
from pyxfrm.relocation.commands import (
    UNKNOWN,
    AddSa,
    Batch,
    Below,
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
from pyxfrm.relocation.run import Run, Steps, Trouble, each_end, worse
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
            trouble = yield from drop_double(run, end, plan, move, sight, target)
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
        cut = cut_of(sa, run.jump(plan))
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
    if cut is not None and sa.replay.oseq >= _near(plan, cut):
        run.outran += 1
        return Trouble.UNSURE  # with new cuts, which are to be written down
    copy = copied(sa, there, oseq=cut)
    check = () if cut is None else (Batch((Below(here.id, _near(plan, cut)),), end),)
    if here.id.daddr != there.id.daddr:
        trouble = yield from run.do(Script((Batch((AddSa(copy),), end),)))
        if trouble is Trouble.NONE:
            trouble = yield from run.do(Script((*check, Batch((RemoveSa(here.id),), end))))
        return trouble
    trouble = yield from run.do(Script((*check, Batch((RemoveSa(here.id), AddSa(copy)), end))))
    if trouble is not Trouble.NONE:
        put_back = sa if cut is None else replace(sa, replay=replace(sa.replay, oseq=cut))
        yield from _rescue(run, end, (copy, put_back))
    return trouble


def _near(plan: Plan, cut: int) -> int:
    """From this number on, an SA is too near to the cut to be copied behind it."""
    return cut - plan.jump // 4


def _rescue(run: Run, end: int, tries: tuple[Sa, ...]) -> Steps[None]:
    """The old SA is deleted, perhaps; the new one was not added, perhaps: nobody else has its keys."""
    for attempt in tries:
        if isinstance((yield ReadSa(attempt.id, end)), Sa):
            return
        yield from run.do(Script((Batch((AddSa(attempt),), end),)))


def drop_double(
    run: Run, end: int, plan: Plan, move: SaMove, sight: Sight, target: Target
) -> Steps[Trouble]:
    """A copy and its original stand together, cut off between add and delete: one of them goes.

    Below the cut is what the original has sent, above it what its copy has.
    """
    key = end, move.old.id
    cut = run.cuts.get(key)
    new_used = used(move, sight, cut)
    if target is Target.OLD:
        if new_used:
            return Trouble.UNSURE  # it was not when that was decided: look again
        return (yield from _drop(run, end, move.new.id, cut))
    if cut is None or move.dir != SaDir.OUT:
        return (yield from _drop(run, end, move.old.id, None))
    sent = sight.oseq.get(move.old.id, 0)
    if new_used and sent > cut:
        run.spent.add(key)
        run.troubles.append(f"{move.old.id}: it outran the gap; its key is spent")
        return Trouble.GONE
    if not new_used and sent >= _near(plan, cut) and sent != cut:
        run.outran += 1
        trouble = yield from _drop(run, end, move.new.id, cut)
        return worse(trouble, Trouble.UNSURE)
    return (yield from _drop(run, end, move.old.id, cut))


def _drop(run: Run, end: int, name: SaId, cut: int | None) -> Steps[Trouble]:
    """Delete one of two, unless it has sent more than the cut meanwhile."""
    check = () if cut is None else (Batch((Below(name, cut + 1),), end),)
    return (yield from run.do(Script((*check, Batch((RemoveSa(name),), end)))))
