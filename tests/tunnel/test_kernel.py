"""A pyxfrm end against a kernel's, in the lab: a short run of the benchmark, so that it stays true."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from benchmarks.tunnel import guest

from pyxfrm.lab import Lab

SOURCE = Path(guest.__file__).parents[1] / "relocation" / "traffic.c"
MOVES = 12


@pytest.mark.kernel
def test_nothing_is_lost_repeated_or_in_clear_while_both_ends_move(
    lab72: Lab, tmp_path: Path
) -> None:
    missing = [name for name in ("gcc", "ip") if shutil.which(name) is None]
    if missing:
        if os.environ.get("CI") or os.environ.get("PYXFRM_REQUIRE_LAB"):
            pytest.fail(f"not here: {missing}")
        pytest.skip(f"not here: {missing}")
    program = tmp_path / "traffic"
    subprocess.run(["gcc", "-O2", "-o", str(program), str(SOURCE)], check=True)
    # A kernel keeps 101 packets at most while an SA is missing: at this rate half a second of them.
    words = {"program": str(program), "moves": MOVES, "rate": 200}
    found = lab72.call("benchmarks.tunnel.guest:measure", words, fresh=True, timeout=300)
    assert found["moves"] == MOVES
    for way in ("ours to kernel", "kernel to ours"):
        account = found[way]
        assert account["sent"] > 100
        for what in ("lost", "twice", "leaked", "reused", "refused"):
            assert not account[what], (way, what, account, found["kernel_drops"], found["our_end"])
        assert account["on_the_wire"] >= account["sent"] - account["lost"]
