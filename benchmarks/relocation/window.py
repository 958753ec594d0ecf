"""The blocked window: how long the library, and C doing the same calls, need. No traffic.

Every way for four SAs and four policies, and every kind of move in the way that is taken by default where packets are blocked.

The library moves there and back once; the datagrams of these two moves are then sent again and again by C, as they are (one send) and one request a
send, which is how such programs are written as a rule.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.relocation.scene import KINDS, network_down, network_up, percpu_of
from benchmarks.relocation.stopwatch import Stopwatch, as_move, one_by_one
from pyxfrm.client import Xfrm
from pyxfrm.relocation.blocks import Guard
from pyxfrm.relocation.driver import Driver
from pyxfrm.relocation.ends import KernelEnd
from pyxfrm.relocation.facts import Facts
from pyxfrm.relocation.footprint import whole
from pyxfrm.relocation.journal import Journal
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import Options, Strategy
from pyxfrm.relocation.plan import make_plan
from pyxfrm.transport.kernel import KernelTransport

Pair = tuple[int, int]

WAYS = {
    "one send, block in place": Options(strategy=Strategy.MIGRATE_STATE),
    "one send, no block": Options(strategy=Strategy.MIGRATE_STATE, guard=Guard.TEMPLATES),
    "block policy above": Options(strategy=Strategy.MIGRATE_STATE, guard=Guard.OVERLAY),
    "a send for each phase": Options(strategy=Strategy.MIGRATE_STATE, split=True),
    "old MIGRATE": Options(strategy=Strategy.MIGRATE),
    "recreate": Options(strategy=Strategy.RECREATE),
}


DEFAULT = Options(strategy=Strategy.MIGRATE_STATE)


def measure(words: dict[str, Any]) -> dict[str, Any]:
    """Windows: {way: {"python": [...], "c": [...], "c one by one": [...]}}.

    Each is (until the last send returned, until the last answer was read), in microseconds from before the first send.
    """
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as text, contextlib.ExitStack() as stack:
        stack.callback(network_down)
        network_up(0)
        for name, options in WAYS.items():
            if words.get("old") and options.strategy is Strategy.MIGRATE_STATE:
                continue
            found[name] = _way(words, options, Path(text), "four")
        for kind in [] if words.get("old") else KINDS:
            if kind not in ("four", "bare"):
                found[f"move: {kind}"] = _way(words, DEFAULT, Path(text), kind)
    return found


def _way(words: dict[str, Any], options: Options, folder: Path, name: str) -> dict[str, list[Pair]]:
    watch = Stopwatch(KernelTransport("one"))
    watch.clear()
    end = KernelEnd("one", Xfrm(transport=watch))
    kind = KINDS[name]()
    for sa in percpu_of(0) if name == "percpu" else kind.sas:
        end.xfrm.add_sa(sa)
    for policy in kind.policies[0]:
        end.xfrm.add_policy(policy)
    (folder / "journal.db").unlink(missing_ok=True)
    driver = Driver([end], Journal(folder / "journal.db", durable=False))
    python, moves = [], []
    for n in range(words["moves"]):
        wish = kind.back if n % 2 else kind.forth
        facts = Facts(
            tuple(whole(r) for r in end.xfrm.sas()), tuple(r.policy for r in end.xfrm.policies())
        )
        plan = make_plan(wish, facts, options)
        plan.check()
        watch.clear()
        outcome = driver.relocate(plan)
        if outcome.state is not State.MOVED:
            raise RuntimeError(f"{outcome}")
        first, last = watch.sends[0], watch.sends[-1]
        python.append((round(1e6 * (last[1] - first[0])), round(1e6 * (last[2] - first[0]))))
        moves.append([send[3] for send in watch.sends])
    made = {"python": python}
    if options.strategy is not Strategy.RECREATE:
        forth, back = moves[:2]
        made["c"] = _in_c(words, folder, forth, back)
        made["c one by one"] = _in_c(
            words,
            folder,
            [part for d in forth for part in one_by_one(d)],
            [part for d in back for part in one_by_one(d)],
        )
    end.xfrm.flush_sas()
    end.xfrm.flush_policies()
    return made


def _in_c(words: dict[str, Any], folder: Path, forth: list[bytes], back: list[bytes]) -> list[Pair]:
    script = folder / "moves"
    script.write_bytes((as_move(forth) + as_move(back)) * (words["moves"] // 2) + bytes(4))
    done = subprocess.run(
        ["ip", "netns", "exec", "one", "chrt", "-f", "1", words["program"], "calls", str(script)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    refused = sum(int(line[1]) for line in lines)
    if refused:
        raise RuntimeError(f"C: {refused} refusals")
    return [(int(line[0]) // 1000, int(line[2]) // 1000) for line in lines]
