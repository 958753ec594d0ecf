"""The kernel's choice worked out from a dump; and moves that end in every way, told as a script."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi.profiles import EXACT_MARKS, LINUX_7_2
from pyxfrm.client import ShadowedError, UnprovenError, Xfrm, safety, verbs
from pyxfrm.client.procedure import Peek, Procedure
from pyxfrm.client.records import SaRecord
from pyxfrm.client.request import Done, Request
from pyxfrm.engine import Engine
from pyxfrm.errors import RefusedError, SaLostError, TransportError, XfrmError
from pyxfrm.model import (
    REMOVE,
    Encap,
    Key,
    Limits,
    Mark,
    Migration,
    Offload,
    OffloadFlag,
    Proto,
    ReplayState,
    Sa,
    SaId,
)
from tests.client.scenarios import PEER, SA, THERE, numbered
from tests.transport.bytes import message


def record(sa: Sa) -> SaRecord:
    return SaRecord.of(message(0x10, 0, 0, 0, verbs.add_sa(sa).payload))


# -- pick ------------------------------------------------------------------------------------------

small_marks = st.builds(lambda v, mask: Mark(v & mask, mask), st.integers(0, 3), st.integers(0, 3))


@given(st.lists(st.none() | small_marks, max_size=6), st.none() | small_marks, st.booleans())
def test_the_pick_from_a_dump_is_the_engines(
    marks: list[Mark | None], asked: Mark | None, exact: bool
) -> None:
    """What is worked out from a dump is what GETSA gives, under either rule."""
    xfrm = Xfrm.engine(Engine(EXACT_MARKS if exact else LINUX_7_2))
    for number, mark in enumerate(marks):
        with suppress(RefusedError):  # EEXIST: an earlier one is in the way
            xfrm.add_sa(replace(numbered(5, mark), reqid=number + 1))
    found = safety.pick(xfrm.sas(), numbered(5, asked).id, exact_marks=exact)
    try:
        kernel = xfrm.get_sa(numbered(5, asked).id).reqid
    except RefusedError:
        assert found.picked is None
        return
    assert found.picked is not None
    assert found.picked.reqid == kernel
    assert xfrm.look_up(found.named).picked is not None


def test_another_spi_protocol_or_address_does_not_fit() -> None:
    others = [
        numbered(6),
        replace(SA, id=SaId(PEER, Proto.AH, 5)),
        replace(SA, id=SaId(THERE, Proto.ESP, 5)),
    ]
    assert safety.pick(map(record, others), numbered(5).id).picked is None


def test_mobile_ipv6_sas_are_found_by_both_addresses() -> None:
    name = SaId(PEER, Proto.HAO, saddr=SA.saddr)
    sa = replace(SA, id=name, algorithms=())
    assert safety.pick([record(sa)], name).exact
    assert safety.pick([record(sa)], replace(name, saddr=THERE)).picked is None


def test_sas_that_a_device_carries_whole_come_first() -> None:
    whole = replace(numbered(5), offload=Offload(3, OffloadFlag.PACKET), reqid=1)
    plain = replace(numbered(5), offload=Offload(3), reqid=2)
    found = safety.pick([record(plain), record(whole)], numbered(5).id)
    assert found.picked is not None
    assert found.picked.reqid == 1
    assert not found.exact  # two of one name
    assert [o.reqid for o in found.others] == [2]


def test_no_mark_is_the_mark_of_zeros() -> None:
    assert safety.same_mark(None, Mark(0, 0))
    assert not safety.same_mark(None, Mark(0))
    assert not safety.same_mark(Mark(0, 0xFF), Mark(0, 0xF))


# -- moves as scripts --------------------------------------------------------------------------------

BEFORE = replace(SA, encap=Encap(4500, 4500), replay=replace(SA.replay, oseq=50, seq=60))
MOVE = Migration.of(BEFORE, daddr=THERE)
AFTER = replace(BEFORE, id=MOVE.new_id)
NOBODY = RefusedError("XFRM_MSG_GETSA", errno.ESRCH)
SILENCE = TransportError("no answer")
OLD, NEW = "old", "new"

Reply = Sa | Done | XfrmError


def run(procedure: Procedure[Any], script: Iterable[tuple[str, Reply]]) -> Any:
    """Play ``script``: (what must be asked, what is answered); the procedure's result."""
    steps = iter(script)
    try:
        asked = next(procedure)
        while True:
            what, answer = next(steps, ("the end", Done()))
            assert told(asked) == what
            if isinstance(answer, XfrmError):
                asked = procedure.throw(answer)
            else:
                asked = procedure.send(record(answer) if isinstance(answer, Sa) else answer)
    except StopIteration as end:
        assert next(steps, None) is None, "the script goes on"
        return end.value


