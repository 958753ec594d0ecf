"""Runs inside the lab's kernel: gap with and without tc, packets replayed while both addresses are taken."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyxfrm.model import Address, Encap
from pyxfrm.relocation.driver import Driver
from pyxfrm.relocation.dual import PREFERENCE
from pyxfrm.relocation.journal import Journal
from pyxfrm.relocation.moves import Options, Plan, Strategy
from pyxfrm.relocation.plan import make_pair
from pyxfrm.relocation.survey import survey
from pyxfrm.relocation.wish import Wish
from tests.relocation.wires import DEVICE, ONE, TWO, Ear, Stream, Wires, rises, sh, tc_words
from tests.relocation.world import A, B, C

DRAIN = 0.3
REPLAYED = 20


def plans_for(wires: Wires, words: dict[str, Any]) -> tuple[Plan, Plan]:
    """LOCAL moves from A to B; both ends in step."""
    options = Options(
        strategy=Strategy(words.get("strategy", "gap")),
        drain=DRAIN,
        dual=DEVICE if words["dual"] else "",
    )
    facts = [survey(end, listen=0.2, delay=wires.delay) for end in wires.ends]
    plans = make_pair(Wish(local=A, new_local=B, remote=C), (facts[0], facts[1]), options)
    for plan in plans:
        plan.check()
    return plans


@dataclass
class Attacker:
    """Replays, in the middle of the drain, what it has heard: packets of before and after the switch, to both addresses."""

    wires: Wires
    ear: Ear
    found: dict[str, Any] = field(default_factory=dict)

    def sleep(self, seconds: float) -> None:
        """In place of time.sleep: the drain is the first long one."""
        if seconds < DRAIN or self.found:
            time.sleep(seconds)
            return
        began = time.monotonic()
        time.sleep(seconds / 2)
        self.found["tc"] = tc_words()
        for name, daddr in (("old", A), ("new", B)):
            packets = self._arrived(daddr)
            for to, where in (("to_old", A), ("to_new", B)):
                before = self.wires.ends[0].counters()
                self.wires.put_back(packets, where)
                time.sleep(2 * self.wires.delay)
                rise = rises(before, self.wires.ends[0].counters())
                self.found[f"{name}_{to}"] = [len(packets), rise.get("InStateSeqError", 0)]
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))

    def _arrived(self, daddr: Address) -> list[bytes]:
        """The last packets to an address that must be there by now; waited for, on a machine that stood still."""
        end = time.monotonic() + 10
        while True:
            before = time.monotonic() - 2 * self.wires.delay
            packets = [s.packet for s in list(self.ear.seen) if s.daddr == daddr and s.at < before]
            if len(packets) >= REPLAYED or time.monotonic() > end:
                return packets[-REPLAYED:]
            time.sleep(0.02)


def replay(words: dict[str, Any]) -> dict[str, Any]:
    """One relocation under traffic that takes 20 ms, and an attacker."""
    encap = Encap(4500, 4500) if words.get("encap") else None
    with Wires(delay=0.02) as wires, tempfile.TemporaryDirectory() as folder:
        wires.install(window=2048, encap=encap)
        if encap:
            for name in (ONE, TWO):
                wires.open_encap(name, 4500)
        ear = Ear(wires, TWO)
        stream = Stream(wires)
        time.sleep(0.4)
        attacker = Attacker(wires, ear)
        driver = Driver(
            wires.ends, Journal(Path(folder) / "j", durable=False), sleep=attacker.sleep
        )
        outcome = driver.relocate(*plans_for(wires, words))
        time.sleep(0.2)
        return {
            **stream.stop(),
            **attacker.found,
            "state": outcome.state.value,
            "troubles": list(outcome.troubles),
            "account": list(outcome.account),
            "clear": ear.clear,
            "reused": ear.reused - 4 * REPLAYED,
            "after": tc_words(),
        }


def kill(words: dict[str, Any]) -> dict[str, Any]:
    """SIGKILL in the middle of the drain; then another process resumes or aborts."""
    with Wires() as wires, tempfile.TemporaryDirectory() as folder:
        wires.install(window=2048)
        if words["keep"]:
            sh(f"tc -n {ONE} qdisc add dev {DEVICE} clsact")
            mine = "u32 match ip dst 192.0.2.77/32 action drop"
            sh(f"tc -n {ONE} filter add dev {DEVICE} ingress protocol ip pref 7 {mine}")
        before = tc_words()
        plans = plans_for(wires, words)
        journal = Path(folder) / "j"
        child = os.fork()
        if not child:
            _die_in_the_drain(wires, journal, plans)
        _, status = os.waitpid(child, 0)
        cut = tc_words()
        driver = Driver(wires.ends, Journal(journal))
        outcome = driver.resume(abort=words["abort"])
        return {
            "signal": os.WTERMSIG(status),
            "state": outcome.state.value,
            "cut": cut,
            "restored": tc_words() == before,
            "after": tc_words(),
            "unfinished": driver.unfinished() is not None,
        }


def _die_in_the_drain(wires: Wires, journal: Path, plans: tuple[Plan, Plan]) -> None:
    def sleep(seconds: float) -> None:
        if seconds >= DRAIN:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        Driver(wires.ends, Journal(journal), sleep=sleep).relocate(*plans)
    finally:
        os._exit(99)


def taken(_: None) -> dict[str, Any]:
    """Somebody has filters where ours would be: they stay as they are, and nothing moves."""
    with Wires() as wires, tempfile.TemporaryDirectory() as folder:
        wires.install(window=2048)
        sh(f"tc -n {ONE} qdisc add dev {DEVICE} clsact")
        theirs = f"pref {PREFERENCE} u32 match ip dst 192.0.2.77/32 action drop"
        sh(f"tc -n {ONE} filter add dev {DEVICE} ingress protocol ip {theirs}")
        before = tc_words()
        driver = Driver(wires.ends, Journal(Path(folder) / "j"))
        outcome = driver.relocate(*plans_for(wires, {"dual": True}))
        return {
            "state": outcome.state.value,
            "troubles": list(outcome.troubles),
            "restored": tc_words() == before,
        }
