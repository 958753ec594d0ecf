"""The benchmark of the client runs: on a few policies, on a real kernel. What it measures is in docs/client.md."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from benchmarks.client import measure

from pyxfrm.lab import Lab, fetch


@pytest.mark.kernel
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_every_way_does_the_work(lab72: Lab, tmp_path: Path) -> None:
    source = Path(measure.__file__).with_name("same.c")
    program = tmp_path / "same"
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-o", str(program), str(source)], check=True)
    words = {
        "program": str(program),
        "count": 300,
        "rounds": 2,
        "ip": list(fetch.iproute2().argv),
    }
    found = lab72.call("benchmarks.client.measure:measure", words, timeout=120)
    assert list(found) == ["add", "delete", "dump"]
    for by in found.values():
        assert len(by) == 5
        for times in by.values():
            assert len(times) == 2
            assert min(times) > 0
