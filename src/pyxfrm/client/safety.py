"""Whether the kernel will touch the SA that is meant, and whether it did what was asked.

Linux finds an SA for GETSA, DELSA, UPDSA, GETAE, NEWAE, EXPIRE and MIGRATE_STATE as it finds one for a packet (net/xfrm/xfrm_state.c:
__xfrm_state_lookup): of those with the right destination, SPI and protocol, the first whose mark matches, ``key & m == v``. The first is the newest, as a rule
(:func:`pick`). So an SA with a broad mask, or with none, stands before the one that was named, and is moved, changed or deleted in
its stead. The announced fix compares marks exactly; a client cannot know which kernel it meets.

But it can ask: GETSA with the same name goes the same way. Before a move, a change or a deletion, :func:`guard` does so and refuses
(:class:`ShadowedError`) unless what came back carries exactly the mark that was named.

After a move, :func:`prove` reads back: the SA is at its new place, what it should have inherited is equal, its sequence numbers are not
lower; and nothing of that name is at its old one.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from pyxfrm.client import verbs
from pyxfrm.client.procedure import Procedure, ask, peek
from pyxfrm.client.records import SaRecord
from pyxfrm.client.request import Done
from pyxfrm.errors import RefusedError, SaLostError, TransportError, UsageError, XfrmError
from pyxfrm.model import (
    HOST_TO_HOST,
    INHERIT,
    REMOVE,
    AlgorithmKind,
    Mark,
    Migration,
    Network,
    OffloadFlag,
    Sa,
    SaId,
)

__all__ = [
    "AmbiguousError",
    "Moved",
    "Pick",
    "ShadowedError",
    "UnprovenError",
    "bystander",
    "delete",
    "guard",
    "look_up",
    "migrate",
    "pick",
    "same_mark",
    "update",
]

_NO_MARK = Mark(0, 0)


class AmbiguousError(UsageError):
    """Two SAs answer to one name, or would. Nothing was changed."""


class ShadowedError(AmbiguousError):
    """The SA that the kernel would touch is not the one that was named. Nothing was changed.

    ``named``   what was asked for; ``picked``: what the kernel would take
    ``others``  further SAs that the same request fits, newest first; the named one may be among them
    """

    def __init__(self, named: SaId, picked: SaRecord, others: tuple[SaRecord, ...]) -> None:
        self.named = named
        self.picked = picked
        self.others = others
        there = any(same_mark(o.mark, named.mark) for o in others)
        where = "it stands before the one named" if there else "there is none with the mark named"
        super().__init__(
            f"SA {named}: the kernel would take {picked.id} ({_mark_text(picked)}) instead, "
            f"{where}; name that one, or delete it first"
        )


class UnprovenError(XfrmError):
    """A move was acknowledged, and reading back shows something else. ``differences``: one line each."""

    def __init__(self, move: Migration, differences: list[str]) -> None:
        self.move = move
        self.differences = differences
        super().__init__(f"SA {move.sa} moved, but not as asked: {'; '.join(differences)}")


def _mark_text(record: SaRecord) -> str:
    mark = record.mark
    return "no mark" if mark is None else f"mark {mark}"


def same_mark(a: Mark | None, b: Mark | None) -> bool:
    """Equal in value and mask. To a kernel, an SA without a mark has {0, 0}."""
    return (a or _NO_MARK) == (b or _NO_MARK)


# -- which one -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pick:
    """What a lookup finds in a table.

    ``picked``  the SA it takes, None if none fits
    ``others``  what else fits, in the order in which they would come next
    """

    named: SaId
    picked: SaRecord | None
    others: tuple[SaRecord, ...]

    @property
    def exact(self) -> bool:
        """The one picked has exactly the mark that was named, and no other has."""
        if self.picked is None or not same_mark(self.picked.mark, self.named.mark):
            return False
        return not any(same_mark(o.mark, self.named.mark) for o in self.others)


def pick(table: Iterable[SaRecord], named: SaId, *, exact_marks: bool = False) -> Pick:
    """Work out from a dump (newest first, as it comes) which SA a lookup of ``named`` takes.

    ``exact_marks``: of a kernel with the fix. SAs that a device carries whole (packet offload) stand before all others
    (net/xfrm/xfrm_state.c: XFRM_STATE_INSERT). One thing a dump does not tell: when its hash table grows, Linux puts each chain back in reverse
    order, so among SAs older than that the oldest comes first. :func:`look_up` asks the kernel itself.
    """
    fitting = [r for r in table if _fits(r, named, exact_marks=exact_marks)]
    fitting.sort(key=lambda r: not _carried_whole(r))
    return Pick(named, fitting[0] if fitting else None, tuple(fitting[1:]))


def _fits(record: SaRecord, named: SaId, *, exact_marks: bool) -> bool:
    if record.daddr != named.daddr or record.proto != named.proto:
        return False
    if named.proto.by_spi:
        if record.spi != named.spi:
            return False
    elif record.saddr != named.saddr:
        return False
    mark = record.mark or _NO_MARK
    return same_mark(mark, named.mark) if exact_marks else mark.matches(named.key)


def _carried_whole(record: SaRecord) -> bool:
    offload = record.sa.offload
    return offload is not None and bool(offload.flags & OffloadFlag.PACKET)


def bystander(
    table: Iterable[SaRecord], doomed: Iterable[SaRecord]
) -> tuple[SaRecord, SaRecord] | None:
    """Of SAs that are to be deleted by name one after the other: the first whose name takes one that is not among them, and that one.

    ``table``: a dump, the doomed (the same objects) in it. None if none but they would go.
    """
    left: dict[tuple[object, ...], list[SaRecord]] = {}
    for record in table:
        left.setdefault((record.daddr, record.proto, record.spi), []).append(record)
    doomed = list(doomed)
    meant = {id(record) for record in doomed}
    for record in doomed:
        namesakes = left[record.daddr, record.proto, record.spi]
        found = pick(namesakes, record.id).picked if len(namesakes) > 1 else record
        if found is None:
            continue
        if id(found) not in meant:
            return record, found
        namesakes.remove(found)
    return None


def look_up(named: SaId) -> Procedure[Pick]:
    """Ask the kernel which SA it takes, and read from its table what else would fit."""
    table = yield from peek(verbs.sas(named.proto, daddr=Network.host(named.daddr)))
    guess = pick(table, named)
    picked = yield from _get(named)
    if picked is None:
        return Pick(named, None, ())
    rest = [r for r in (guess.picked, *guess.others) if r is not None]
    found = next((i for i, r in enumerate(rest) if _same_sa(r, picked)), None)
    if found is not None:
        del rest[found]
    return Pick(named, picked, tuple(rest))


def _same_sa(a: SaRecord, b: SaRecord) -> bool:
    """The same SA as far as what does not change tells."""
    return (
        same_mark(a.mark, b.mark)
        and a.saddr == b.saddr
        and a.reqid == b.reqid
        and a.counters.added == b.counters.added
    )


def _get(named: SaId) -> Procedure[SaRecord | None]:
    try:
        record = yield from ask(verbs.get_sa(named))
    except RefusedError as no:
        if no.errno == errno.ESRCH:
            return None
        raise
    return record


def guard(named: SaId) -> Procedure[SaRecord | None]:
    """The SA that the kernel takes for this name; None if there is none.

    ShadowedError if it is another than the one named.
    """
    picked = yield from _get(named)
    if picked is None or same_mark(picked.mark, named.mark):
        return picked
    found = yield from look_up(named)
    raise ShadowedError(named, picked, found.others)


def delete(named: SaId) -> Procedure[Done]:
    """DELSA of exactly this SA."""
    yield from guard(named)
    return (yield from ask(verbs.delete_sa(named)))


def update(sa: Sa) -> Procedure[Done]:
    """UPDSA of exactly this SA."""
    yield from guard(sa.id)
    return (yield from ask(verbs.update_sa(sa)))


# -- moves -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moved:
    """A move that happened.

    ``warning``   what the kernel said all the same; "Failed to send migration notification" only means that nobody listens
    ``before``, ``after``  the SA as it was read, None where it was not
    ``keys_equal``  None: not compared, or the kernel does not show keys (lockdown)
    """

    move: Migration
    warning: str = ""
    before: SaRecord | None = None
    after: SaRecord | None = None
    keys_equal: bool | None = None


def migrate(move: Migration, *, check: bool = True, verify: bool = False) -> Procedure[Moved]:
    """MIGRATE_STATE of exactly this SA, and what became of it.

    ``check``   refuse (ShadowedError) if the kernel would take another, or if two SAs would end up with one name
    ``verify``  read back and prove it (UnprovenError)

    SaLostError if the SA is at neither place afterwards: both Linux 7.2 (should its insertion fail) and the message's first version can leave it so.
    """
    before = (yield from guard(move.sa)) if check or verify else None
    if check:
        yield from _target_is_free(move)
    try:
        done = yield from ask(verbs.migrate_sa(move))
    except RefusedError as no:
        yield from _after_refusal(move, no)
        raise
    except TransportError as why:
        done = yield from _after_silence(move, before, why)
    if not verify:
        return Moved(move, done.warning, before)
    after, keys_equal = yield from prove(move, before)
    return Moved(move, done.warning, before, after, keys_equal)


def _target_is_free(move: Migration) -> Procedure[None]:
    """The kernel looks only where the destination changes; a new mark alone can make two of one name."""
    if not move.same_tuple or same_mark(move.new_mark, move.sa.mark):
        return
    found = yield from look_up(move.new_id)  # one that stands before it may hide it
    fitting = found.others if found.picked is None else (found.picked, *found.others)
    for there in fitting:
        if same_mark(there.mark, move.new_mark):
            raise AmbiguousError(
                f"migration of {move.sa}: there is an SA {there.id} already; the kernel would make a second one"
            )


def _after_refusal(move: Migration, no: RefusedError) -> Procedure[None]:
    """After EEXIST, look: shipped kernels keep the SA, the first version of the message did not."""
    if no.errno != errno.EEXIST:
        return
    old = yield from _get(move.sa)
    if old is None or not same_mark(old.mark, move.sa.mark):
        raise SaLostError(str(move.sa), no.text) from no
    there = yield from _get(move.new_id)
    if there is not None:
        no.add_note(f"at the new place is {there.id} ({_mark_text(there)})")


def _after_silence(
    move: Migration, before: SaRecord | None, why: TransportError
) -> Procedure[Done]:
    """The answer was lost. Did it happen? Look at both places."""
    new = yield from _get(move.new_id)
    if new is not None and same_mark(new.mark, move.new_mark) and _is_moved(move, before, new):
        return Done("the answer was lost; the SA was found at its new place")
    old = yield from _get(move.sa)
    if old is not None and same_mark(old.mark, move.sa.mark):
        raise TransportError(f"{why} (the SA is still at its old place)") from why
    if before is None and old is None and new is None:
        raise why
    raise SaLostError(str(move.sa), str(why)) from why


def _is_moved(move: Migration, before: SaRecord | None, now: SaRecord) -> bool:
    """Where its name stays, the rest of what was asked tells."""
    old = now if before is None else before
    return not any(_as_asked(move, old.sa, now.sa))


# -- proof -----------------------------------------------------------------------------------------

# What no message of a move can change (docs/migrate-state.md), and how to read it.
_IMMUTABLE: dict[str, Callable[[Sa], Any]] = {
    "mode": lambda sa: sa.mode,
    "flags": lambda sa: sa.flags,
    "extra flags": lambda sa: sa.extra_flags,
    "limits": lambda sa: sa.limits,
    "direction": lambda sa: sa.dir,
    "if_id": lambda sa: sa.if_id,
    "CPU": lambda sa: sa.cpu,
    "security context": lambda sa: sa.context,
    "TFC padding": lambda sa: sa.tfc_pad,
    "replay window": lambda sa: (sa.replay.window, sa.replay.words, sa.replay.esn),
    "algorithms": lambda sa: [(a.kind, a.name, a.key.bits, a.bits) for a in sa.algorithms],
}


def prove(move: Migration, before: SaRecord | None) -> Procedure[tuple[SaRecord, bool | None]]:
    """Read both places back. The SA as it is now, and whether its keys are equal (None: unreadable)."""
    if before is None:
        raise UnprovenError(move, ["it was not read before, so nothing can be compared"])
    after = yield from _get(move.new_id)
    if after is None or not same_mark(after.mark, move.new_mark):
        raise SaLostError(str(move.sa), "it is not at its new place")
    faults = [*_as_asked(move, before.sa, after.sa), *_inherited(before, after)]
    if move.new_id != move.sa:
        old = yield from _get(move.sa)
        if old is not None and same_mark(old.mark, move.sa.mark) and _same_sa(old, before):
            faults.append("the old SA is still there")
    keys_equal = _keys_equal(before.sa, after.sa)
    if keys_equal is False:
        faults.append("another key")
    if faults:
        raise UnprovenError(move, faults)
    return after, keys_equal


def _wanted(choice: Any, kept: Any, none: Any) -> Any:
    if choice is INHERIT:
        return kept
    return none if choice is REMOVE else choice


def _as_asked(move: Migration, old: Sa, new: Sa) -> Iterable[str]:
    encap = _wanted(move.encap, old.encap, None)
    thresholds = (old.mapping_threshold, old.nat_keepalive) if encap else (0, 0)
    pairs: list[tuple[str, Any, Any]] = [
        ("source", move.new_saddr, new.saddr),
        ("reqid", move.reqid, new.reqid),
        ("encapsulation", encap, new.encap),
        ("set-mark", _wanted(move.set_mark, old.set_mark, None), new.set_mark),
        (
            "mapping threshold",
            _wanted(move.mapping_threshold, thresholds[0], 0),
            new.mapping_threshold,
        ),
        ("NAT keep-alive", _wanted(move.nat_keepalive, thresholds[1], 0), new.nat_keepalive),
        ("offload", _wanted(move.offload, old.offload, None), new.offload),
    ]
    if move.sel is HOST_TO_HOST:
        source, target = Network.host(move.new_saddr), Network.host(move.new_daddr)
        pairs.append(("selector", replace(old.sel, saddr=source, daddr=target), new.sel))
    else:
        pairs.append(("selector", move.sel, new.sel))
    for what, wanted, got in pairs:
        if wanted != got:
            yield f"{what} is {got}, not {wanted}"


def _inherited(before: SaRecord, after: SaRecord) -> Iterable[str]:
    old, new = before.sa, after.sa
    for what, read in _IMMUTABLE.items():
        if read(old) != read(new):
            yield f"{what} changed from {read(old)} to {read(new)}"
    for what, was, now in (
        ("oseq", old.replay.oseq, new.replay.oseq),
        ("seq", old.replay.seq, new.replay.seq),
        ("bytes", before.counters.bytes, after.counters.bytes),
        ("packets", before.counters.packets, after.counters.packets),
    ):
        if now < was:
            yield f"{what} fell from {was} to {now}"


def _keys_equal(old: Sa, new: Sa) -> bool | None:
    answers = []
    for kind in AlgorithmKind:
        a, b = old.algorithm(kind), new.algorithm(kind)
        if a is not None and b is not None and a.key.bits:
            answers.append(a.key.matches(b.key))
    if False in answers:
        return False
    return None if None in answers else True
