"""`xfrm state list` of one SA as a process, beside what cannot be less: `python -m benchmarks.client.startup [--rounds N]`.

Processes take turns. Time is that of the clock, and of the processor (user and system) which a busy machine changes less. Needs the right to make a network
namespace. Compiled modules are kept in a folder of their own and used, as an installed package has them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from statistics import median

from pyxfrm.client import Xfrm
from pyxfrm.errors import RefusedError
from pyxfrm.lab import fetch
from pyxfrm.model import Algorithm, Mode, Proto, ReplayState, Sa, SaId, ip

MAIN = "import sys; sys.argv = ['xfrm', 'state', 'list']; from pyxfrm.cli import program; program()"
SAMPLE = Sa(
    SaId(ip("198.51.100.1"), Proto.ESP, 0x100),
    ip("192.0.2.10"),
    Mode.TUNNEL,
    (Algorithm.aes_gcm(bytes(20)),),
    ReplayState.of(32),
)


def main() -> int:
    """Measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    if "PYXFRM_ALONE" not in os.environ:
        environment = {**os.environ, "PYXFRM_ALONE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        argv = ["unshare", "--net", sys.executable, "-m", "benchmarks.client.startup"]
        return subprocess.run(
            [*argv, "--rounds", str(rounds)], env=environment, check=False
        ).returncode
    with Xfrm() as xfrm:
        try:
            xfrm.add_sa(SAMPLE)
        except RefusedError:  # a kernel without AES-GCM
            xfrm.allocate_spi(SAMPLE.id, SAMPLE.saddr, SAMPLE.mode)
        measure(rounds)
    return 0


def measure(rounds: int) -> None:
    """All of them, in turn."""
    python = sys.executable
    ways = {
        "`ip xfrm state`": [*fetch.iproute2().argv, "xfrm", "state"],
        "`python -I -S -c pass`": [python, "-I", "-S", "-c", "pass"],
        "`python -c pass`": [python, "-c", "pass"],
        "`python -c 'import typing'`": [python, "-c", "import typing"],
        "`xfrm state list`": [python, "-c", MAIN],
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for turn in range(rounds + 2):  # the first two warm up
            for name, argv in ways.items():
                one = once(argv, environment)
                if turn > 1:
                    times[name].append(one)
    say("| process | ms by the clock: median (least) | ms of the processor: median (least) |")
    say("|---|---|---|")
    for name, pairs in times.items():
        cells = [f"{median(one):.1f} ({min(one):.1f})" for one in zip(*pairs, strict=True)]
        say(f"| {name} | {' | '.join(cells)} |")


def once(argv: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Milliseconds of one process: by the clock, of the processor."""
    began = time.perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return 1e3 * (time.perf_counter() - began), 1e3 * (usage.ru_utime + usage.ru_stime)


def say(text: str) -> None:
    """One line."""
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
