"""An unmodified IKE daemon does its work on an engine: what `xfrm engine run` is for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyxfrm.lab import LabError, fetch
from tests.transport.guest_mobike import HERE, NEXT, THERE

UNSHARE = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]


def why_not() -> str:
    """What is missing here; "" if nothing."""
    for program in ("cc", "ip", "unshare", "nsenter"):
        if shutil.which(program) is None:
            return f"no {program} on this machine"
    veth = "ip link add v0 type veth peer name v1"
    if subprocess.run([*UNSHARE, "sh", "-c", veth], capture_output=True, check=False).returncode:
        return "no network namespace of one's own here, or no veth"
    try:
        fetch.strongswan()
    except LabError as why:
        return str(why)
    return ""


@pytest.mark.slow
@pytest.mark.parametrize(("profile", "migrated"), [("LINUX_7_2", 2), ("LINUX_6_12", 0)])
def test_strongswan_moves_its_sas_on_engines(profile: str, migrated: int, tmp_path: Path) -> None:
    """By MIGRATE_STATE, one message an SA, where the kernel has it; by delete and add where it has not."""
    if why := why_not():
        pytest.skip(why)
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.transport.guest_mobike", str(tmp_path), profile],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == {
        "up": [[[HERE, THERE], [THERE, HERE]]] * 2,
        "migrated": [True] * migrated,
        "moved": [[[THERE, NEXT], [NEXT, THERE]]] * 2,
        "down": [[], []],
    }
