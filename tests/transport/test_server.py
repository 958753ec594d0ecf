"""An engine behind a unix socket, and ports to it from elsewhere."""

from __future__ import annotations

import select
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NETLINK_CAP_ACK, NETLINK_DROP_MEMBERSHIP, NETLINK_EXT_ACK
from pyxfrm.client import Xfrm
from pyxfrm.engine import Engine
from pyxfrm.errors import TransportError, UsageError
from pyxfrm.model import Limits
from pyxfrm.transport.base import ALL_GROUPS, LOST, Group
from pyxfrm.transport.frames import (
    DATA,
    DONE,
    HELLO,
    JOIN,
    JOINED,
    LARGEST,
    OPTION,
    REFUSED,
    TWO_U32,
    U32,
)
from pyxfrm.transport.local import EngineHost
from pyxfrm.transport.remote import RemoteTransport
from pyxfrm.transport.server import EngineServer, serving
from tests.client.scenarios import SA
from tests.transport.bytes import DUMP, GETSA, REQUEST, flush, message, new_sa, sad_info

Connect = Callable[..., RemoteTransport]


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """The path of a running server's socket."""
    where = tmp_path / "xfrm"
    with EngineServer(EngineHost(Engine()), where) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield where
        server.stop()
        thread.join(10)
        assert not thread.is_alive()
    assert not where.exists()


@pytest.fixture
def connect(path: Path) -> Iterator[Connect]:
    """Makes ports to the server at ``path``, and closes them at the end."""
    with ExitStack() as stack:
        yield lambda *groups: stack.enter_context(closing(RemoteTransport(path, groups)))


def receive(port: RemoteTransport) -> bytes:
    assert port.wait(10)
    data = port.recv()
    assert isinstance(data, bytes)
    return data


def test_requests_are_answered(connect: Connect) -> None:
    port = connect()
    assert port.recv() is None
    port.send(sad_info(3, port.portid))
    assert receive(port)[4] == 0x22
    assert receive(port)[4] == 2
    port.send(flush(4) + b"\0\0\0" + sad_info(5))
    assert [receive(port)[4] for _ in range(3)] == [2, 0x22, 2]
    assert not port.wait(0)


def test_each_connection_is_a_port_and_hears_the_others(connect: Connect) -> None:
    speaker = connect()
    sibling = speaker.sibling((Group.SA,))
    listener = connect(Group.SA)
    assert speaker.portid != listener.portid
    speaker.send(new_sa(1, speaker.portid, 0x100))
    assert receive(speaker)[16:20] == bytes(4)
    assert receive(listener) == receive(sibling)
    sibling.close()
    assert select.select([listener], [], [], 0)[0] == []
    late = connect()
    speaker.send(new_sa(2, speaker.portid, 0x101))
    late.join((Group.SA,))
    assert not late.wait(0.05)


