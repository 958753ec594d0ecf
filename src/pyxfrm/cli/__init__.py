"""The ``xfrm`` command: picks the subcommand and turns what went wrong into one line and a status.

    0    done                          2    the command line makes no sense
    1    an XfrmError, told in a line, or output that cannot be written
    130  Ctrl-C                           141  whoever read our output has gone

A subcommand is a row of `COMMANDS` and a function ``main(argv) -> int`` in a module of its own,
imported only when it is called for: starting fast matters to people who type.
"""

from __future__ import annotations

import os
import sys
from errno import EPERM
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm import __version__
from pyxfrm.errors import RefusedError, UsageError, XfrmError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

__all__ = ["COMMANDS", "Command", "main", "program", "told"]

_ABOUT = ("-h", "--help", "-V", "--version")
_WITHOUT_HELP = ("man", "completion", "complete")  # neither a parser nor words of the grammar


class Command(NamedTuple):
    """A subcommand: where its function is (``module:function``), and one line about it.

    What may follow it is in the grammar (:mod:`pyxfrm.cli.grammar`), or in a function ``parser()`` of the same module; or it is just ``words``.
    """

    target: str
    summary: str
    words: str = ""


COMMANDS = {
    "demo": Command(
        "pyxfrm.cli.demo.command:main", "see it: a tunnel moves while packets flow, and more"
    ),
    "replay": Command("pyxfrm.cli.replay:main", "run recorded conversations against the engine"),
    "relocate": Command("pyxfrm.cli.relocate:main", "move everything that belongs to an endpoint"),
    "probe": Command("pyxfrm.cli.probe:main", "what this kernel's XFRM can do"),
    "doctor": Command("pyxfrm.cli.doctor:main", "faults in the SAs and policies that are there"),
    "stat": Command("pyxfrm.cli.stat:main", "counters of dropped packets, with likely causes"),
    "show": Command("pyxfrm.cli.show:main", "read text of ip xfrm; take its keys out"),
    "state": Command("pyxfrm.cli.objects:state", "SAs: add, list, move, delete (as ip xfrm state)"),
    "policy": Command("pyxfrm.cli.objects:policy", "policies (as ip xfrm policy)"),
    "monitor": Command(
        "pyxfrm.cli.objects:monitor", "what happens, as it happens (as ip xfrm monitor)"
    ),
    "migrate": Command("pyxfrm.cli.objects:migrate", "move a policy and its SAs: the old message"),
    "tunnel": Command("pyxfrm.cli.objects:tunnel", "VPN ends in user space, and their engines"),
    "engine": Command("pyxfrm.cli.engine:main", "an engine for other processes"),
    "schema": Command("pyxfrm.cli.schema:main", "what the commands write as JSON"),
    "man": Command("pyxfrm.cli.manpage:main", "the manual page: xfrm man | man -l -"),
    "completion": Command(
        "pyxfrm.cli.complete:completion", "completion for bash or zsh", "bash|zsh"
    ),
    "complete": Command("pyxfrm.cli.complete:complete", "what could follow these words", "WORD..."),
    "lab": Command("pyxfrm.cli.lab:main", "run things on a real Linux kernel in user space"),
}


def program() -> NoReturn:
    """``xfrm`` as a process of its own: :func:`main`, and the end.

    After a list that end is at once. Python would take every module apart first, which takes an eighth of the time of the whole command; and a
    list has loaded nothing that wants to be told (:mod:`pyxfrm.cli.quick`).
    """
    status = main()
    if "pyxfrm.cli.quick" in sys.modules:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):
            sys.exit(status)  # as Python ends when nobody reads any more
        os._exit(status)
    sys.exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    _stand_in()
    try:
        status = _run(words)
        sys.stdout.flush()
    except XfrmError as problem:
        print(f"xfrm: {told(problem)}", file=sys.stderr)
        return 2 if isinstance(problem, UsageError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _mute()
        return 141
    except OSError as why:
        _mute()
        print(f"xfrm: {why.filename or 'standard output'}: {why.strerror or why}", file=sys.stderr)
        return 1
    except SystemExit as end:  # argparse has said what there is to say
        return end.code if isinstance(end.code, int) else 1
    return status


def _mute() -> None:
    from pyxfrm.cli.streams import mute

    mute()


def _stand_in() -> None:
    """Where a standard stream is closed, /dev/null is in its place, before a socket or the journal gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def told(problem: XfrmError) -> str:
    """An error as one line for a terminal: a word that it repeats may be a key in the wrong place, or have line breaks in it."""
    import re

    text = re.sub(r"0[xX][0-9a-fA-F]{16,}", "<<Keys hidden>>", str(problem))
    if isinstance(problem, RefusedError) and problem.errno == EPERM and not problem.text:
        text += " (XFRM is for those who have CAP_NET_ADMIN: try as root)"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _run(words: list[str]) -> int:
    if not words:
        print(_help(), file=sys.stderr)
        return 2
    if words[0].startswith("-") and words[0] not in _ABOUT:
        # Options may come first, as iproute2's do; the command finds them behind its name.
        from pyxfrm.cli.options import leading

        ahead = leading(words)
        if ahead == len(words) and words[-1] in _ABOUT[:2]:
            return _about([])
        if ahead == len(words) or not {"-b", "-batch", "--batch"}.isdisjoint(words[:ahead]):
            return _load("pyxfrm.cli.batch:main")(words)
        words = [*words[ahead : ahead + 1], *words[:ahead], *words[ahead + 1 :]]
    name, *rest = words
    if name in ("-h", "--help", "help"):
        return _about(rest)
    if name in ("-V", "--version", "version"):
        print(f"xfrm {__version__}")
        return 0
    if name not in COMMANDS:
        name = _meant(name)
    if name not in COMMANDS:
        print(f"xfrm: no command {name!r}; `xfrm --help` lists them", file=sys.stderr)
        return 2
    if name in _WITHOUT_HELP and rest[:1] in (["-h"], ["--help"]):
        return _about([name])
    return _load(COMMANDS[name].target)(rest)


def _about(words: list[str]) -> int:
    """``xfrm help [COMMAND [VERB] | options]``."""
    if not words:
        print(_help())
        return 0
    name, *rest = words
    if name in _WITHOUT_HELP:
        command = COMMANDS[name]
        about = f"{command.summary[:1].upper()}{command.summary[1:]}."
        print(f"usage: xfrm {name} {command.words}".rstrip() + f"\n\n{about}")
        return 0
    if name == "options":
        from pyxfrm.cli import help as help_text

        print(help_text.options())
        return 0
    return _run([name, *rest, "--help"])


def _meant(name: str) -> str:
    """iproute2's objects may be shortened: any beginning will do, and of two that fit the first."""
    objects = ("state", "policy", "monitor")
    return next((each for each in objects if each.startswith(name)), name)


def _load(target: str) -> Callable[[list[str]], int]:
    from importlib import import_module

    module, _, function = target.partition(":")
    loaded: Callable[[list[str]], int] = getattr(import_module(module), function)
    return loaded


def _help() -> str:
    rows = "\n".join(f"  {name:<11} {command.summary}" for name, command in COMMANDS.items())
    return (
        f"usage: xfrm COMMAND [...]\n\n{rows}\n\n"
        "`xfrm COMMAND --help` tells more, `xfrm help options` of --json, --engine, ..."
    )
