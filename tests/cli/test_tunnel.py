"""``xfrm tunnel``, as people type it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyxfrm.cli import main
from pyxfrm.cli.complete import candidates
from pyxfrm.cli.manpage import page
from pyxfrm.cli.tunnel_view import Ending
from pyxfrm.client import Xfrm
from pyxfrm.model import Encap, ip, network
from pyxfrm.tunnel import Keys, Loop, Point, Static
from pyxfrm.tunnel.names import socket_of
from tests.tunnel.pair import free_port

Rows = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def start(*words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "pyxfrm.cli", "tunnel", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env=dict(os.environ))


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_two_processes_with_a_file_of_keys_stream_while_one_moves(
    runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = str(runtime / "keys")
    assert main(["tunnel", "keys", "file", keys]) == 0
    here, there, new = (f"127.0.0.{n}:{free_port()}" for n in (1, 2, 3))
    inside = ["inner", "10.9.0.1", "peer", "10.9.0.2"]
    beyond = ["inner", "10.9.0.2", "peer", "10.9.0.1"]
    right = start(
        "run", "name", "b", "keys", keys, "side", "right", "local", there, "remote", here, *beyond
    )
    left = start(
        *(
            "run",
            "name",
            "a",
            "keys",
            keys,
            "side",
            "left",
            "local",
            here,
            "remote",
            there,
            *inside,
        ),
        *("--json", "ping", "100", "stream", "200", "seconds", "3"),
    )
    try:
        wait_for((runtime / "pyxfrm" / "a").is_socket)
        wait_for((runtime / "pyxfrm" / "b").is_socket)
        time.sleep(0.5)
        view = view_of(keys, here, there)
        with connect("b") as xfrm:
            view.mirror().move(xfrm, there=place(new))
        with connect("a") as xfrm:
            view.move(xfrm, here=place(new))
            (sa,) = [one for one in xfrm.sas() if one.saddr == place(new).address]
        out, _ = left.communicate(timeout=30)
    finally:
        right.send_signal(signal.SIGINT)
        _, told = right.communicate(timeout=20)
    found = [json.loads(line) for line in out.splitlines()]
    assert sa.encap == Encap(place(new).port or 0, place(there).port or 0)
    assert {row["pong"]["via"] for row in found if "pong" in row} == {
        f"{one} udp to {there}" for one in (here, new)
    }
    last = found[-1]["end"]
    assert last["name"] == "a"
    assert not last["unsent"]
    assert last["packets_in"] >= 100
    assert right.returncode == left.returncode == 0
    assert "dropped: none" in told
    assert not (runtime / "pyxfrm").exists()


def place(text: str) -> Point:
    host, _, port = text.partition(":")
    return Point(ip(host), int(port))


def view_of(path: str, here: str, there: str) -> Static:
    """The left side's tunnel, from a file that was used up."""
    left, right = (line.split() for line in Path(path).read_text().splitlines()[1:3])
    keys = Keys(
        bytes.fromhex(left[2]), bytes.fromhex(right[2]), int(left[1], 16), int(right[1], 16)
    )
    inside, beyond = network("10.9.0.1"), network("10.9.0.2")
    return Static(keys, place(here), place(there), [inside], [beyond])


def connect(name: str) -> Xfrm:
    return Xfrm.connect(socket_of(name))


def tunnels(capsys: pytest.CaptureFixture[str]) -> Rows:
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 1
    rows: Rows = found["tunnels"]
    return rows


