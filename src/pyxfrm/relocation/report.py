"""A picture of what arrived around a move: SVG, made by hand, no libraries.

One lane a stream: each packet is a dot, time from left to right, its number from bottom to top. So a straight line is traffic that nothing
happened to; a dot under the line came late; a cross stands where a number is missing. Numbers that a copy leaves out on purpose (the *jump*) are left out here, too. Below
the lanes is the time since the packet before of the same stream, on a scale of powers of ten. Bands are the steps of the relocation that sent something, numbered, and
told in words below; time 0 is the first of them.

Lanes are labelled, so that nothing is told by colour alone (:mod:`pyxfrm.svg`).
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from pyxfrm.svg import COLOURS, crosses, document, dots, line, rect, text, ticks_between, turned

__all__ = ["Arrival", "Jump", "Mark", "Summary", "draw", "sum_up"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One packet that arrived. ``at``: seconds; ``stream``: what it belongs to, an SPI as a rule."""

    at: float
    stream: int
    number: int


@dataclass(frozen=True, slots=True)
class Mark:
    """One step of a relocation. ``at``: seconds on the clock of the arrivals; ``took``: seconds."""

    at: float
    text: str
    took: float = 0.0


@dataclass(frozen=True, slots=True)
class Jump:
    """Numbers that were left out on purpose: ``last`` was sent, and the next one was above ``cut``."""

    last: int
    cut: int

    def close(self, number: int) -> int:
        """The number as it were without the jump."""
        return number - (self.cut - self.last) if number > self.cut else number


@dataclass(frozen=True, slots=True)
class Summary:
    """What arrived. ``gap``: the longest time between two arrivals, seconds; ``late``: came after a higher number."""

    packets: int
    missing: int
    twice: int
    late: int
    gap: float

    def __str__(self) -> str:
        return (
            f"{self.packets} packets, {self.missing} missing, {self.twice} twice, "
            f"{self.late} late, longest gap {1000 * self.gap:.2f} ms"
        )


def sum_up(arrivals: Sequence[Arrival]) -> Summary:
    """Count what arrived, stream by stream. Numbers that a stream jumps over count as missing."""
    by_stream: dict[int, list[int]] = {}
    for arrival in arrivals:
        by_stream.setdefault(arrival.stream, []).append(arrival.number)
    missing = twice = late = 0
    for numbers in by_stream.values():
        seen = set(numbers)
        missing += max(seen) - min(seen) + 1 - len(seen)
        twice += len(numbers) - len(seen)
        top = numbers[0]
        for number in numbers:
            late += number < top
            top = max(top, number)
    times = sorted(a.at for a in arrivals)
    gap = max((b - a for a, b in pairwise(times)), default=0.0)
    return Summary(len(arrivals), missing, twice, late, gap)


# -- the page --------------------------------------------------------------------------------------

_WIDTH = 960
_LEFT, _RIGHT = 84, 24
_LANE, _GAPS = 150, 120
_HEAD, _BETWEEN, _LINE = 58, 34, 18
_CROSSES = 200
_FLOOR, _CEILING = -5, 0  # powers of ten of a second
_CHARACTERS = 125  # of a line of notes


@dataclass
class _Lane:
    """One stream. ``numbers``: without the jump, from 0."""

    name: str
    colour: int
    arrivals: list[Arrival]
    top: int = 0
    first: int = field(init=False)
    most: int = field(init=False)

    def __post_init__(self) -> None:
        numbers = [a.number for a in self.arrivals]
        self.first = min(numbers)
        self.most = max(1, max(numbers) - self.first)

    @property
    def bottom(self) -> int:
        """Where number 0 is."""
        return self.top + _LANE

    def y(self, number: float) -> float:
        """Where a number is; a little room is left below and above."""
        part = (number - self.first) / self.most
        return self.bottom - 6 - part * (_LANE - 12)


class _Page:
    """Where things go."""

    def __init__(self, lanes: list[_Lane], marks: Sequence[Mark]) -> None:
        self.lanes, self.marks = lanes, sorted(marks, key=lambda m: m.at)
        times = [a.at for lane in lanes for a in lane.arrivals]
        times += [t for m in marks for t in (m.at, m.at + m.took)]
        self.begin, self.end = min(times), max(times)
        self.zero = self.marks[0].at if self.marks else self.begin
        for n, lane in enumerate(lanes):
            lane.top = _HEAD + _BETWEEN + n * (_LANE + _BETWEEN)
        self.gaps_top = lanes[-1].bottom + _BETWEEN
        self.gaps_bottom = self.gaps_top + _GAPS
        self.notes = [line for n in range(len(self.marks)) for line in self._note(n)]
        self.height = self.gaps_bottom + 48 + _LINE * len(self.notes)

    def _note(self, n: int) -> list[str]:
        """What a step is, in words, in lines that have room."""
        mark = self.marks[n]
        when = f"{n + 1}: at {1000 * (mark.at - self.zero):.1f} ms, {1000 * mark.took:.2f} ms: "
        return textwrap.wrap(when + mark.text, _CHARACTERS, subsequent_indent="\u2003") or [when]

    def x(self, at: float) -> float:
        span = (self.end - self.begin) or 1.0
        return _LEFT + (at - self.begin) / span * (_WIDTH - _LEFT - _RIGHT)

    def gap_y(self, gap: float) -> float:
        power = math.log10(gap) if gap > 0 else _FLOOR
        part = (min(max(power, _FLOOR), _CEILING) - _FLOOR) / (_CEILING - _FLOOR)
        return self.gaps_bottom - part * _GAPS


