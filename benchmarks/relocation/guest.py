"""One measurement, inside the lab's kernel: traffic, relocations under it, and the account."""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.relocation.scene import (
    KINDS,
    PORT,
    A,
    B,
    C,
    Kind,
    install,
    network_down,
    network_up,
)
from pyxfrm.model import Default
from pyxfrm.relocation.blocks import Guard
from pyxfrm.relocation.commands import Batch, Script
from pyxfrm.relocation.driver import Driver, Moment
from pyxfrm.relocation.ends import KernelEnd
from pyxfrm.relocation.facts import Facts, Features
from pyxfrm.relocation.footprint import whole
from pyxfrm.relocation.journal import Journal
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import Options, Plan, Strategy
from pyxfrm.relocation.plan import make_pair
from pyxfrm.relocation.survey import survey
from pyxfrm.relocation.wish import Wish

FRAME = struct.Struct("=QIIQI")
ENTRY = struct.Struct("=QQ")
UDP_ENCAP, ESPINUDP = 100, 2


@dataclass
class Cell:
    """What one measurement is about; see ``__main__`` for the words."""

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


class Stream:
    """Numbered packets from one side to the other, and ears on the wire."""

    def __init__(self, cell: Cell, folder: Path, ends: tuple[str, str], rate: int) -> None:
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
        self.sender = _start(near, cell.program, "send", ends[0], ends[1], str(PORT), str(rate))

    def stop(self, delay: float) -> tuple[int, int]:
        """Packets that were sent, and how many of these sends were refused."""
        self.sender.send_signal(signal.SIGTERM)
        sent, refused = (int(word) for word in self.sender.communicate()[0].split())
        time.sleep(0.5 + 2 * delay)
        for process in (self.sink, *self.taps):
            process.send_signal(signal.SIGTERM)
        self.tap_drops = sum(int(tap.communicate()[0]) for tap in self.taps)
        self.sink.communicate()
        return sent, refused


def _start(netns: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["ip", "netns", "exec", netns, *words], stdout=subprocess.PIPE, text=True
    )


