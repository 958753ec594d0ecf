"""The command line of ``xfrm demo``: which parts, how long, how fast."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from pyxfrm.cli.arguments import Parser
from pyxfrm.cli.demo import flow, replays, ways
from pyxfrm.cli.demo.paper import paper, title

__all__ = ["main", "parser"]

RATES = (1.0, 5000.0)
SECONDS = (1.0, 3600.0)


def main(argv: Sequence[str]) -> int:
    """``xfrm demo``: exit status 0 if no packet was lost, doubled, readable or numbered twice by MIGRATE_STATE, and no recording differs."""
    words = parser()
    options = words.parse_args(argv)
    if options.report and options.only not in (None, "live"):
        words.error(f"--report is about the live part, and --only {options.only} leaves it out")
    options.command = shlex.join(["xfrm", "demo", *argv])
    console = paper()
    parts = _parts(options)
    status = 0
    for number, (name, show) in enumerate(parts, 1):
        title(console, f"{number}. {name}" if len(parts) > 1 else name)
        status = max(status, show(console))
    return status


def _parts(options: argparse.Namespace) -> list[tuple[str, Callable[[Console], int]]]:
    """(title, what shows it and gives the exit status), in order."""
    report = options.report or _cache() / "pyxfrm" / "demo.html"
    asked = options.report is not None
    wish = flow.Wish(
        options.rate, options.seconds, report, asked, options.command, options.only == "live"
    )
    parts: dict[str, tuple[str, Callable[[Console], int]]] = {
        "live": (flow.TITLE, lambda console: flow.show(console, wish)),
        "replay": (replays.TITLE, replays.show),
        "ways": (ways.TITLE, ways.show),
    }
    return [parts[options.only]] if options.only else list(parts.values())


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser(
        prog="xfrm demo",
        description="Move a tunnel while packets flow through it, replay all bundled recordings against the engine, and move a Child SA in three ways. No root needed.",
    )
    made.add_argument("--only", choices=("live", "replay", "ways"), help="just this part")
    made.add_argument(
        "--seconds",
        type=_between("seconds", *SECONDS),
        default=14.0,
        help="how long packets flow (default: %(default)g)",
    )
    made.add_argument(
        "--rate",
        type=_between("rate", *RATES),
        default=500.0,
        help="packets a second, each way (default: %(default)g)",
    )
    made.add_argument(
        "--report",
        type=_writable,
        metavar="FILE",
        help="where the report goes: .html for a page, .svg for the figure alone (default: pyxfrm/demo.html in the user's cache)",
    )
    return made


def _cache() -> Path:
    """Where this user's programs keep what can be made again (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def _writable(text: str) -> Path:
    """A file that could be written, as far as one can tell before."""
    path = Path(text).absolute()
    if path.suffix not in (".html", ".svg"):
        raise argparse.ArgumentTypeError(f"{text!r}: a name that ends with .html or .svg")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: there is no directory {path.parent}")
    return path


def _between(name: str, low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{name} {text!r}: a number from {low:g} to {high:g}")
        return value

    return read
