"""Recordings: what was recorded reads back, and what was cut, edited or reordered is refused by file and line."""

from __future__ import annotations

import io
import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_MULTI, NLM_F_REQUEST
from pyxfrm.errors import MalformedError
from pyxfrm.transport.recording import (
    MAX_LINE,
    Record,
    RecordingError,
    bundled,
    line_of,
    read,
    write,
)
from pyxfrm.wire import messages
from pyxfrm.wire.attrs import decode_payload, encode_payload, payload_size
from pyxfrm.wire.describe import describe, difference, summary

FILES = bundled()
SAMPLE = next(path for path in FILES if path.name == "D1-nat-port-change.jsonl")
LINES = SAMPLE.read_text().splitlines(keepends=True)

each = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def fault(path: Path, lines: list[str]) -> RecordingError:
    path.write_text("".join(lines))
    with pytest.raises(RecordingError) as caught:
        list(read(path))
    assert str(caught.value).startswith(f"{path}:{caught.value.line}: ")
    return caught.value


def edited(number: int, **fields: Any) -> list[str]:
    """LINES with fields of one line changed; None takes a field out."""
    changed = json.loads(LINES[number - 1]) | fields
    kept = {key: value for key, value in changed.items() if value is not None}
    return [*LINES[: number - 1], json.dumps(kept) + "\n", *LINES[number:]]


def test_there_are_recordings() -> None:
    assert len(FILES) == 50


@each
def test_a_recording_is_written_as_it_was_read(path: Path) -> None:
    out = io.StringIO()
    write(out, read(path))
    assert out.getvalue() == path.read_text()


@each
def test_every_recorded_message_round_trips(path: Path) -> None:
    for record in read(path):
        made = messages.decode(record.message)
        assert made.encode() == record.message
        row = m.MESSAGES.get(made.header.nlmsg_type)
        for attr in made.attrs if row else ():
            assert row
            kind = row.space[attr.number][1]
            value = decode_payload(attr.number, attr.payload, row.space)
            assert payload_size(kind, attr.payload) == len(attr.payload)
            assert encode_payload(attr.number, value, row.space) == attr.payload
        assert describe(record.message)
        assert summary(record.message)
        assert not list(difference(record.message, record.message))


@each
def test_no_recorded_key_is_shown(path: Path) -> None:
    for record in read(path):
        made = messages.decode(record.message)
        text = f"{describe(record.message)} {made!r} {record!r}"
        for number in (m.XFRMA_ALG_AEAD, m.XFRMA_ALG_CRYPT, m.XFRMA_ALG_AUTH_TRUNC):
            row = m.MESSAGES.get(made.header.nlmsg_type)
            algorithm = made.get(number) if row and row.space is m.ATTRIBUTES else None
            if algorithm and algorithm.alg_key:
                assert algorithm.alg_key.hex() not in text
                assert repr(algorithm.alg_key)[2:-1] not in text


# -- edited lines ----------------------------------------------------------------------------------

REQUEST = 1
EVENT = 14
ACK = 15

EDITS: list[tuple[int, dict[str, Any], str]] = [
    (REQUEST, {"t": None}, "no 't'"),
    (REQUEST, {"t": "0"}, "'t' is of the wrong kind (str)"),
    (REQUEST, {"t": True}, "'t' is of the wrong kind (bool)"),
    (REQUEST, {"t": -1.0}, "'t' is not a time"),
    (REQUEST, {"t": float("nan")}, "'t' is not a time"),
    (REQUEST, {"t": float("inf")}, "'t' is not a time"),
    (REQUEST, {"extra": 1}, "'extra' is no field"),
    (REQUEST, {"dir": "in"}, "must be req, reply or event"),
    (REQUEST, {"to_charon": True}, "'to_charon' belongs on events"),
    (EVENT, {"to_charon": None}, "'to_charon' belongs on events"),
    (EVENT, {"to_charon": 1}, "'to_charon' is of the wrong kind (int)"),
    (REQUEST, {"error": 0}, "'error' belongs on NLMSG_ERROR"),
    (ACK, {"error": None}, "'error' belongs on NLMSG_ERROR"),
    (ACK, {"error": -22}, "'error' is -22, the message says 0"),
    (REQUEST, {"type": "XFRM_MSG_NEWSA"}, "the message is XFRM_MSG_GETSPDINFO"),
    (REQUEST, {"seq": 2}, "'seq' is 2, the message says 1"),
    (REQUEST, {"hex": "0"}, "pairs of hexadecimal digits"),
    (REQUEST, {"hex": "14 0000"}, "pairs of hexadecimal digits"),
    (REQUEST, {"hex": "1400000025"}, "'hex' has 5 bytes"),
    (REQUEST, {"hex": "15" + "00" * 19}, "'hex' has 20 bytes, its header says 21"),
    (REQUEST, {"hex": "0f" + "00" * 19}, "its header says 15"),
    (REQUEST, {"hex": "00000014" + "00" * 16}, "of another byte order"),
    (EVENT, {"hex": struct.pack("=IHHII", 16, m.XFRM_MSG_UPDSA, 0, 4, 985).hex()}, "does not decode"),
    (
        REQUEST,
        {"hex": struct.pack("=IHHIII", 20, m.XFRM_MSG_GETSPDINFO, 0, 1, 990, 0).hex()},
        "without NLM_F_REQUEST",
    ),
    (REQUEST, {"dir": "reply"}, "no such request is waiting"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "fields", "what"), EDITS, ids=lambda x: str(x)[:40])
