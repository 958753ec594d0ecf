"""Tracer, fault injector, recorder, replayer: around an engine, or around a script."""

from __future__ import annotations

import io
import tracemalloc
from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path

import pytest

from pyxfrm.engine import Engine
from pyxfrm.errors import TransportError, UsageError
from pyxfrm.transport.base import LOST, Group, Lost, Transport
from pyxfrm.transport.faults import FaultInjector, Faults
from pyxfrm.transport.local import EngineHost
from pyxfrm.transport.recorder import Recorder
from pyxfrm.transport.recording import bundled, read
from pyxfrm.transport.replayer import Replayer
from pyxfrm.transport.tracer import Tracer, traced
from tests.transport.bytes import DUMP, GETSA, REQUEST, ack, flush, message, new_sa, sad_info

KEY = b"0123456789abcdefSALT"


def keyed_sa(seq: int, pid: int) -> bytes:
    """NEWSA with rfc4106(gcm(aes)) and KEY."""
    plain = new_sa(seq, pid, 0x777)
    fixed = plain[: -2 * (4 + 68)]
    name = b"rfc4106(gcm(aes))".ljust(64, b"\0")
    body = name + (160).to_bytes(4, "little") + (128).to_bytes(4, "little") + KEY
    attr = (4 + len(body)).to_bytes(2, "little") + (18).to_bytes(2, "little") + body
    whole = fixed + attr
    return len(whole).to_bytes(4, "little") + whole[4:]


class Script:
    """A transport that gives what the test says."""

    def __init__(self, received: Iterable[bytes | Lost] = ()) -> None:
        self.received = deque(received)
        self.sent: list[bytes] = []
        self.portid = 1

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def recv(self) -> bytes | Lost | None:
        return self.received.popleft() if self.received else None

    def wait(self, timeout: float | None) -> bool:
        return bool(self.received)

    def fileno(self) -> int:
        return -1

    def deadline(self) -> float | None:
        return None

    def join(self, groups: Iterable[int]) -> None:
        return

    def sibling(self, groups: Iterable[int] = ()) -> Transport:
        return Script(self.received)

    def close(self) -> None:
        return


def drain(port: Transport) -> list[bytes | Lost]:
    got = []
    while port.wait(0):
        data = port.recv()
        if data is not None:
            got.append(data)
    return got


# -- tracer --------------------------------------------------------------------------------------


def test_the_tracer_shows_everything_but_keys(host: EngineHost) -> None:
    out = io.StringIO()
    with Tracer(host.connect((Group.SA,)), out) as port:
        port.send(keyed_sa(5, port.portid))
        drain(port)
        port.send(message(GETSA, REQUEST | DUMP, 6, port.portid))
        drain(port)
    text = out.getvalue()
    assert "> 1: XFRM_MSG_NEWSA" in text
    assert "< 1: NLMSG_ERROR 0" in text
    assert "rfc4106" in text or b"rfc4106".hex() in text
    assert KEY.hex() not in text
    assert "0123456789abcdef" not in text
    assert "20 bytes hidden" in text


def test_the_tracer_tells_of_losses_and_of_rests() -> None:
    out = io.StringIO()
    port = Tracer(Script([LOST, flush(1) + b"\0\0\0junk"]), out)
    assert drain(port)[0] is LOST
    assert "lost" in out.getvalue()
    assert "4 bytes that are no message" in out.getvalue()
    other = port.sibling()
    assert isinstance(other, Tracer)
    assert other.out is out


def test_it_is_on_only_if_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script()
    for value, wanted in (("", False), ("0", False), ("1", True)):
        monkeypatch.setenv("PYXFRM_DEBUG", value)
        assert isinstance(traced(script), Tracer) is wanted
    monkeypatch.delenv("PYXFRM_DEBUG")
    assert traced(script) is script


# -- faults --------------------------------------------------------------------------------------

ACK = ack(flush(1, 1))
PART = message(0x10, 2, 3, 1, bytes(224))


def run(seed: int, faults: Faults, received: Iterable[bytes | Lost]) -> list[bytes | Lost]:
    return drain(FaultInjector(Script(received), seed, faults))


def test_without_faults_nothing_changes() -> None:
    port = FaultInjector(Script([ACK, LOST, PART]), 1, Faults())
    port.send(b"x" * 16)
    assert drain(port) == [ACK, LOST, PART]
    assert port.log == []


def test_each_fault_does_what_it_says() -> None:
    assert run(1, Faults(drop=1), [ACK, PART]) == []
    assert run(1, Faults(drop=1), [PART] * 2_000) == []
    assert run(1, Faults(duplicate=1), [ACK]) == [ACK, ACK]
    assert run(1, Faults(enobufs=1), [ACK, PART]) == [LOST, LOST]
    (part,) = run(1, Faults(interrupt=1), [PART])
    assert isinstance(part, bytes)
    assert part[6] == 0x12
    assert part[:6] + b"\2" + part[7:] == PART
    assert run(1, Faults(interrupt=1), [ACK]) == [ACK]


def test_a_held_answer_comes_after_the_next_datagram_or_nothing() -> None:
    port = FaultInjector(Script([ACK, PART]), 1, Faults(delay=1))
    assert port.recv() is None
    assert port.wait(0)
    assert port.deadline() == 0
    assert drain(port) == [PART, ACK]
    alone = FaultInjector(Script([ACK]), 1, Faults(delay=1))
    assert alone.recv() is None
    assert alone.recv() == ACK


