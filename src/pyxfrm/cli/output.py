"""Records on stdout, one or as many as come, as text or as JSON: what ``state`` and ``policy`` have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pyxfrm.cli import as_json
from pyxfrm.cli.options import Options
from pyxfrm.cli.text.form import Form
from pyxfrm.client import PolicyRecord, SaRecord

__all__ = ["show_all", "show_one"]

Record = TypeVar("Record", SaRecord, PolicyRecord)


def show_one(
    options: Options,
    name: str,
    record: Record,
    text_of: Callable[[Form, bytes], str],
    json_of: Callable[[Record], dict[str, Any]],
) -> None:
    """One record; in JSON it is a document's ``name``."""
    if options.json:
        print(as_json.document(name, json_of(record)))
    else:
        sys.stdout.write(text_of(options.form, record.raw))


def show_all(
    options: Options,
    name: str,
    records: Iterable[Record],
    text_of: Callable[[Form, bytes], str],
    json_of: Callable[[Record], dict[str, Any]],
) -> None:
    """Each record when it comes; in JSON they are a list, a document's ``name``."""
    if options.json:
        as_json.stream(sys.stdout, name, map(json_of, records))
        return
    form = options.form
    for record in records:
        sys.stdout.write(text_of(form, record.raw))
