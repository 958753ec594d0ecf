"""``xfrm engine run``: a program and an engine of its own, for as long as the program runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pyxfrm.cli import main

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

XFRM = [sys.executable, "-m", "pyxfrm.cli"]


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 137),
        (["/nonexistent/program"], 127),
        ([*XFRM, "state", "list"], 0),
        ([*XFRM, "state", "get", "dst", "192.0.2.1", "proto", "esp", "spi", "1"], 1),
    ],
)
def test_the_status_is_the_programs(
    command: list[str], status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "run", "--", *command]) == status
    assert main(["engine", "run", *command]) == status
    told = capfd.readouterr().err
    if status == 127:
        assert told.startswith("xfrm: /nonexistent/program: No such file or directory\n")


def test_it_is_the_profiles_kernel(capfd: pytest.CaptureFixture[str]) -> None:
    for profile, state in (("6.12", "too old"), ("7.2", "available")):
        assert main(["engine", "run", "--profile", profile, "--", *XFRM, "probe"]) == 0
        assert f"MIGRATE_STATE: {state}" in capfd.readouterr().out


def test_no_program_is_no_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "run", "--"]) == 2
    assert "xfrm engine run -- COMMAND" in capsys.readouterr().err


def test_others_may_ask_it_meanwhile(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "engine"
    add = ["policy", "add", "src", "10.1.0.0/16", "dst", "10.2.0.0/16", "dir", "out"]
    ask = " ".join([*XFRM, "--engine", str(path), "policy", "count"])
    unset = "unset LD_PRELOAD PYXFRM_ENGINE"
    script = f"{' '.join([*XFRM, *add])} && {unset} && {ask}"
    assert main(["engine", "run", "--socket", str(path), "--", "sh", "-c", script]) == 0
    assert "OUT 1" in capfd.readouterr().out
    assert not path.exists()


def test_the_library_may_be_used_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "preload"]) == 0
    assert Path(capsys.readouterr().out.strip()).suffix == ".so"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 5)])
def test_signals_reach_the_program(number: int, status: int, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    script = f"trap 'exit 5' INT; touch {ready}; while :; do sleep 0.1; done"
    with subprocess.Popen(
        [*XFRM, "engine", "run", "--", "sh", "-c", script], start_new_session=True
    ) as run:
        while not ready.exists():
            assert run.poll() is None
        if number == signal.SIGINT:
            os.killpg(run.pid, number)  # as a terminal does
        else:
            run.send_signal(number)
        assert run.wait(30) == status
