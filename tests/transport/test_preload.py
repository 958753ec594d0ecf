"""Programs that open a netlink socket, and get an engine: what such a socket does, it does here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi.profiles import LINUX_6_12
from pyxfrm.client import Xfrm
from pyxfrm.engine import Engine
from pyxfrm.errors import UsageError
from pyxfrm.transport.preload import SOURCE, environment, library
from pyxfrm.transport.server import serving
from tests.transport.bytes import REQUEST, flush, message, new_sa, sad_info

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

NOW = 1_700_000_000.0
ACK = 4

# What each program below begins with.
PROLOGUE = """\
import errno, json, os, select, socket, struct, sys
from pyxfrm.abi.netlink import *

def netlink(*options, kind=socket.SOCK_RAW):
    made = socket.socket(socket.AF_NETLINK, kind, NETLINK_XFRM)
    made.settimeout(10)
    for option, value in options:
        made.setsockopt(SOL_NETLINK, option, value)
    return made

def tell(**values):
    print(json.dumps({k: v.hex() if isinstance(v, bytes) else v for k, v in values.items()}))

def refused(do, *words):
    try:
        do(*words)
    except OSError as no:
        return errno.errorcode[no.errno]
    return ""
"""

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    with serving(Engine(), tmp_path / "engine"):
        yield tmp_path / "engine"


@pytest.fixture
def run(path: Path, cache: Path) -> Run:
    """Runs a program in Python on the engine; what it tells."""

    def run_it(program: str, *words: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", PROLOGUE + textwrap.dedent(program), *words],
            env=os.environ | environment(path, cache=cache),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    return run_it


def answer(request: bytes, *, ext_ack: bool = False, cap_ack: bool = False) -> str:
    engine = Engine()
    port = engine.port(1, ext_ack=ext_ack, cap_ack=cap_ack)
    return b"".join(engine.handle(request, port, NOW)).hex()


def test_a_new_socket_has_no_options(run: Run) -> None:
    wrong = message(m.XFRM_MSG_MIGRATE_STATE, REQUEST | ACK, 7, 0, bytes(132))  # SPI 0
    program = """
        data = bytes.fromhex(sys.argv[1])
        told = {}
        for name, options in (
            ("plain", ()), ("ext", [(NETLINK_EXT_ACK, 1)]), ("cap", [(NETLINK_CAP_ACK, 1)]),
            ("off", [(NETLINK_EXT_ACK, 1), (NETLINK_EXT_ACK, 0)]),
        ):
            with netlink(*options) as sock:
                sock.sendto(data, (0, 0))
                told[name], sender = sock.recvfrom(65536)
                assert sender == (0, 0)
        tell(**told)
    """
    told = run(program, wrong.hex())
    # Answers differ by the port's number, which is the engine's choice.
    same = {name: f"{value[:24]}01000000{value[32:]}" for name, value in told.items()}
    assert same["plain"] == same["off"] == answer(wrong)
    assert same["ext"] == answer(wrong, ext_ack=True)
    assert same["cap"] == answer(wrong, cap_ack=True)
    assert len({*same.values()}) == 3


def test_groups_by_bind_and_by_option(run: Run) -> None:
    program = """
        data, flush = map(bytes.fromhex, sys.argv[1:])
        by_bind, by_option, deaf = netlink(), netlink((NETLINK_ADD_MEMBERSHIP, 3)), netlink()
        by_bind.bind((0, 1 << 2))
        wrong = refused(deaf.setsockopt, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, 4000)
        asker = netlink()
        asker.send(data)
        ack = asker.recv(65536)
        events = by_bind.recv(65536), by_option.recv(65536)
        by_option.setsockopt(SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, 3)
        asker.send(flush)
        asker.recv(65536)
        again = by_bind.recv(65536)
        by_option.setblocking(False)
        deaf.setblocking(False)
        tell(
            ack=ack, wrong=wrong, same=events[0] == events[1], event=events[0], again=again,
            left=refused(by_option.recv, 1), deaf=refused(deaf.recv, 1),
            pids=len({sock.getsockname()[0] for sock in (by_bind, by_option, deaf, asker)}),
        )
    """
    told = run(program, new_sa(1, 0, 0x100).hex(), flush(2).hex())
    assert told["wrong"] == "EINVAL"
    assert told["same"]
    assert bytes.fromhex(told["again"])[4:6] == m.XFRM_MSG_FLUSHSA.to_bytes(2, sys.byteorder)
    assert bytes.fromhex(told["event"])[4:6] == m.XFRM_MSG_NEWSA.to_bytes(2, sys.byteorder)
    assert (told["left"], told["deaf"]) == ("EAGAIN", "EAGAIN")
    assert told["pids"] == 4


def test_reading_in_the_ways_that_programs_have(run: Run) -> None:
    program = """
        sock = netlink(kind=socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        data = bytes.fromhex(sys.argv[1])
        os.write(sock.fileno(), data)
        select.select([sock], [], [], 10)
        whole = sock.recv(65536, socket.MSG_PEEK)
        size = sock.recv_into(bytearray(1), 0, socket.MSG_PEEK | socket.MSG_TRUNC)
        parts = [bytearray(5), bytearray(65536)]
        count, _, flags, sender = sock.recvmsg_into(parts)
        ack = sock.recv(65536)
        sock.sendmsg([data[:3], data[3:]], [], 0, (0, 0))
        cut, _, cut_flags, _ = sock.recvmsg(10)
        select.select([sock], [], [], 10)
        assert os.read(sock.fileno(), 65536) == ack
        sock.send(data)
        select.select([sock], [], [], 10)
        read = os.read(sock.fileno(), 65536)
        tell(
            whole=whole, same=bytes(parts[0] + parts[1])[:count] == whole == read, size=size, flags=flags,
            cut=cut == whole[:10], cut_flags=cut_flags & socket.MSG_TRUNC, sender=sender,
            facts=[sock.getsockopt(socket.SOL_SOCKET, what) for what in (39, 38)],
            name=refused(sock.setsockopt, SOL_NETLINK, NETLINK_PKTINFO, 1),
            force=refused(sock.setsockopt, socket.SOL_SOCKET, 33, 1 << 20),
            big=refused(sock.send, bytes(1 << 18)),
        )
    """
    told = run(program, sad_info(3, 0).hex())
    assert told["same"]
    assert told["size"] == len(told["whole"]) // 2
    assert told["flags"] == 0
    assert told["cut"]
    assert told["cut_flags"]
    assert told["sender"] == [0, 0]
    assert told["facts"] == [16, 6]  # SO_DOMAIN, SO_PROTOCOL
    assert (told["name"], told["force"], told["big"]) == ("ENOPROTOOPT", "", "EMSGSIZE")


def test_losses_are_told_once(run: Run) -> None:
    program = """
        data = bytes.fromhex(sys.argv[1])
        slow, asker = netlink((NETLINK_ADD_MEMBERSHIP, 3)), netlink()
        for _ in range(3000):
            asker.send(data)
            asker.recv(65536), asker.recv(65536)
        got = 0
        while not (why := refused(slow.recv, 65536)):
            got += 1
        asker.send(data)
        tell(got=got, why=why, then=refused(slow.recv, 65536))
    """
    told = run(program, (new_sa(1, 0, 0x100) + flush(2)).hex())
    assert 100 < told["got"] < 6000
    assert (told["why"], told["then"]) == ("ENOBUFS", "")


def test_an_engine_that_goes_and_one_that_is_not_there(run: Run, path: Path, cache: Path) -> None:
    program = """
        alone = netlink()
        os.environ["PYXFRM_ENGINE"] = "/nonexistent/engine"
        missing = refused(netlink)
        os.environ["PYXFRM_ENGINE"] = "/" + "x" * 200
        long = refused(netlink)
        del os.environ["PYXFRM_ENGINE"]
        a, b = socket.socketpair()
        a.send(b"to each other")
        tell(missing=missing, long=long, others=b.recv(100))
    """
    told = run(program)
    assert told["missing"] == "ENOENT"
    assert told["long"] == "ENAMETOOLONG"
    assert bytes.fromhex(told["others"]) == b"to each other"


def test_the_release_is_the_profiles(
    run: Run, path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "tell(release=os.uname().release)"
    assert run(program) == {"release": "7.2.7"}
    assert environment(path, LINUX_6_12, cache=cache)["PYXFRM_RELEASE"] == "6.12.101"
    program = """
        del os.environ["PYXFRM_RELEASE"]
        own = os.uname().release
        os.environ["PYXFRM_RELEASE"] = "x" * 65
        tell(own=own, long=os.uname().release)
    """
    own = os.uname().release
    assert run(program) == {"own": own, "long": own}


def test_policies_of_single_sockets_are_taken(run: Run) -> None:
    program = """
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tell(taken=refused(udp.setsockopt, socket.IPPROTO_IP, 17, bytes(168)))
    """
    assert run(program) == {"taken": ""}


def test_our_own_client_takes_it_for_a_kernel(path: Path, cache: Path) -> None:
    def xfrm(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pyxfrm.cli", *line.split()],
            env=os.environ | environment(path, cache=cache),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    name = "dst 198.51.100.1 proto esp spi 0x100"
    key = f"aead rfc4106(gcm(aes)) 0x{bytes(20).hex()} 128"
    assert xfrm(f"state add src 192.0.2.1 {name} mode tunnel {key}").returncode == 0
    move = f"state migrate {name} new-src 192.0.2.9 new-dst 198.51.100.1 new-reqid 3"
    assert xfrm(f"--json {move}").stdout.startswith('{"schema": 1, "moved": ')
    again = xfrm(f"state add src 192.0.2.1 {name} mode tunnel {key}")
    assert (again.returncode, again.stderr.count("EEXIST")) == (1, 1)
    with Xfrm.connect(path) as client:
        (record,) = client.sas()
        assert (str(record.saddr), record.reqid) == ("192.0.2.9", 3)


@pytest.mark.skipif(shutil.which("ip") is None, reason="no ip on this machine")
def test_iproute2_takes_it_for_a_kernel(path: Path, cache: Path) -> None:
    def ip(line: str) -> str:
        return subprocess.run(
            ["ip", *line.split()],
            env=os.environ | environment(path, cache=cache),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    for spi in range(0x100, 0x100 + 300):  # more than one datagram of a dump
        with Xfrm.connect(path) as client:
            client.transport.send(new_sa(1, 0, spi))
    assert ip("xfrm state").count("proto esp") == 300
    ip("xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out priority 7")
    assert "src 10.1.0.0/16 dst 10.2.0.0/16" in ip("xfrm policy")
    ip("xfrm state flush")
    assert ip("xfrm state") == ""


def test_it_is_compiled_once_and_only_if_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = library(tmp_path)
    before = made.stat().st_mtime_ns
    assert library(tmp_path) == made
    assert made.stat().st_mtime_ns == before
    assert [*tmp_path.iterdir()] == [made]
    for compiler, why in (("nonexistent-cc", "a C compiler is needed"), ("false", "status 1")):
        monkeypatch.setenv("CC", compiler)
        with pytest.raises(UsageError, match=why):
            library(tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="nowhere to put"):
        library(tmp_path / "file")


def test_compilers_have_nothing_to_say(tmp_path: Path) -> None:
    words = ["cc", "-Wall", "-Wextra", "-shared", "-fPIC", "-O2", "-o", str(tmp_path / "made.so")]
    done = subprocess.run([*words, str(SOURCE), "-ldl"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_other_preloaded_libraries_stay(
    path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/a.so /b.so")
    assert environment(path, cache=cache)["LD_PRELOAD"] == f"{library(cache)} /a.so /b.so"
