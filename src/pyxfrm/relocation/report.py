"""A picture of what arrived around a move: SVG, made by hand, no libraries.

Each packet is a dot: time from left to right, sequence number from bottom to top (each SPI by its own first number). So a straight line is traffic that nothing
happened to; a step to the right is a gap, a dot under the line came late, a step upwards is a jump of numbers. Below the dots are the
gaps between arrivals, on a scale of powers of ten; vertical lines are the steps of the relocation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

__all__ = ["Arrival", "Mark", "Summary", "draw", "sum_up"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One packet that arrived. ``at``: seconds; ``stream``: what it belongs to, an SPI as a rule."""

    at: float
    stream: int
    number: int


@dataclass(frozen=True, slots=True)
class Mark:
    """One step of a relocation. ``at``: seconds on the clock of the arrivals."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What arrived. ``gap``: the longest time between two arrivals, seconds; ``late``: came after a higher number."""

    packets: int
    missing: int
    twice: int
    late: int
    gap: float


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


_WIDTH, _HEIGHT, _GAPS = 960, 420, 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 36, 40
_COLOURS = ("#1f6feb", "#d4760f", "#2da44e", "#8250df", "#cf222e", "#57606a")


class _Plot:
    """Where things go."""

    def __init__(self, arrivals: Sequence[Arrival], marks: Sequence[Mark]) -> None:
        times = [a.at for a in arrivals] + [m.at for m in marks]
        self.begin, self.end = min(times), max(times)
        first: dict[int, int] = {}
        for arrival in arrivals:
            first.setdefault(arrival.stream, arrival.number)
            first[arrival.stream] = min(first[arrival.stream], arrival.number)
        self.first = first
        self.streams = {stream: n for n, stream in enumerate(first)}
        self.most = max((a.number - first[a.stream] for a in arrivals), default=1) or 1

    def x(self, at: float) -> float:
        span = (self.end - self.begin) or 1.0
        return _LEFT + (at - self.begin) / span * (_WIDTH - _LEFT - _RIGHT)

    def y(self, arrival: Arrival) -> float:
        part = (arrival.number - self.first[arrival.stream]) / self.most
        return _HEIGHT - part * (_HEIGHT - _TOP)

    def colour(self, stream: int) -> str:
        return _COLOURS[self.streams[stream] % len(_COLOURS)]


def draw(arrivals: Iterable[Arrival], marks: Iterable[Mark] = (), title: str = "") -> str:
    """The picture, as the text of an SVG file."""
    packets, steps = sorted(arrivals, key=lambda a: a.at), list(marks)
    height = _HEIGHT + _GAPS + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">',
        "<style>text{font-family:sans-serif;font-size:12px}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="20">{escape(title)}</text>',
    ]
    if packets:
        plot = _Plot(packets, steps)
        parts += _marks(plot, steps, height)
        parts += _dots(plot, packets)
        parts += _gaps(plot, packets)
        parts += _axis(plot, height)
        parts.append(_caption(sum_up(packets)))
    else:
        parts.append(f'<text x="{_LEFT}" y="{_HEIGHT / 2}">nothing arrived</text>')
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _dots(plot: _Plot, packets: Sequence[Arrival]) -> list[str]:
    return [
        f'<circle cx="{plot.x(a.at):.1f}" cy="{plot.y(a):.1f}" r="1.6" fill="{plot.colour(a.stream)}"/>'
        for a in packets
    ]


def _gaps(plot: _Plot, packets: Sequence[Arrival]) -> list[str]:
    """Bars: 10 us is nothing, 1 s is full height."""
    base = _HEIGHT + _GAPS
    bars = []
    for before, after in pairwise(packets):
        gap = after.at - before.at
        if gap <= 1e-5:
            continue
        tall = min(1.0, (math.log10(gap) + 5) / 5) * (_GAPS - 20)
        bars.append(
            f'<line x1="{plot.x(after.at):.1f}" y1="{base}" x2="{plot.x(after.at):.1f}" '
            f'y2="{base - tall:.1f}" stroke="#8c959f"/>'
        )
    for power, name in ((-4, "0.1 ms"), (-3, "1 ms"), (-2, "10 ms"), (-1, "0.1 s")):
        y = base - (power + 5) / 5 * (_GAPS - 20)
        bars.append(f'<text x="4" y="{y + 4:.1f}" fill="#57606a">{name}</text>')
    return bars


def _marks(plot: _Plot, steps: Sequence[Mark], height: int) -> list[str]:
    lines = []
    for n, mark in enumerate(steps):
        x = plot.x(mark.at)
        lines.append(
            f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{height - _BOTTOM}" '
            'stroke="#cf222e" stroke-dasharray="3 3"/>'
        )
        lines.append(
            f'<text x="{x + 3:.1f}" y="{_TOP + 14 * (n % 8) + 10}" fill="#cf222e">'
            f"{escape(mark.text)}</text>"
        )
    return lines


def _axis(plot: _Plot, height: int) -> list[str]:
    span = plot.end - plot.begin
    y = height - _BOTTOM + 14
    return [
        f'<text x="{_LEFT}" y="{y}">0</text>',
        f'<text x="{_WIDTH - _RIGHT}" y="{y}" text-anchor="end">{1000 * span:.1f} ms</text>',
        f'<text x="4" y="{_TOP + 10}" fill="#57606a">number</text>',
    ]


def _caption(summary: Summary) -> str:
    text = (
        f"{summary.packets} packets, {summary.missing} missing, {summary.twice} twice, "
        f"{summary.late} late, longest gap {1000 * summary.gap:.2f} ms"
    )
    return f'<text x="{_LEFT}" y="{_HEIGHT + _GAPS + _BOTTOM - 8}">{text}</text>'
