"""A pyxfrm end against a kernel end, moved under traffic: `python -m benchmarks.tunnel [--moves N] [--runs N] [--seed N] [--json FILE]`.

Inside Linux 7.2 in the lab: `xfrm tunnel run` behind a TUN device in one network namespace, the kernel's XFRM in another, 1,000 packets/s each way, made
and counted by C programs. Both ends are moved together: to other addresses, ports, families, into UDP and out of it. The same time without a move is measured before and
after. With several runs, each has a seed of its own, and the medians of their longest gaps are compared: a longest gap alone is mostly the machine's. It needs gcc and ip.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pyxfrm.lab import Lab

SOURCE = Path(__file__).parents[1] / "relocation" / "traffic.c"
MEASURE = "benchmarks.tunnel.guest:measure"
COLUMNS = (
    *("sent", "refused", "lost", "twice", "leaked", "reused"),
    *("gap_ms", "gap_p999_ms", "stopped_ms"),
)
WAYS = ("ours to kernel", "kernel to ours")


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--moves", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--pause", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="all numbers, too")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "traffic"
        subprocess.run(["gcc", "-O2", "-o", str(program), str(SOURCE)], check=True)
        with Lab("7.2") as lab:
            found = rounds(lab, words, {"program": str(program), "rate": words.rate})
    compare(found)
    if words.json:
        Path(words.json).write_text(json.dumps(found, indent=1))
    return 0


def rounds(lab: Lab, words: argparse.Namespace, base: dict[str, Any]) -> list[dict[str, Any]]:
    """Without and with moves, in turn, and once more without."""
    moves = {**base, "moves": words.moves, "pause": words.pause}
    quiet = {**base, "moves": 0, "seconds": words.moves * (words.pause + 0.02)}
    cells = [quiet]
    for number in range(words.runs):
        cells += [{**moves, "seed": words.seed + number}, quiet]
    say(f"Linux {lab.release}, {words.rate} packets/s each way")
    say("stopped_ms: how long a move stopped each direction: median, 99 % under, longest")
    say(f"| what | way | {' | '.join(COLUMNS)} |")
    say("|---" * (2 + len(COLUMNS)) + "|")
    found = []
    for cell in cells:
        one = lab.call(MEASURE, cell, timeout=3000, fresh=True)
        found.append(one)
        name = f"{one['moves']} moves" if one["moves"] else "no move"
        for way in WAYS:
            row = (one[way][column] for column in COLUMNS)
            say(f"| {name} | {way} | {' | '.join(map(str, row))} |")
        say(f"  {one['move_ms']} ms a move; {one['kernel_drops']} {one['our_end']}")
    return found


def compare(found: list[dict[str, Any]]) -> None:
    """The longest gaps, without and with moves."""
    for way in WAYS:
        without, moved = (
            [one[way]["gap_ms"] for one in found if bool(one["moves"]) is wanted]
            for wanted in (False, True)
        )
        middle, middle_moved = statistics.median(without), statistics.median(moved)
        say(
            f"{way}: longest gaps {without} ms without moves, {moved} with; "
            f"medians {middle:.1f} and {middle_moved:.1f}: {middle_moved / middle:.2f} times"
        )


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
