"""One measurement, inside the lab's kernel: traffic both ways, moves of both ends under it, and the account."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from errno import errorcode
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.relocation.guest import ENTRY, FRAME
from benchmarks.tunnel.bystanders import Bystanders
from benchmarks.tunnel.scene import (
    INSIDE,
    NAMES,
    PORTS,
    Mover,
    first,
    network_down,
    network_up,
    open_ports,
    place,
)
from pyxfrm.client import Xfrm
from pyxfrm.transport.netns import in_netns, open_netns

PORT = "9999"
PATIENCE = 60.0  # seconds
WHAT = ("address", "peer's address", "both", "port", "family", "encapsulation")


@dataclass
class Cell:
    """``moves`` of which kinds (WHAT), ``pause`` seconds between two; ``rate`` packets a second each way; 0 moves: as long without."""

    program: str
    moves: int = 100
    seconds: float = 0.0
    pause: float = 0.05
    rate: int = 1000
    seed: int = 1
    what: tuple[str, ...] = WHAT


class Traffic:
    """Numbered packets from ``source`` to the other side, what arrives of them, and what is on the wire."""

    def __init__(self, cell: Cell, folder: Path, source: int) -> None:
        near, far = NAMES[source], NAMES[1 - source]
        self.sunk, self.wire = folder / f"sink-{far}", folder / f"wire-{near}"
        start = [cell.program]
        self.sink = _start(far, *start, "sink", INSIDE[1 - source], PORT, str(self.sunk))
        self.tap = _start(near, *start, "tap", "wire", PORT, str(self.wire))
        time.sleep(0.3)
        words = INSIDE[source], INSIDE[1 - source], PORT, str(cell.rate)
        self.sender = _start(near, *start, "send", *words)

    def stop_sending(self) -> None:
        self.sender.send_signal(signal.SIGTERM)
        head, *refused = (line.split() for line in self.sender.communicate()[0].splitlines())
        self.sent = int(head[0])
        self.refused = {errorcode[int(code)]: int(count) for code, count in refused}

    def stop(self) -> dict[str, Any]:
        """The account of this direction."""
        for process in (self.sink, self.tap):
            process.send_signal(signal.SIGTERM)
        drops = int(self.tap.communicate()[0])
        self.sink.communicate()
        entries = list(ENTRY.iter_unpack(self.sunk.read_bytes()))
        numbers = [number for _, number in entries]
        gaps = sorted((b - a for (a, _), (b, _) in pairwise(entries)), reverse=True)
        return {
            "sent": self.sent,
            "refused": self.refused,
            "lost": self.sent - sum(self.refused.values()) - len(set(numbers)),
            "twice": len(numbers) - len(set(numbers)),
            **self._on_the_wire(),
            "gap_ms": round(gaps[0] / 1e6, 1),
            "gap_p999_ms": round(gaps[len(gaps) // 1000] / 1e6, 1),
            "tap_drops": drops,
        }

    def _on_the_wire(self) -> dict[str, int]:
        clear = reused = frames = 0
        seen: set[tuple[int, int]] = set()
        ivs: set[tuple[int, int]] = set()
        for _, spi, number, iv, kind in FRAME.iter_unpack(self.wire.read_bytes()):
            if kind == 3:
                clear += 1
                continue
            frames += 1
            reused += (spi, number) in seen or (spi, iv) in ivs
            seen.add((spi, number))
            ivs.add((spi, iv))
        return {"leaked": clear, "reused": reused, "on_the_wire": frames}


def _start(netns: str, *words: str, **more: Any) -> subprocess.Popen[str]:
    argv = ["ip", "netns", "exec", netns, *words]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, **more)


def measure(words: dict[str, Any]) -> dict[str, Any]:
    """Run one cell."""
    cell = Cell(**words)
    with tempfile.TemporaryDirectory() as text, ExitStack() as stack:
        folder = Path(text)
        stack.callback(network_down)
        network_up()
        open_ports(stack)
        end, ours = _our_end(folder, stack)
        theirs = stack.enter_context(Xfrm("theirs"))
        view = first()
        view.install(ours)
        view.mirror().install(theirs)
        before = _stat()
        mover = Mover(view, ours, theirs)
        _moves(
            replace(cell, moves=2 * len(WHAT), seconds=0.0), mover
        )  # what is used first takes longer
        gc.freeze()
        traffic = [Traffic(cell, folder, source) for source in (0, 1)]
        time.sleep(1.0)
        mover.others.close()
        mover.others = stack.enter_context(Bystanders())
        mover.waits.clear()
        times = _moves(cell, mover)
        for one in traffic:
            one.stop_sending()
        time.sleep(1.0)
        found = {}
        for number, name in enumerate(("ours to kernel", "kernel to ours")):
            stopped = _spread([both[number] for both in mover.waits])
            found[name] = {**traffic[number].stop(), "stopped_ms": stopped}
        end.send_signal(signal.SIGTERM)
        told = end.communicate(timeout=PATIENCE)
        return {
            "moves": len(times),
            "move_ms": sorted(round(1000 * one, 2) for one in times)[len(times) // 2]
            if times
            else 0,
            **found,
            "kernel_drops": {k: v - before[k] for k, v in _stat().items() if v != before[k]},
            "our_end": told[0].splitlines()[-1:] or (folder / "stderr").read_text()[-2000:],
        }


def _our_end(folder: Path, stack: ExitStack) -> tuple[subprocess.Popen[str], Xfrm]:
    """The product's own command, and a client of its engine."""
    log = stack.enter_context((folder / "stderr").open("w"))
    end = _start(
        *("ours", sys.executable, "-m", "pyxfrm.cli", "tunnel", "run", "name", "gw", "--json"),
        *("tun", "vpn0", "address", f"{INSIDE[0]}/32", "route", f"{INSIDE[1]}/32"),
        *("hold", "5", "drain", "2"),
        stderr=log,
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    stack.callback(end.kill)
    path, until = folder / "pyxfrm" / "gw", time.monotonic() + PATIENCE
    while not path.is_socket():
        if time.monotonic() > until or end.poll() is not None:
            raise RuntimeError("our end did not start")
        time.sleep(0.05)
    time.sleep(0.2)
    return end, stack.enter_context(Xfrm.connect(path))


def _moves(cell: Cell, mover: Mover) -> list[float]:
    """How long each took, in seconds."""
    dice = random.Random(cell.seed)
    at = {"here": 0, "there": 0, "v6": 0, "port": 0, "udp": 1}
    times = []
    if not cell.moves:
        time.sleep(cell.seconds)
    for number in range(cell.moves):
        kind = cell.what[number % len(cell.what)]
        _change(at, kind, dice)
        port = PORTS[at["port"]] if at["udp"] else None
        here, there = (
            place(name, at[which], v6=bool(at["v6"]), port=port)
            for name, which in zip(NAMES, ("here", "there"), strict=True)
        )
        begin = time.monotonic()
        mover.move(here, there)
        times.append(time.monotonic() - begin)
        time.sleep(cell.pause)
    return times


def _change(at: dict[str, int], kind: str, dice: random.Random) -> None:
    """Draw another place of this kind."""
    if kind in ("address", "both"):
        at["here"] += dice.randint(1, 3)
    if kind in ("peer's address", "both"):
        at["there"] += dice.randint(1, 3)
    if kind == "port":
        at["port"] = (at["port"] + dice.randint(1, len(PORTS) - 1)) % len(PORTS)
        at["udp"] = 1
    if kind == "family":
        at["v6"] ^= 1
    if kind == "encapsulation":
        at["udp"] ^= 1


def _spread(times: list[float]) -> tuple[float, ...]:
    """Median, 99 % under, longest; in ms."""
    sort = sorted(times)
    return tuple(round(1000 * sort[int((len(sort) - 1) * at)], 2) for at in (0.5, 0.99, 1) if sort)


def _stat() -> dict[str, int]:
    """The kernel's side of /proc/net/xfrm_stat."""
    fd = open_netns("theirs")
    try:
        text = in_netns(fd, Path("/proc/thread-self/net/xfrm_stat").read_text)
    finally:
        os.close(fd)
    return {name: int(count) for name, count in (line.split() for line in text.splitlines())}
