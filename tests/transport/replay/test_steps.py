"""Which records belong together, and in which order things happened."""

from __future__ import annotations

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_MULTI, NLM_F_REQUEST, NLMSG_DONE
from pyxfrm.transport.recording import Direction, Record, bundled, read
from pyxfrm.transport.replay.steps import Step, steps_of

ASK = NLM_F_REQUEST | NLM_F_ACK
ERROR = 2


def said(*lines: tuple[str, Direction, int, int, int]) -> list[Record]:
    """Records of (netns, dir, type, port, sequence number), bodies left out."""
    records = []
    for i, (netns, direction, kind, pid, seq) in enumerate(lines, 1):
        flags = ASK if direction == "req" else 0
        header = (16, kind, flags, seq, pid)
        raw = b"".join(
            n.to_bytes(size, "little") for n, size in zip(header, (4, 2, 2, 4, 4), strict=True)
        )
        records.append(Record(i, i / 10, netns, direction, raw))
    return records


def lines_of(steps: list[Step]) -> list[list[int]]:
    return [
        [r.line for r in ((step.request,) if step.request else ()) + step.outputs] for step in steps
    ]


def test_a_request_and_its_effects_are_one_step() -> None:
    steps = steps_of(
        said(
            ("a", "req", m.XFRM_MSG_NEWSA, 5, 1),
            ("b", "req", m.XFRM_MSG_NEWSA, 5, 1),
            ("a", "event", m.XFRM_MSG_NEWSA, 5, 1),
            ("b", "event", m.XFRM_MSG_NEWSA, 5, 1),
            ("b", "reply", ERROR, 5, 1),
            ("a", "reply", ERROR, 5, 1),
        )
    )
    assert lines_of(steps) == [[1, 3, 6], [2, 4, 5]]
    assert [step.window for step in steps] == [(0.1, 0.3), (0.2, 0.4)]
    assert [step.netns for step in steps] == ["a", "b"]


def test_a_batch_keeps_its_order_whatever_is_answered_first() -> None:
    steps = steps_of(
        said(
            ("a", "req", m.XFRM_MSG_NEWSA, 5, 1),
            ("a", "req", m.XFRM_MSG_NEWSA, 5, 2),
            ("a", "req", m.XFRM_MSG_NEWSA, 5, 3),
            ("a", "reply", ERROR, 5, 1),
            ("a", "reply", ERROR, 5, 3),
        )
    )
    assert lines_of(steps) == [[1, 4], [2], [3, 5]]


def test_a_dump_takes_its_time() -> None:
    records = said(
        ("a", "req", m.XFRM_MSG_GETSA, 5, 1),
        ("a", "reply", m.XFRM_MSG_NEWSA, 5, 1),
        ("a", "req", m.XFRM_MSG_DELSA, 5, 2),
        ("a", "reply", ERROR, 5, 2),
        ("a", "reply", NLMSG_DONE, 5, 1),
    )
    assert NLM_F_DUMP
    assert NLM_F_MULTI
    assert lines_of(steps_of(records)) == [[1, 2, 5], [3, 4]]


def test_an_event_that_nobody_asked_for_is_a_step_of_its_own() -> None:
    steps = steps_of(
        said(
            ("a", "event", m.XFRM_MSG_EXPIRE, 0, 0),
            ("a", "req", m.XFRM_MSG_DELSA, 5, 1),
            ("a", "event", m.XFRM_MSG_ACQUIRE, 0, 0),
            ("b", "event", m.XFRM_MSG_ACQUIRE, 0, 0),
            ("a", "event", m.XFRM_MSG_DELSA, 5, 1),
            ("a", "event", m.XFRM_MSG_MAPPING, 0, 0),
            ("a", "reply", ERROR, 5, 1),
            ("a", "event", m.XFRM_MSG_EXPIRE, 0, 0),
        )
    )
    assert lines_of(steps) == [[1], [3], [4], [2, 5, 7], [6], [8]]
    assert [step.inside for step in steps] == [False, True, False, False, True, False]


def test_a_change_of_a_port_without_requests_is_another_programs() -> None:
    steps = steps_of(
        said(
            ("a", "event", m.XFRM_MSG_DELSA, 77, 3),
            ("a", "req", m.XFRM_MSG_DELSA, 5, 3),
            ("a", "reply", ERROR, 5, 3),
        )
    )
    assert lines_of(steps) == [[1], [2, 3]]


def test_events_without_a_name_find_their_request() -> None:
    steps = steps_of(
        said(
            ("a", "req", m.XFRM_MSG_SETDEFAULT, 5, 1),
            ("b", "event", m.XFRM_MSG_GETDEFAULT, 0, 0),
            ("a", "event", m.XFRM_MSG_GETDEFAULT, 0, 0),
            ("a", "reply", ERROR, 5, 1),
            ("a", "event", m.XFRM_MSG_GETDEFAULT, 0, 0),
            ("a", "req", m.XFRM_MSG_EXPIRE, 5, 2),
            ("a", "event", m.XFRM_MSG_EXPIRE, 5, 0),
            ("a", "reply", ERROR, 5, 2),
        )
    )
    assert lines_of(steps) == [[2], [1, 3, 4], [5], [6, 7, 8]]


def test_every_record_is_in_one_step() -> None:
    for path in bundled():
        records = list(read(path))
        found = sorted(line for lines in lines_of(steps_of(records)) for line in lines)
        assert found == [record.line for record in records]
