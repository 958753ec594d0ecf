"""Relocations on real kernels with packets on their way, and the account of every packet.

The long runs are in benchmarks/relocation; these few moves hold what must be so every time: nothing in clear, no number and no IV twice, no packet twice, and none lost that no
counter tells of. That none is lost at all is asserted only where no scheduler can spoil it: make before break, for forwarded packets.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyxfrm.lab import Lab

MEASURE = "benchmarks.relocation.guest:measure"
SOURCE = Path(__file__).parents[2] / "benchmarks" / "relocation" / "traffic.c"
MOVES = 4


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The traffic programs; the guest sees the host's files."""
    missing = [name for name in ("gcc", "ip", "tc") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {' '.join(missing)}")
    made = tmp_path_factory.mktemp("traffic") / "traffic"
    subprocess.run(["gcc", "-O2", "-o", str(made), str(SOURCE)], check=True)
    return str(made)


def _measured(lab: Lab, program: str, **cell: Any) -> dict[str, Any]:
    words = {"program": program, "rate": 1000, "moves": MOVES, **cell}
    found: dict[str, Any] = lab.call(MEASURE, words, timeout=240)
    assert found["states"] == {"moved": MOVES}, found
    assert found["sent"] > 500, found
    nothing = ("clear", "numbers_again", "ivs_again", "twice", "tap_drops")
    assert {name: found[name] for name in nothing} == dict.fromkeys(nothing, 0), found
    assert found["unexplained"] <= 0, found
    return found


@pytest.mark.kernel
@pytest.mark.parametrize("flow", ["in", "out"])
@pytest.mark.parametrize(
    ("kind", "strategy"),
    [("address", "hold"), ("both", "gap"), ("address", "migrate-state"), ("nat", "auto")],
)
def test_every_packet_is_accounted_for_on_linux_7_2(
    lab72: Lab, program: str, kind: str, strategy: str, flow: str
) -> None:
    _measured(lab72, program, kind=kind, strategy=strategy, flow=flow)


@pytest.mark.kernel
@pytest.mark.parametrize("strategy", ["migrate", "recreate"])
def test_every_packet_is_accounted_for_on_linux_6_12(
    lab612: Lab, program: str, strategy: str
) -> None:
    _measured(lab612, program, strategy=strategy)


@pytest.mark.kernel
@pytest.mark.parametrize("flow", ["in", "out"])
def test_make_before_break_loses_nothing_that_is_forwarded(
    lab72: Lab, program: str, flow: str
) -> None:
    found = _measured(lab72, program, kind="both", strategy="gap", flow=flow, forward=True)
    assert (found["lost"], found["late"]) == (0, 0), found
