"""Ports to an engine in this process."""

from __future__ import annotations

import select
import threading
import time

import pytest

from pyxfrm.engine import Engine
from pyxfrm.errors import TransportError, UsageError
from pyxfrm.transport.base import LOST, Group
from pyxfrm.transport.local import EngineHost
from tests.transport.bytes import DUMP, GETSA, REQUEST, flush, message, new_sa, sad_info


def test_answers_are_there_when_send_returns(host: EngineHost) -> None:
    port = host.connect()
    assert port.recv() is None
    port.send(sad_info(3, port.portid))
    assert port.wait(0)
    first, second = port.recv(), port.recv()
    assert isinstance(first, bytes)
    assert isinstance(second, bytes)
    assert (first[4], second[4]) == (0x22, 2)
    assert port.recv() is None


def test_ports_are_numbered_and_hear_each_other(host: EngineHost) -> None:
    one, other = host.connect(), host.connect((Group.SA,))
    assert one.portid != other.portid
    third = one.sibling((Group.SA,))
    one.send(new_sa(1, one.portid, 0x100))
    assert other.recv() == third.recv() is not None
    third.close()
    one.send(new_sa(2, one.portid, 0x101))
    assert other.recv() is not None
    with pytest.raises(TransportError, match="closed"):
        third.recv()
    third.close()


def test_the_descriptor_is_readable_while_something_waits(host: EngineHost) -> None:
    port = host.connect()

    def readable() -> bool:
        return bool(select.select([port], [], [], 0)[0])

    assert not readable()
    port.send(flush(1))
    assert readable()
    port.recv()
    assert not readable()
    port.send(flush(2))
    fd = port.fileno()
    assert fd == port.fileno()
    assert readable()
    port.close()


def test_a_waiting_thread_is_woken(host: EngineHost) -> None:
    listener, speaker = host.connect((Group.SA,)), host.connect()
    timer = threading.Timer(0.05, speaker.send, (new_sa(1, 1, 0x100),))
    start = time.monotonic()
    timer.start()
    assert listener.wait(10)
    assert time.monotonic() - start < 5
    assert not speaker.sibling().wait(0.01)
    timer.join()


def test_timers_run_while_somebody_waits() -> None:
    now = [1000.0]
    host = EngineHost(Engine(), clock=lambda: now[0])
    port = host.connect((Group.EXPIRE,))
    port.send(with_hard_limit(new_sa(1, port.portid, 0x100), seconds=5))
    while port.recv() is not None:
        pass
    assert port.deadline() is not None
    now[0] += 60
    assert port.deadline() == 0
    assert port.wait(0)
    event = port.recv()
    assert isinstance(event, bytes)
    assert event[4] == 0x18


def with_hard_limit(sa: bytes, seconds: int) -> bytes:
    at = 16 + 56 + 24 + 16 + 40  # hard_add_expires_seconds
    return sa[:at] + seconds.to_bytes(8, "little") + sa[at + 8 :]


def test_a_slow_listener_is_told_that_it_lost_something(host: EngineHost) -> None:
    listener, speaker = host.connect((Group.SA,)), host.connect()
    for i in range(300):
        speaker.send(new_sa(i, 1, 0x100 + i))
        speaker.recv()
    got = [listener.recv()]
    while (data := listener.recv()) is not None:
        got.append(data)
    assert got[0] is LOST
    assert got.count(LOST) == 1
    assert 100 < len(got) < 300


def test_a_long_dump_comes_in_parts(host: EngineHost) -> None:
    port = host.connect()
    for i in range(300):
        port.send(new_sa(i, 1, 0x100 + i))
        port.recv()
    port.send(message(GETSA, REQUEST | DUMP, 9, port.portid))
    parts = []
    while (data := port.recv()) is not None:
        assert isinstance(data, bytes)
        parts.append(data)
    assert len(parts) > 3
    assert parts[-1][4] == 3


def test_an_unknown_group_is_refused(host: EngineHost) -> None:
    with pytest.raises(UsageError, match="group 77"):
        host.connect((77,))
