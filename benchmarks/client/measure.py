"""Rounds in which every way takes its turn, in a network namespace of its own. Runs where the kernel is.

What is timed is what a user waits for: of `ip` and `xfrm` the whole process, of the library the calls, and with "typed values" the making of the requests
too. The C program lives as long as this one, with its bytes in memory: what is timed is sending them and reading the answers.
Each way finds the table empty, and leaves it empty. The order changes from round to round, since what runs first may find memory that another had
just warmed.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.client.work import Files, policies
from pyxfrm.client import Xfrm, verbs

Way = Callable[[str], float]  # "add" or "delete" or "dump"; seconds

XFRM = [sys.executable, "-m", "pyxfrm.cli"]


class Ways:
    """Each way to have it done. All of them on the namespace that this runs in."""

    def __init__(self, words: dict[str, Any], folder: Path) -> None:
        self.ip: list[str] = words["ip"]
        self.values = policies(words["count"])
        self.files = Files(folder, self.values)
        argv = [words["program"], *map(str, self.files.bytes.values())]
        self.c = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.xfrm = Xfrm()
        self.names = [policy.id for policy in self.values]
        self.requests = {
            "add": [verbs.add_policy(policy) for policy in self.values],
            "delete": [verbs.delete_policy(name) for name in self.names],
        }
        gc.collect()
        gc.freeze()  # the 10,000s of values of this program are not the library's to look after

    def by_ip(self, what: str) -> float:
        if what == "dump":
            return _timed([*self.ip, "xfrm", "policy"])
        return _timed([*self.ip, "-batch", str(self.files.text[what])])

    def by_command(self, what: str) -> float:
        if what == "dump":
            return _timed([*XFRM, "policy", "list"])
        return _timed([*XFRM, "-force", "-batch", str(self.files.text[what])])

    def by_c(self, what: str) -> float:
        assert self.c.stdin is not None
        assert self.c.stdout is not None
        self.c.stdin.write(f"{what}\n")
        self.c.stdin.flush()
        nanoseconds, refused = self.c.stdout.readline().split()
        assert refused == "0", refused
        return int(nanoseconds) / 1e9

    def close(self) -> None:
        self.c.communicate()
        self.xfrm.close()

    def by_requests(self, what: str) -> float:
        requests = self.requests[what]
        began = time.perf_counter()
        refused = self.xfrm.batch(requests).refused
        took = time.perf_counter() - began
        assert not refused, refused[0].error
        return took

    def by_values(self, what: str) -> float:
        began = time.perf_counter()
        if what == "add":
            refused = self.xfrm.batch(map(verbs.add_policy, self.values)).refused
        else:
            refused = self.xfrm.batch(map(verbs.delete_policy, self.names)).refused
        took = time.perf_counter() - began
        assert not refused, refused[0].error
        return took

    def lazily(self, _: str) -> float:
        began = time.perf_counter()
        seen = sum(1 for _ in self.xfrm.policies())
        took = time.perf_counter() - began
        assert seen == len(self.values)
        return took

    def one_field(self, _: str) -> float:
        began = time.perf_counter()
        seen = sum(record.priority for record in self.xfrm.policies())
        took = time.perf_counter() - began
        assert seen == 100 * len(self.values)
        return took

    def whole(self, _: str) -> float:
        began = time.perf_counter()
        seen = sum(len(record.policy.templates) for record in self.xfrm.policies())
        took = time.perf_counter() - began
        assert seen == len(self.values)
        return took


def _timed(argv: list[str]) -> float:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    began = time.perf_counter()
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True, env=environment)
    return time.perf_counter() - began


def measure(words: dict[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Microseconds a policy: {"add" | "delete" | "dump": {way: [one each round]}}."""
    with tempfile.TemporaryDirectory() as folder:
        ways = Ways(words, Path(folder))
        changing: dict[str, Way] = {
            "ip -batch": ways.by_ip,
            "C, the same bytes": ways.by_c,
            "library, requests made before": ways.by_requests,
            "library, from typed values": ways.by_values,
            "xfrm -force -batch": ways.by_command,
        }
        reading: dict[str, Way] = {
            "ip xfrm policy": ways.by_ip,
            "library, lazily": ways.lazily,
            "library, one field of each": ways.one_field,
            "library, whole values": ways.whole,
            "xfrm policy list": ways.by_command,
        }
        try:
            return _rounds(words, ways, changing, reading)
        finally:
            ways.close()


def _rounds(
    words: dict[str, Any], ways: Ways, changing: dict[str, Way], reading: dict[str, Way]
) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {
        "add": {name: [] for name in changing},
        "delete": {name: [] for name in changing},
        "dump": {name: [] for name in reading},
    }
    scale = 1e6 / words["count"]
    for turn in range(words["rounds"] + 1):  # the first one warms up
        for name in _turned(list(changing), turn):
            for what in ("add", "delete"):
                found[what][name].append(changing[name](what) * scale)
        ways.by_requests("add")
        for name in _turned(list(reading), turn):
            found["dump"][name].append(reading[name]("dump") * scale)
        ways.by_requests("delete")
    return {what: {n: times[1:] for n, times in by.items()} for what, by in found.items()}


def _turned(names: list[str], turn: int) -> list[str]:
    at = turn % len(names)
    return [*names[at:], *names[:at]]


if __name__ == "__main__":  # in a namespace of this machine's kernel: `unshare --net`
    sys.stdout.write(json.dumps(measure(json.loads(sys.argv[1]))))