def test_a_refused_request_is_not_sent_but_answered() -> None:
    script = Script()
    port = FaultInjector(script, 1, Faults(refuse=1, errno=28))
    port.send(flush(9, 1))
    assert script.sent == []
    (answer,) = drain(port)
    assert isinstance(answer, bytes)
    assert answer[4:6] == b"\2\0"
    assert int.from_bytes(answer[16:20], "little", signed=True) == -28
    assert answer[20:36] == flush(9, 1)[:16]
    assert answer[8:12] == (9).to_bytes(4, "little")


def test_a_signal_cuts_the_call_and_nothing_is_lost() -> None:
    port = FaultInjector(Script([ACK] * 50), 3, Faults(eintr=0.5))
    got = 0
    cut = 0
    while got < 50:
        try:
            got += port.recv() is not None
        except InterruptedError:
            cut += 1
    assert cut > 10


def test_the_same_seed_gives_the_same_run() -> None:
    faults = Faults(drop=0.1, duplicate=0.1, delay=0.2, enobufs=0.1, interrupt=0.3)
    stream = [ack(flush(i, 1)) if i % 2 else PART for i in range(200)]
    runs = [run(seed, faults, stream) for seed in (7, 7, 8)]
    assert runs[0] == runs[1] != runs[2]
    logged = FaultInjector(Script(stream), 7, faults)
    drain(logged)
    struck = Counter(name for name, _ in logged.log)
    assert set(struck) == {"drop", "duplicate", "delay", "enobufs", "interrupt"}


def test_a_probability_is_a_probability() -> None:
    with pytest.raises(UsageError, match="drop"):
        Faults(drop=1.5)


# -- recorder and replayer -----------------------------------------------------------------------


def record(path: Path) -> list[bytes | Lost]:
    """Add two SAs, dump them, flush; what the caller saw."""
    host = EngineHost(Engine())
    with path.open("w") as out:
        port = Recorder(host.connect(), out, "here")
        seen: list[bytes | Lost] = []
        for seq, data in enumerate((new_sa, new_sa), 1):
            port.send(data(seq, port.portid, 0x100 + seq))
            seen += drain(port)
        table = port.sibling()
        table.send(message(GETSA, REQUEST | DUMP, 1, table.portid))
        seen += drain(table)
        table.close()
        port.send(flush(3, port.portid))
        seen += drain(port)
        port.close()
    return seen


def test_a_recording_is_one_that_the_reader_takes(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    seen = record(path)
    records = list(read(path))
    assert [(r.dir, r.header.nlmsg_type) for r in records] == [
        ("req", 0x10),
        ("event", 0x10),
        ("reply", 2),
        ("req", 0x10),
        ("event", 0x10),
        ("reply", 2),
        ("req", 0x12),
        ("reply", 0x10),
        ("reply", 0x10),
        ("reply", 3),
        ("req", 0x1C),
        ("event", 0x1C),
        ("reply", 2),
    ]
    assert {r.to_daemon for r in records if r.dir == "event"} == {False}
    assert all(isinstance(d, bytes) and d[4] in (2, 3, 0x10) for d in seen)
    assert len(seen) == 5  # two ACKs, a dump part, DONE, an ACK: no events, nobody asked


def test_a_request_that_was_answered_is_held_no_longer() -> None:
    class Nowhere(io.StringIO):
        def write(self, text: str) -> int:
            return len(text)

    script = Script()
    port = Recorder(script, Nowhere())
    tracemalloc.start()
    try:
        for seq in range(5_000):
            port.send(flush(seq, 1))
            script.sent.clear()
            script.received.append(ack(flush(seq, 1)))
            assert port.recv() is not None
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 50_000  # bytes


def test_events_that_are_asked_for_come_through(tmp_path: Path, host: EngineHost) -> None:
    with (tmp_path / "run.jsonl").open("w") as out:
        port = Recorder(host.connect(), out)
        port.join((Group.SA,))
        port.send(new_sa(1, port.portid, 0x100))
        assert port.wait(0)
        assert port.deadline() == 0
        assert len(drain(port)) == 2
        assert not port.wait(0)
        port.close()
    events = [r for r in read(tmp_path / "run.jsonl") if r.dir == "event"]
    assert [e.to_daemon for e in events] == [True]


def test_what_was_recorded_can_be_played_back(tmp_path: Path) -> None:
    record(tmp_path / "run.jsonl")
    played = Replayer(read(tmp_path / "run.jsonl"))
    port = played.sibling((Group.SA,))
    for seq in (1, 2):
        port.send(new_sa(seq + 40, port.portid, 0x100 + seq))
        event, reply = drain(port)
        assert isinstance(event, bytes)
        assert isinstance(reply, bytes)
        assert event[4] == 0x10
        assert reply[8:12] == (seq + 40).to_bytes(4, "little")
        assert reply[12:16] == port.portid.to_bytes(4, "little")
        assert reply[28:32] == (seq + 40).to_bytes(4, "little")
    assert not port.finished
    with pytest.raises(TransportError, match=r"line 7 has header.nlmsg_\w+ = \d+, asked was"):
        port.send(flush(50, port.portid))


def test_a_bundled_recording_plays_to_its_end() -> None:
    path = next(p for p in bundled() if p.name == "A1-v4-linkdown.jsonl")
    records = list(read(path))
    port = Replayer(records, "ini")
    requests = [r for r in records if r.netns == "ini" and r.dir == "req"]
    replies = [r for r in records if r.netns == "ini" and r.dir == "reply"]
    for r in requests:
        port.send(r.message)
    assert [d[16:] for d in drain(port) if isinstance(d, bytes) and d[4] != 2] == [
        r.message[16:] for r in replies if r.header.nlmsg_type != 2
    ]
    assert port.finished
    with pytest.raises(TransportError, match="after the recording's end"):
        port.send(sad_info(1))
