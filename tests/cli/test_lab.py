"""``xfrm lab``: options, and the ways of ending."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyxfrm import cli
from pyxfrm.lab import Lab
from pyxfrm.lab.fetch import iproute2
from tests.lab.test_boot import gone

FLUSH = "140000001c000500070000000000000000000000"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["run"], "no command"),
        (["run", "--"], "no command"),
        (["run", "--mem", "much", "true"], "memory 'much' makes no sense"),
        (["run", "--modules", "x", "--", "true"], "--modules belongs to --kernel-image"),
        (["run", "--share", "/nowhere", "--", "true"], "--share /nowhere: no such directory"),
        (["run", "--kernel", "5.4", "--", "true"], "invalid choice: '5.4'"),
        (["run", "--kernel", "7.2", "--kernel-image", "x", "true"], "not allowed with"),
        (["script", "/nowhere.json"], "/nowhere.json: "),
        (["nonsense"], "invalid choice"),
        ([], "required: VERB"),
    ],
)
@pytest.mark.kernel
def test_nonsense_is_refused(
    capsys: pytest.CaptureFixture[str], lab72: Lab, argv: list[str], told: str
) -> None:
    assert cli.main(["lab", *argv]) == 2
    assert told in capsys.readouterr().err


def xfrm(*argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "pyxfrm.cli", "lab", *argv]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)


@pytest.mark.kernel
def test_a_command_in_the_guest_is_like_one_here(lab72: Lab) -> None:
    run = xfrm("run", "-i", "--", "sh", "-c", "uname -r; cat; echo err >&2; exit 5", stdin=b"in\n")
    assert run.stdout == lab72.release.encode() + b"\nin\n"
    assert (run.stderr, run.returncode) == (b"err\n", 5)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("argv", "status", "told"),
    [
        (["--timeout", "0.3", "--", "sleep", "9"], 124, b"xfrm: sleep was killed after 0.3 s\n"),
        (["--", "sh", "-c", "kill -9 $$"], 137, b""),
    ],
)
def test_a_command_that_is_killed(lab72: Lab, argv: list[str], status: int, told: bytes) -> None:
    run = xfrm("run", *argv)
    assert (run.returncode, run.stderr) == (status, told)


@pytest.mark.kernel
def test_info_tells_what_the_kernel_can(lab612: Lab) -> None:
    told = xfrm("info", "--kernel", "6.12").stdout.decode()
    assert f"Linux {lab612.release}" in told
    assert "MIGRATE_STATE  no" in told
    assert "XFRM_INTERFACE" in next(row for row in told.splitlines() if row.startswith("lacks"))


@pytest.mark.kernel
def test_a_script_from_a_file(lab72: Lab, tmp_path: Path) -> None:
    file = tmp_path / "script.json"
    file.write_text(
        json.dumps(
            [
                {"op": "open", "socket": "a", "port": 1},
                {"op": "send", "socket": "a", "data": FLUSH},
                {"op": "receive", "socket": "a"},
            ]
        )
    )
    told = json.loads(xfrm("script", str(file)).stdout)
    ack = "24000000020000010700000001000000" + "00000000" + FLUSH[:32]
    assert told == {"schema": 1, "outcomes": [{}, {}, {"received": [{"data": ack}]}]}


def conversation(folder: Path, *steps: dict[str, object]) -> str:
    file = folder / "script.json"
    file.write_text(json.dumps(steps))
    return str(file)


def test_a_script_on_an_engine_and_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = conversation(
        tmp_path,
        {"op": "open", "socket": "a", "port": 1},
        {"op": "send", "socket": "a", "data": FLUSH + "00"},
        {"op": "receive", "socket": "a"},
        {"op": "read_file", "path": "/proc/net/xfrm_stat"},
    )
    assert cli.main(["lab", "script", "--engine", "--text", file]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "open socket=a port=1"
    assert told[1] == "> a: XFRM_MSG_FLUSHSA, 20 bytes"
    assert "    header.nlmsg_flags = 0x5 REQUEST ACK" in told
    assert "> a: 1 bytes that are no message" in told
    assert "< a: NLMSG_ERROR 0 to XFRM_MSG_FLUSHSA" in told
    assert told[-2:] == ["read_file path=/proc/net/xfrm_stat", "    refused: EOPNOTSUPP"]
    assert cli.main(["lab", "script", "--engine", "--kernel", "6.12", file]) == 0
    assert json.loads(capsys.readouterr().out)["outcomes"][0] == {}
    assert cli.main(["lab", "script", "--engine", "--kernel-image", "x", file]) == 2
    assert "give one of them" in capsys.readouterr().err


@pytest.mark.kernel
def test_the_words_are_the_kernels(
    lab72: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = conversation(
        tmp_path,
        {"op": "open", "socket": "a", "port": 1},
        {"op": "send", "socket": "a", "data": FLUSH},
        {"op": "receive", "socket": "a"},
    )
    assert cli.main(["lab", "script", "--engine", "--text", file]) == 0
    assert capsys.readouterr().out == xfrm("script", "--text", file).stdout.decode()


@pytest.mark.kernel
def test_a_kernel_of_ones_own(lab72: Lab) -> None:
    kernel = lab72.kernel
    run = xfrm(
        *("run", "--kernel-image", str(kernel.image), "--modules", str(kernel.modules)),
        *("--", *iproute2().argv, "xfrm", "state", "count"),
    )
    assert b"SAD count 0" in run.stdout


# What pty.fork does, which no process with threads should.
LEAD = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "pyxfrm.cli", "lab", *sys.argv[1:]])
"""


def in_a_terminal(*argv: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start ``xfrm lab`` in a terminal of its own: its process, and our end of the terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", LEAD, *argv]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    return process, ours


def shown_until(terminal: int, end: bytes) -> bytes:
    """What appears on a terminal until ``end`` does, or it is closed, or 20 s are over."""
    shown, limit = b"", time.monotonic() + 20
    while end not in shown and time.monotonic() < limit:
        if select.select([terminal], [], [], 1)[0]:
            try:
                shown += os.read(terminal, 4096)
            except OSError:  # EIO: the other end is closed
                break
    return shown


@pytest.mark.kernel
def test_a_shell_has_a_terminal_and_job_control(lab72: Lab) -> None:
    process, terminal = in_a_terminal("shell", "--", "sh", "-i")
    assert shown_until(terminal, b"# ") == b"# "  # nothing of the kernel's own
    os.write(terminal, b"test -t 0 && echo is $((40 + 2)); sleep 60 & jobs; exit 3\n")
    shown = shown_until(terminal, b"never")
    os.close(terminal)
    assert process.wait() == 3
    assert b"is 42" in shown
    assert b"Running" in shown
    assert b"Power" not in shown


@pytest.mark.kernel
@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_no_shell_outlives_its_host(
    lab72: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process, terminal = in_a_terminal("shell", "--", "sh", "-i")
    assert shown_until(terminal, b"# ") == b"# "
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    (kernel,) = map(int, children.split())
    if how is signal.SIGHUP:
        os.close(terminal)
    else:
        process.send_signal(how)
    assert gone(kernel)
    process.wait()
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []


@pytest.mark.kernel
def test_a_shell_without_a_terminal_is_refused(lab72: Lab) -> None:
    run = xfrm("shell")
    assert run.returncode == 1
    assert run.stderr == b"xfrm: a shell needs a terminal; use `xfrm lab run -- COMMAND`\n"
