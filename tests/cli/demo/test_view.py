"""The live view: fits any terminal, says what the feed says, and gives the terminal back."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.cli.demo.feed import Feed, Screen
from pyxfrm.cli.demo.moves import JOURNEY, places, play
from pyxfrm.cli.demo.scene import Scene
from pyxfrm.cli.demo.view import Glyphs, picture

SRC = Path(__file__).parents[3] / "src"
ENTER, LEAVE, SHOW_CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"


@pytest.fixture(scope="module")
def moments() -> list[dict[str, Any]]:
    """Those of a real scene."""
    taken: list[dict[str, Any]] = []
    with Scene(*places(), rate=100, pause=0.02) as scene:
        feed = Feed(scene, JOURNEY, 1.5, "A title")
        scene.every(0.02, lambda: taken.append(feed.moment()))
        scene.play(play(JOURNEY, scene, 1.5))
    return taken


def text_of(moment: dict[str, Any], wide: int = 80, tall: int = 24) -> str:
    return "\n".join(line.plain for line in picture(moment, wide, tall, Glyphs()))


def test_what_is_shown(moments: list[dict[str, Any]]) -> None:
    last = text_of(moments[-1])
    sent = moments[-1]["streams"][0][0]
    assert "A title" in last
    assert f"{sent:,}" in last
    assert f"{moments[-1]['sas'][0]['number']:,}" in last
    for move in JOURNEY:
        assert move.name in last
    assert "0 can be read, 0 with a number used before" in last
    seen = "\n".join(map(text_of, moments))
    assert "NAT 127.0.0.5:" in seen
    assert "▶ a NAT appears" in seen
    assert "No move yet" in seen


def test_it_fits_80_by_24(moments: list[dict[str, Any]]) -> None:
    for moment in moments:
        lines = picture(moment, 80, 24, Glyphs())
        assert len(lines) <= 24
        assert not any(line.plain.rstrip().endswith("…") for line in lines)


@given(data=st.data())
def test_it_fits_anything(data: st.DataObject, moments: list[dict[str, Any]]) -> None:
    moment = data.draw(st.sampled_from(moments))
    wide, tall = data.draw(st.integers(1, 200)), data.draw(st.integers(1, 60))
    lines = picture(moment, wide, tall, Glyphs())
    assert 1 <= len(lines) <= tall
    assert max(line.cell_len for line in lines) <= wide
    if tall >= 3:
        assert any(line.plain.startswith("left to right"[:wide]) for line in lines)


def test_trouble_is_red(moments: list[dict[str, Any]]) -> None:
    moment = {**moments[-1], "streams": [[10, 8, 2, 1], [10, 10, 0, 0]], "wire": [20, 3, 0]}
    lines = picture(moment, 80, 24, Glyphs())
    red = {
        line.plain[s.start : s.end].strip()
        for line in lines
        for s in line.spans
        if "red" in str(s.style)
    }
    assert red == {"2", "1", "3 can be read"}


def test_a_moment_goes_through_the_pipe_in_one_piece(moments: list[dict[str, Any]]) -> None:
    longest = {**moments[-1], "rates": [99999] * 100, "slowest": [9999.99] * 100}
    assert len(json.dumps(longest, separators=(",", ":"))) < select.PIPE_BUF


@pytest.mark.parametrize(("encoding", "plain"), [("utf-8", False), ("ascii", True), ("?", True)])
def test_terminals_without_these_characters(
    encoding: str, plain: bool, moments: list[dict[str, Any]]
) -> None:
    lines = picture(moments[-1], 80, 24, Glyphs.of(encoding))
    assert all(line.plain.isascii() for line in lines) == plain


def test_a_process_that_died_is_not_missed() -> None:
    with Screen((sys.executable, "-c", "")) as screen:
        time.sleep(0.2)
        for _ in range(3):
            screen.show({"title": "x"})


def on_a_terminal(
    during: Callable[[subprocess.Popen[bytes]], None], *words: str, wait_for: bytes = ENTER
) -> tuple[int, bytes]:
    """Run the demo on a terminal; when something was drawn, ``during``. Exit status and all output."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pyxfrm.cli", "demo", "--only", "live", *words]
    env = {**os.environ, "PYTHONPATH": str(SRC), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
    )
    os.close(theirs)
    said, told, until = b"", False, time.monotonic() + 60
    while time.monotonic() < until:
        if not told and wait_for in said:
            during(process)
            told = True
        if not select.select([ours], [], [], 0.1)[0]:
            continue
        try:
            said += os.read(ours, 65536)
        except OSError:  # nobody has the other side open any more
            break
    os.close(ours)
    return process.wait(10), said


def test_ctrl_c_gives_the_terminal_back() -> None:
    def press(process: subprocess.Popen[bytes]) -> None:
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does: to all in the foreground

    status, said = on_a_terminal(press, "--seconds", "60", wait_for=b"No move yet")
    assert status == 130
    assert b"Traceback" not in said
    assert said.count(ENTER) == said.count(LEAVE) == 1
    assert said.rindex(SHOW_CURSOR) > said.index(ENTER)


def test_a_whole_run_on_a_terminal(tmp_path: Path) -> None:
    report = tmp_path / "x.html"
    words = ("--seconds", "3", "--rate", "50", "--report", str(report))
    status, said = on_a_terminal(lambda _: None, *words)
    assert status == 0
    assert said.count(ENTER) == said.count(LEAVE) == 2
    after = said[said.rindex(LEAVE) :]
    assert b"delete and add" in after
    assert str(report).encode() in after
    assert b"packets lost\r" not in said  # the lines that stand for the view elsewhere


@pytest.mark.parametrize("setting", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_colours_do_not_make_a_screen(setting: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pyxfrm.cli", "demo", "--only", "live", "--seconds", "1"]
    env = {**os.environ, "PYTHONPATH": str(SRC), "XDG_CACHE_HOME": str(tmp_path), setting: "1"}
    done = subprocess.run(command, env=env, capture_output=True, check=True, timeout=60)
    assert ENTER not in done.stdout
    assert b"packets lost" in done.stdout
    assert done.stderr == b""


def test_a_killed_demo_leaves_a_clean_terminal() -> None:
    """The process that draws sees its pipe end."""
    status, said = on_a_terminal(lambda process: process.kill(), "--seconds", "60")
    assert status == -signal.SIGKILL
    assert said.count(ENTER) == said.count(LEAVE) == 1
    assert said.rindex(SHOW_CURSOR) > said.index(ENTER)