def told(step: Request[Any] | Peek) -> str:
    assert isinstance(step, Request)
    if step.type == m.XFRM_MSG_GETSA:
        return f"look {OLD if step.subject == MOVE.sa else NEW}"
    return {m.XFRM_MSG_MIGRATE_STATE: "move", m.XFRM_MSG_DELSA: "delete"}[step.type]


def test_a_move_that_is_proven() -> None:
    moved = run(
        safety.migrate(MOVE, verify=True),
        [
            (f"look {OLD}", BEFORE),
            ("move", Done("Failed to send migration notification")),
            (f"look {NEW}", AFTER),
            (f"look {OLD}", NOBODY),
        ],
    )
    assert moved.keys_equal is True
    assert moved.warning == "Failed to send migration notification"
    assert (moved.before.sa, moved.after.sa) == (BEFORE, AFTER)


def test_a_move_without_checks_is_one_message() -> None:
    moved = run(safety.migrate(MOVE, check=False), [("move", Done())])
    assert (moved.before, moved.after, moved.keys_equal) == (None, None, None)


def test_refused_and_still_there() -> None:
    no = RefusedError("XFRM_MSG_MIGRATE_STATE", errno.EEXIST, "New SA tuple already occupied")
    with pytest.raises(RefusedError) as caught:
        run(
            safety.migrate(MOVE),
            [
                (f"look {OLD}", BEFORE),
                ("move", no),
                (f"look {OLD}", BEFORE),
                (f"look {NEW}", replace(AFTER, reqid=99)),
            ],
        )
    assert caught.value is no
    assert "at the new place is dst 203.0.113.10" in caught.value.__notes__[0]


def test_refused_and_gone_means_lost() -> None:
    no = RefusedError("XFRM_MSG_MIGRATE_STATE", errno.EEXIST, "New SA tuple already occupied")
    with pytest.raises(SaLostError, match="re-establish it at the IKE level"):
        run(
            safety.migrate(MOVE),
            [(f"look {OLD}", BEFORE), ("move", no), (f"look {OLD}", NOBODY)],
        )


def test_another_refusal_is_passed_on() -> None:
    no = RefusedError("XFRM_MSG_MIGRATE_STATE", errno.EINVAL)
    with pytest.raises(RefusedError):
        run(safety.migrate(MOVE), [(f"look {OLD}", BEFORE), ("move", no)])


def test_silence_and_moved() -> None:
    moved = run(
        safety.migrate(MOVE),
        [(f"look {OLD}", BEFORE), ("move", SILENCE), (f"look {NEW}", AFTER)],
    )
    assert "the answer was lost" in moved.warning


@pytest.mark.parametrize("check", [True, False])
def test_silence_about_a_move_that_keeps_the_name(check: bool) -> None:
    """Only what was asked to change tells whether it did."""
    encap = Encap(4500, 4777)
    move = replace(Migration.of(BEFORE), encap=encap)
    at = f"look {OLD}"
    script: list[tuple[str, Any]] = [(at, BEFORE), ("move", SILENCE)][not check :]
    moved = run(safety.migrate(move, check=check), [*script, (at, replace(BEFORE, encap=encap))])
    assert "the answer was lost" in moved.warning
    with pytest.raises(TransportError, match="still at its old place"):
        run(safety.migrate(move, check=check), [*script, (at, BEFORE), (at, BEFORE)])


def test_silence_and_not_moved() -> None:
    with pytest.raises(TransportError, match="still at its old place"):
        run(
            safety.migrate(MOVE),
            [
                (f"look {OLD}", BEFORE),
                ("move", SILENCE),
                (f"look {NEW}", NOBODY),
                (f"look {OLD}", BEFORE),
            ],
        )


def test_silence_and_at_neither_place() -> None:
    with pytest.raises(SaLostError):
        run(
            safety.migrate(MOVE),
            [
                (f"look {OLD}", BEFORE),
                ("move", SILENCE),
                (f"look {NEW}", NOBODY),
                (f"look {OLD}", NOBODY),
            ],
        )


def test_silence_about_an_sa_that_never_was() -> None:
    with pytest.raises(TransportError, match="no answer"):
        run(
            safety.migrate(MOVE),
            [
                (f"look {OLD}", NOBODY),
                ("move", SILENCE),
                (f"look {NEW}", NOBODY),
                (f"look {OLD}", NOBODY),
            ],
        )


def proof(after: Sa, old: Reply = NOBODY, move: Migration = MOVE) -> Any:
    script: list[tuple[str, Reply]] = [
        (f"look {OLD}", BEFORE),
        ("move", Done()),
        (f"look {NEW if move.new_id != move.sa else OLD}", after),
    ]
    if move.new_id != move.sa:
        script.append((f"look {OLD}", old))
    return run(safety.migrate(move, verify=True, check=True), script)


