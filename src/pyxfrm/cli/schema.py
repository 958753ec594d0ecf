"""``xfrm schema``: what the commands write as JSON, as a JSON Schema; ``--markdown``: as docs/json.md. Both are made of :mod:`pyxfrm.cli.json_documents`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from pyxfrm.cli.arguments import Parser
from pyxfrm.cli.json_documents import DOCUMENTS, OBJECTS, Document
from pyxfrm.cli.json_table import EVENTS, SCHEMA, Rows

__all__ = ["json_schema", "main", "markdown", "parser"]

_PLAIN: dict[str, Any] = {
    "text": {"type": "string"},
    "number": {"type": "integer"},
    "real": {"type": "number"},
    "flag": {"type": "boolean"},
    "null": {"type": "null"},
    "any": {},
}
_HEAD = f"""\
# JSON, schema {SCHEMA}

Made by `xfrm schema --markdown`; `xfrm schema` gives the same as a JSON Schema.

`--json` gives one document, an object with `"schema": {SCHEMA}` beside the members below; where many are written, each stands on a line. Within a schema members may be
added; none changes its meaning or goes. What is not there is absent: members with a `?` may be.

Addresses and networks are text (`"192.0.2.1"`, `"10.1.0.0/16"`). Kinds are the words of the command line (`"esp"`, `"tunnel"`, `"out"`); a number that has no word stays a
number in text. Times are seconds since the epoch. A list that is written as it comes and fails on the way ends with `error`, which says why: it may lack entries or have some
twice, and the exit status is not 0. Where events were lost, `monitor` says so on stderr.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser(
        prog="xfrm schema", description="What the commands write as JSON, as a JSON Schema."
    )
    made.add_argument("--markdown", action="store_true", help="as text for people")
    return made


def main(argv: Sequence[str]) -> int:
    """Print it."""
    words = parser().parse_args(argv)
    sys.stdout.write(markdown() if words.markdown else json.dumps(json_schema(), indent=2) + "\n")
    return 0


# -- JSON Schema -----------------------------------------------------------------------------------


def _type(text: str) -> dict[str, Any]:
    """A type of the table as JSON Schema."""
    if " or " in text:
        return {"anyOf": [_type(part) for part in text.split(" or ")]}
    if text in _PLAIN:
        return dict(_PLAIN[text])
    if text.startswith("="):
        return {"enum": text[1:].split("|")}
    if text.startswith("["):
        return {"type": "array", "items": _type(text[1:-1])}
    if text.startswith("{"):
        return {"type": "object", "additionalProperties": _type(text[1:-1])}
    return {"$ref": f"#/$defs/{_anchor(text)}"}


def _anchor(name: str) -> str:
    return name.replace("'", "").replace(" ", "-")


def _object(rows: Rows, about: str) -> dict[str, Any]:
    return {
        "description": about,
        "type": "object",
        "properties": {
            name.rstrip("?"): _type(kind) | {"description": told}
            for name, (kind, told) in rows.items()
        },
        "required": [name for name in rows if not name.endswith("?")],
    }


def _document(document: Document, rows: Rows) -> dict[str, Any]:
    made = _object(rows, f"xfrm {document.command}: {document.about}")
    made["properties"] = {"schema": {"const": SCHEMA}} | made["properties"]
    made["required"] = ["schema", *made["required"]]
    return made


def _documents() -> Iterator[dict[str, Any]]:
    for document in DOCUMENTS:
        if document.command != "monitor":
            yield _document(document, document.rows)
            continue
        for name, rows in EVENTS.items():
            made = _document(document, document.rows | rows)
            made["properties"]["event"] = {"const": name}
            yield made


def json_schema() -> dict[str, Any]:
    """Everything, as a JSON Schema (draft 2020-12). Members that it does not name are allowed: newer versions may have more."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"What the xfrm command writes, schema {SCHEMA}",
        "anyOf": list(_documents()),
        "$defs": {_anchor(name): _object(rows, about) for name, (about, rows) in OBJECTS.items()},
    }


# -- Markdown --------------------------------------------------------------------------------------


def _told(kind: str) -> str:
    """A type for people."""
    if kind.startswith("["):
        return f"list of {_told(kind[1:-1])}"
    if kind.startswith("{"):
        return "object" if kind == "{any}" else f"object of {_told(kind[1:-1])}s"
    if " or " in kind:
        return " or ".join(_told(part) for part in kind.split(" or "))
    if kind.startswith("="):
        return ", ".join(f"`{word}`" for word in kind[1:].split("|"))
    return kind if kind in _PLAIN else f"[{kind}](#{_anchor(kind).lower()})"


def _rows(rows: Rows) -> Iterator[str]:
    yield "| member | type | |"
    yield "|---|---|---|"
    for name, (kind, about) in rows.items():
        yield f"| {_named(name)} | {_told(kind)} | {about} |"


def _named(row: str) -> str:
    name = row.rstrip("?")
    return f"`{name}`{row[len(name) :]}"


def markdown() -> str:
    """Everything, for people."""
    lines = [_HEAD, "## Documents", "", "| command | | members |", "|---|---|---|"]
    for document in DOCUMENTS:
        members = ", ".join(
            f"{_named(name)}: {_told(kind)}" for name, (kind, _) in document.rows.items()
        )
        many = " (a line each)" if document.lines else ""
        lines.append(f"| `xfrm {document.command}` | {document.about}{many} | {members} |")
    lines += ["", "## Events", "", "Each has these:", ""]
    lines += _rows(next(one.rows for one in DOCUMENTS if one.command == "monitor"))
    lines += ["", "and, by `event`:", "", "| event | members |", "|---|---|"]
    for name, rows in EVENTS.items():
        members = ", ".join(f"{_named(row)}: {_told(kind)}" for row, (kind, _) in rows.items())
        lines.append(f"| `{name}` | {members} |")
    for name, (about, rows) in OBJECTS.items():
        lines += ["", f"## {name}", "", about, "", *_rows(rows)]
    return "\n".join(lines) + "\n"
