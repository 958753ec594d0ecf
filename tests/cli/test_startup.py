"""What a command loads before it does something. Time is measured by `python -m benchmarks.client.startup`; here is what it depends on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pyxfrm.client import Xfrm, verbs
from pyxfrm.engine import Engine
from pyxfrm.transport.local import EngineHost
from pyxfrm.transport.server import serving
from tests.client.scenarios import numbered

LIST = """
import sys
from pyxfrm.cli import main
main(sys.argv[1:])
sys.stderr.write("\\n" + " ".join(sys.modules))
"""

# Each of these takes longer to load than a dump of one SA takes to be asked for, received and printed.
HEAVY = {
    "argparse",
    "ast",
    "asyncio",
    "contextvars",
    "cryptography",
    "ctypes",
    "dataclasses",
    "hashlib",
    "importlib.metadata",
    "inspect",
    "ipaddress",
    "json",
    "logging",
    "pathlib",
    "pyroute2",
    "random",
    "rich",
    "selectors",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "traceback",
    "urllib",
}
if sys.version_info >= (3, 14):
    HEAVY -= {"ast"}  # typing.NamedTuple loads it there
OURS = {
    "pyxfrm.cli.build",
    "pyxfrm.cli.grammar",
    "pyxfrm.cli.parse",
    "pyxfrm.client.batch",
    "pyxfrm.client.core",
    "pyxfrm.client.xfrm",
    "pyxfrm.engine",
    "pyxfrm.model",
}


def loaded(*words: str) -> set[str]:
    """Modules that a process has loaded when the command is done, whether it may ask this kernel or not."""
    argv = [sys.executable, "-S", "-c", LIST, *words]
    done = subprocess.run(argv, capture_output=True, check=True, env={"PYTHONPATH": "src"})
    return set(done.stderr.decode().splitlines()[-1].split(" "))


@pytest.mark.parametrize("words", ["state list", "state", "-s -o policy list", "state list nokeys"])
def test_a_list_loads_what_it_needs(words: str) -> None:
    modules = loaded(*words.split(" "))
    assert f"pyxfrm.cli.text.{'policy' if 'policy' in words else 'state'}" in modules
    assert modules & (HEAVY | OURS) == set()


def test_version_loads_next_to_nothing() -> None:
    modules = loaded("--version")
    assert {name for name in modules if name.startswith("pyxfrm.")} == {
        "pyxfrm.cli",
        "pyxfrm.errors",
    }


@pytest.mark.parametrize(
    ("words", "status"),
    [("--engine 7.2 state list", 0), ("--engine /no/such state list", 2), ("state list -x", 2)],
)
def test_a_process_that_ends_at_once_has_said_all(words: str, status: int) -> None:
    """The status, and both streams to their ends."""
    argv = [sys.executable, "-m", "pyxfrm.cli", *words.split(" ")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stdout == ""
    assert done.stderr.count("\n") == (1 if status else 0)


def test_a_long_list_is_there_to_its_end(tmp_path: Path) -> None:
    """Into a pipe, where Python keeps what is printed for itself until there is enough of it."""
    argv = [sys.executable, "-m", "pyxfrm.cli", "--engine", str(tmp_path / "engine")]
    piped = f'{" ".join(argv)} state list | head -1; echo "${{PIPESTATUS[0]}}"'
    with serving(EngineHost(Engine()), tmp_path / "engine"):
        with Xfrm.connect(tmp_path / "engine") as xfrm:
            xfrm.batch(verbs.add_sa(numbered(spi)) for spi in range(0x100, 0x300)).check()
        text = subprocess.check_output([*argv, "state", "list"], text=True)
        head = subprocess.run(["bash", "-c", piped], capture_output=True, text=True, check=True)
    assert text.count("proto esp spi") == 0x200
    assert (head.stdout.splitlines()[1], head.stderr) == ("141", "")