FAULTS = [
    (replace(AFTER, replay=replace(AFTER.replay, oseq=49)), "oseq fell from 50 to 49"),
    (replace(AFTER, replay=replace(AFTER.replay, seq=0)), "seq fell"),
    (replace(AFTER, replay=replace(ReplayState.of(256, esn=True), oseq=50, seq=60)), "window"),
    (replace(AFTER, limits=Limits()), "limits changed"),
    (replace(AFTER, saddr=THERE), "source is 203.0.113.10, not 192.0.2.10"),
    (replace(AFTER, reqid=8), "reqid is 8, not 7"),
    (replace(AFTER, encap=None), "encapsulation is None"),
    (replace(AFTER, nat_keepalive=1), "NAT keep-alive"),
    (replace(AFTER, mapping_threshold=1), "mapping threshold"),
    (replace(AFTER, set_mark=Mark(1)), "set-mark"),
    (replace(AFTER, if_id=9), "if_id changed from 0 to 9"),
    (replace(AFTER, cpu=1), "CPU"),
    (replace(AFTER, sel=AFTER.sel.reversed()), "selector"),
    (replace(AFTER, offload=Offload(2)), "offload"),
    (
        replace(AFTER, algorithms=(replace(AFTER.algorithms[0], key=Key(b"k" * 20)),)),
        "another key",
    ),
]


@pytest.mark.parametrize(("after", "why"), FAULTS, ids=[why for _, why in FAULTS])
def test_whatever_is_not_as_it_should_be_is_found(after: Sa, why: str) -> None:
    with pytest.raises(UnprovenError, match=why) as caught:
        proof(after)
    assert "k" * 20 not in str(caught.value)


def test_an_old_sa_that_stays_is_found() -> None:
    with pytest.raises(UnprovenError, match="the old SA is still there"):
        proof(AFTER, old=BEFORE)


def test_an_older_sa_that_comes_to_light_is_not_the_old_one() -> None:
    proof(AFTER, old=replace(BEFORE, saddr=THERE, reqid=1))


def test_an_sa_that_is_nowhere_is_lost() -> None:
    with pytest.raises(SaLostError, match="not at its new place"):
        run(
            safety.migrate(MOVE, verify=True),
            [(f"look {OLD}", BEFORE), ("move", Done()), (f"look {NEW}", NOBODY)],
        )


def test_zeros_instead_of_keys_prove_nothing() -> None:
    hidden = replace(AFTER, algorithms=(replace(AFTER.algorithms[0], key=Key(bytes(20))),))
    assert proof(hidden).keys_equal is None


def test_a_removed_encapsulation_takes_its_thresholds_along() -> None:
    move = replace(MOVE, encap=REMOVE)
    assert proof(replace(AFTER, encap=None), move=move).keys_equal is True


def test_an_sa_that_is_shadowed_is_not_deleted() -> None:
    xfrm = Xfrm.engine(Engine())
    xfrm.add_sa(numbered(5, Mark(1, 1)))
    xfrm.add_sa(numbered(5))
    with pytest.raises(ShadowedError) as caught:
        xfrm.delete_sa(numbered(5, Mark(1, 1)).id)
    assert "it stands before the one named" in str(caught.value)
    with pytest.raises(ShadowedError, match="there is none with the mark named"):
        xfrm.delete_sa(numbered(5, Mark(3, 3)).id)
    xfrm.delete_sa(numbered(5, Mark(1, 1)).id, check=False)
    assert [r.mark for r in xfrm.sas()] == [Mark(1, 1)]


def test_an_sa_is_not_moved_onto_a_name_that_another_hides() -> None:
    xfrm = Xfrm.engine(Engine())
    xfrm.add_sa(numbered(5, Mark(1, 1)))
    xfrm.add_sa(numbered(5))
    move = replace(Migration.of(numbered(5)), mark=Mark(1, 1))
    with pytest.raises(safety.AmbiguousError, match="the kernel would make a second one"):
        xfrm.migrate_sa(move)


some_marks = st.sampled_from((None, Mark(0, 1), Mark(1, 1), Mark(1, 3), Mark(3, 3)))


@given(st.lists(st.tuples(some_marks, st.booleans()), max_size=5))
def test_a_deletion_of_many_hits_no_other_unless_a_bystander_is_told(
    wanted: list[tuple[Mark | None, bool]],
) -> None:
    xfrm = Xfrm.engine(Engine())
    for mark, doomed in wanted:
        with suppress(RefusedError):  # the kernel finds one that stands before it
            xfrm.add_sa(replace(numbered(5, mark), reqid=int(doomed)))
    table = list(xfrm.sas())
    doomed_ones = [record for record in table if record.info.reqid]
    hit = safety.bystander(table, doomed_ones)
    for record in doomed_ones:
        with suppress(RefusedError):
            xfrm.delete_sa(record.id, check=False)
    stay = [record.mark for record in xfrm.sas() if not record.info.reqid]
    others = [record.mark for record in table if not record.info.reqid]
    assert (hit is None) == (stay == others)
    assert hit is None or hit[1].mark not in stay
