"""What is going on in a scene at this moment, ten times a second, for whoever draws it.

Drawing takes longer than a packet has time. So another process does it (:mod:`pyxfrm.cli.demo.view`), and gets each moment as a line of JSON through a pipe; if it is late, moments are left
out, and packets never wait for it. That process ends when the pipe does, however this one ends, and leaves the terminal as it was.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pyxfrm.cli.demo.moves import Move
from pyxfrm.cli.demo.scene import Scene, Side
from pyxfrm.closing import Closing
from pyxfrm.model import Proto

if TYPE_CHECKING:
    from pyxfrm.client.records import SaRecord

__all__ = ["Feed", "Screen", "TICK"]

TICK = 0.1  # seconds
_HISTORY = 100  # ticks
_PATIENCE = 2.0  # seconds that the drawing process may take to end
_RESTORE = b"\x1b[?1049l\x1b[?25h"  # the normal screen, the cursor


class Feed:
    """Moments of a scene. ``seconds``: how long it will go on; ``title``: what it is about."""

    def __init__(self, scene: Scene, moves: Sequence[Move], seconds: float, title: str) -> None:
        self._scene = scene
        self._moves = moves
        self._seconds = seconds
        self._title = title
        self._seen = [0, 0]
        self._last = 0.0
        self._rates: deque[int] = deque(maxlen=_HISTORY)
        self._slowest: deque[float] = deque(maxlen=_HISTORY)

    def moment(self) -> dict[str, Any]:
        """Now."""
        scene, watch = self._scene, self._scene.watch
        self._count()
        nat = scene.nat
        return {
            "title": self._title,
            "now": round(scene.now, 1),
            "seconds": self._seconds,
            "ends": [str(side.tunnel.here) for side in scene.sides],
            "nat": str(nat.outside) if nat else "",
            "sas": [self._sa(side) for side in scene.sides],
            "streams": [self._stream(side) for side in scene.sides],
            "rates": list(self._rates),
            "slowest": list(self._slowest),
            "wire": [watch.sent, watch.clear, watch.reused],
            "late": sum(side.end.stats.late for side in scene.sides),
            "waiting": scene.waiting,
            "moves": self._list(),
        }

    def _count(self) -> None:
        """Packets a second, and the slowest of them (ms), since the last time."""
        now, came, slowest = self._scene.now, 0, 0.0
        for n, side in enumerate(self._scene.sides):
            arrivals = self._scene.arrivals(side)
            new = arrivals.packets[self._seen[n] :] if arrivals else []
            self._seen[n] += len(new)
            came += len(new)
            slowest = max([slowest, *(packet.arrived - packet.sent for packet in new)])
        self._rates.append(round(came / max(0.001, now - self._last)))
        self._slowest.append(round(1000 * slowest, 2))
        self._last = now

    def _stream(self, side: Side) -> list[int]:
        """Sent, came, lost so far, came twice."""
        arrivals = self._scene.arrivals(side)
        if arrivals is None:
            return [side.stream.sent, 0, 0, 0]
        lost = arrivals.highest + 1 - arrivals.received
        return [side.stream.sent, arrivals.received, lost, arrivals.duplicates]

    def _sa(self, side: Side) -> dict[str, Any]:
        """The SA with which a side sends, as its engine has it."""
        spi = side.tunnel.keys.spi_left
        record = next((one for one in side.xfrm.sas(Proto.ESP) if one.spi == spi), None)
        if record is None:
            return {"spi": f"{spi:#010x}", "way": "no SA", "number": 0}
        return {"spi": f"{spi:#010x}", "way": _way(record), "number": record.replay.oseq}

    def _list(self) -> list[list[str]]:
        """Each move: its name, "done", "now", "left" or "next", and what came of it or what it is."""
        by_name = {stretch.name: stretch for stretch in self._scene.stretches}
        told = []
        for move in self._moves:
            stretch = by_name.get(move.name)
            if stretch is None:
                told.append([move.name, "next", move.why])
            elif stretch.skipped:
                told.append([move.name, "left", stretch.skipped])
            elif stretch.end is None:
                told.append([move.name, "now", move.why])
            else:
                result = (
                    f"{1000 * stretch.took:.0f} ms, {stretch.waited} waited, {stretch.lost} lost"
                )
                told.append([move.name, "done", result])
        return told


def _way(record: SaRecord) -> str:
    encap = record.encap
    here, there = str(record.saddr), str(record.daddr)
    if encap is None:
        return f"{here} > {there}"
    ends = ((here, encap.sport), (there, encap.dport))
    return " > ".join(
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in ends
    )


@contextmanager
def _deaf() -> Iterator[None]:
    """A process that is started here does not hear Ctrl-C, not even while it starts: it is ended by its pipe."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Screen(Closing):
    """The process that draws, as a context manager. ``show`` never waits, and a process that has died is not missed."""

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "pyxfrm.cli.demo.view")):
        with _deaf():
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603  # ourselves
        pipe = self._process.stdin
        self._fd = os.dup(pipe.fileno()) if pipe else -1
        if pipe:
            pipe.close()
        os.set_blocking(self._fd, False)

    def show(self, moment: dict[str, Any]) -> None:
        """Draw a moment, if the process is ready for it."""
        line = json.dumps(moment, separators=(",", ":")).encode() + b"\n"
        if len(line) <= select.PIPE_BUF:  # only so much goes in whole or not at all
            with suppress(OSError):
                os.write(self._fd, line)

    def close(self) -> None:
        """End the process; the terminal is as it was before."""
        os.close(self._fd)
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.returncode:
            with suppress(OSError):
                os.write(1, _RESTORE)
