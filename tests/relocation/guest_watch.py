"""Runs inside the lab's kernel: ``xfrm relocate --watch`` in a process of its own, while interfaces and NATs change."""

from __future__ import annotations

import faulthandler
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyxfrm.cli import main
from pyxfrm.model import Encap, Migration, ip
from pyxfrm.relocation.journal import Journal
from tests.relocation.wires import (
    DEVICE,
    ONE,
    TWO,
    Apart,
    Wires,
    addresses_up,
    put,
    sh,
)
from tests.relocation.world import A6, C6, A, B, C, child

LAST = 1.0  # seconds in which what shall not happen would have happened
B6 = ip("2001:db8:1::20")


@dataclass
class Watcher:
    """A process that watches; what it prints is in ``said``."""

    wires: Wires
    folder: Path
    pid: int

    @property
    def moves(self) -> list[str]:
        """What the journal has, oldest first."""
        journal = Journal(self.folder / "journal.db")
        try:
            return [f"{e.plans[0].wish}: {e.state.value}" for e in reversed(journal.history())]
        finally:
            journal.close()

    @property
    def places(self) -> list[str]:
        """Where the SAs are."""
        return sorted(f"{r.saddr}>{r.daddr}" for r in self.wires.ends[0].xfrm.sas())

    def wait(self, count: int) -> float:
        """Until so many moves were made; when that was seen."""
        end = time.monotonic() + 10
        while sum(": moved" in move for move in self.moves) < count and time.monotonic() < end:
            time.sleep(0.02)
        return time.monotonic()

    def stop(self) -> dict[str, Any]:
        """Ctrl-C; who has not ended five seconds later tells where it is, and is killed."""
        os.kill(self.pid, signal.SIGINT)
        ended: list[int] = []
        _until(lambda: bool(ended) or self._ended(ended), 5)
        if not ended:
            os.kill(self.pid, signal.SIGUSR1)
            time.sleep(0.2)
            os.kill(self.pid, signal.SIGKILL)
            ended.append(os.waitpid(self.pid, 0)[1])
        journal = Journal(self.folder / "journal.db")
        unfinished = [e.id for e in journal.history() if e.unfinished]
        return {
            "status": os.waitstatus_to_exitcode(ended[0]),
            "said": (self.folder / "said").read_text(),
            "moves": self.moves,
            "places": self.places,
            "unfinished": unfinished,
        }

    def _ended(self, ended: list[int]) -> bool:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        ended += [status] if pid else []
        return bool(pid)


@contextmanager
def watching(*words: str, **wish: Any) -> Iterator[Watcher]:
    """The network and the process; ``wish``: for :meth:`Wires.install`."""
    with Wires() as wires, tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        if wish.pop("v6", False):
            put(wires.ends[0], *child(A6, C6))
        else:
            wires.install(**wish)
        pid = os.fork()
        if not pid:
            _become(folder, words)
        yield Watcher(wires, folder, _heard(folder, pid))


def _become(folder: Path, words: tuple[str, ...]) -> None:
    status = 99
    try:
        said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT)
        os.dup2(said, 1)
        os.dup2(said, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        faulthandler.register(signal.SIGUSR1, said)
        journal = str(folder / "journal.db")
        status = main(["relocate", "--netns", ONE, "--journal", journal, "--listen", "0", *words])
    finally:
        os._exit(status)


def _heard(folder: Path, pid: int) -> int:
    """It says so when it listens."""
    said = folder / "said"
    _until(lambda: said.exists() and "ing " in said.read_text(), 20)
    return pid


WATCH = ("--watch", DEVICE, "--from-local", str(A))


def replaced(_: None) -> dict[str, Any]:
    """The address goes, another one is there: both ends move. Then that one goes, and the first is back."""
    with watching(*WATCH, "--peer-netns", TWO) as made:
        sh(f"ip -n {ONE} addr del {A} dev {DEVICE}")
        made.wait(1)
        first = made.places
        sh(f"ip -n {ONE} addr add {A} dev {DEVICE}")
        sh(f"ip -n {ONE} addr del {B} dev {DEVICE}")
        made.wait(2)
        return {"first": first, **made.stop()}


def flapping(_: None) -> dict[str, Any]:
    """It goes and comes ten times, faster than anybody could move."""
    with watching(*WATCH) as made:
        for _n in range(10):
            sh(f"ip -n {ONE} addr del {A} dev {DEVICE}")
            time.sleep(0.05)
            sh(f"ip -n {ONE} addr add {A} dev {DEVICE}")
            time.sleep(0.05)
        sh(f"ip -n {ONE} addr change {A} dev {DEVICE} preferred_lft 0")
        sh(f"ip -n {ONE} link set {DEVICE} down")
        sh(f"ip -n {ONE} link set {DEVICE} up")
        time.sleep(LAST)
        return made.stop()


def vanishing(_: None) -> dict[str, Any]:
    """The interface is gone, and comes back under another number with another address."""
    with watching(*WATCH) as made:
        sh(f"ip -n {ONE} link del {DEVICE}")
        time.sleep(LAST)
        none = made.moves
        sh(f"ip link add {DEVICE} netns {ONE} type veth peer name {DEVICE} netns {TWO}")
        for name in (ONE, TWO):
            sh(f"ip -n {name} link set {DEVICE} up")
        addresses_up(ONE, (B,), (C,))
        made.wait(1)
        return {"none": none, **made.stop()}


def tentative(_: None) -> dict[str, Any]:
    """A new IPv6 address is no place to go before it is known to be nobody else's."""
    words = ("--watch", DEVICE, "--from-local", str(A6))
    with watching(*words, v6=True) as made:
        wait = Path("/proc/sys/net/ipv6/conf/w/dad_transmits")
        made.wires.ends[0].within(lambda: wait.write_text("3"))
        sh(f"ip -n {ONE} addr del {A6} dev {DEVICE}")
        sh(f"ip -n {ONE} addr add {B6} dev {DEVICE}")
        end = time.monotonic() + 20
        while "tentative" in sh(f"ip -n {ONE} addr show dev {DEVICE}"):
            assert not made.moves
            assert time.monotonic() < end
            time.sleep(0.01)
        settled = time.monotonic()
        return {"after": made.wait(1) - settled, **made.stop()}


# -- a NAT -----------------------------------------------------------------------------------------


def rebound(words: dict[str, Any]) -> dict[str, Any]:
    """The peer's packets come from another port from now on, 300 a second: its SA sends from there."""
    ports = Encap(4500, 4500)
    asked = ("--watch-mappings", "--select", f"spi={words['named']:#x}")
    with watching(*asked, encap=ports) as made:
        for name, port in ((ONE, 4500), (TWO, 4500), (TWO, 4501)):
            made.wires.open_encap(name, port)
        traffic = Apart(made.wires, 300.0)
        time.sleep(0.5)
        peer = made.wires.ends[1].xfrm
        (sender,) = [r.sa for r in peer.sas() if r.saddr == C]
        moved = Migration(sender.id, C, A, sender.reqid, sender.sel, encap=Encap(4501, 4500))
        peer.migrate_sa(moved)
        _until(lambda: bool(made.moves), 2 * LAST)
        time.sleep(LAST)
        encaps = {str(r.daddr): r.sa.encap for r in made.wires.ends[0].xfrm.sas()}
        return {
            **made.stop(),
            **traffic.stop(),
            "encaps": {to: [e.sport, e.dport] for to, e in encaps.items() if e},
        }


def _until(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
