"""Measures relocations on real kernels: `python -m benchmarks.relocation [--only PART ...] [--moves N] [--cpu N] [--results FILE]`.

    window   how long outbound traffic is blocked, against C doing the same calls and against `recreate`
    kinds    100 moves of each kind, 1,000 and 5,000 packets/s: lost, twice, in clear, numbers used again
    zero     `hold` and `gap`: 1,000 moves at 5,000 packets/s; also under 5 ms of delay, and forwarded
    old      the fallbacks, on Linux 6.12
    plot     a picture of arrivals around a move for each strategy, to docs/
    write    no measurement: the tables of docs/relocation.md from the results

Each run of some 100 moves is a line of the results file as soon as it is done; a run that is there already is not made again. It needs gcc, ip and tc, and a CPU of
its own (--cpu): a guest that stands still tells nothing about relocations.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.relocation import tables
from benchmarks.relocation.cells import PARTS, Row, rows
from pyxfrm.lab import Lab
from pyxfrm.lab.boot import Options
from pyxfrm.relocation.report import Arrival, Mark, draw

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DOCS = ROOT / "docs"
RESULTS = HERE / "results.jsonl"
MEASURE = "benchmarks.relocation.guest:measure"
WINDOW = "benchmarks.relocation.window:measure"
QUIET = 10  # seconds for which the guest is watched


def main() -> int:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    names = [*PARTS, "plot", "write"]
    parser.add_argument("--only", action="append", choices=names, help="default: all parts")
    parser.add_argument("--moves", type=int, help="moves a row (default: 100; zero: 1000)")
    parser.add_argument("--cpu", type=int, help="stay on this CPU, with priority")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"default: {RESULTS.name}")
    words = parser.parse_args()
    _settle_on(words.cpu)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "traffic"
        source = HERE / "traffic.c"
        subprocess.run(["gcc", "-O2", "-o", str(program), str(source)], check=True)
        for name in words.only or names:
            if name == "plot":
                plot(str(program))
            elif name == "write":
                tables.write(DOCS / "relocation.md", _results(words.results))
            else:
                part(name, str(program), words.moves, words.results)
    return 0


def _settle_on(cpu: int | None) -> None:
    """The guest inherits both. Not real-time priority: the host throttles that for 50 ms each second."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, -15)


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _results(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def _boot(kernel: str) -> Lab:
    # The guest imports what this process can import.
    os.environ["PYTHONPATH"] = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    return Lab(kernel, options=Options(memory="1G"))


def part(name: str, program: str, moves: int | None, path: Path) -> None:
    """Make what is missing of a part."""
    done = [(r["part"], r["names"], r["cell"]) for r in _results(path)]
    wanted = rows(name, moves)
    for kernel in dict.fromkeys(row.kernel for row in wanted):
        todo = [
            (row, {**cell, "run": number})
            for row in wanted
            if row.kernel == kernel
            for number, cell in enumerate(row.cells)
            if (name, list(row.names), {**cell, "run": number}) not in done
        ]
        if todo:
            with _boot(kernel) as lab:
                _run(lab, todo, program, path)


def _run(lab: Lab, todo: list[tuple[Row, dict[str, Any]]], program: str, path: Path) -> None:
    guest = {"kernel": lab.release, **_quietness(lab, program)}
    say(f"{guest}")
    for row, cell in todo:
        began = time.monotonic()
        words = {name: value for name, value in cell.items() if name != "run"}
        function = WINDOW if row.part == "window" else MEASURE
        found = lab.call(function, {"program": program, **words}, timeout=1800)
        took = round(time.monotonic() - began, 1)
        record = {"part": row.part, "names": row.names, "cell": cell, "guest": guest, "took": took}
        with path.open("a") as file:
            file.write(json.dumps({**record, "found": tables.brief(found)}) + "\n")
        say(f"{' '.join(row.names)} {cell.get('flow', '')} {took} s: {tables.headline(found)}")


def _quietness(lab: Lab, program: str) -> dict[str, Any]:
    """How often the guest stands still: the worth of all that follows."""
    done = lab.run([program, "pauses", str(QUIET)], timeout=10 * QUIET)
    reads, pauses, longest = (int(word) for word in done.stdout.split())
    return {
        "watched_s": QUIET,
        "reads": reads,
        "pauses_over_1_ms": pauses,
        "longest_us": longest,
    }


def plot(program: str) -> None:
    """Pictures, of the flow to the end that moves."""
    with _boot("7.2") as lab:
        for strategy in ("migrate-state", "hold", "gap", "recreate"):
            kind = "both" if strategy == "gap" else "address"
            cell = {"strategy": strategy, "kind": kind, "moves": 1, "pause": 0.3, "keep": True}
            path = DOCS / f"relocation-{strategy}.svg"
            path.write_text(_picture(strategy, lab.call(MEASURE, {"program": program, **cell})))
            say(str(path))


def _picture(strategy: str, found: dict[str, Any]) -> str:
    """From 20 ms before the first change until 30 ms after the last one."""
    marks = [
        Mark(began, f"{requests} requests to end {end}", returned - began)
        for end, began, returned, requests in found["sends"]
    ]
    first, last = min(mark.at for mark in marks), max(mark.at + mark.took for mark in marks)
    near = [
        Arrival(at / 1e9, 0, number)
        for at, number in found["arrivals"]
        if first - 0.02 < at / 1e9 < last + 0.03
    ]
    title = f"{strategy}: 5,000 packets/s around one move, {found['lost']} lost"
    return draw(near, marks, title, names={0: "numbered UDP packets, as they arrived"})


if __name__ == "__main__":
    sys.exit(main())
