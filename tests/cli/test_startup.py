"""What a command loads before it does something. Time is measured by `python -m benchmarks.client.startup`; here is what it depends on."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