@dataclass
class Tally:
    """Times and counts of all moves of a cell."""

    states: dict[str, int] = field(default_factory=dict)
    windows: list[float] = field(default_factory=list)
    scripts: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    account: dict[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    marks: list[float] = field(default_factory=list)


def measure(words: dict[str, Any]) -> dict[str, Any]:
    """Run one cell."""
    cell = Cell(**words)
    with tempfile.TemporaryDirectory() as text, contextlib.ExitStack() as stack:
        folder = Path(text)
        stack.callback(network_down)
        network_up(cell.delay_ms)
        kind = KINDS[cell.kind]()
        ends = (KernelEnd("one"), KernelEnd("two"))
        install(cell.kind, kind, (ends[0].xfrm, ends[1].xfrm))
        for end in ends:
            _open_ports(end, kind, stack)
            if kind.hosts:
                end.xfrm.set_defaults(outbound=Default.BLOCK)
        streams = _streams(cell, kind, folder)
        time.sleep(0.5)
        tally = _relocate(cell, kind, ends, folder)
        delay = cell.delay_ms / 1000
        counts = [stream.stop(delay) for stream in streams]
        return _account(cell, streams, counts, tally)


def _open_ports(end: KernelEnd, kind: Kind, stack: contextlib.ExitStack) -> None:
    """UDP sockets that take ESP in UDP (RFC 3948)."""
    for port in kind.ports:
        sock = end.within(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        stack.callback(sock.close)
        sock.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, ESPINUDP)
        sock.bind(("0.0.0.0", port))


def _streams(cell: Cell, kind: Kind, folder: Path) -> list[Stream]:
    if kind.hosts:
        return [
            Stream(cell, _sub(folder, str(source)), _turn(cell, str(source), str(C)), cell.rate)
            for source in (A, B)
        ]
    last = "9" if cell.forward else "1"
    return [Stream(cell, folder, _turn(cell, f"10.1.0.{last}", f"10.2.0.{last}"), cell.rate)]


def _turn(cell: Cell, one: str, two: str) -> tuple[str, str]:
    return (one, two) if cell.flow == "out" else (two, one)


def _sub(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


# -- the moves -----------------------------------------------------------------------------------------


def _relocate(cell: Cell, kind: Kind, ends: tuple[KernelEnd, KernelEnd], folder: Path) -> Tally:
    journal = Journal(folder / "journal.db", durable=cell.durable)
    moments: list[Moment] = []
    driver = Driver(ends, journal, listener=moments.append)
    features = survey(ends[0]).features
    options = Options(
        None if cell.strategy == "none" else Strategy(cell.strategy),
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
        moments.clear()
        began = time.monotonic()
        tally.marks.append(began)
        outcome = driver.relocate(*plans)
        tally.whole.append(time.monotonic() - began)
        tally.states[outcome.state.value] = tally.states.get(outcome.state.value, 0) + 1
        tally.troubles += outcome.troubles[:1]
        for counters in outcome.account:
            for name, rise in counters.items():
                tally.account[name] = tally.account.get(name, 0) + rise
        _times(moments, tally)
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


def _times(moments: list[Moment], tally: Tally) -> None:
    """How long each script took: all datagrams out, all answers in."""
    for moment in moments:
        command = moment.command
        if isinstance(command, Script):
            tally.scripts.append(moment.took)
            if any(_moves(part) for part in command.parts):
                tally.windows.append(moment.took)


def _moves(part: Any) -> bool:
    from pyxfrm.relocation.commands import AddSa, Migrate, MigrateByPolicy

    return isinstance(part, Batch) and any(
        isinstance(c, AddSa | Migrate | MigrateByPolicy) for c in part.commands
    )


# -- the account ---------------------------------------------------------------------------------------


def _account(
    cell: Cell, streams: list[Stream], counts: list[tuple[int, int]], tally: Tally
) -> dict[str, Any]:
    sent = sum(count[0] for count in counts)
    refused = sum(count[1] for count in counts)
    entries = [list(ENTRY.iter_unpack((s.folder / "sink").read_bytes())) for s in streams]
    numbers = [[number for _, number in some] for some in entries]
    arrived = sum(len(set(some)) for some in numbers)
    twice = sum(len(some) - len(set(some)) for some in numbers)
    late = sum(_late(some) for some in numbers)
    gap = max(_longest(some) for some in entries)
    wire = _wire(streams)
    made = {
        "moves": sum(tally.states.values()),
        "states": tally.states,
        "sent": sent,
        "refused": refused,
        "lost": sent - arrived,
        "twice": twice,
        "late": late,
        "gap_ms": round(gap / 1e6, 2),
        **wire,
        "windows_us": [round(1e6 * t) for t in tally.windows],
        "scripts_us": [round(1e6 * t) for t in tally.scripts],
        "whole_ms": round(1e3 * sorted(tally.whole)[len(tally.whole) // 2], 1),
        "account": tally.account,
        "troubles": tally.troubles[:3],
        "tap_drops": sum(s.tap_drops for s in streams),
    }
    if cell.keep:
        made["arrivals"] = entries[0]
        made["marks"] = tally.marks
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


def _wire(streams: list[Stream]) -> dict[str, int]:
    """What left each gateway: sequence numbers and IVs of a key are unique, nothing is in clear."""
    clear = numbers_again = ivs_again = 0
    for stream in streams:
        for name in ("one", "two"):
            seen: set[tuple[int, int]] = set()
            ivs: set[tuple[int, int]] = set()
            for _, spi, number, iv, kind in FRAME.iter_unpack((stream.folder / name).read_bytes()):
                if kind == 3:
                    clear += 1
                    continue
                numbers_again += (spi, number) in seen
                ivs_again += (spi, iv) in ivs
                seen.add((spi, number))
                ivs.add((spi, iv))
        if len(streams) > 1:
            break  # both streams of hosts share the wire
    return {"clear": clear, "numbers_again": numbers_again, "ivs_again": ivs_again}
