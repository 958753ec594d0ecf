"""Draws the tables of relocation into docs/relocation.md: `python tools/relocation_docs.py`."""

from __future__ import annotations

from pathlib import Path

from pyxfrm.relocation.machine import diagram
from pyxfrm.relocation.recovery import table

DOC = Path(__file__).parents[1] / "docs" / "relocation.md"


def drawn(text: str) -> str:
    """The document with both tables as they are now."""
    for name, body in (("states", f"```mermaid\n{diagram()}\n```"), ("decisions", table())):
        head, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, tail = rest.partition(f"<!-- /{name} -->")
        if not (begin and end):
            raise SystemExit(f"{DOC}: the marks of {name} are missing")
        text = f"{head}{begin}{body}\n{end}{tail}"
    return text


if __name__ == "__main__":
    DOC.write_text(drawn(DOC.read_text()))