def test_keys_serve_a_side_once(runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = str(runtime / "keys")
    main(["tunnel", "keys", "file", keys])
    words = [
        *("tunnel", "run", "keys", keys, "side", "left", "seconds", "0.1"),
        *(
            "local",
            f"127.0.0.1:{free_port()}",
            "remote",
            "127.0.0.2",
            "inner",
            "10.0.0.1",
            "peer",
            "10.0.0.2",
        ),
    ]
    assert main(words) == 0
    assert main(words) == 2
    assert "left has used them" in capsys.readouterr().err


def test_words_that_are_wrong_do_not_use_keys_up(
    runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = str(runtime / "keys")
    main(["tunnel", "keys", "file", keys])
    before = Path(keys).read_text()
    base = ["tunnel", "run", "keys", keys, "side", "left", "seconds", "0"]
    rest = ["local", "127.0.0.1", "remote", "127.0.0.2", "inner", "10.0.0.1", "peer", "10.0.0.2"]
    for words, why in (
        (base, "local is missing"),
        (["tunnel", "run", "local", "127.0.0.1"], "needs keys FILE side"),
        ([*base[:4], *rest], "side is missing"),
        ([*base, *rest[:-1], "2001:db8::1"], "no two networks of one family"),
        ([*base, *rest[2:], "local", "127.0.0.1:x"], "the port is 1 to 65535, or esp"),
        ([*base, *rest[2:], "local", "nowhere"], "not an IPv4 or IPv6 address"),
    ):
        assert main(words) == 2, words
        assert why in capsys.readouterr().err
    assert Path(keys).read_text() == before


def test_an_empty_end_is_filled_through_its_engine(
    runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    end = start("run", "name", "gw", "address", "10.9.0.1")
    try:
        wait_for((runtime / "pyxfrm" / "gw").is_socket)
        key = "0x" + "11" * 20
        port = free_port()
        add = (
            "--engine gw state add src 127.0.0.1 dst 127.0.0.2 proto esp spi 7 reqid 7 mode tunnel "
            f"aead rfc4106(gcm(aes)) {key} 128 encap espinudp {port} 4500 0.0.0.0 dir out"
        )
        assert main(add.split()) == 0
        assert main(["--engine", "gw", "state", "count"]) == 0
        assert "1" in capsys.readouterr().out
        assert main(["tunnel", "list"]) == 0
        assert capsys.readouterr().out.split()[0] == "gw"
        assert main(["tunnel", "list", "--json"]) == 0
        assert tunnels(capsys) == [
            {"name": "gw", "path": str(runtime / "pyxfrm" / "gw"), "serves": True}
        ]
        keys = str(runtime / "keys")
        main(["tunnel", "keys", "file", keys])
        before = Path(keys).read_text()
        ends = [
            "local",
            "127.0.0.1",
            "remote",
            "127.0.0.2",
            "inner",
            "10.0.0.1",
            "peer",
            "10.0.0.2",
        ]
        second = start("run", "name", "gw", "keys", keys, "side", "left", *ends)
        _, told = second.communicate(timeout=20)
        assert second.returncode == 2
        assert "another one serves there" in told
        assert Path(keys).read_text() == before  # its keys are still good
    finally:
        end.send_signal(signal.SIGTERM)
        _, told = end.communicate(timeout=20)
    assert end.returncode == 0
    assert "Traceback" not in told


def test_a_pair_streams_and_leaves_nothing(
    runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["tunnel", "pair", "stream", "500", "seconds", "2", "--json"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert status == 0
    (total,) = [row["stream"] for row in found if "stream" in row][-1:]
    assert total["sent"] == total["received"] > 200
    assert total["duplicates"] == total["under_way_or_lost"] == 0
    assert not (runtime / "pyxfrm").exists()


def test_an_engine_of_no_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--engine", "nobody", "state", "list"]) == 2
    assert "no tunnel of this name" in capsys.readouterr().err


def test_the_words_are_in_help_manual_and_completion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tunnel", "help"]) == 0
    assert "one end of a tunnel" in capsys.readouterr().out
    assert "xfrm tunnel pair" in page()
    assert {"run", "pair", "keys", "list"} <= set(candidates(["tunnel"]))
    assert {"tun", "stream", "keys"} <= set(candidates(["tunnel", "run"]))


def test_a_signal_before_the_loop_has_begun_ends_it_at_once_and_a_second_one_the_set_up() -> None:
    with Ending() as ending, Loop() as loop:
        os.kill(os.getpid(), signal.SIGTERM)
        ending.run(loop, None)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_that_was_ignored_stays_ignored_and_sighup_ends_it() -> None:
    with Ending() as ending, Loop() as loop:
        signal.raise_signal(signal.SIGHUP)
        ending.run(loop, None)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Ending() as ending:
            signal.raise_signal(signal.SIGHUP)
            assert not ending.asked
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_full_disk_does_not_end_it_and_a_place_that_is_taken_is_told_at_once(
    runtime: Path, as_json: bool
) -> None:
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("127.0.0.1", 0))
    place = f"127.0.0.1:{taken.getsockname()[1]}"
    keys = str(runtime / "keys")
    assert main(["tunnel", "keys", "file", keys]) == 0
    words = [*(["--json"] if as_json else []), *f"run name a keys {keys} side left".split()]
    words += f"local {place} remote 127.0.0.2 inner 10.9.0.1 peer 10.9.0.2 stream 50".split()
    with taken, Path("/dev/full").open("w") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "pyxfrm.cli", "tunnel", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        told = [process.stderr.readline() for _ in range(4)]
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert f"xfrm: a: {place} udp: Address already in use\n" in told
    assert "xfrm: standard output: No space left on device; no more lines\n" in told
