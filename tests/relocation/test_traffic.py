"""Relocations on real kernels with packets on their way, and the account of every packet.

The long runs are in benchmarks/relocation; these few moves hold what must be so every time: nothing in clear, no number and no IV twice, no packet twice, and none lost that no
counter tells of. That none is lost at all is asserted only where no scheduler can spoil it: make before break, for forwarded packets.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.relocation.guest import heard

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
    assert found["sent"] > 200, found
    nothing = ("clear", "numbers_again", "ivs_again", "twice", "tap_drops")
    assert {name: found[name] for name in nothing} == dict.fromkeys(nothing, 0), found
    assert found["unexplained"] <= 0, found
    return found


def test_the_ears_find_what_must_not_be(tmp_path: Path) -> None:
    """Time, SPI, number, IV, and 1 for ESP or 3 for clear text: as traffic.c writes them."""
    frame = struct.Struct("=QIIQI").pack
    usual = [frame(n, 0x1001, n, 100 + n, 1) for n in range(5)]
    (tmp_path / "two").write_bytes(b"".join(usual))
    (tmp_path / "one").write_bytes(b"".join(usual))
    assert heard(tmp_path) == {"clear": 0, "numbers_again": 0, "ivs_again": 0}
    bad = [frame(9, 0x1001, 3, 200, 1), frame(9, 0x1001, 9, 104, 1), frame(9, 0, 0, 0, 3)]
    (tmp_path / "one").write_bytes(b"".join(usual + bad))
    assert heard(tmp_path) == {"clear": 1, "numbers_again": 1, "ivs_again": 1}


@pytest.mark.kernel
def test_the_ears_hear_what_is_in_clear(lab72: Lab, program: str) -> None:
    words = {"program": program, "rate": 1000, "kind": "bare", "strategy": "none", "moves": 4}
    found = lab72.call(MEASURE, words, timeout=240)
    assert found["clear"] == found["sent"] > 200


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
