"""A picture of what arrived around a move: SVG, made by hand, no libraries.

One lane a stream: each packet is a dot, time from left to right, its number from bottom to top. So a straight line is traffic that nothing
happened to; a dot under the line came late; a cross stands where a number is missing. Numbers that a copy leaves out on purpose (the *jump*) are left out here, too. Below
the lanes is the time since the packet before of the same stream, on a scale of powers of ten. Bands are the steps of the relocation that sent something, numbered, and
told in words below; time 0 is the first of them.

Colours are those of Okabe and Ito, which people with any colour vision can tell apart; lanes are labelled, so that nothing is told by colour alone. The picture follows
the reader's wish for light or dark.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

__all__ = ["Arrival", "Jump", "Mark", "Summary", "draw", "sum_up", "ticks_between"]


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
_COLOURS = 6
_CHARACTERS = 125  # of a line of notes

# Class, light, dark. No CSS variables: not every program that shows SVG knows them.
_INK = (
    ("text", "fill", "#1f2328", "#e6edf3"),
    (".faint", "fill", "#57606a", "#9da7b1"),
    (".page", "fill", "#ffffff", "#0d1117"),
    (".grid", "stroke", "#d8dee4", "#30363d"),
    (".frame", "stroke", "#afb8c1", "#484f58"),
    (".band", "fill", "#e69f00", "#e69f00"),
    (".missing", "stroke", "#b3261e", "#ff8a80"),
    (".s0", "stroke", "#0072b2", "#56b4e9"),
    (".s1", "stroke", "#c04f00", "#ff9a57"),
    (".s2", "stroke", "#007a5a", "#2bd4a4"),
    (".s3", "stroke", "#a6478a", "#e79ac6"),
    (".s4", "stroke", "#2f7fb8", "#9ccff0"),
    (".s5", "stroke", "#8a6100", "#f0c95c"),
)
_FORMS = """text { font: 12px system-ui, sans-serif }
.title { font-size: 16px; font-weight: 600 } .end { text-anchor: end } .middle { text-anchor: middle }
.badge { font-weight: 600; text-anchor: middle } .band { fill-opacity: .3 } .frame, .missing, .dots { fill: none }
.missing { stroke-width: 1.6 } .dots { stroke-width: 3; stroke-linecap: round }"""


def _style() -> str:
    light = [f"{kind} {{ {what}: {colour} }}" for kind, what, colour, _ in _INK]
    dark = [f"{kind} {{ {what}: {colour} }}" for kind, what, _, colour in _INK]
    return "\n".join([_FORMS, *light, "@media (prefers-color-scheme: dark) {", *dark, "}"])


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
        return _svg(120, title, [_text(_LEFT, 84, "nothing arrived", "faint")])
    page = _Page(lanes, steps)
    parts = [*_bands(page), *_time_axis(page)]
    for lane in lanes:
        parts += _lane(page, lane)
    parts += [*_gaps(page), *_steps(page)]
    return _svg(page.height, title, parts)


def _lanes(
    arrivals: Sequence[Arrival], names: Mapping[int, str], jumps: Mapping[int, Jump]
) -> list[_Lane]:
    by_stream: dict[int, list[Arrival]] = {}
    for a in arrivals:
        number = jumps[a.stream].close(a.number) if a.stream in jumps else a.number
        by_stream.setdefault(a.stream, []).append(Arrival(a.at, a.stream, number))
    return [
        _Lane(names.get(stream, f"SPI {stream:#010x}"), n % _COLOURS, found)
        for n, (stream, found) in enumerate(by_stream.items())
    ]


def _svg(height: float, title: str, parts: Iterable[str]) -> str:
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:g}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_style()}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{height:g}"/>',
        _text(_LEFT, 30, title, "title"),
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _rect(kind: str, x: float, y: float, wide: float, tall: float) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
    return f'<rect class="{kind}" {place}/>'


def _frame(top: float, tall: float) -> str:
    return _rect("frame", _LEFT, top, _WIDTH - _LEFT - _RIGHT, tall)


def _dots(points: Iterable[tuple[float, float]], kind: str) -> str:
    """Many dots as one path: each is a line of no length with round ends."""
    return f'<path class="{kind}" d="{"".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)}"/>'


# -- its parts -------------------------------------------------------------------------------------


def ticks_between(low: float, high: float, count: int) -> list[float]:
    """Round numbers from ``low`` to ``high``, about ``count``: 1, 2 or 5 times a power of ten apart."""
    span = (high - low) or 1.0
    rough = span / count
    power: float = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough)
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step) + 1)]


def _time_axis(page: _Page) -> list[str]:
    low, high = ((t - page.zero) * 1000 for t in (page.begin, page.end))
    parts = []
    for tick in ticks_between(low, high, 8):
        x = page.x(page.zero + tick / 1000)
        parts.append(_line(x, _HEAD + _BETWEEN, x, page.gaps_bottom, "grid"))
        parts.append(_text(x, page.gaps_bottom + 16, f"{tick:g}", "faint middle"))
    since = "the first step" if page.marks else "the first packet"
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(_text(middle, page.gaps_bottom + 34, f"time since {since}, ms", "middle"))
    return parts


def _bands(page: _Page) -> list[str]:
    """The steps, behind each frame; their numbers above, side by side where they would touch."""
    parts, last = [], -math.inf
    frames = [(lane.top, _LANE) for lane in page.lanes] + [(page.gaps_top, _GAPS)]
    for n, mark in enumerate(page.marks, 1):
        x = page.x(mark.at)
        wide = max(2.0, page.x(mark.at + mark.took) - x)
        parts += [_rect("band", x, top, wide, tall) for top, tall in frames]
        last = max(x + wide / 2, last + 14)
        parts.append(_text(last, _HEAD + 4, str(n), "badge"))
    return parts


def _steps(page: _Page) -> list[str]:
    """What the bands are, in words."""
    base = page.gaps_bottom + 52
    return [_text(_LEFT, base + _LINE * n, line, "faint") for n, line in enumerate(page.notes)]


def _lane(page: _Page, lane: _Lane) -> list[str]:
    parts = [
        _frame(lane.top, _LANE),
        _line(_LEFT, lane.top - 10, _LEFT + 14, lane.top - 10, f"dots s{lane.colour}"),
        _text(_LEFT + 22, lane.top - 6, f"{lane.name}: {sum_up(lane.arrivals)}"),
    ]
    for tick in ticks_between(0, lane.most, 3):
        y = lane.y(lane.first + tick)
        parts.append(_text(_LEFT - 8, y + 4, f"{tick:g}", "faint end"))
    parts.append(_turned(20, lane.top + _LANE / 2, "packet number"))
    points = [(page.x(a.at), lane.y(a.number)) for a in lane.arrivals]
    parts.append(_dots(points, f"dots s{lane.colour}"))
    crosses = [(page.x(at), lane.y(number)) for at, number in _missing(lane.arrivals)]
    if crosses:
        path = "".join(f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8" for x, y in crosses)
        parts.append(f'<path class="missing" d="{path}"/>')
    return parts


def _turned(x: float, y: float, words: str) -> str:
    place = f'transform="translate({x:.1f} {y:.1f}) rotate(-90)"'
    return f'<text {place} class="faint middle">{escape(words)}</text>'


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
        _text(_LEFT, page.gaps_top - 6, "time since the packet before"),
    ]
    for power, name in ((-4, "0.1 ms"), (-3, "1 ms"), (-2, "10 ms"), (-1, "100 ms")):
        y = page.gap_y(10.0**power)
        parts.append(_line(_LEFT, y, _WIDTH - _RIGHT, y, "grid"))
        parts.append(_text(_LEFT - 8, y + 4, name, "faint end"))
    for lane in page.lanes:
        points = [(page.x(b.at), page.gap_y(b.at - a.at)) for a, b in pairwise(lane.arrivals)]
        parts.append(_dots(points, f"dots s{lane.colour}"))
    return parts
