"""The figure of part 1: all of it from afar, and each move from near.

From afar (:func:`overview`): how long each packet took, and how long nothing had come before it, on scales of powers of ten; bands are the moves. From near (:func:`near`): each packet is a line
from the moment at which it was made to that at which it came, one above the other by their numbers; so packets that nothing happens to are a flight of
short steps, packets that wait are long lines that end together, and a cross is a packet that never came.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from pyxfrm import svg
from pyxfrm.cli.demo.account import Account, Packet, Row

__all__ = ["DIRECTIONS", "NEAR", "figure", "moves_of", "near", "overview", "window"]

DIRECTIONS = ("left to right", "right to left")
NEAR = (300, 212)  # size of a picture from near
_WIDE = 960
_LEFT, _RIGHT = 64, 16
_TOP, _PLOT, _BETWEEN, _AXIS = 44, 150, 16, 40
_FLOOR, _CEILING = -5, 0  # powers of ten of a second
_POWERS = ((-4, "0.1 ms"), (-3, "1 ms"), (-2, "10 ms"), (-1, "100 ms"))
_BEFORE, _AFTER = 0.016, 0.030  # seconds around a move that are seen from near
_SHORTEST, _LONGEST = 0.070, 0.200
_LANE = 74
_COLUMNS = 3


class _Plot(NamedTuple):
    """A frame, and the times of its left and right side."""

    left: float
    top: float
    wide: float
    tall: float
    begin: float
    end: float

    def x(self, at: float) -> float:
        return self.left + (at - self.begin) / ((self.end - self.begin) or 1.0) * self.wide

    def level(self, seconds: float) -> float:
        """Where a length of time is on the scale of powers of ten."""
        power = math.log10(seconds) if seconds > 0 else _FLOOR
        part = (min(max(power, _FLOOR), _CEILING) - _FLOOR) / (_CEILING - _FLOOR)
        return self.top + self.tall * (1 - part)

    def frame(self) -> str:
        return svg.rect("frame", self.left, self.top, self.wide, self.tall)


def moves_of(account: Account) -> list[Row]:
    """The stretches in which something was moved."""
    return [row for row in account.rows if row.calls]


# -- from afar ---------------------------------------------------------------------------------------


def overview(account: Account) -> tuple[int, int, list[str]]:
    """(width, height, parts)."""
    begin, end = 0.0, max((packet.arrived for packet in account.packets), default=1.0)
    wide = _WIDE - _LEFT - _RIGHT
    upper = _Plot(_LEFT, _TOP, wide, _PLOT, begin, end)
    lower = upper._replace(top=_TOP + _PLOT + _BETWEEN)
    bottom = lower.top + _PLOT
    latencies = [(p.stream, p.arrived, p.arrived - p.sent) for p in account.packets]
    parts = [*_bands(account, (upper, lower)), *_seconds(upper, bottom)]
    parts += _levels(upper, "how long a packet took", latencies)
    parts += _levels(lower, "time since the packet before", list(_gaps(account.packets)))
    parts += _legend(account)
    return _WIDE, int(bottom + _AXIS), parts


def _gaps(packets: Sequence[Packet]) -> Iterable[tuple[int, float, float]]:
    for n in (0, 1):
        times = [packet.arrived for packet in packets if packet.stream == n]
        for before, after in pairwise(times):
            yield n, after, after - before


def _levels(plot: _Plot, name: str, points: Sequence[tuple[int, float, float]]) -> list[str]:
    """Lengths of time as dots; those that would touch are drawn as one line."""
    parts = []
    for power, words in _POWERS:
        y = plot.level(10.0**power)
        parts.append(svg.line(plot.left, y, plot.left + plot.wide, y, "grid"))
        parts.append(svg.text(plot.left - 8, y + 4, words, "faint end"))
    for n in (0, 1):
        places = {
            (round(plot.level(seconds)), round(plot.x(at)))
            for stream, at, seconds in points
            if stream == n
        }
        parts.append(svg.dashes(_rows(sorted(places)), f"dots fine s{n}"))
    return [*parts, plot.frame(), svg.text(plot.left + 8, plot.top + 17, name, "strong")]


def _rows(places: Iterable[tuple[int, int]]) -> Iterable[tuple[float, float, float]]:
    """Dots (y, x), in order, as lines where they touch: that is what they look like, and the file is a third as long."""
    begin, last = None, None
    for y, x in places:
        if begin is None or last is None or (y, x - 1) != last:
            if begin is not None and last is not None:
                yield begin[1], begin[0], last[1]
            begin = y, x
        last = y, x
    if begin is not None and last is not None:
        yield begin[1], begin[0], last[1]


def _seconds(plot: _Plot, bottom: float) -> list[str]:
    parts = []
    for tick in svg.ticks_between(plot.begin, plot.end, 8):
        x = plot.x(tick)
        parts.append(svg.line(x, plot.top, x, bottom, "grid"))
        parts.append(svg.text(x, bottom + 16, f"{tick:g}", "faint middle"))
    middle = plot.left + plot.wide / 2
    return [*parts, svg.text(middle, bottom + 34, "seconds", "faint middle")]


def _bands(account: Account, plots: Sequence[_Plot]) -> list[str]:
    """The moves, numbered."""
    parts = []
    for n, row in enumerate(moves_of(account), 1):
        x = plots[0].x(row.begin)
        wide = max(3.0, plots[0].x(row.begin + row.took) - x)
        parts += [svg.rect("band", x, plot.top, wide, plot.tall) for plot in plots]
        parts.append(svg.text(x + wide / 2, plots[0].top - 8, str(n), "badge"))
    return parts


def _legend(account: Account) -> list[str]:
    """Which colour is which direction; and how many packets never came."""
    parts = []
    for n, name in enumerate(DIRECTIONS):
        x = _LEFT + 110 * n
        parts.append(svg.line(x, 10, x + 12, 10, f"dots s{n}"))
        parts.append(svg.text(x + 18, 14, name))
    lost = len(account.missing)
    words = f"{len(account.packets):,} packets came, {lost} did not"
    return [*parts, svg.text(_WIDE - _RIGHT, 14, words, "end")]


# -- from near ---------------------------------------------------------------------------------------


def window(account: Account) -> float:
    """Seconds that pictures from near show: the same for all moves of an account, so that they can be compared."""
    longest = max((row.took for row in account.rows), default=0.0)
    return min(_LONGEST, max(_SHORTEST, _BEFORE + longest + _AFTER))


def near(account: Account, row: Row, seconds: float) -> list[str]:
    """One move, in a picture of :data:`NEAR`."""
    wide, tall = NEAR
    plot = _Plot(8, 18, wide - 16, _LANE, row.begin - _BEFORE, row.begin - _BEFORE + seconds)
    lanes = plot, plot._replace(top=plot.top + _LANE + 20)
    bottom = lanes[1].top + _LANE
    x, end = plot.x(row.begin), min(row.begin + row.took, plot.end)
    parts = [svg.rect("band", x, each.top, plot.x(end) - x, _LANE) for each in lanes]
    for tick in svg.ticks_between(-1000 * _BEFORE, 1000 * (seconds - _BEFORE), 5):
        at = plot.x(row.begin + tick / 1000)
        parts += [svg.line(at, each.top, at, each.top + _LANE, "grid") for each in lanes]
        words = f"{tick:g} ms" if tick == 0 else f"{tick:g}"
        parts.append(svg.text(at, min(bottom + 16, tall - 4), words, "faint middle"))
    for n, each in enumerate(lanes):
        parts += _flight(account, each, n)
        parts += [each.frame(), svg.text(each.left, each.top - 5, DIRECTIONS[n], "faint")]
    return parts


def _flight(account: Account, plot: _Plot, stream: int) -> list[str]:
    """Packets of one direction, from when they were made to when they came."""
    packets = [
        p
        for p in account.packets
        if p.stream == stream and p.sent >= plot.begin and p.arrived <= plot.end
    ]
    gone = [p for p in account.missing if p.stream == stream and plot.begin <= p.sent <= plot.end]
    numbers = [p.number for p in (*packets, *gone)]
    first, most = min(numbers, default=0), max(numbers, default=1)

    def y(number: int) -> float:
        return (
            plot.top + plot.tall - 6 - (number - first) / ((most - first) or 1) * (plot.tall - 12)
        )

    steps = svg.dashes(
        ((plot.x(p.sent), y(p.number), plot.x(p.arrived)) for p in packets), f"dots fine s{stream}"
    )
    return [steps, *svg.crosses((plot.x(p.sent), y(p.number)) for p in gone)]


# -- in one file -------------------------------------------------------------------------------------


def figure(moved: Account, compared: Account | None = None) -> str:
    """All of it as one SVG file."""
    title = f"{len(moves_of(moved))} moves by XFRM_MSG_MIGRATE_STATE while packets flow"
    wide, tall, parts = overview(moved)
    parts = [svg.text(_LEFT, 28, title, "title"), svg.group(0, 44, parts)]
    top = 44.0 + tall + 24
    shown = [(moved, row, f"{n}: {row.name}") for n, row in enumerate(moves_of(moved), 1)]
    shown += [(compared, row, row.name) for row in moves_of(compared)] if compared else []
    for n, (account, row, name) in enumerate(shown):
        x = 18 + (NEAR[0] + 12) * (n % _COLUMNS)
        y = top + (NEAR[1] + 34) * (n // _COLUMNS)
        bad = f": {row.lost} lost" if row.lost else ""
        parts.append(svg.text(x + 8, y, name + bad, "strong"))
        parts.append(svg.group(x, y + 4, near(account, row, window(account))))
    high = top + (NEAR[1] + 34) * -(-len(shown) // _COLUMNS)
    return svg.document(wide, high, title, parts)
