"""Runs inside the lab's kernel: the command itself, over real namespaces, SAs and packets."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyxfrm.cli import main
from pyxfrm.model import Direction, Policy
from pyxfrm.relocation.ends import KernelEnd
from pyxfrm.relocation.ways.hold import LARVAL_DROP
from tests.relocation.wires import ONE, TWO, Apart, Wires, put
from tests.relocation.world import A6, C6, A, B, C, beet_pair

MOVE = ["--netns", ONE, "--peer-netns", TWO, "--from-local", str(A), "--to-local", str(B)]


def xfrm(folder: Path, *words: str) -> dict[str, Any]:
    """``xfrm relocate``: status, and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["relocate", "--journal", str(folder / "journal.db"), *words])
    return {"status": status, "out": out.getvalue(), "err": err.getvalue()}


def owned(_: None) -> dict[str, Any]:
    """Another process listens for ACQUIRE, as an IKE daemon does, in the namespace; and one in the other, which is no matter."""
    with ExitStack() as stack:
        wires = stack.enter_context(Wires())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        wires.install()
        alone = ["--netns", ONE, *MOVE[4:], "--listen", "0"]
        found: dict[str, Any] = {}
        for name in (TWO, ONE):
            daemon = subprocess.Popen(
                ["ip", "netns", "exec", name, sys.executable, "-c", _DAEMON],
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            stack.callback(daemon.wait)
            stack.callback(daemon.kill)
            assert daemon.stdout is not None
            assert daemon.stdout.readline() == b"listening\n"
            found[name] = xfrm(folder, *alone, "--dry-run")
        return {**found, "refused": xfrm(folder, *alone), "forced": xfrm(folder, *alone, "--force")}


_DAEMON = """
import time
from pyxfrm.client import Group, Xfrm
open("/proc/self/comm", "w").write("charon")
with Xfrm().events(Group.ACQUIRE, Group.EXPIRE):
    print("listening", flush=True)
    time.sleep(60)
"""


def busy(_: None) -> dict[str, Any]:
    """A second relocation while the first one waits for its drain."""
    with ExitStack() as stack:
        wires = stack.enter_context(Wires())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        wires.install()
        alone = ["--netns", ONE, *MOVE[4:], "--listen", "0"]
        first = os.fork()
        if not first:
            done = xfrm(folder, *alone, "--drain", "3000")
            os._exit(done["status"])
        while "running" not in (status := xfrm(folder, "--netns", ONE, "--status"))["out"]:
            time.sleep(0.05)
        second = xfrm(folder, *alone)
        resumed = xfrm(folder, "--netns", ONE, "--resume")
        elsewhere = xfrm(folder, "--netns", TWO, "--status")
        ended = os.waitpid(first, 0)[1]
        return {
            "status": status,
            "second": second,
            "resumed": resumed,
            "elsewhere": elsewhere,
            "first": os.waitstatus_to_exitcode(ended),
        }


def renamed(_: None) -> dict[str, Any]:
    """The namespace's name goes to another one while the relocation waits for its drain."""
    with ExitStack() as stack:
        wires = stack.enter_context(Wires())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        wires.install()
        first = os.fork()
        if not first:
            words = ["--netns", ONE, *MOVE[4:], "--listen", "0", "--drain", "1500"]
            os._exit(xfrm(folder, *words)["status"])
        here = wires.ends[0]
        while here.read_sysctl(LARVAL_DROP) == "1":
            time.sleep(0.05)
        for verb in ("del", "add"):
            subprocess.run(["ip", "netns", verb, ONE], check=True)
        with KernelEnd(ONE) as stranger:
            stranger.write_sysctl(LARVAL_DROP, "0")
            ended = os.waitpid(first, 0)[1]
            return {
                "status": os.waitstatus_to_exitcode(ended),
                "here": here.read_sysctl(LARVAL_DROP),
                "there": stranger.read_sysctl(LARVAL_DROP),
                "sources": sorted({str(r.saddr) for r in here.xfrm.sas()}),
            }


def beet(_: None) -> dict[str, Any]:
    """BEET from IPv4 to IPv6 and back, under traffic: its inner addresses are IPv4 all the time."""
    with ExitStack() as stack:
        wires = stack.enter_context(Wires())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sas, policies = beet_pair()
        put(wires.ends[0], sas, policies)
        put(wires.ends[1], sas, [turned(policy) for policy in policies])
        traffic = Apart(wires, 200.0)
        time.sleep(0.3)
        both = ["--netns", ONE, "--peer-netns", TWO]
        v4, v6 = (A, C), (A6, C6)
        done, outer = [], []
        for here, there in ((v4, v6), (v6, v4)):
            words = ["--from-local", here[0], "--from-remote", here[1]]
            words += ["--to-local", there[0], "--to-remote", there[1]]
            done.append(xfrm(folder, *both, *map(str, words)))
            time.sleep(0.3)
            outer.append(sorted(str(r.daddr) for r in wires.ends[0].xfrm.sas()))
        return {"done": done, "outer": outer, **traffic.stop()}


def turned(policy: Policy) -> Policy:
    """The other end's policy of the same SA."""
    ways = {Direction.OUT: Direction.IN, Direction.IN: Direction.OUT}
    return replace(policy, dir=ways[Direction(policy.dir)])


def report(words: dict[str, Any]) -> dict[str, Any]:
    """A move under traffic in both directions, and its picture."""
    with ExitStack() as stack:
        wires = stack.enter_context(Wires(delay=words.get("delay", 0.0)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        wires.install(window=2048)
        traffic = Apart(wires, words["rate"])
        time.sleep(0.5)
        picture = folder / "picture.svg"
        done = xfrm(folder, *MOVE, "--report", str(picture), *words["words"])
        return {**done, **traffic.stop(), "picture": picture.read_text()}


def renewed(_: None) -> list[str]:
    """A namespace goes, and another one gets its name: what names them."""
    found = []
    for _again in range(2):
        subprocess.run(["ip", "netns", "add", ONE], check=True)
        with KernelEnd(ONE) as end, KernelEnd(ONE) as again:
            assert again.identity == end.identity
            found.append(end.identity)
        subprocess.run(["ip", "netns", "del", ONE], check=True)
    return found
