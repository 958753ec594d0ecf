"""The session of docs/migrate-state.md goes as it is shown, on an engine and on Linux 7.2."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from pyxfrm.cli import main
from pyxfrm.engine import Engine
from pyxfrm.lab import Lab
from pyxfrm.transport.server import serving
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "migrate-state.md"


def session() -> tuple[list[list[str]], str]:
    """The command lines behind ``x``, and all that is shown of what they print."""
    (block,) = re.findall(r"(?ms)^```console\n(.*?)^```", PAGE.read_text())
    lines = block.splitlines()
    commands = [shlex.split(line)[2:] for line in lines if line.startswith("$ x ")]
    return commands, "".join(f"{line}\n" for line in lines if not line.startswith("$"))


def test_on_an_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands, shown = session()
    told = ""
    with serving(Engine(), tmp_path / "engine"):
        for words in commands:
            main(["--engine", str(tmp_path / "engine"), *words])
            out, err = capsys.readouterr()
            told += out + err
    assert len(commands) > 5
    assert told == shown


@pytest.mark.kernel
def test_on_a_kernel(lab72: Lab) -> None:
    commands, shown = session()
    xfrm = shlex.join([sys.executable, "-m", "pyxfrm.cli"])
    script = "; ".join(f"{xfrm} {shlex.join(words)} 2>&1" for words in commands)
    assert lab72.run(["sh", "-c", script], timeout=120).stdout.decode() == shown