def test_only_the_owner_may_connect(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_events_that_come_before_they_are_asked_for_are_kept(connect: Connect) -> None:
    port = connect(Group.SA)
    other = connect()
    other.send(new_sa(1, 1, 0x100))
    receive(other)
    port.join((Group.POLICY,))
    assert port.deadline() == 0
    assert receive(port)[4] == 0x10
    assert port.deadline() is None


def test_a_long_dump_arrives_whole(connect: Connect) -> None:
    port = connect()
    for i in range(500):
        port.send(new_sa(i, 1, 0x100 + i))
        receive(port)
    port.send(message(GETSA, REQUEST | DUMP, 9, port.portid))
    seen = 0
    while (data := receive(port))[4] != 3:
        seen += data.count(b"digest_null")
    assert seen == 500 * 2  # AUTH and AUTH_TRUNC


def test_a_client_that_does_not_read_loses_events_and_is_told(connect: Connect) -> None:
    slow = connect(*ALL_GROUPS)
    speaker = connect()
    for i in range(1500):
        speaker.send(new_sa(i, 1, 0x100 + i))
        receive(speaker)
    got = []
    while slow.wait(0.2):
        got.append(slow.recv())
    assert LOST in got
    speaker.send(new_sa(1, 1, 0x10000))
    assert isinstance(receive(slow), bytes)


def test_an_unknown_group_is_refused_and_the_port_lives_on(connect: Connect) -> None:
    port = connect()
    with pytest.raises(UsageError, match="group 77"):
        port.join((77,))
    port.send(flush(1))
    assert receive(port)[16:20] == bytes(4)


@pytest.mark.parametrize("frame", [b"\x07what", b"\2", b"\2\0\0"])
def test_a_client_that_speaks_nonsense_is_disconnected_alone(
    path: Path, connect: Connect, frame: bytes
) -> None:
    good = connect()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as bad:
        bad.settimeout(10)
        bad.connect(str(path))
        bad.recv(LARGEST)
        bad.send(frame)
        assert bad.recv(LARGEST) == b""
    good.send(flush(1))
    assert receive(good)[16:20] == bytes(4)


def test_a_dead_server_is_said_to_be_dead(tmp_path: Path) -> None:
    where = tmp_path / "xfrm"
    with pytest.raises(UsageError, match="is it running"):
        RemoteTransport(where)
    server = EngineServer(EngineHost(Engine()), where)
    thread = threading.Thread(target=server.serve_once, args=(10,))
    thread.start()
    port = RemoteTransport(where)
    thread.join()
    server.close()
    with pytest.raises(TransportError, match="closed the connection"):
        port.recv()
    with pytest.raises(TransportError):
        port.send(flush(1))
    port.close()


def test_a_path_is_not_taken_from_others(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="another one serves there"):
        EngineServer(EngineHost(Engine()), path)
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(UsageError, match="something else is there"):
        EngineServer(EngineHost(Engine()), file)
    assert file.read_text() == "precious"
    with pytest.raises(UsageError, match="cannot listen there"):
        EngineServer(EngineHost(Engine()), tmp_path / "no" / "directory")


def test_a_dead_servers_socket_is_replaced(tmp_path: Path) -> None:
    where = tmp_path / "xfrm"
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    dead.bind(str(where))
    dead.close()
    EngineServer(EngineHost(Engine()), where).close()
    assert not where.exists()


def test_options_of_a_port_are_those_of_a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as raw:
        raw.settimeout(10)
        raw.connect(str(path))
        assert raw.recv(LARGEST)[0] == HELLO

        def asked(frame: bytes) -> bytes:
            raw.send(frame)
            return raw.recv(LARGEST)

        wrong = message(GETSA, REQUEST, 1, 0)  # too short, and told so
        assert asked(bytes((DATA,)) + wrong).endswith(b"Invalid header length\0\0\0")
        for option, value in ((NETLINK_CAP_ACK, 0), (NETLINK_EXT_ACK, 0)):
            body = TWO_U32.pack(option, value)
            assert asked(bytes((OPTION,)) + body) == bytes((DONE,)) + body
        assert len(asked(bytes((DATA,)) + wrong)) == 1 + 36  # the request whole, and no text
        group = U32.pack(Group.SA)
        assert asked(bytes((JOIN,)) + group) == bytes((JOINED,)) + group
        body = TWO_U32.pack(NETLINK_DROP_MEMBERSHIP, Group.SA)
        assert asked(bytes((OPTION,)) + body) == bytes((DONE,)) + body
        assert (
            asked(bytes((OPTION,)) + TWO_U32.pack(4000, 1)) == bytes((REFUSED,)) + b"no such option"
        )
        assert len(asked(bytes((DATA,)) + new_sa(2, 0, 0x100))) == 1 + 36  # the ACK, no event
        assert asked(bytes((OPTION,)) + b"short") == b""  # the end of the connection


def test_serving_ends_with_its_block_whatever_happens_in_it(tmp_path: Path) -> None:
    where = tmp_path / "engine"
    host = EngineHost(Engine())

    def use() -> None:
        with serving(host, where) as server, closing(RemoteTransport(where)) as port:
            assert server.host is host
            assert port.portid
            raise KeyError

    with pytest.raises(KeyError):
        use()
    assert not where.exists()
    assert not any("xfrm engine" in thread.name for thread in threading.enumerate())


def test_what_others_do_to_the_engine_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another thread, over a port of its own; and it may set a timer."""
    monkeypatch.setattr("pyxfrm.transport.server.BREATH", 60.0)
    host = EngineHost(Engine())
    with (
        serving(host, tmp_path / "xfrm"),
        Xfrm(transport=host.connect()) as xfrm,
        closing(RemoteTransport(tmp_path / "xfrm", (Group.SA, Group.EXPIRE))) as there,
    ):
        xfrm.add_sa(replace(SA, limits=Limits(hard_add=1)))
        kinds: list[int] = []
        while m.XFRM_MSG_EXPIRE not in kinds:
            assert there.wait(30), kinds
            data = there.recv()
            assert isinstance(data, bytes)
            kinds.append(int.from_bytes(data[4:6], "little"))
    assert kinds[0] == m.XFRM_MSG_NEWSA
    assert host.wakers == []
