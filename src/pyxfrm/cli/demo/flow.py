"""Part 1: a tunnel moves while packets flow through it."""

from __future__ import annotations

import gc
import select
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

from rich.console import Console
from rich.table import Table

from pyxfrm.cli.demo.account import TOTAL, Account, Row, account_of, percentile
from pyxfrm.cli.demo.feed import TICK, Feed, Screen
from pyxfrm.cli.demo.moves import CONTRAST, JOURNEY, Move, places, play
from pyxfrm.cli.demo.page import Facts, page
from pyxfrm.cli.demo.paper import Cell, good, paragraph, table
from pyxfrm.cli.demo.picture import figure
from pyxfrm.cli.demo.scene import PAUSE, Scene
from pyxfrm.cli.demo.words import LEGEND, TITLE, reasons

__all__ = ["TITLE", "Wish", "show"]

TUNNEL = (
    "An IPsec tunnel is two SAs (Security Associations), one for each direction. An SA is a key, two addresses, and a counter that "
    "gives every packet its number. When a host gets another address, its SAs must follow, and no number may be used twice."
)
HERE = (
    "Here are the two ends of a tunnel, in this process and without root: real ESP packets over loopback, {rate:g} a second each way. Meanwhile one end "
    "moves, as hosts do. Each SA is named and moved by one message, XFRM_MSG_MIGRATE_STATE, which is new in Linux 7.2."
)
OTHERS = "For comparison: without waiting, and as it was done before"
COMPARE = (
    "For comparison, the same change of address where nothing waits and the old place is not good any more (as Linux takes the same messages), and as it "
    "was done before Linux 7.2. Between any two calls there are {pause:g} ms, here as above."
)
SHARE = 0.75  # of the time, for MIGRATE_STATE

COLUMNS = ("took ms", "waited", "gap ms", "lost", "twice", "clear", "reused")


class Wish(NamedTuple):
    """What was asked for: packets a second each way, seconds altogether, where the report goes (``asked``: by the user), the command as it was typed, and whether this part is all."""

    rate: float
    seconds: float
    report: Path
    asked: bool
    command: str
    alone: bool


def why_not() -> str:
    """Why packets cannot flow here; empty: they can."""
    try:
        # Also takes the time of the first import out of the first packet.
        import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401
    except ImportError:
        return "ESP needs the `cryptography` package: pip install 'pyxfrm[esp]'"
    return "" if hasattr(select, "epoll") else "it needs Linux"


def show(console: Console, wish: Wish) -> int:
    """Play it; exit status 0 if MIGRATE_STATE lost nothing."""
    paragraph(console, TUNNEL)
    lacking = why_not()
    if lacking:
        paragraph(console, f"Left out: {lacking}.")
        return int(wish.alone)
    paragraph(console, HERE.format(rate=wish.rate))
    _rehearse()
    without = {"hold": 0.0, "drain": 0.0}
    moved = _play(console, TITLE, JOURNEY, wish.rate, SHARE * wish.seconds)
    compared = _play(console, OTHERS, CONTRAST, wish.rate, (1 - SHARE) * wish.seconds, **without)
    console.print(_table([*moved.rows, moved.total]))
    console.print()
    paragraph(console, LEGEND, style="dim")
    _verdict(console, moved)
    paragraph(console, COMPARE.format(pause=1000 * PAUSE))
    console.print(_table(compared.rows))
    console.print()
    for row in compared.rows:
        _reasons(console, row)
    written = _report(console, wish, moved, compared)
    return int(not moved.clean or (wish.asked and not written))


def _rehearse() -> None:
    """A move that nobody sees: what is loaded and compiled at its first use should not be taken for the cost of a move."""
    with Scene(*places(), rate=50.0, pause=0.0) as scene:
        scene.play(play(JOURNEY[:1], scene, 0.1))


