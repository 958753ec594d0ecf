"""Recorded conversations: one netlink message a line, as JSON, in the kernel's order.

    {"t": 0.42, "netns": "ini", "dir": "req", "type": "XFRM_MSG_GETSA", "hex": "28000000…", "seq": 9}

``t``          seconds since the first record; never falls
``netns``      the network namespace; a file may hold several
``dir``        ``req`` to the kernel, ``reply`` its answer to the sender, ``event`` multicast
``hex``        the whole message, header included, in the byte order of the recorded host (little-endian); a datagram of several
               (a dump's part, a batch) may be one line, and becomes several records
``type``, ``seq``  of its header, repeated for readers; on NLMSG_ERROR also ``error``, 0 or a negative errno
``to_charon``  on events: whether the recorded daemon listens to their group

Reading is strict, because a recording is evidence. A line that contradicts itself is refused, and so is a file whose lines do not
follow from each other: time going back, an answer to a request that is not there, a request that is never answered, a sequence
number left out. The first fault is reported as ``file:line: what``; nothing is repaired.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import (
    NLM_F_ACK,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    NlMsgHdr,
)
from pyxfrm.errors import MalformedError, XfrmError
from pyxfrm.wire import messages, netlink
from pyxfrm.wire.codec import codec
from pyxfrm.wire.dialogue import is_dump
from pyxfrm.wire.netlink import HEADER_SIZE, ErrorBody

__all__ = [
    "Direction",
    "Record",
    "RecordingError",
    "answered_seq",
    "bundled",
    "line_of",
    "read",
    "write",
]

Direction = Literal["req", "reply", "event"]

MAX_LINE = 1 << 20  # bytes; the longest netlink message is 64 KiB, twice that in hexadecimal digits

_HEADER = codec(NlMsgHdr)
_HEX = re.compile(r"(?:[0-9a-f]{2})*").fullmatch
_KEYS: dict[str, frozenset[type]] = {
    "t": frozenset((int, float)),
    "netns": frozenset((str,)),
    "dir": frozenset((str,)),
    "type": frozenset((str,)),
    "hex": frozenset((str,)),
    "seq": frozenset((int,)),
}
_OPTIONAL = {"error": frozenset((int,)), "to_charon": frozenset((bool,))}
_EXPIRES = (m.XFRM_MSG_EXPIRE, m.XFRM_MSG_POLEXPIRE)
# Requests that are answered by data even without NLM_F_ACK.
_ASKING = frozenset(
    (
        m.XFRM_MSG_GETSA,
        m.XFRM_MSG_GETPOLICY,
        m.XFRM_MSG_ALLOCSPI,
        m.XFRM_MSG_GETAE,
        m.XFRM_MSG_GETSADINFO,
        m.XFRM_MSG_GETSPDINFO,
        m.XFRM_MSG_GETDEFAULT,
    )
)


class RecordingError(MalformedError):
    """A file that is not a recording, or not a whole and unchanged one. Says ``file:line: what``."""

    def __init__(self, file: str, line: int, what: str) -> None:
        XfrmError.__init__(self, f"{file}:{line}: {what}")
        self.file = file
        self.line = line
        self.what = what
        self.offset = 0


class Record(NamedTuple):
    """One line: ``message`` is the netlink message, padding after its end left out.

    ``line`` counts from 1; ``to_daemon`` is None except on events.
    """

    line: int
    t: float
    netns: str
    dir: Direction
    message: bytes
    to_daemon: bool | None = None

    @property
    def header(self) -> NlMsgHdr:
        """The message's header."""
        return _HEADER.decode(self.message)

    def __repr__(self) -> str:  # messages hold keys
        name = messages.message_name(self.header.nlmsg_type)
        return f"<Record {self.line}: {self.t:.6f} {self.netns} {self.dir} {name}>"


def bundled() -> list[Path]:
    """The recordings that come with pyxfrm, sorted by name."""
    return sorted((Path(__file__).parents[1] / "data" / "recordings").glob("*.jsonl"))


# -- writing ---------------------------------------------------------------------------------------


def line_of(record: Record) -> str:
    """The record as its line of text, newline included."""
    header = record.header
    fields: dict[str, Any] = {
        "t": round(record.t, 6),
        "netns": record.netns,
        "dir": record.dir,
        "type": messages.message_name(header.nlmsg_type),
        "hex": record.message.hex(),
        "seq": header.nlmsg_seq,
    }
    if header.nlmsg_type == NLMSG_ERROR:
        fields["error"] = _error_of(record.message)
    if record.to_daemon is not None:
        fields["to_charon"] = record.to_daemon
    return json.dumps(fields) + "\n"


