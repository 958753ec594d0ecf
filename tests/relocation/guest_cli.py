"""Runs inside the lab's kernel: the command itself, over real namespaces, SAs and packets."""

from __future__ import annotations

import io
import tempfile
import time
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from pyxfrm.cli import main
from tests.relocation.wires import ONE, TWO, Apart, Wires
from tests.relocation.world import A, B

MOVE = ["--netns", ONE, "--peer-netns", TWO, "--from-local", str(A), "--to-local", str(B)]


def xfrm(folder: Path, *words: str) -> dict[str, Any]:
    """``xfrm relocate``: status, and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["relocate", "--journal", str(folder / "journal.db"), *words])
    return {"status": status, "out": out.getvalue(), "err": err.getvalue()}


def report(words: dict[str, Any]) -> dict[str, Any]:
    """A move under traffic in both directions, and its picture."""
    with ExitStack() as stack:
        wires = stack.enter_context(Wires(delay=words.get("delay", 0.0)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        wires.install(window=2048)
        traffic = Apart(wires, words["rate"])
        time.sleep(0.5)
        picture = folder / "picture.svg"
        done = xfrm(folder, *MOVE, "--report", str(picture), *words["words"])
        return {**done, **traffic.stop(), "picture": picture.read_text()}
