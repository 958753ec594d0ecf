"""How the demo looks on paper: titles, paragraphs, tables without lines. The same on a terminal and in a file."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["Cell", "STYLES", "good", "paper", "paragraph", "table", "title"]

WIDTH = 100

Cell = tuple[str, bool | None]  # text, and whether it is good, bad or neither
STYLES = {True: "green", False: "bold red", None: ""}


def paper() -> Console:
    """The output, not wider than can be read well."""
    console = Console(highlight=False)
    console.width = min(console.width, WIDTH)
    return console


def title(console: Console, text: str) -> None:
    """A heading."""
    console.print()
    console.print(Text(text, "bold"))
    console.print()


def paragraph(console: Console, text: str, *, bold: int = 0, style: str = "") -> None:
    """Text, filled; the first ``bold`` characters stand out."""
    shown = Text(fill(text, console.width), style)
    shown.stylize("bold", 0, bold)
    console.print(shown)
    console.print()


def table(first: str, others: Sequence[str]) -> Table:
    """A table: names, and numbers to the right of them."""
    made = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column(first, no_wrap=True)
    for name in others:
        made.add_column(name, justify="right", no_wrap=True)
    return made


def good(cell: Cell) -> Text:
    """A cell in its colour."""
    text, fine = cell
    return Text(text, STYLES[fine])