def _report(console: Console, wish: Wish, moved: Account, compared: Account) -> bool:
    """Write the report: a page, or the figure alone; whether that was possible."""
    if wish.report.suffix == ".svg":
        text = figure(moved, compared)
    else:
        text = page(moved, compared, Facts(wish.command))
    try:
        wish.report.parent.mkdir(parents=True, exist_ok=True)
        wish.report.write_text(text, encoding="utf-8")
    except OSError as why:
        said = f"The report could not be written to {wish.report}: {why.strerror}."
        paragraph(console, said, style="bold red")
        return False
    console.print(f"All of this with pictures: {wish.report}", style="bold", soft_wrap=True)
    return True


def _play(
    console: Console,
    title: str,
    moves: Sequence[Move],
    rate: float,
    seconds: float,
    **options: float,
) -> Account:
    """Play it, with somebody watching or not."""
    here, there = places()
    gc.collect()
    with ExitStack() as stack:
        gc.freeze()  # what is there already is not looked through again while packets flow
        stack.callback(gc.unfreeze)
        scene = stack.enter_context(Scene(here, there, rate=rate, **options))
        if _is_watched(console):
            screen = stack.enter_context(Screen())
            feed = Feed(scene, moves, seconds, title)
            scene.every(TICK, lambda: screen.show(feed.moment()))
        else:
            stack.callback(console.print)
            lines = stack.enter_context(_Lines(console, scene, title))
            scene.every(TICK, lines.tell)
        scene.play(play(moves, scene, seconds))
        return account_of(scene)


def _is_watched(console: Console) -> bool:
    """Whether there is a screen to draw on; colours alone (FORCE_COLOR) do not make one."""
    return console.is_terminal and not console.is_dumb_terminal and console.file.isatty()


class _Lines:
    """A line for each move, once it is over, where nobody watches."""

    def __init__(self, console: Console, scene: Scene, title: str) -> None:
        self._console = console
        self._scene = scene
        self._told = 0
        console.print(f"{title}:", soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tell()

    def tell(self) -> None:
        """What is new."""
        for stretch in self._scene.stretches[self._told :]:
            if stretch.end is None:
                return
            self._told += 1
            if stretch.skipped:
                result = f"left out: {stretch.skipped}"
            else:
                packets = sum(stretch.end.sent) - sum(stretch.begin.sent)
                result = f"{stretch.lost} of {packets} packets lost"
            line = f"{stretch.begin.at:6.1f} s  {stretch.name:<27} {result}"
            self._console.print(line, soft_wrap=True)


# -- what came of it ---------------------------------------------------------------------------------


def _table(rows: Sequence[Row]) -> Table:
    shown = table("", COLUMNS)
    for row in rows:
        cells = map(good, _cells(row))
        shown.add_row(row.name, *cells, end_section=row is rows[-2])
    return shown


def _cells(row: Row) -> list[Cell]:
    if row.skipped:
        return [("-", None)] * len(COLUMNS)
    moved = bool(row.calls) and row.name != TOTAL
    return [
        (f"{1000 * row.took:.1f}" if moved else "", None),
        (str(row.waited) if moved else "", None),
        (f"{1000 * row.gap:.1f}", None),
        *((str(n), n == 0) for n in (row.lost, row.twice, row.clear, row.reused)),
    ]


def _verdict(console: Console, account: Account) -> None:
    """The result in sentences."""
    total = account.total
    moves = sum(bool(row.calls) for row in account.rows)
    said = (
        f"{moves} moves, {total.sent:,} packets: {total.lost} lost, {total.twice} came twice, "
        f"{total.clear} could be read, {total.reused} with a number used before."
    )
    paragraph(console, said, style="bold green" if account.clean else "bold red")
    half, most = (1000 * percentile(total.latencies, p) for p in (50, 99))
    paragraph(
        console,
        f"Half of the packets took less than {half:.2f} ms, 99 of 100 less than {most:.2f} ms.",
    )
    _reasons(console, total)
    if account.left_out:
        paragraph(
            console,
            f"{account.left_out} packets were not made: this machine was too late for them.",
        )
    for row in account.rows:
        if row.skipped:
            paragraph(console, f"{row.name}: left out, since {row.skipped}.")


def _reasons(console: Console, row: Row) -> None:
    for text in reasons(row):
        paragraph(console, text, bold=len(row.name) + 1)
