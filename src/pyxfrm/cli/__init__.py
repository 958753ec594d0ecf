"""The ``xfrm`` command: picks the subcommand and turns what went wrong into one line and a status.

    0    done                          2    the command line makes no sense
    1    an XfrmError, told in a line  130  Ctrl-C        141  whoever read our output has gone

A subcommand is a row of `COMMANDS` and a function ``main(argv) -> int`` in a module of its own,
imported only when it is called for: starting fast matters to people who type.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm import __version__
from pyxfrm.errors import UsageError, XfrmError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["COMMANDS", "Command", "main"]


class Command(NamedTuple):
    """A subcommand: where its function is (``module:function``) and one line about it."""

    target: str
    summary: str


COMMANDS = {
    "demo": Command("pyxfrm.cli.demo:main", "replay all recordings, then move a tunnel three ways"),
    "replay": Command("pyxfrm.cli.replay:main", "run recorded conversations against the engine"),
    "probe": Command("pyxfrm.cli.probe:main", "what this kernel's XFRM can do"),
    "doctor": Command("pyxfrm.cli.doctor:main", "faults in the SAs and policies that are there"),
    "stat": Command("pyxfrm.cli.stat:main", "counters of dropped packets, with likely causes"),
    "show": Command("pyxfrm.cli.show:main", "read text of ip xfrm; take its keys out"),
    "lab": Command("pyxfrm.cli.lab:main", "run things on a real Linux kernel in user space"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        status = _run(words)
        sys.stdout.flush()
    except XfrmError as problem:
        print(f"xfrm: {problem}", file=sys.stderr)
        return 2 if isinstance(problem, UsageError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains as it exits
        return 141
    except SystemExit as end:  # argparse has said what there is to say
        return end.code if isinstance(end.code, int) else 1
    return status


def _run(words: list[str]) -> int:
    if not words:
        print(_help(), file=sys.stderr)
        return 2
    name, *rest = words
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0
    if name in ("-V", "--version", "version"):
        print(f"xfrm {__version__}")
        return 0
    if name not in COMMANDS:
        print(f"xfrm: no command {name!r}; `xfrm --help` lists them", file=sys.stderr)
        return 2
    return _load(COMMANDS[name].target)(rest)


def _load(target: str) -> Callable[[list[str]], int]:
    from importlib import import_module

    module, _, function = target.partition(":")
    loaded: Callable[[list[str]], int] = getattr(import_module(module), function)
    return loaded


def _help() -> str:
    rows = "\n".join(f"  {name:<10} {command.summary}" for name, command in COMMANDS.items())
    return f"usage: xfrm COMMAND [...]\n\n{rows}\n\n`xfrm COMMAND --help` tells more."