def test_an_edited_line_is_refused(
    line: int, fields: dict[str, Any], what: str, tmp_path: Path
) -> None:
    why = fault(tmp_path / "x.jsonl", edited(line, **fields))
    assert what in why.what
    assert why.line == line


NOT_RECORDINGS: list[tuple[bytes, str]] = [
    (b"", "the file is empty"),
    (b"\n", "no JSON"),
    (b"\x1f\x8b\x08\x00\n", "no JSON"),
    (b"\xff\xfe\n", "no JSON"),
    (b"17\n", "not a JSON object"),
    (b"[" * 100_000 + b"\n", "no JSON"),
    (b'{"t": 1' + b"0" * 5000 + b"}\n", "no JSON"),
    (b'{"t": 1}\n', "no 'netns'"),
    (b" " * (MAX_LINE + 1), "more than 1048576 bytes"),
    (b'{"t": 0', "cut off"),
]


@pytest.mark.parametrize(("data", "what"), NOT_RECORDINGS, ids=lambda x: str(x)[:20])
def test_what_is_no_recording_is_refused(data: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(data)
    with pytest.raises(RecordingError) as caught:
        list(read(path))
    assert what in str(caught.value)
    assert caught.value.line == 1


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(MalformedError, match=f"{path}:0: cannot be read: "):
            list(read(path))


# -- lines that do not follow from each other --------------------------------------------------------


def test_lines_left_out_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    assert "is waiting" in fault(path, LINES[1:]).what
    assert "sequence number 3 after 1" in fault(path, LINES[:2] + LINES[4:]).what
    why = fault(path, LINES[:-1])
    assert "is never answered: the file was cut off" in why.what
    without_ack = fault(path, [*LINES[:14], *LINES[15:]])
    assert "lines are missing or reordered" in without_ack.what


def test_every_swap_of_two_lines_is_noticed(tmp_path: Path) -> None:
    for i in range(len(LINES) - 1):
        swapped = [*LINES]
        swapped[i], swapped[i + 1] = swapped[i + 1], swapped[i]
        fault(tmp_path / "x.jsonl", swapped)


def test_a_line_twice_is_noticed(tmp_path: Path) -> None:
    for i, line in enumerate(LINES):
        if json.loads(line)["dir"] == "event":
            continue  # that an event comes once too often is for the replay to see
        fault(tmp_path / "x.jsonl", [*LINES[: i + 1], *LINES[i:]])


def test_a_file_cut_anywhere_is_refused_or_ends_after_an_answer(tmp_path: Path) -> None:
    whole = "".join(LINES)
    path = tmp_path / "x.jsonl"
    for at in random.Random(7).sample(range(len(whole)), 60):
        path.write_text(whole[:at])
        try:
            records = list(read(path))
        except RecordingError:
            continue
        assert whole[at - 1] == "\n"
        assert records[-1].dir != "req"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, sum(map(len, LINES))), st.binary(max_size=3)), max_size=3))
