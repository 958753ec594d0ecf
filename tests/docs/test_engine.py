"""docs/engine.md is true, and so are the examples that it sends people to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, LINUX_7_2_NOMIG, Profile
from pyxfrm.engine import Engine
from pyxfrm.transport import frames
from pyxfrm.transport.server import serving
from tests.docs.pages import ROOT, examples_of

PAGE = ROOT / "docs" / "engine.md"
EXAMPLES = ROOT / "examples"


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [str(word) for word in words], env=env, capture_output=True, text=True, check=False
    )


def test_the_page_is_true() -> None:
    count, failed = examples_of(PAGE)
    assert count > 30
    assert failed == 0


def test_its_frames_are_the_servers() -> None:
    rows = re.findall(r"(?m)^\| (\d) \| ([A-Z]+) \|", PAGE.read_text())
    known = {name: value for name, value in vars(frames).items() if isinstance(value, int)}
    known["LOST"] = known.pop("LOST_FRAME")
    known.pop("LARGEST")
    assert {name: int(byte) for byte, name in rows} == known
    for source in (EXAMPLES / "probe.c", ROOT / "src/pyxfrm/data/preload.c"):
        (names,) = re.findall(r"enum frame \{ ([A-Z, ]+) \};", source.read_text())
        assert {name: at for at, name in enumerate(names.split(", "))} == known


def test_moving_one_sa() -> None:
    done = run(sys.executable, EXAMPLES / "move_one_sa.py")
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "MIGRATE_STATE: available",
        "dst 198.51.100.1 proto esp spi 0x00000100 comes from 203.0.113.10, oseq 0",
    ]


def test_the_test_suite_of_a_key_manager() -> None:
    done = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", EXAMPLES)
    assert done.returncode == 0, done.stdout
    assert "7 passed" in done.stdout or "6 passed, 1 skipped" in done.stdout


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_a_client_in_c(tmp_path: Path) -> None:
    program = tmp_path / "probe"
    assert run("cc", "-Wall", "-Werror", "-o", program, EXAMPLES / "probe.c").stderr == ""

    def told(profile: Profile) -> tuple[int, str]:
        with serving(Engine(profile), tmp_path / "engine"):
            done = run(program, tmp_path / "engine")
        return done.returncode, done.stdout.strip()

    assert told(LINUX_7_2) == (0, "available")
    assert told(LINUX_7_2_NOMIG) == (1, "built without")
    assert told(LINUX_6_12) == (1, "too old")
    assert run(program, tmp_path / "nobody").returncode == 2


def test_every_example_is_spoken_of() -> None:
    text = PAGE.read_text()
    for path in EXAMPLES.iterdir():
        assert path.name.startswith(("__", ".")) or path.name in text, path
