"""The live view of part 1: a process of its own, which draws what it reads.

Standard input has a moment a line (:mod:`pyxfrm.cli.demo.feed`); when it ends, so does this, and gives the terminal back. What is drawn is made for 80 columns and 24 lines; more room is used, with less
the least important lines go first.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

__all__ = ["Glyphs", "main", "picture"]

Moment = dict[str, Any]

_WIDEST = 110
_COLOURS = ("bright_blue", "orange3")
_DIRECTIONS = ("left to right", "right to left")
_MARKS = {"done": "green", "now": "bold yellow", "left": "dim", "next": "dim"}


class Glyphs(NamedTuple):
    """Characters that not every terminal has."""

    bars: str = "▁▂▃▄▅▆▇█"
    line: str = "═"
    arrow: str = "→"
    marks: Sequence[str] = ("✓", "▶", "-", "·")  # done, now, left, next

    @classmethod
    def of(cls, encoding: str) -> Glyphs:
        """Those that an encoding has."""
        try:
            "▁═→✓▶·".encode(encoding)
        except (LookupError, UnicodeEncodeError):
            return cls(" .:-=+*#", "=", ">", ("+", ">", "-", "."))
        return cls()


class _Line(NamedTuple):
    """A line, and how much it matters: with too little room, low ones go first."""

    text: Text
    worth: int = 9


def picture(moment: Moment, wide: int, tall: int, glyphs: Glyphs) -> list[Text]:
    """A moment as lines that fit into ``wide`` columns and ``tall`` lines."""
    wide = min(wide, _WIDEST)
    lines = list(_lines(moment, wide, glyphs))
    while len(lines) > tall:
        worst = min(lines, key=lambda line: line.worth)
        # Of lines that matter alike, the last goes first.
        lines.pop(max(n for n, line in enumerate(lines) if line.worth == worst.worth))
    for line in lines:
        line.text.truncate(wide)
    return [line.text for line in lines]


def _lines(moment: Moment, wide: int, glyphs: Glyphs) -> Iterator[_Line]:
    empty = _Line(Text(), 0)
    clock = f"{moment['now']:.1f} of {moment['seconds']:.0f} s"
    yield _Line(_spread(Text(moment["title"], "bold"), Text(clock, "dim"), wide))
    yield empty
    yield _Line(_route(moment, wide, glyphs))
    yield empty
    yield from _sas(moment, wide, glyphs)
    yield empty
    yield from _streams(moment, wide)
    yield _Line(_wire(moment), 8)
    yield empty
    yield from _sparks(moment, wide, glyphs)
    yield empty
    yield from _moves(moment, glyphs)
    yield empty
    current = next((move for move in moment["moves"] if move[1] == "now"), None)
    why = current[2] if current else "No move yet: this is how it flows undisturbed."
    yield _Line(Text(f"{why}  ").append("Ctrl-C ends it.", "dim"), 3)


def _spread(left: Text, right: Text, wide: int) -> Text:
    return Text.assemble(left, " " * max(1, wide - left.cell_len - right.cell_len), right)


def _route(moment: Moment, wide: int, glyphs: Glyphs) -> Text:
    """Who is where, and a NAT if there is one in between."""
    left, right = moment["ends"]
    nat = f" NAT {moment['nat']} " if moment["nat"] else ""
    room = max(2, wide - len(left) - len(right) - len(nat) - len("left  ") - len("  right"))
    first, second = glyphs.line * (room // 2), glyphs.line * (room - room // 2)
    return Text.assemble(
        ("left ", "bold"), (left, "cyan"), " ", (first, "dim"), (nat, "bold magenta"),
        (second, "dim"), " ", (right, "cyan"), (" right", "bold"),
    )  # fmt: skip


def _sas(moment: Moment, wide: int, glyphs: Glyphs) -> Iterator[_Line]:
    heads = Text(f"{'SA':<15}{'SPI':<12}outer addresses and ports, ESP in UDP", "bold")
    yield _Line(_spread(heads, Text("last number", "bold"), wide), 4)
    for n, sa in enumerate(moment["sas"]):
        way = sa["way"].replace(">", glyphs.arrow)
        left = Text.assemble(
            (f"{_DIRECTIONS[n]:<15}", _COLOURS[n]), (f"{sa['spi']:<12}", "dim"), way
        )
        yield _Line(_spread(left, Text(f"{sa['number']:,}"), wide), 5)


def _streams(moment: Moment, wide: int) -> Iterator[_Line]:
    names = ("sent", "came", "lost", "twice")
    each = min(12, max(7, (wide - 15) // len(names)))
    heads = "".join(f"{name:>{each}}" for name in names)
    yield _Line(Text(f"{'packets':<15}{heads}", "bold"), 7)
    for n, counts in enumerate(moment["streams"]):
        line = Text(f"{_DIRECTIONS[n]:<15}", _COLOURS[n])
        for name, count in zip(names, counts, strict=True):
            line.append(f"{count:>{each},}", _style(count) if name in names[2:] else "default")
        yield _Line(line)


def _style(count: int) -> str:
    return "bold red" if count else "green"


def _wire(moment: Moment) -> Text:
    sent, clear, reused = moment["wire"]
    line = Text.assemble(("on the wire", "dim"), f"    {sent:,}, ")
    line.append(f"{clear} can be read", _style(clear)).append(", ")
    line.append(f"{reused} with a number used before", _style(reused))
    return line.append(f"; {moment['waiting']} wait")


def _sparks(moment: Moment, wide: int, glyphs: Glyphs) -> Iterator[_Line]:
    room = max(5, wide - 32)
    rates, slowest = moment["rates"][-room:], moment["slowest"][-room:]
    for name, values in (("packets a second", rates), ("slowest, ms", slowest)):
        top = max([1.0, *values])
        bars = "".join(_bar(value / top, glyphs) for value in values)
        now = f"{values[-1]:,}" if values else ""
        yield _Line(Text.assemble((f"{name:<18}", "dim"), f"{bars:<{room}} ", (now, "bold")), 2)


def _bar(part: float, glyphs: Glyphs) -> str:
    return glyphs.bars[round((len(glyphs.bars) - 1) * min(1.0, max(0.0, part)))]


def _moves(moment: Moment, glyphs: Glyphs) -> Iterator[_Line]:
    marks = dict(zip(_MARKS, glyphs.marks, strict=True))
    for name, state, words in moment["moves"]:
        style = _MARKS[state]
        line = Text.assemble((f"{marks[state]} {name:<28}", style))
        if state in ("done", "left"):
            line.append(words, "default" if words.endswith(" 0 lost") else "bold red")
        # Of the moves, those that are done go first, then those that come.
        yield _Line(line, {"done": 1, "left": 1, "next": 1, "now": 6}[state])


def main() -> int:
    """Draw until there is nothing more to read."""
    console = Console(highlight=False)
    glyphs = Glyphs.of(console.encoding)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for line in sys.stdin:
            wide, tall = console.size
            shown = picture(json.loads(line), wide, tall, glyphs)
            live.update(Group(*shown), refresh=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
