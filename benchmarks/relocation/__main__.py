"""Measures relocations on real kernels: `python -m benchmarks.relocation [--only NAME ...] [--moves N] [--json FILE]`.

    window   how long outbound traffic is blocked, against C doing the same calls and against `recreate`
    kinds    100 moves of each kind, 1,000 and 5,000 packets/s: lost, twice, in clear, numbers used again
    zero     `hold` and `gap`: 1,000 moves at 5,000 packets/s; also under 5 ms of delay, and forwarded
    old      the fallbacks, on Linux 6.12
    plot     a picture of arrivals around a move for each strategy, to docs/

It needs gcc, ip and tc. Machines are noisy: a guest that stands still loses packets of its own, so `none` (no move at all) is measured beside.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.relocation.scene import KINDS
from pyxfrm.lab import Lab
from pyxfrm.relocation.report import Arrival, draw

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
MEASURE = "benchmarks.relocation.guest:measure"
HEADS = ("lost", "a move", "refused", "late", "twice", "clear", "numbers", "IVs", "gap ms", "us")


def main() -> int:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=list(PARTS), help="default: all parts")
    parser.add_argument("--moves", type=int, help="moves a cell (default: 100; zero: 1000)")
    parser.add_argument("--json", metavar="FILE", help="all numbers, too")
    words = parser.parse_args()
    numbers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "traffic"
        source = HERE / "traffic.c"
        subprocess.run(["gcc", "-O2", "-o", str(program), str(source)], check=True)
        for name in words.only or PARTS:
            kernel, part = PARTS[name]
            with Lab(kernel) as lab:
                say(f"\n## {name} (Linux {lab.release})\n")
                numbers[name] = part(lab, str(program), words.moves)
    if words.json:
        Path(words.json).write_text(json.dumps(numbers, indent=1))
    return 0


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def window(lab: Lab, program: str, moves: int | None) -> Any:
    """The blocked window."""
    words = {"program": program, "moves": moves or 100}
    found = lab.call("benchmarks.relocation.window:measure", words)
    say(
        "| way | until the last send returned: library, C, C one by one | until all answers were read |"
    )
    say("|---|---|---|")
    for way, by in found.items():
        columns = [
            list(zip(*by.get(who, []), strict=True)) for who in ("python", "c", "c one by one")
        ]
        cells = [
            " / ".join(f"{median(column[n]):.0f}" if column else "-" for column in columns)
            for n in (0, 1)
        ]
        say(f"| {way} | {cells[0]} | {cells[1]} |")
    return found


def _cells(lab: Lab, program: str, cells: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    say(f"| what | {' | '.join(HEADS)} |")
    say("|---" * (len(HEADS) + 1) + "|")
    made = []
    for cell in cells:
        found = lab.call(MEASURE, {"program": program, **cell}, timeout=1800)
        name = " ".join(str(value) for value in cell.values())
        moves = max(1, found["moves"])
        span = f"{median(found['windows_us']):.0f}" if found["windows_us"] else "-"
        row = [
            found["lost"],
            f"{found['lost'] / moves:.3f}",
            *(
                found[key]
                for key in ("refused", "late", "twice", "clear", "numbers_again", "ivs_again")
            ),
            found["gap_ms"],
            span,
        ]
        say(f"| {name} | {' | '.join(map(str, row))} |")
        if set(found["states"]) - {"moved"} or found["troubles"] or found["account"]:
            say(f"  {found['states']} {found['account']} {found['troubles']}")
        made.append({"cell": cell, **found})
    return made


def kinds(lab: Lab, program: str, moves: int | None) -> Any:
    """Every kind of move under the block policy, and no move at all."""

    def cells() -> Iterator[dict[str, Any]]:
        for rate in (1000, 5000):
            yield {"kind": "address", "strategy": "none", "rate": rate, "moves": 50, "pause": 0.1}
            for kind in KINDS:
                for flow in ("in", "out"):
                    if kind != "four" and not (kind == "hosts" and flow == "in"):
                        yield {"kind": kind, "rate": rate, "flow": flow, "moves": moves or 100}

    return _cells(lab, program, cells())


def zero(lab: Lab, program: str, moves: int | None) -> Any:
    """The two that lose nothing."""

    def cells() -> Iterator[dict[str, Any]]:
        many = moves or 1000
        for strategy in ("hold", "gap"):
            for flow in ("in", "out"):
                base = {"strategy": strategy, "flow": flow}
                yield {**base, "moves": many}
                yield {**base, "moves": max(1, many // 5), "delay_ms": 5.0}
                yield {**base, "moves": max(1, many // 5), "forward": True}

    return _cells(lab, program, cells())


def old(lab: Lab, program: str, moves: int | None) -> Any:
    """Kernels without MIGRATE_STATE."""

    def cells() -> Iterator[dict[str, Any]]:
        for strategy in ("migrate", "recreate"):
            for rate in (1000, 5000):
                yield {"strategy": strategy, "rate": rate, "moves": moves or 100}

    return _cells(lab, program, cells())


def plot(lab: Lab, program: str, moves: int | None) -> Any:
    """Pictures."""
    for strategy in ("migrate-state", "hold", "gap", "recreate"):
        cell = {"strategy": strategy, "moves": moves or 1, "pause": 0.3, "keep": True}
        found = lab.call(MEASURE, {"program": program, **cell})
        begin = found["marks"][0]
        near = [
            Arrival(at / 1e9, 0, number)
            for at, number in found["arrivals"]
            if begin - 0.06 < at / 1e9 < begin + 0.14
        ]
        path = DOCS / f"relocation-{strategy}.svg"
        path.write_text(draw(near, [], f"{strategy}: 5,000 packets/s around one move"))
        say(f"{path}: {len(near)} packets")
    return None


PARTS = {
    "window": ("7.2", window),
    "kinds": ("7.2", kinds),
    "zero": ("7.2", zero),
    "old": ("6.12", old),
    "plot": ("7.2", plot),
}

if __name__ == "__main__":
    sys.exit(main())