def write(out: IO[str], records: Iterable[Record]) -> None:
    """Write records to a text file."""
    for record in records:
        out.write(line_of(record))


def _error_of(message: bytes) -> int:
    body = messages.decode(message).body
    assert isinstance(body, ErrorBody)  # noqa: S101  # decode gives nothing else for NLMSG_ERROR
    return body.error


# -- reading ---------------------------------------------------------------------------------------


def read(path: Path | str) -> Iterator[Record]:
    """The records of a file, one after the other.

    Raises :class:`RecordingError` at the first fault; faults of the end (answers that never come) after the last record.
    """
    path = Path(path)
    order = _Order()
    number = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE + 1):
                number += 1
                for record in _parse(line, number):
                    order.check(record)
                    yield record
        order.finish(number)
    except _Fault as why:
        raise RecordingError(str(path), why.line or number, why.what) from None
    except OSError as why:
        raise RecordingError(str(path), number, f"cannot be read: {why.strerror}") from None


class _Fault(Exception):  # noqa: N818  # becomes a RecordingError where the file's name is known
    def __init__(self, what: str, line: int = 0) -> None:
        self.what = what
        self.line = line


def _parse(line: bytes, number: int) -> list[Record]:
    if len(line) > MAX_LINE:
        raise _Fault(f"more than {MAX_LINE} bytes in one line: this is no recording")
    if not line.endswith(b"\n"):
        raise _Fault("the line does not end: the file was cut off")
    try:
        fields = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise _Fault("no JSON: this is no recording, or the line was cut") from None
    _check_fields(fields)
    t, netns, direction = float(fields["t"]), fields["netns"], fields["dir"]
    records = [
        Record(number, t, netns, direction, message, fields.get("to_charon"))
        for message in _check_hex(fields)
    ]
    _check_header(fields, records[0])
    for record in records:
        _check_message(record)
    return records


def _check_fields(fields: Any) -> None:
    if not isinstance(fields, dict):
        raise _Fault("not a JSON object: this is no recording")
    for key, types in _KEYS.items():
        if key not in fields:
            raise _Fault(f"no {key!r}: this is no recording, or the line was edited")
        if type(fields[key]) not in types:
            raise _Fault(f"{key!r} is of the wrong kind ({type(fields[key]).__name__})")
    for key in fields.keys() - _KEYS.keys():
        if key not in _OPTIONAL:
            raise _Fault(f"{key!r} is no field of a recording")
        if type(fields[key]) not in _OPTIONAL[key]:
            raise _Fault(f"{key!r} is of the wrong kind ({type(fields[key]).__name__})")
    if fields["dir"] not in ("req", "reply", "event"):
        raise _Fault(f"'dir' is {fields['dir'][:20]!r}: must be req, reply or event")
    if not math.isfinite(fields["t"]) or fields["t"] < 0:
        raise _Fault("'t' is not a time")
    if ("to_charon" in fields) != (fields["dir"] == "event"):
        raise _Fault("'to_charon' belongs on events, and only there")


def _check_hex(fields: dict[str, Any]) -> list[bytes]:
    """The messages of a line: one, or all of a datagram's."""
    if not _HEX(fields["hex"]):
        raise _Fault("'hex' is not pairs of hexadecimal digits")
    raw = bytes.fromhex(fields["hex"])
    if len(raw) < HEADER_SIZE:
        raise _Fault(f"'hex' has {len(raw)} bytes: a netlink header alone has {HEADER_SIZE}")
    if netlink.leftover(raw):
        length = int.from_bytes(raw[:4], sys.byteorder)
        raise _Fault(
            f"'hex' has {len(raw)} bytes, its header says {length}: cut, edited, or of another byte order"
        )
    return [raw[start:end] for start, end in netlink.frames(raw)]


def _check_header(fields: dict[str, Any], record: Record) -> None:
    """What the line says of its (first) message."""
    header = record.header
    name = messages.message_name(header.nlmsg_type)
    if fields["type"] != name:
        raise _Fault(f"'type' is {fields['type'][:40]!r}, the message is {name}")
    if fields["seq"] != header.nlmsg_seq:
        raise _Fault(f"'seq' is {fields['seq']}, the message says {header.nlmsg_seq}")
    if ("error" in fields) != (header.nlmsg_type == NLMSG_ERROR):
        raise _Fault("'error' belongs on NLMSG_ERROR, and only there")
    if "error" in fields:
        try:
            error = _error_of(record.message)
        except MalformedError as why:
            raise _Fault(f"the message does not decode: {why}") from None
        if fields["error"] != error:
            raise _Fault(f"'error' is {fields['error']}, the message says {error}")


