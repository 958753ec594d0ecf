"""Measures the client: `python -m benchmarks.client [--on lab|host ...] [--count N] [--rounds N] [--json FILE]`.

10,000 policies are added, shown and deleted, again and again, by `ip -batch`, by C that sends the same bytes, by the library, and by `xfrm -batch`. All on one
kernel in one run, taking turns, since machines are noisy: look at the ratios of the medians.

    lab    a user-mode Linux 7.2 (needs no privilege)
    host   this machine's kernel, in a network namespace of its own; where that is not allowed it is left out

It needs gcc. `ip` is iproute2 7.3, as the lab fetches it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from pyxfrm.lab import Lab, fetch

Found = dict[str, dict[str, list[float]]]

HERE = Path(__file__).parent
UNSHARE = ["unshare", "--net"]


def main() -> int:
    """Run it where it was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--on", action="append", choices=["lab", "host"], help="default: both")
    parser.add_argument("--count", type=int, default=10_000, help="policies (default: 10,000)")
    parser.add_argument("--rounds", type=int, default=15, help="(default: 15)")
    parser.add_argument("--json", metavar="FILE", help="all times too, in microseconds a policy")
    given = parser.parse_args()
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "same"
        subprocess.run(["gcc", "-O2", "-o", str(program), str(HERE / "same.c")], check=True)
        words = {"program": str(program), "count": given.count, "rounds": given.rounds}
        words["ip"] = list(fetch.iproute2().argv)
        for place in given.on or ("lab", "host"):
            run = on_lab if place == "lab" else on_host
            for kernel, times in run(words).items():
                found[kernel] = times
                show(kernel, times)
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=1))
    return 0


def on_lab(words: dict[str, Any]) -> dict[str, Found]:
    """On the lab's Linux 7.2."""
    with Lab("7.2") as lab:
        kernel = f"Linux {lab.release}, user mode"
        return {kernel: lab.call("benchmarks.client.measure:measure", words, timeout=3600)}


def on_host(words: dict[str, Any]) -> dict[str, Found]:
    """On this machine's kernel; nothing if we may not."""
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        sys.stdout.write("\nhost: no network namespace of its own without CAP_SYS_ADMIN\n")
        return {}
    argv = [*UNSHARE, sys.executable, "-m", "benchmarks.client.measure", json.dumps(words)]
    out = subprocess.run(argv, stdout=subprocess.PIPE, check=True, env=dict(os.environ)).stdout
    return {f"Linux {platform.release()}, this machine's": json.loads(out)}


def show(kernel: str, found: Found) -> None:
    """A table for each thing that was done: medians and ratios."""
    say(f"\n## {kernel}, Python {platform.python_version()}")
    for what, by in found.items():
        names = list(by)
        ip = median(by[names[0]])
        c = median(by["C, the same bytes"]) if "C, the same bytes" in by else None
        last = "| times the time of C " if c else ""
        say(f"\n| {what} | us a policy: median (least) | times as fast as `ip` {last}|")
        say("|---" * (4 if c else 3) + "|")
        for name in names:
            middle = median(by[name])
            row = f"| {name} | {middle:.2f} ({min(by[name]):.2f}) | {ip / middle:.2f} |"
            say(f"{row} {middle / c:.2f} |" if c else row)


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
