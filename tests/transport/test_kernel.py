"""Sockets of this machine's kernel, in a network namespace of the test's own."""

from __future__ import annotations

import os
import select
from contextlib import closing
from pathlib import Path

import pytest

from pyxfrm.errors import TransportError, UsageError
from pyxfrm.transport.base import ALL_GROUPS, LOST, Group
from pyxfrm.transport.kernel import KernelTransport
from pyxfrm.transport.netns import in_netns, open_netns
from tests.transport.bytes import flush, new_policy, sad_info


def test_a_request_is_answered_before_send_returns(scratch_netns: str) -> None:
    with closing(KernelTransport(scratch_netns)) as with_port:
        ask_and_look(with_port)


def ask_and_look(with_port: KernelTransport) -> None:
    assert with_port.recv() is None
    assert not with_port.wait(0)
    with_port.send(flush(7, with_port.portid))
    assert with_port.wait(0)
    assert select.select([with_port], [], [], 0)[0] == [with_port]
    reply = with_port.recv()
    assert isinstance(reply, bytes)
    assert reply[4:6] == b"\2\0"
    assert reply[16:20] == bytes(4)
    assert int.from_bytes(reply[6:8], "little") & 0x100  # capped: the request is not echoed
    assert with_port.recv() is None


def test_it_is_in_the_namespace_it_was_asked_for(scratch_netns: str) -> None:
    fd = open_netns(scratch_netns)
    try:
        there = in_netns(fd, lambda: Path("/proc/thread-self/ns/net").stat().st_ino)
        assert there == os.fstat(fd).st_ino
    finally:
        os.close(fd)
    assert Path("/proc/thread-self/ns/net").stat().st_ino != there


def test_siblings_share_the_namespace_and_hear_each_other(scratch_netns: str) -> None:
    with (
        closing(KernelTransport(scratch_netns)) as first,
        closing(first.sibling((Group.POLICY,))) as second,
    ):
        assert second.portid != first.portid
        first.send(new_policy(1, first.portid, 7))
        reply, event = first.recv(), second.recv()
        assert isinstance(reply, bytes)
        assert reply[16:20] == bytes(4)
        assert isinstance(event, bytes)
        assert event[4:6] == b"\x13\0"
        first.close()


def test_what_does_not_fit_is_lost_once_and_said_so(scratch_netns: str) -> None:
    small = KernelTransport(scratch_netns, ALL_GROUPS, receive_buffer=2304)
    with closing(KernelTransport(scratch_netns)) as speaker, closing(small) as listener:
        for i in range(40):
            speaker.send(new_policy(1 + i, speaker.portid, i))
            assert speaker.recv() is not None
        got = []
        while (data := listener.recv()) is not None:
            got.append(data)
        assert got.count(LOST) == 1
        assert 1 < len(got) < 40
        speaker.send(new_policy(99, speaker.portid, 99))
        assert isinstance(listener.recv(), bytes)


def test_a_datagram_too_large_to_send_is_refused_with_what_to_do(scratch_netns: str) -> None:
    port = KernelTransport(scratch_netns)
    with closing(port), pytest.raises(TransportError, match="send it in parts"):
        port.send(sad_info(1) * 200_000)
    with pytest.raises(TransportError, match="closed"):
        port.send(sad_info(1))


@pytest.mark.parametrize(
    ("netns", "why"),
    [
        ("no-such-namespace", "there is no /run/netns/no-such-namespace"),
        ("", "not a name"),
        ("..", "not a name"),
        ("/proc/no/such", "there is no /proc/no/such"),
        (2**22 + 1, "there is no /proc/4194305"),
    ],
)
def test_a_namespace_that_is_not_there(netns: str | int, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        KernelTransport(netns)


def test_a_file_that_is_no_namespace(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises((UsageError, TransportError), match="namespace"):
        KernelTransport(file)


def test_an_unknown_group_is_refused(scratch_netns: str) -> None:
    with pytest.raises(TransportError, match="group 77"):
        KernelTransport(scratch_netns, (77,))