def test_any_file_reads_or_is_refused(tmp_path: Path, edits: list[tuple[int, bytes]]) -> None:
    raw = bytearray("".join(LINES).encode())
    for at, new in edits:
        raw[at : at + len(new)] = new
    path = tmp_path / "x.jsonl"
    path.write_bytes(raw)
    try:
        for record in read(path):
            line_of(record)
    except RecordingError as why:
        text = str(why)
    else:
        text = ""
    assert "\n" not in text


# -- conversations that are in order -------------------------------------------------------------------


def conversation(*said: tuple[str, int, int, int]) -> list[Record]:
    """Records of (dir, type, flags, seq), one a millisecond, bodies all zeros."""
    sizes: dict[int, Callable[[], bytes]] = {2: lambda: bytes(20), 3: lambda: bytes(4)}
    records = []
    for i, (direction, number, flags, seq) in enumerate(said):
        body = sizes.get(number, lambda: bytes(224))()
        raw = struct.pack("=IHHII", 16 + len(body), number, flags, seq, 9) + body
        records.append(Record(i + 1, i / 1000, "a", direction, raw))  # type: ignore[arg-type]
    return records


IN_ORDER = {
    "a dump and a request meanwhile": conversation(
        ("req", m.XFRM_MSG_GETSA, NLM_F_REQUEST | NLM_F_DUMP, 1),
        ("reply", m.XFRM_MSG_NEWSA, NLM_F_MULTI, 1),
        ("req", m.XFRM_MSG_DELSA, NLM_F_REQUEST | NLM_F_ACK, 2),
        ("reply", 2, 0, 2),
        ("reply", m.XFRM_MSG_NEWSA, NLM_F_MULTI, 1),
        ("reply", 3, NLM_F_MULTI, 1),
    ),
    "a dump with an ACK flag": conversation(
        ("req", m.XFRM_MSG_GETPOLICY, NLM_F_REQUEST | NLM_F_DUMP | NLM_F_ACK, 1),
        ("reply", 3, NLM_F_MULTI, 1),
    ),
    "a batch, the first refused": conversation(
        ("req", m.XFRM_MSG_NEWSA, NLM_F_REQUEST, 1),
        ("req", m.XFRM_MSG_NEWSA, NLM_F_REQUEST, 2),
        ("req", m.XFRM_MSG_NEWSA, NLM_F_REQUEST | NLM_F_ACK, 3),
        ("reply", 2, 0, 1),
        ("reply", 2, 0, 3),
    ),
    "data, then an ACK": conversation(
        ("req", m.XFRM_MSG_GETSA, NLM_F_REQUEST | NLM_F_ACK, 0xFFFFFFFF),
        ("reply", m.XFRM_MSG_NEWSA, 0, 0xFFFFFFFF),
        ("reply", 2, 0, 0xFFFFFFFF),
        ("req", m.XFRM_MSG_GETSA, NLM_F_REQUEST, 0),
        ("reply", m.XFRM_MSG_NEWSA, 0, 0),
    ),
}


@pytest.mark.parametrize("name", sorted(IN_ORDER))
def test_answers_may_come_in_the_kernels_order(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with path.open("w") as out:
        write(out, IN_ORDER[name])
    assert list(read(path)) == IN_ORDER[name]


def test_padding_behind_a_message_is_left_out(tmp_path: Path) -> None:
    raw = struct.pack("=IHHIIB", 17, m.XFRM_MSG_FLUSHSA, NLM_F_REQUEST, 1, 9, 50)
    (record,) = [Record(1, 0.0, "a", "req", raw)]
    path = tmp_path / "x.jsonl"
    path.write_text(line_of(record).replace(raw.hex(), raw.hex() + "000000"))
    assert list(read(path)) == [record]


def test_a_datagram_of_several_messages_becomes_several_records(tmp_path: Path) -> None:
    records = IN_ORDER["a batch, the first refused"]
    path = tmp_path / "x.jsonl"
    joined = b"".join(record.message for record in records[:3])
    first = line_of(records[0]).replace(records[0].message.hex(), joined.hex())
    path.write_text(first + "".join(map(line_of, records[3:])))
    found = list(read(path))
    assert [record.message for record in found] == [record.message for record in records]
    assert [record.line for record in found] == [1, 1, 1, 2, 3]
    path.write_text(first.replace(joined.hex(), joined.hex() + "00" * 8))
    with pytest.raises(RecordingError, match="its header says"):
        list(read(path))
