"""``xfrm show``: text of ``ip xfrm state`` or ``ip xfrm policy``, from a file or a pipe, as a table or JSON; or the same text without keys.

``--json`` gives ``{"schema": 1, "show": [...]}``: objects with ``"kind"`` ``state`` or ``policy``, the ``line`` where it begins, and the fields of
:class:`pyxfrm.client.iptext.StateText` or :class:`~pyxfrm.client.iptext.PolicyText`; what the text does not say is absent. Of a key there is its length.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pyxfrm.cli.arguments import Parser
from pyxfrm.cli.json_table import SCHEMA
from pyxfrm.client.iptext import PolicyText, StateText, parse, scrub
from pyxfrm.errors import UsageError
from pyxfrm.model import Address, Network

__all__ = ["main", "parser"]


Record = StateText | PolicyText


def main(argv: Sequence[str]) -> int:
    """``xfrm show FILE|- [--json|--table|--scrub]``."""
    args = parser().parse_args(argv)
    source = "stdin" if args.file == "-" else args.file
    text = _read(args.file)
    if args.scrub:
        sys.stdout.flush()
        sys.stdout.buffer.write(scrub(text).encode("utf-8", "surrogateescape"))
        return 0
    records = parse(text, source)
    if args.json:
        print(json.dumps({"schema": SCHEMA, "show": [_as_json(one) for one in records]}))
    else:
        _show(records)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser(prog="xfrm show", description="Read text of `ip xfrm state` or `ip xfrm policy`.")
    made.add_argument("file", metavar="FILE|-", help="the text; -: the standard input")
    form = made.add_mutually_exclusive_group()
    form.add_argument("--table", action="store_true", help="a table (unless told otherwise)")
    form.add_argument("--json", action="store_true", help="JSON")
    form.add_argument("--scrub", action="store_true", help="the same text without keys")
    return made


def _read(file: str) -> str:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as why:
        raise UsageError(f"{file}: {why.strerror}") from None
    return data.decode("utf-8", "surrogateescape")


def _as_json(record: Record) -> dict[str, Any]:
    kind = "state" if isinstance(record, StateText) else "policy"
    found = {field.name: _plain(getattr(record, field.name)) for field in fields(record)}
    return {"kind": kind} | {
        name: value for name, value in found.items() if value not in (None, [])
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Address | Network):
        return str(value)
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if hasattr(value, "_asdict"):
        return {name: one for name, one in value._asdict().items() if one is not None}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


# -- tables ----------------------------------------------------------------------------------------


def _show(records: Sequence[Record]) -> None:
    states = [one for one in records if isinstance(one, StateText)]
    policies = [one for one in records if isinstance(one, PolicyText)]
    if states:
        _print(
            ("src", "dst", "proto", "spi", "reqid", "mode", "mark", "algorithms"),
            [_state_row(one) for one in states],
        )
    if states and policies:
        print()
    if policies:
        _print(
            ("dir", "src", "dst", "action", "priority", "mark", "templates"),
            [_policy_row(one) for one in policies],
        )
    if not records:
        print("There is no SA and no policy in it.")


def _state_row(one: StateText) -> tuple[str, ...]:
    algorithms = "\n".join(algorithm.name for algorithm in one.algorithms)
    ends = (str(one.src), str(one.dst))
    name = (one.proto, f"{one.spi:#010x}", str(one.reqid), one.mode)
    return (*ends, *name, _mark(one.mark), algorithms)


def _policy_row(one: PolicyText) -> tuple[str, ...]:
    templates = "\n".join(
        f"{t.get('proto', '?')} {t.get('mode', '?')} {t['src']} > {t['dst']}" for t in one.templates
    )
    priority = "" if one.priority is None else str(one.priority)
    ends = (str(one.sel["src"]), str(one.sel["dst"]))
    return (one.dir, *ends, one.action, priority, _mark(one.mark), templates)


def _mark(mark: Any) -> str:
    return "" if mark is None else f"{mark.value:#x}/{mark.mask:#x}"


_LONG = (
    "algorithms",
    "templates",
)  # broken where there is no room; a column in which nothing stands is left out


def _print(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    told = [at for at in range(len(names)) if any(row[at] for row in rows)]
    for at in told:
        table.add_column(names[at], overflow="fold", no_wrap=names[at] not in _LONG)
    for row in rows:
        table.add_row(*[Text(row[at]) for at in told])
    Console(highlight=False).print(table)
