"""How ``xfrm replay`` looks on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from pyxfrm.transport.replay.session import Difference, Report, Tally
from pyxfrm.wire.describe import difference
from pyxfrm.wire.messages import message_name

__all__ = ["progress", "show", "verdict"]

WIDE = 112  # columns from which on names are whole and messages are counted
MOST_FIELDS = 40  # shown of one difference

# Kinds of input by column, and what the column says below the table.
INPUTS = {
    "clock": ("clock readings",),
    "SPI": ("SPIs",),
    "index": ("policy indexes",),
    "traffic": (
        "counters",
        "use times",
        "replay state",
        "refused packets",
        "policy counters",
        "policy use times",
    ),
    "raised": ("ACQUIREs", "MAPPINGs", "REPORTs", "replay events"),
    "set": ("settings", "socket policies", "table sizes", "devices"),
}
OTHERS = "others"
LEGEND = (
    "Replies and events: identical/compared. Inputs, as the recording has them: seconds on the kernel's clock, SPIs and policy indexes it chose, what traffic did to counters, use times and "
    "sequence numbers, events a packet raised, settings and devices; others: what other programs changed. Everything else came out of the engine."
)


@contextmanager
def progress(files: int) -> Iterator[Callable[[Path], Callable[[int, int], None]]]:
    """A bar over all files on the error output, which goes away at the end. Nothing is drawn where nobody looks."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("replaying"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("", total=files)
    begun = 0

    def advance(file: Path) -> Callable[[int, int], None]:
        nonlocal begun
        before = begun
        begun += 1
        bar.update(task, description=escape(file.name))
        return lambda step, steps: bar.update(task, completed=before + step / steps)

    with bar:
        yield advance


def show(reports: Sequence[Report], *, diff: bool, console: Console | None = None) -> None:
    """A row a file, what the inputs are, the verdict; with ``diff`` also the first difference of each file."""
    console = console or Console(highlight=False)
    if not reports:
        return
    console.print(_table(reports, console.width))
    console.print(Text(LEGEND, "dim"))
    console.print(verdict(reports))
    for report in reports if diff else ():
        if report.differences:
            console.print()
            _show_difference(console, report, report.differences[0])


def _table(reports: Sequence[Report], width: int) -> Table:
    wide = width >= WIDE
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("recording", no_wrap=True)
    names = ["replies", "events", "differ", *INPUTS, OTHERS]
    for name in ["messages", *names] if wide else names:
        table.add_column(name, justify="right", no_wrap=True)
    for report in reports:
        name = Path(report.file).name.removesuffix(".jsonl")
        row = [Text(name if wide else _short(name))]
        if wide:
            row.append(Text(str(report.messages)))
        table.add_row(*row, *_compared(report), *_inputs(report))
    return table


def _short(name: str) -> str:
    """The scenario and the kernel, where there is no room for the description: ``A1@6.12.101``."""
    scenario, at, kernel = name.partition("@")
    return scenario.partition("-")[0] + at + kernel


def _compared(report: Report) -> list[Text]:
    differing = len(report.differences)
    return [
        _tally(report.replies),
        _tally(report.events),
        Text(str(differing), "bold red" if differing else "green"),
    ]


def _tally(tally: Tally) -> Text:
    style = "green" if tally.identical == tally.compared else "red"
    return Text(f"{tally.identical}/{tally.compared}", style)


def _inputs(report: Report) -> list[Text]:
    sums = [sum(report.inputs[kind] for kind in kinds) for kinds in INPUTS.values()]
    sums.append(report.inputs.total() - sum(sums))
    return [Text(str(n) if n else "·", "" if n else "dim") for n in sums]


def verdict(reports: Sequence[Report]) -> Text:
    """The result in a sentence."""
    compared = sum(r.replies.compared + r.events.compared for r in reports)
    identical = sum(r.replies.identical + r.events.identical for r in reports)
    differing = sum(len(r.differences) for r in reports)
    files = f"{len(reports)} recording{'s' if len(reports) != 1 else ''}"
    what = f"{identical} of {compared} replies and events are identical to the last byte"
    if not differing:
        return Text(f"{files}: {what}, none is missing, none is extra.", "bold green")
    return Text(f"{files}: {what}; {differing} differ, are missing or are extra.", "bold red")


def _show_difference(console: Console, report: Report, one: Difference) -> None:
    said = {
        "differs": "is not what the engine sent",
        "missing": "was not sent by the engine",
        "extra": "was sent by the engine, but is not in the recording",
    }[one.kind]
    console.print(
        Text(f"{report.file}:{one.line}: {one.netns}: {message_name(one.number)} {said}", "bold")
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("field", "recorded", "engine"):
        table.add_column(name, overflow="fold")
    rows = list(difference(one.expected, one.got))
    for field, expected, got in rows[:MOST_FIELDS]:
        table.add_row(Text(field), Text(expected, "green"), Text(got, "red"))
    if len(rows) > MOST_FIELDS:
        table.add_row(Text(f"and {len(rows) - MOST_FIELDS} more"))
    console.print(table)
