"""``xfrm show``: text of ``ip xfrm state`` or ``ip xfrm policy``, from a file or a pipe, as a table or JSON; or the same text without keys.

``--json`` gives ``{"schema": 1, "show": [...]}``: objects with ``"kind"`` ``state`` or ``policy``, the ``line`` where it begins, and the fields of
:class:`pyxfrm.client.iptext.StateText` or :class:`~pyxfrm.client.iptext.PolicyText`; what the text does not say is absent. Of a key there is its length.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import fields
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pyxfrm.cli.arguments import Parser
from pyxfrm.cli.json_table import SCHEMA
from pyxfrm.cli.wrapped import say
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
            ("src", "dst", "proto", "spi", "reqid", "mode", "mark", "if_id", "encap", "algorithms"),
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
    if_id = f"{one.if_id:#x}" if one.if_id else ""
    encap = "{sport}>{dport}".format_map(one.encap) if one.encap else ""
    return (*ends, *name, _mark(one.mark), if_id, encap, algorithms)


def _policy_row(one: PolicyText) -> tuple[str, ...]:
    templates = "\n".join(
        f"{t.get('proto', '?')} {t.get('mode', '?')} {t['src']} > {t['dst']}" for t in one.templates
    )
    priority = "" if one.priority is None else str(one.priority)
    ends = (str(one.sel["src"]), str(one.sel["dst"]))
    return (one.dir, *ends, one.action, priority, _mark(one.mark), templates)


def _mark(mark: Any) -> str:
    return "" if mark is None else f"{mark.value:#x}/{mark.mask:#x}"


def _print(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table, without the columns in which nothing stands; where a terminal is too narrow for it, a paragraph a row."""
    told = [at for at in range(len(names)) if any(row[at] for row in rows)]
    lines = [[names[at] for at in told]]
    for row in rows:
        cells = [_printable(row[at]).split("\n") for at in told]
        lines += [list(line) for line in zip_longest(*cells, fillvalue="")]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    if sys.stdout.isatty() and sum(widths) + len(widths) > shutil.get_terminal_size().columns:
        for row in rows:
            _paragraph(names, row)
        return
    for line in lines:
        print(" ".join(map(str.ljust, line, widths)).rstrip())


def _paragraph(names: Sequence[str], row: Sequence[str]) -> None:
    """``src`` and ``dst`` in the first line, all else in words under it."""
    told = zip(names, map(_printable, row), strict=True)
    cells = {name: cell.replace("\n", ", ") for name, cell in told if cell}
    say(f"src {cells.pop('src')} dst {cells.pop('dst')}")
    say(" ".join(f"{name} {cell}" for name, cell in cells.items()), "    ", "")


def _printable(cell: str) -> str:
    """Pasted text may hold anything; a terminal gets letters."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in cell)
