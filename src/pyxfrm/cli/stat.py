"""``xfrm stat``: each counter of ``/proc/net/xfrm_stat`` that counts, its likely cause and the next step.

``--json`` gives ``{"schema": 1, "stat": [{"counter": ..., "value": ..., "likely": ..., "next": ...}]}``, all counters; with ``--watch`` one such object
a line and reading, those that grew, ``value`` being by how much.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence

from pyxfrm.cli.arguments import Parser
from pyxfrm.cli.json_table import SCHEMA
from pyxfrm.cli.target import add_netns, read_proc_net
from pyxfrm.cli.wrapped import say
from pyxfrm.client.stat import CAUSES, delta, parse
from pyxfrm.errors import UsageError

__all__ = ["main", "parser"]

_LONGEST = 86400.0  # seconds between two readings


def main(argv: Sequence[str]) -> int:
    """``xfrm stat [--watch] [--all] [--json] [-n NETNS]``."""
    args = parser().parse_args(argv)
    if not 0 < args.interval <= _LONGEST:
        raise UsageError(f"--interval {args.interval:g}: must be over 0, and a day at most")
    if args.count is not None and args.count < 1:
        raise UsageError(f"--count {args.count}: must be over 0")
    counters = _read(args.netns)
    if args.watch:
        _watch(args, counters)
    elif args.json:
        print(_as_json(counters))
    else:
        _show(counters if args.all else {k: n for k, n in counters.items() if n})
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser(
        prog="xfrm stat",
        description="Counters of packets that IPsec dropped, with their likely causes.",
    )
    made.add_argument("--all", action="store_true", help="those that are 0, too")
    made.add_argument("--watch", action="store_true", help="tell what grows, each second")
    made.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="of --watch; 1 unless given"
    )
    made.add_argument(
        "--count", type=int, metavar="N", help="of --watch: end after so many readings"
    )
    made.add_argument("--json", action="store_true", help="JSON instead of text")
    add_netns(made)
    return made


def _read(netns: str | None) -> dict[str, int]:
    return parse(read_proc_net("xfrm_stat", netns), "/proc/net/xfrm_stat")


def _watch(args: argparse.Namespace, before: dict[str, int]) -> None:
    left = args.count
    while left is None or left > 0:
        time.sleep(args.interval)
        now = _read(args.netns)
        grown = delta(before, now)
        before = now
        left = None if left is None else left - 1
        if args.json:
            print(_as_json(grown), flush=True)
        for name, by in {} if args.json else grown.items():
            why = f"  {CAUSES[name].likely}" if name in CAUSES else ""
            say(f"{time.strftime('%H:%M:%S')} {name} +{by}{why}", hanging=" " * 9)


def _as_json(counters: Mapping[str, int]) -> str:
    rows = []
    for name, value in counters.items():
        row: dict[str, str | int] = {"counter": name, "value": value}
        if name in CAUSES:
            row |= {"likely": CAUSES[name].likely, "next": CAUSES[name].next_step}
        rows.append(row)
    return json.dumps({"schema": SCHEMA, "stat": rows})


def _show(counters: Mapping[str, int]) -> None:
    if not counters:
        print("No counter has counted: nothing was dropped.")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("counter", no_wrap=True)
    table.add_column("packets", justify="right", no_wrap=True)
    table.add_column("likely cause, and next step", overflow="fold")
    for name, value in counters.items():
        cause = CAUSES.get(name)
        told = Text("not known to this version") if cause is None else Text(cause.likely)
        if cause is not None:
            told.append(f"\n{cause.next_step}", "dim")
        table.add_row(Text(name), Text(str(value)), told)
    Console(highlight=False).print(table)
