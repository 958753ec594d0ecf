"""One measurement, inside the lab's kernel: traffic, relocations under it, and the account.

The guest has one CPU. What only a measurement does (planning the next move, listening) must not keep the traffic from being sent, so this process has the lowest priority while it
plans (SCHED_IDLE); the driver takes what priority it wants.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.relocation.account import UNCOUNTED, rises, shared_snapshot, snapshot
from benchmarks.relocation.scene import (
    KINDS,
    NAMES,
    PORT,
    A,
    B,
    C,
    Kind,
    install,
    network_down,
    network_up,
)
from benchmarks.relocation.stopwatch import Stopwatch
from pyxfrm.client import Xfrm
from pyxfrm.model import Default
from pyxfrm.relocation.blocks import Guard
from pyxfrm.relocation.driver import Driver
from pyxfrm.relocation.ends import KernelEnd
from pyxfrm.relocation.facts import Facts, Features
from pyxfrm.relocation.footprint import whole
from pyxfrm.relocation.haste import wait
from pyxfrm.relocation.journal import Journal
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import Options, Plan, Strategy
from pyxfrm.relocation.plan import make_pair
from pyxfrm.relocation.survey import survey
from pyxfrm.relocation.wish import Wish
from pyxfrm.transport.kernel import KernelTransport
from pyxfrm.wire.netlink import frames

FRAME = struct.Struct("=QIIQI")
ENTRY = struct.Struct("=QQ")
UDP_ENCAP, ESPINUDP = 100, 2


@dataclass
class Cell:
    """What one measurement is about; see :mod:`benchmarks.relocation.cells`.

    ``strategy``  "auto": what the plan chooses; "none": no move at all
    ``flow``      which way the packets go: "out" of the end that moves, or "in"
    ``hogs``      processes that want the whole CPU
    ``gentle``    plans are made at the lowest priority; not where the CPU is never idle: there they would not be made
    ``asleep``    the drain is a sleep and nothing else
    """

    program: str
    kind: str = "address"
    strategy: str = "migrate-state"
    guard: str = "in-place"
    rate: int = 5000
    moves: int = 100
    delay_ms: float = 0.0
    pause: float = 0.05
    flow: str = "in"
    forward: bool = False
    split: bool = False
    dual: str = ""
    drain_ms: float | None = None
    durable: bool = False
    keep: bool = False
    hogs: int = 0
    gentle: bool = True
    asleep: bool = False


class Stream:
    """Numbered packets from one side to the other, and ears on the wire."""

    def __init__(self, cell: Cell, folder: Path, ends: tuple[str, str]) -> None:
        self.folder = folder
        near, far = ("one", "two") if cell.flow == "out" else ("two", "one")
        if cell.forward:
            near, far = {"one": "src", "two": "dst"}[near], {"one": "src", "two": "dst"}[far]
        self.sink = _start(far, cell.program, "sink", ends[1], str(PORT), str(folder / "sink"))
        self.taps = [
            _start(name, cell.program, "tap", device, str(PORT), str(folder / name))
            for name, device in (("one", "one-two"), ("two", "two-one"))
        ]
        time.sleep(0.3)
        self.sender = _start(
            near, cell.program, "send", ends[0], ends[1], str(PORT), str(cell.rate)
        )
        self.began = time.monotonic()

    def stop(self, delay: float) -> Counter[int]:
        """Packets that were sent (under 0), and of these, by errno, how many were refused."""
        self.sender.send_signal(signal.SIGTERM)
        self.took = time.monotonic() - self.began
        totals, *refused = self.sender.communicate()[0].splitlines()
        sent, self.turns = map(int, totals.split())
        time.sleep(0.5 + 2 * delay)
        for process in (self.sink, *self.taps):
            process.send_signal(signal.SIGTERM)
        self.tap_drops = sum(int(tap.communicate()[0]) for tap in self.taps)
        self.sink.communicate()
        return Counter({0: sent}) + Counter(
            {int(code): int(times) for code, times in (line.split() for line in refused)}
        )


def _start(netns: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["ip", "netns", "exec", netns, *words], stdout=subprocess.PIPE, text=True
    )


@dataclass
class Tally:
    """Times and counts of all moves of a cell."""

    states: Counter[str] = field(default_factory=Counter)
    strategies: Counter[str] = field(default_factory=Counter)
    windows: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    account: dict[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    sends: list[tuple[int, float, float, int]] = field(default_factory=list)


def measure(words: dict[str, Any]) -> dict[str, Any]:
    """Run one cell."""
    cell = Cell(**words)
    with tempfile.TemporaryDirectory() as text, contextlib.ExitStack() as stack:
        folder = Path(text)
        stack.callback(network_down)
        network_up(cell.delay_ms)
        kind = KINDS[cell.kind]()
        watches = [Stopwatch(KernelTransport(name)) for name in ("one", "two")]
        ends = (
            KernelEnd("one", Xfrm(transport=watches[0])),
            KernelEnd("two", Xfrm(transport=watches[1])),
        )
        install(cell.kind, kind, (ends[0].xfrm, ends[1].xfrm))
        for end in ends:
            _open_ports(end, kind, stack)
            if kind.hosts:
                end.xfrm.set_defaults(outbound=Default.BLOCK)
        before = _counters()
        stream = _stream(cell, kind, folder)
        for _ in range(cell.hogs):
            hog = subprocess.Popen(["sh", "-c", "while :; do :; done"])
            stack.callback(hog.wait)
            stack.callback(hog.kill)
        time.sleep(0.5)
        with _at_low_priority() if cell.gentle else contextlib.nullcontext():
            tally = _relocate(cell, kind, ends, watches, folder)
        counts = stream.stop(cell.delay_ms / 1000)
        tally.account = rises(before, _counters())
        return _account(cell, stream, counts, tally)


def _counters() -> list[Counter[str]]:
    found = [snapshot(KernelEnd(name).read) for name in NAMES]
    return [*found, shared_snapshot()]


@contextlib.contextmanager
def _at_low_priority() -> Iterator[None]:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _open_ports(end: KernelEnd, kind: Kind, stack: contextlib.ExitStack) -> None:
    """UDP sockets that take ESP in UDP (RFC 3948)."""
    for port in kind.ports:
        sock = end.within(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        stack.callback(sock.close)
        sock.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, ESPINUDP)
        sock.bind(("0.0.0.0", port))


def _stream(cell: Cell, kind: Kind, folder: Path) -> Stream:
    if kind.hosts:
        # Of two hosts only the one that has the SA may send: the sender goes where it may.
        return Stream(cell, folder, (f"{A},{B}", str(C)))
    last = "9" if cell.forward else "1"
    return Stream(cell, folder, _turn(cell, f"10.1.0.{last}", f"10.2.0.{last}"))


def _turn(cell: Cell, one: str, two: str) -> tuple[str, str]:
    return (one, two) if cell.flow == "out" else (two, one)


# -- the moves -----------------------------------------------------------------------------------------


def _relocate(
    cell: Cell,
    kind: Kind,
    ends: tuple[KernelEnd, KernelEnd],
    watches: list[Stopwatch],
    folder: Path,
) -> Tally:
    journal = Journal(folder / "journal.db", durable=cell.durable)
    driver = Driver(ends, journal, sleep=time.sleep if cell.asleep else wait)
    features = survey(ends[0]).features
    options = Options(
        None if cell.strategy in ("none", "auto") else Strategy(cell.strategy),
        Guard(cell.guard),
        split=cell.split,
        dual=cell.dual,
        drain=None if cell.drain_ms is None else cell.drain_ms / 1000,
    )
    tally = Tally()
    for n in range(cell.moves):
        if cell.strategy == "none":
            time.sleep(cell.pause)
            tally.whole.append(0.0)
            continue
        wish = kind.back if n % 2 else kind.forth
        plans = _plans(cell, wish, ends, options, features)
        for watch in watches:
            watch.clear()
        began = time.monotonic()
        outcome = driver.relocate(*plans)
        tally.whole.append(time.monotonic() - began)
        tally.states[outcome.state.value] += 1
        tally.strategies[plans[0].strategy.value] += 1
        tally.troubles += outcome.troubles[:1]
        sends = [send for watch in watches for send in watch.sends]
        first, last = min(send[0] for send in sends), max(send[1] for send in sends)
        tally.windows.append(last - first)
        tally.sends = [
            (end, send[0], send[1], sum(1 for _ in frames(send[3])))
            for end, watch in enumerate(watches)
            for send in watch.sends
        ]
        if outcome.state is not State.MOVED:
            break
        time.sleep(cell.pause)
    journal.close()
    return tally


def _plans(
    cell: Cell,
    wish: Wish,
    ends: tuple[KernelEnd, KernelEnd],
    options: Options,
    features: Features,
) -> tuple[Plan, Plan]:
    facts = []
    for end in ends:
        sas = tuple(whole(record) for record in end.xfrm.sas())
        policies = tuple(record.policy for record in end.xfrm.policies())
        rates = {sa.id: float(cell.rate) for sa in sas}
        facts.append(
            Facts(sas, policies, features=features, rates=rates, delay=cell.delay_ms / 1000)
        )
    if cell.dual:
        options = replace(options, dual="one-two")
    plans = make_pair(wish, (facts[0], facts[1]), options)
    if cell.dual:
        other = replace(plans[1].options, dual="two-one")
        plans = (plans[0], replace(plans[1], options=other))
    for plan in plans:
        plan.check()
    return plans


# -- the account ---------------------------------------------------------------------------------------


def _account(cell: Cell, stream: Stream, counts: Counter[int], tally: Tally) -> dict[str, Any]:
    entries = list(ENTRY.iter_unpack((stream.folder / "sink").read_bytes()))
    numbers = [number for _, number in entries]
    sent = counts.pop(0)
    lost = sent - len(set(numbers))
    known = sum(tally.account.values()) + sum(counts[code] for code in UNCOUNTED)
    known -= min(stream.turns, tally.account.get("OutPolBlock", 0))
    made = {
        "moves": sum(tally.states.values()),
        "states": dict(tally.states),
        "strategies": dict(tally.strategies),
        "sent": sent,
        "rate": round(sent / stream.took),
        "refused": {errno.errorcode[code]: times for code, times in counts.items() if times},
        "lost": lost,
        "unexplained": lost - known,
        "account": tally.account,
        "twice": len(numbers) - len(set(numbers)),
        "late": _late(numbers),
        "gap_ms": round(_longest(entries) / 1e6, 2),
        **heard(stream.folder),
        "windows_us": [round(1e6 * t) for t in tally.windows],
        "whole_ms": round(1e3 * sorted(tally.whole)[len(tally.whole) // 2], 1),
        "troubles": tally.troubles[:3],
        "tap_drops": stream.tap_drops,
    }
    if cell.keep:
        made["arrivals"] = entries
        made["sends"] = tally.sends
    return made


def _late(numbers: list[int]) -> int:
    top, late = -1, 0
    for number in numbers:
        late += number < top
        top = max(top, number)
    return late


def _longest(entries: list[tuple[int, int]]) -> int:
    times = [at for at, _ in entries]
    return max((b - a for a, b in pairwise(times)), default=0)


def heard(folder: Path) -> dict[str, int]:
    """What left each gateway: sequence numbers and IVs of a key are unique, nothing is in clear."""
    clear = numbers_again = ivs_again = 0
    for name in ("one", "two"):
        seen: set[tuple[int, int]] = set()
        ivs: set[tuple[int, int]] = set()
        for _, spi, number, iv, kind in FRAME.iter_unpack((folder / name).read_bytes()):
            if kind == 3:
                clear += 1
                continue
            numbers_again += (spi, number) in seen
            ivs_again += (spi, iv) in ivs
            seen.add((spi, number))
            ivs.add((spi, iv))
    return {"clear": clear, "numbers_again": numbers_again, "ivs_again": ivs_again}
