"""Listing does not hold the table, and looking for faults in it does not: the peak of a process that lists many SAs is that of one that lists a thousand.

The engine is a process of its own (``xfrm engine serve``), so what is measured is the listing alone. It tells itself, as it ends, the largest resident set that
it had (VmHWM; what a parent is told in ``ru_maxrss`` counts the parent's own memory from before the exec). 10,000 SAs are about 5 MB of messages. The exhaustive run (PYXFRM_EXHAUSTIVE=1) takes 100,000.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import pytest

from pyxfrm.client import Xfrm, verbs
from pyxfrm.lab import Lab, Options
from pyxfrm.model import Address, Family, Sa
from tests.client.scenarios import numbered
from tests.processes import ended

FEW = 1_000
MANY = 100_000 if os.environ.get("PYXFRM_EXHAUSTIVE") else 10_000
BURST = 100  # events at once: a queue as long as a socket of Linux holds 244 of them
SLACK = 1_500_000  # bytes: what the allocator may round up, whatever the number of SAs

TOLD = """
import sys
work(*sys.argv[1:])
with open("/proc/self/status") as status:
    sys.stderr.write(next(line for line in status if line.startswith("VmHWM:")))
"""
MAIN = """
from pyxfrm.cli import main
def work(*words):
    main(words)
"""
STREAM = """
from pyxfrm.client import Xfrm
def work(path):
    with Xfrm.connect(path, timeout=60) as xfrm:
        print(sum(record.reqid >= 0 for record in xfrm.sas()))
"""
COMMAND = [sys.executable, "-c", MAIN + TOLD]
LISTS = {
    "state list": [*COMMAND, "--engine", "{}", "--timeout", "60", "state", "list"],
    "state list proto esp": [
        *COMMAND, "--engine", "{}", "--timeout", "60", "state", "list", "proto", "esp",
    ],
    "state list --json": [*COMMAND, "--engine", "{}", "--timeout", "60", "--json", "state", "list"],
    "doctor": [*COMMAND, "doctor", "--engine", "{}"],
    "sas()": [sys.executable, "-c", STREAM + TOLD, "{}"],
}  # fmt: skip


class Table:
    """An engine's process with so many SAs."""

    def __init__(self, path: Path, count: int) -> None:
        self.path = path
        self.count = count
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pyxfrm.cli", "engine", "serve", str(path)],
            stderr=subprocess.PIPE,
        )
        assert self.process.stderr is not None
        assert b"serves at" in self.process.stderr.readline()
        self.add(0x100, count)

    def add(self, first: int, count: int) -> None:
        with Xfrm.connect(self.path, timeout=60) as xfrm:
            for start in range(first, first + count, 10_000):
                spis = range(start, min(start + 10_000, first + count))
                xfrm.batch(verbs.add_sa(numbered(spi)) for spi in spis).check()

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate()


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Table, Table]]:
    folder = tmp_path_factory.mktemp("engines")
    made = (Table(folder / "few", FEW), Table(folder / "many", MANY))
    yield made
    for table in made:
        table.close()


def peak(
    argv: list[str],
    during: Callable[[subprocess.Popen[bytes]], object],
    environment: dict[str, str] | None = None,
) -> int:
    """The largest resident set of a process, in bytes."""
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    with ended(process):
        during(process)
        assert process.stderr is not None
        with process.stderr:
            told = process.stderr.read().decode()
        assert process.wait() == 0
    found = re.fullmatch(r"VmHWM:\s+(\d+) kB\n", told)
    assert found, told
    return int(found[1]) * 1024


def drain(process: subprocess.Popen[bytes]) -> int:
    """Read what it prints, and forget it; how much it was."""
    assert process.stdout is not None
    with process.stdout:
        return sum(len(line) for line in process.stdout)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_does_not_grow_with_the_table(name: str, tables: tuple[Table, Table]) -> None:
    peaks, sizes = [], []
    for table in tables:
        argv = [word.format(table.path) if word == "{}" else word for word in LISTS[name]]
        peaks.append(peak(argv, lambda process: sizes.append(drain(process))))
    assert peaks[1] - peaks[0] < SLACK, peaks
    if "list" in name:
        assert sizes[1] > MANY / FEW * sizes[0] * 0.9  # all of them were printed
    assert tables[1].count * 200 > 1.3 * SLACK  # holding them would have been seen


def add_until_heard(table: Table, process: subprocess.Popen[bytes], spis: Iterator[int]) -> None:
    """Somebody who begins to listen says nothing: so let something happen until it is printed."""
    assert process.stdout is not None
    while not select.select([process.stdout], [], [], 0.05)[0]:
        assert process.poll() is None
        table.add(next(spis), 1)


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_watching_does_not_grow_with_what_happens(options: list[str], tmp_path: Path) -> None:
    table = Table(tmp_path / "engine", 0)
    argv = [*COMMAND, "--engine", str(table.path), *options, "monitor", "SA"]
    spis = count(0x100)

    def watch(bursts: int) -> Callable[[subprocess.Popen[bytes]], None]:
        def happen(process: subprocess.Popen[bytes]) -> None:
            add_until_heard(table, process, spis)
            assert process.stdout is not None
            for _ in range(bursts):
                first = next(islice(spis, BURST - 1, BURST)) - BURST + 1
                table.add(first, BURST)
                seen = 0
                while seen < BURST:
                    line = process.stdout.readline()
                    assert line, "the monitor ended by itself"
                    seen += line.startswith((b"src", b"{"))
            process.send_signal(signal.SIGINT)
            drain(process)

        return happen

    try:
        assert peak(argv, watch(MANY // 2 // BURST)) - peak(argv, watch(FEW // BURST)) < SLACK
    finally:
        table.close()


# -- a real kernel -----------------------------------------------------------------------------------


def peaks_here(counts: list[int]) -> dict[str, list[int]]:
    """Called in the guest: peaks of the lists with so many SAs, each to an address of its own (many to one address are slow to add)."""
    commands = (["state", "list"], ["state", "list", "proto", "esp"], ["--json", "state", "list"])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found: dict[str, list[int]] = {" ".join(words): [] for words in commands}
    there = 0
    with Xfrm(timeout=60) as xfrm:
        for goal in counts:
            xfrm.batch(verbs.add_sa(to_itself(n)) for n in range(there, goal)).check()
            there = goal
            for words in commands:
                argv = [*COMMAND, "--timeout", "60", *words]
                found[" ".join(words)].append(peak(argv, drain, environment))
    return found


def to_itself(number: int) -> Sa:
    sa = numbered(0x100 + number)
    daddr = Address(Family.INET, (0x0A000000 + number).to_bytes(4, "big"))
    return replace(sa, id=replace(sa.id, daddr=daddr))


@pytest.mark.kernel
def test_a_list_of_a_kernels_sas_does_not_grow(lab72: Lab) -> None:
    arguments = ("tests.cli.test_memory:peaks_here", [FEW, MANY])
    if MANY > 10_000:
        with Lab("7.2", options=Options(memory="1G")) as lab:
            told = lab.call(*arguments, timeout=300)
    else:
        told = lab72.call(*arguments, timeout=120)
    for few, many in told.values():
        assert many - few < SLACK, told