def draw(
    arrivals: Iterable[Arrival],
    marks: Iterable[Mark] = (),
    title: str = "",
    *,
    names: Mapping[int, str] | None = None,
    jumps: Mapping[int, Jump] | None = None,
) -> str:
    """The picture, as the text of an SVG file.

    ``names``  of streams; without: their SPI in hex
    ``jumps``  of streams whose numbers left some out
    """
    steps = list(marks)
    lanes = _lanes(sorted(arrivals, key=lambda a: a.at), names or {}, jumps or {})
    if not lanes:
        return _picture(120, title, [text(_LEFT, 84, "nothing arrived", "faint")])
    page = _Page(lanes, steps)
    parts = [*_bands(page), *_time_axis(page)]
    for lane in lanes:
        parts += _lane(page, lane)
    parts += [*_gaps(page), *_steps(page)]
    return _picture(page.height, title, parts)


def _lanes(
    arrivals: Sequence[Arrival], names: Mapping[int, str], jumps: Mapping[int, Jump]
) -> list[_Lane]:
    by_stream: dict[int, list[Arrival]] = {}
    for a in arrivals:
        number = jumps[a.stream].close(a.number) if a.stream in jumps else a.number
        by_stream.setdefault(a.stream, []).append(Arrival(a.at, a.stream, number))
    return [
        _Lane(names.get(stream, f"SPI {stream:#010x}"), n % COLOURS, found)
        for n, (stream, found) in enumerate(by_stream.items())
    ]


def _picture(height: float, title: str, parts: Iterable[str]) -> str:
    return document(_WIDTH, height, title, [text(_LEFT, 30, title, "title"), *parts])


def _frame(top: float, tall: float) -> str:
    return rect("frame", _LEFT, top, _WIDTH - _LEFT - _RIGHT, tall)


# -- its parts -------------------------------------------------------------------------------------


def _time_axis(page: _Page) -> list[str]:
    low, high = ((t - page.zero) * 1000 for t in (page.begin, page.end))
    parts = []
    for tick in ticks_between(low, high, 8):
        x = page.x(page.zero + tick / 1000)
        parts.append(line(x, _HEAD + _BETWEEN, x, page.gaps_bottom, "grid"))
        parts.append(text(x, page.gaps_bottom + 16, f"{tick:g}", "faint middle"))
    since = "the first step" if page.marks else "the first packet"
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(text(middle, page.gaps_bottom + 34, f"time since {since}, ms", "middle"))
    return parts


def _bands(page: _Page) -> list[str]:
    """The steps, behind each frame; their numbers above, side by side where they would touch."""
    parts, last = [], -math.inf
    frames = [(lane.top, _LANE) for lane in page.lanes] + [(page.gaps_top, _GAPS)]
    for n, mark in enumerate(page.marks, 1):
        x = page.x(mark.at)
        wide = max(2.0, page.x(mark.at + mark.took) - x)
        parts += [rect("band", x, top, wide, tall) for top, tall in frames]
        last = max(x + wide / 2, last + 14)
        parts.append(text(last, _HEAD + 4, str(n), "badge"))
    return parts


def _steps(page: _Page) -> list[str]:
    """What the bands are, in words."""
    base = page.gaps_bottom + 52
    return [text(_LEFT, base + _LINE * n, note, "faint") for n, note in enumerate(page.notes)]


def _lane(page: _Page, lane: _Lane) -> list[str]:
    parts = [
        _frame(lane.top, _LANE),
        line(_LEFT, lane.top - 10, _LEFT + 14, lane.top - 10, f"dots s{lane.colour}"),
        text(_LEFT + 22, lane.top - 6, f"{lane.name}: {sum_up(lane.arrivals)}"),
    ]
    for tick in ticks_between(0, lane.most, 3):
        y = lane.y(lane.first + tick)
        parts.append(text(_LEFT - 8, y + 4, f"{tick:g}", "faint end"))
    parts.append(turned(20, lane.top + _LANE / 2, "packet number"))
    points = [(page.x(a.at), lane.y(a.number)) for a in lane.arrivals]
    parts.append(dots(points, f"dots s{lane.colour}"))
    parts += crosses((page.x(at), lane.y(number)) for at, number in _missing(lane.arrivals))
    return parts


def _missing(arrivals: Sequence[Arrival]) -> list[tuple[float, int]]:
    """Where missing numbers would have been, between their neighbours; not more than can be seen."""
    when = {a.number: a.at for a in reversed(arrivals)}
    found: list[tuple[float, int]] = []
    for low, high in pairwise(sorted(when)):
        for number in range(low + 1, min(high, low + 1 + _CROSSES - len(found))):
            part = (number - low) / (high - low)
            found.append((when[low] + part * (when[high] - when[low]), number))
    return found


def _gaps(page: _Page) -> list[str]:
    """Time since the packet before, stream by stream."""
    parts = [
        _frame(page.gaps_top, _GAPS),
        text(_LEFT, page.gaps_top - 6, "time since the packet before"),
    ]
    for power, name in ((-4, "0.1 ms"), (-3, "1 ms"), (-2, "10 ms"), (-1, "100 ms")):
        y = page.gap_y(10.0**power)
        parts.append(line(_LEFT, y, _WIDTH - _RIGHT, y, "grid"))
        parts.append(text(_LEFT - 8, y + 4, name, "faint end"))
    for lane in page.lanes:
        points = [(page.x(b.at), page.gap_y(b.at - a.at)) for a, b in pairwise(lane.arrivals)]
        parts.append(dots(points, f"dots s{lane.colour}"))
    return parts