def _check_message(record: Record) -> None:
    try:
        messages.decode(record.message)
    except MalformedError as why:
        # A daemon may send nonsense, and then it is refused; a kernel does not.
        if record.dir != "req":
            raise _Fault(f"the message does not decode: {why}") from None
    if record.dir == "req" and not record.header.nlmsg_flags & NLM_F_REQUEST:
        raise _Fault("a request without NLM_F_REQUEST")


def answered_seq(header: NlMsgHdr, waiting: Iterable[tuple[int, int]]) -> int:
    """The sequence number of the request that a reply or event belongs to.

    It repeats that number; only an EXPIRE or POLEXPIRE that was asked for has 0 there (net/xfrm/xfrm_user.c: build_expire), and then it belongs
    to the first of that kind among ``waiting``, (sequence number, message type) of each request.
    """
    seq, kind = header.nlmsg_seq, header.nlmsg_type
    if seq == 0 and kind in _EXPIRES:
        return next((open_seq for open_seq, asked in waiting if asked == kind), seq)
    return seq


class _Open(NamedTuple):
    """A request that still waits for its answer: data, data in many messages, or (last) an ACK.

    A ``silent`` one is answered only if it is refused.
    """

    line: int
    kind: int
    dump: bool
    ack: bool
    silent: bool

    def closed_by(self, answer: int) -> bool:
        """Whether a message of that type is the last of the answer."""
        if answer == NLMSG_ERROR:
            return True
        return answer == NLMSG_DONE if self.dump else not self.ack


class _Port:
    """What was said over one socket so far: its last sequence number, and requests without a whole answer, in order."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.open: dict[int, _Open] = {}

    def request(self, record: Record, header: NlMsgHdr) -> None:
        """The next request: its number must be the one after the last."""
        seq, ack = header.nlmsg_seq, bool(header.nlmsg_flags & NLM_F_ACK)
        if self.last is not None and seq != (self.last + 1) & 0xFFFFFFFF:
            raise _Fault(f"sequence number {seq} after {self.last}: lines are missing or reordered")
        self.last = seq
        silent = not ack and header.nlmsg_type not in _ASKING
        self.open[seq] = _Open(record.line, header.nlmsg_type, is_dump(header), ack, silent)

    def answer(self, record: Record, header: NlMsgHdr) -> None:
        """A reply or event for one of the open requests; the kernel answers in order, only dumps take their time."""
        seq = answered_seq(header, ((seq, waiting.kind) for seq, waiting in self.open.items()))
        if seq not in self.open:
            raise _Fault(
                f"{record.dir} to sequence number {seq} of port {header.nlmsg_pid}: "
                "no such request is waiting; lines are missing or reordered"
            )
        for earlier, waiting in list(self.open.items()):
            if earlier == seq:
                break
            if waiting.silent:
                del self.open[earlier]
            elif not waiting.dump:
                raise _Fault(
                    f"{record.dir} to sequence number {seq}, but {earlier} (line {waiting.line}) "
                    "has no answer yet: lines are missing or reordered"
                )
        if record.dir == "reply" and self.open[seq].closed_by(header.nlmsg_type):
            del self.open[seq]


class _Order:
    """Whether lines follow from each other; a port is named by its namespace and number."""

    def __init__(self) -> None:
        self.t = 0.0
        self.ports: dict[tuple[str, int], _Port] = {}

    def check(self, record: Record) -> None:
        """Take the next record."""
        if record.t < self.t:
            raise _Fault(
                f"time goes back from {self.t:.6f} to {record.t:.6f}: lines were reordered"
            )
        self.t = record.t
        header = record.header
        key = (record.netns, header.nlmsg_pid)
        if record.dir == "event" and key not in self.ports:
            return  # the kernel's own, or another program's whose requests were not recorded
        port = self.ports.setdefault(key, _Port())
        if record.dir == "req":
            port.request(record, header)
        else:
            port.answer(record, header)

    def finish(self, lines: int) -> None:
        """The file is at its end."""
        if not lines:
            raise _Fault("the file is empty: this is no recording", 1)
        for port in self.ports.values():
            for seq, waiting in port.open.items():
                if not waiting.silent:
                    raise _Fault(
                        f"the request with sequence number {seq} is never answered: "
                        "the file was cut off",
                        waiting.line,
                    )
