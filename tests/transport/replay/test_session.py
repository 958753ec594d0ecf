"""Recordings run without a difference; what is changed in them is noticed, or refused if it cannot be."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLMSG_ERROR
from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, Profile
from pyxfrm.abi.structs import ReplayState, UserSaInfo
from pyxfrm.errors import XfrmError
from pyxfrm.transport.recording import Record, RecordingError, bundled
from pyxfrm.transport.replay.kernel import profile_of
from pyxfrm.transport.replay.others import POLICIES_TAKEN_OUT, PUT_IN, TAKEN_OUT
from pyxfrm.transport.replay.session import Report, replay
from pyxfrm.wire import messages
from pyxfrm.wire.attrs import make
from pyxfrm.wire.codec import codec
from pyxfrm.wire.describe import difference
from pyxfrm.wire.messages import Message
from tests.transport.replay.edit import Edit, change, deep, find, records_of, saved

each = pytest.mark.parametrize("path", bundled(), ids=lambda path: path.stem)


@each
def test_a_recording_runs_without_a_difference(path: Path) -> None:
    report = replay(path, profile_of(path))
    assert [list(difference(one.expected, one.got)) for one in report.differences] == []
    assert report.replies.compared == report.replies.identical > 0
    assert report.events.compared == report.events.identical > 0
    assert report.messages == path.read_text().count("\n")


@each
def test_other_programs_meddled_only_where_they_did(path: Path) -> None:
    report = replay(path, profile_of(path))
    scenario = path.name.partition("-")[0]
    assert report.inputs[PUT_IN] == (scenario == "G1")
    assert report.inputs[TAKEN_OUT] == (scenario == "G3")
    assert report.inputs[POLICIES_TAKEN_OUT] == 0


def test_a_profile_that_is_not_the_recorded_kernel_differs() -> None:
    path = next(path for path in bundled() if path.name == "A1-v4-linkdown.jsonl")
    report = replay(path, LINUX_6_12)
    assert not report.identical
    assert report.replies.identical < report.replies.compared
    assert report.events.identical < report.events.compared


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    replay(bundled()[0], LINUX_7_2, lambda done, steps: told.append((done, steps)))
    assert told[-1][0] == told[-1][1] == len(told)
    assert [done for done, _ in told] == list(range(1, len(told) + 1))


# -- edited recordings -------------------------------------------------------------------------------

A1 = records_of("A1-v4-linkdown.jsonl")
REPLY_SA = find(A1, "reply", m.XFRM_MSG_NEWSA, "ini", skip=3)
ALLOCATED = find(A1, "reply", m.XFRM_MSG_NEWSA, "ini")
MADE_POLICY = find(A1, "event", m.XFRM_MSG_NEWPOLICY, "ini")
MOVED = find(A1, "event", m.XFRM_MSG_MIGRATE_STATE, "ini")
GONE_SA = find(A1, "event", m.XFRM_MSG_DELSA, "ini")
GONE_POLICY = find(A1, "event", m.XFRM_MSG_DELPOLICY, "ini")


def run(path: Path, records: list[Record], profile: Profile = LINUX_7_2) -> Report:
    return replay(saved(path / "x.jsonl", records), profile)


def body(path: str, new: object) -> Edit:
    return lambda message: message._replace(body=deep(message.body, path, new))


def attribute(number: int, value: bytes | None) -> Edit:
    def edit(message: Message) -> Message:
        attrs = [
            attr if attr.number != number or value is None else make(number, value)
            for attr in message.attrs
            if attr.number != number or value is not None
        ]
        return message._replace(attrs=tuple(attrs))

    return edit


NOTICED: list[tuple[int, Edit, str]] = [
    (REPLY_SA, body("reqid", 77), "xfrm_usersa_info.reqid"),
    (REPLY_SA, body("curlft.add_time", 5), "xfrm_usersa_info.curlft.add_time"),
    (REPLY_SA, body("lft.soft_byte_limit", 5), "xfrm_usersa_info.lft.soft_byte_limit"),
    (REPLY_SA, attribute(m.XFRMA_SA_DIR, None), "XFRMA_SA_DIR"),
    (REPLY_SA, attribute(m.XFRMA_SA_DIR, b"\3"), "XFRMA_SA_DIR"),
    (MADE_POLICY, body("priority", 5), "xfrm_userpolicy_info.priority"),
    (MADE_POLICY, body("curlft.use_time", 5), "xfrm_userpolicy_info.curlft.use_time"),
    (MOVED, body("new_reqid", 5), "xfrm_user_migrate_state.new_reqid"),
    (GONE_SA, body("proto", 5), "xfrm_usersa_id.proto"),
    (GONE_POLICY, body("index", 5), "xfrm_userpolicy_id.index"),
]


@pytest.mark.parametrize(
    ("at", "edit", "field"), NOTICED, ids=lambda x: "" if callable(x) else str(x)[:50]
)
def test_a_changed_field_is_noticed_at_its_line(
    at: int, edit: Edit, field: str, tmp_path: Path
) -> None:
    report = run(tmp_path, change(A1, at, edit))
    (one,) = report.differences
    assert (one.kind, one.line, one.netns) == ("differs", at + 1, "ini")
    assert field in [name for name, _, _ in difference(one.expected, one.got)]


def test_an_event_left_out_is_noticed(tmp_path: Path) -> None:
    report = run(tmp_path, A1[:MOVED] + A1[MOVED + 1 :])
    (one,) = report.differences
    assert (one.kind, one.got) == ("extra", A1[MOVED].message)
    assert report.events.compared == report.events.identical


def test_an_event_put_in_is_noticed(tmp_path: Path) -> None:
    report = run(tmp_path, A1[: MOVED + 1] + A1[MOVED:])
    (one,) = report.differences
    assert (one.kind, one.expected) == ("missing", A1[MOVED].message)
    assert report.events.compared == report.events.identical + 1


def test_an_event_behind_its_ack_is_noticed(tmp_path: Path) -> None:
    """The kernel notifies first, then acknowledges; the other order cannot even be read: the request is closed."""
    event, ack = A1[MOVED], A1[MOVED + 1]
    assert ack.header.nlmsg_type == NLMSG_ERROR
    swapped = [ack._replace(t=event.t), event._replace(t=ack.t)]
    with pytest.raises(RecordingError, match="no such request is waiting"):
        run(tmp_path, A1[:MOVED] + swapped + A1[MOVED + 2 :])


def test_an_event_of_timers_that_never_came_is_noticed(tmp_path: Path) -> None:
    """After an ALLOCSPI somebody asks for something else a minute later: the larval SA must have expired meanwhile."""
    begin = [record for record in A1[: ALLOCATED + 1] if record.netns == "ini"]
    seq = begin[-1].header.nlmsg_seq + 1
    later = [
        record._replace(t=begin[-1].t + 60, message=numbered(record.message, seq))
        for record in begin[:2]
    ]
    report = run(tmp_path, begin + later)
    ((kind, line, _, _, got),) = report.differences
    assert (kind, line) == ("extra", len(begin) + 1)
    assert messages.decode(got).header.nlmsg_type == m.XFRM_MSG_EXPIRE
    assert run(tmp_path, begin).identical


def numbered(message: bytes, seq: int) -> bytes:
    """A message with another sequence number."""
    made = messages.decode(message)
    return made._replace(header=made.header._replace(nlmsg_seq=seq)).encode()


# -- what cannot be ----------------------------------------------------------------------------------

ASKED_IN = find(A1, "reply", m.XFRM_MSG_NEWSA, "ini", skip=3)
ASKED_OUT = find(A1, "reply", m.XFRM_MSG_NEWSA, "ini", skip=4)
GONE_IN = find(A1, "event", m.XFRM_MSG_DELSA, "ini")
GONE_OUT = find(A1, "event", m.XFRM_MSG_DELSA, "ini", skip=1)
SECOND_POLICY = find(A1, "event", m.XFRM_MSG_NEWPOLICY, "ini", skip=3)


def gone(path: str, new: object) -> Edit:
    """A field of the SA that a DELSA shows."""

    def edit(message: Message) -> Message:
        info = deep(message.get(m.XFRMA_SA), path, new)
        return attribute(m.XFRMA_SA, codec(UserSaInfo).encode(info))(message)

    return edit


def sequences(**fields: int) -> Edit:
    def edit(message: Message) -> Message:
        state = message.get(m.XFRMA_REPLAY_VAL)._replace(**fields)
        return attribute(m.XFRMA_REPLAY_VAL, codec(ReplayState).encode(state))(message)

    return edit


IMPOSSIBLE: list[tuple[int, Edit, str]] = [
    (GONE_IN, gone("curlft.bytes", 5), "bytes cannot go from 21660 to 5"),
    (GONE_IN, gone("curlft.packets", 94), "packets cannot go from 95 to 94"),
    (GONE_IN, gone("curlft.use_time", 1), "use_time cannot go from"),
    (GONE_IN, attribute(m.XFRMA_LASTUSED, None), "lastused cannot go from"),
    (GONE_IN, attribute(m.XFRMA_LASTUSED, bytes([255] * 4) + bytes(4)), "lastused cannot go from"),
    (GONE_IN, sequences(seq=94), "replay cannot go from"),
    (GONE_IN, sequences(bitmap=0xFFFFFFFE), "replay cannot go from"),
    (GONE_OUT, sequences(oseq=1), "replay cannot go from"),
    (ALLOCATED, body("id.spi", 0), "SPI 0x00000000 is not in the range 0xc0000000 to 0xcfffffff"),
    (ALLOCATED, body("id.spi", 0xD0000000), "SPI 0xd0000000 is not in the range"),
    (MADE_POLICY, body("index", 65), "policy index 65 is not one of direction 0"),
    (MADE_POLICY, body("index", 0), "policy index 0 is not one of direction 0"),
    (SECOND_POLICY, body("index", 81), "policy index 81 is taken"),
    (MADE_POLICY, body("curlft.add_time", 1795280914), "contradicts the times before it"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("at", "edit", "why"), IMPOSSIBLE, ids=lambda x: "" if callable(x) else str(x)[:50]
)
def test_what_cannot_be_is_refused_at_its_line(
    at: int, edit: Edit, why: str, tmp_path: Path
) -> None:
    with pytest.raises(RecordingError) as caught:
        run(tmp_path, change(A1, at, edit))
    assert why in caught.value.what
    if "contradicts" not in why:
        assert caught.value.line == at + 1


def test_statistics_that_fall_are_refused(tmp_path: Path) -> None:
    records = change(A1, ASKED_IN, body("stats.integrity_failed", 5))
    with pytest.raises(RecordingError, match="stats cannot go from"):
        run(tmp_path, records)


def test_packets_without_keys_are_refused(tmp_path: Path) -> None:
    g3 = records_of("G3")
    at = next(
        i
        for i, record in enumerate(g3)
        if record.dir == "reply"
        and record.header.nlmsg_type == m.XFRM_MSG_NEWSA
        and messages.decode(record.message).body.seq == 1
    )
    with pytest.raises(RecordingError, match="has no keys yet") as caught:
        run(tmp_path, change(g3, at, body("curlft.packets", 5)))
    assert caught.value.line == at + 1


def test_an_acquire_number_that_falls_is_refused(tmp_path: Path) -> None:
    g3 = records_of("G3")
    at = find(g3, "event", m.XFRM_MSG_ACQUIRE, skip=1)
    with pytest.raises(RecordingError, match="ACQUIRE number 1 after 1") as caught:
        run(tmp_path, change(g3, at, body("seq", 1)))
    assert caught.value.line == at + 1


def test_a_mapping_that_maps_nothing_is_refused(tmp_path: Path) -> None:
    d1 = records_of("D1")
    at = find(d1, "event", m.XFRM_MSG_MAPPING)
    port = messages.decode(d1[at].message).body.old_sport
    with pytest.raises(RecordingError, match="are what they were") as caught:
        run(tmp_path, change(d1, at, body("new_sport", port)))
    assert caught.value.line == at + 1


@pytest.mark.parametrize("kind", [m.XFRM_MSG_ACQUIRE, m.XFRM_MSG_MAPPING])
def test_an_event_that_the_tables_do_not_explain_is_missing(kind: int, tmp_path: Path) -> None:
    name, path, value = {
        m.XFRM_MSG_ACQUIRE: ("G3", "policy.index", 8001),
        m.XFRM_MSG_MAPPING: ("D1", "id.spi", 8001),
    }[kind]
    records = records_of(name)
    at = find(records, "event", kind)
    report = run(tmp_path, change(records, at, body(path, value)))
    first = report.differences[0]
    assert (first.kind, first.line) == ("missing", at + 1)


# -- nothing is masked -------------------------------------------------------------------------------

FREE = {  # what traffic or setsockopt alone decides, and may decide so
    "curlft.bytes", "curlft.packets", "curlft.use_time", "stats.replay_window", "stats.replay",
    "stats.integrity_failed", "XFRMA_LASTUSED", "XFRMA_REPLAY_VAL.oseq", "XFRMA_REPLAY_VAL.seq",
    "XFRMA_REPLAY_VAL.bitmap", "XFRMA_SPD_INFO.inscnt", "XFRMA_SPD_INFO.outscnt",
    "XFRMA_SPD_INFO.fwdscnt", "xfrm_user_mapping.new_saddr", "xfrm_user_mapping.new_sport",
}  # fmt: skip


@pytest.mark.parametrize("name", ["A1-v4-linkdown.jsonl", "D1", "F7-ipcomp@6.12.101"])
def test_every_bit_of_an_answer_counts(name: str, tmp_path: Path) -> None:
    """A flipped bit of any answer is noticed, or is one of what only traffic decides."""
    records = records_of(name)
    profile = profile_of(Path(name + ".jsonl" if "@" in name else name))
    answers = [i for i, record in enumerate(records) if record.dir != "req"]
    chance = random.Random(name)
    for _ in range(150):
        at = chance.choice(answers)
        raw = bytearray(records[at].message)
        raw[chance.randrange(16, len(raw))] ^= 1 << chance.randrange(8)
        edited = [*records[:at], records[at]._replace(message=bytes(raw)), *records[at + 1 :]]
        if not noticed(tmp_path, edited, profile):
            changed = {f for f, _, _ in difference(records[at].message, bytes(raw))}
            assert all(any(f.endswith(free) for free in FREE) for f in changed), changed


def noticed(tmp_path: Path, records: list[Record], profile: Profile) -> bool:
    try:
        return not run(tmp_path, records, profile).identical
    except XfrmError:
        return True
