"""Bricks of pictures: SVG made by hand, no libraries.

Colours are those of Okabe and Ito, which people with any colour vision can tell apart; what they mean is always said in words, too. A picture follows its reader's wish for light or
dark. The sheet says it class by class and without variables: not every program that shows SVG knows those.

    title, badge,    text that stands out            page    what is behind everything
    strong
    end, middle      where text is aligned           frame, grid    lines around and across a plot
    faint            text that is less important     band    a time in which something was done
    dots, fine       many points as one path         missing crosses where something should be
    s0 ... s5        colours of series
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

__all__ = [
    "COLOURS",
    "crosses",
    "dashes",
    "document",
    "dots",
    "group",
    "inline",
    "line",
    "rect",
    "sheet",
    "text",
    "ticks_between",
    "turned",
]

COLOURS = 6  # of series

# Class, light, dark.
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
.missing { stroke-width: 1.6 } .dots { stroke-width: 3; stroke-linecap: round }
.fine { stroke-width: 2 } .strong { font-weight: 600 }"""


def sheet() -> str:
    """The style sheet: the classes of this module, light and dark."""
    light = [f"{kind} {{ {what}: {colour} }}" for kind, what, colour, _ in _INK]
    dark = [f"{kind} {{ {what}: {colour} }}" for kind, what, _, colour in _INK]
    return "\n".join([_FORMS, *light, "@media (prefers-color-scheme: dark) {", *dark, "}"])


def document(wide: float, tall: float, title: str, parts: Iterable[str]) -> str:
    """A whole file: its title is for those who do not see it."""
    style = f"<style>{sheet()}</style>"
    page = f'<rect class="page" width="{wide:g}" height="{tall:g}"/>'
    return inline(wide, tall, title, [style, page, *parts]) + "\n"


def inline(wide: float, tall: float, title: str, parts: Iterable[str]) -> str:
    """A picture for an HTML page that has the :func:`sheet` itself, and a background."""
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {tall:g}" role="img">',
        f"<title>{escape(title)}</title>",
    ]
    return "\n".join([*head, *parts, "</svg>"])


def group(x: float, y: float, parts: Iterable[str]) -> str:
    """Parts, shifted."""
    return "\n".join([f'<g transform="translate({x:g} {y:g})">', *parts, "</g>"])


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """Words; ``kind``: their classes."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(words)}</text>'


def turned(x: float, y: float, words: str) -> str:
    """Words from bottom to top, around a middle."""
    place = f'transform="translate({x:.1f} {y:.1f}) rotate(-90)"'
    return f'<text {place} class="faint middle">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def rect(kind: str, x: float, y: float, wide: float, tall: float) -> str:
    """A rectangle."""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
    return f'<rect class="{kind}" {place}/>'


def _n(value: float) -> str:
    """A number as short as it can be said to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def dots(points: Iterable[tuple[float, float]], kind: str) -> str:
    """Many dots as one path: each is a line of no length with round ends."""
    return f'<path class="{kind}" d="{"".join(f"M{_n(x)} {_n(y)}h0" for x, y in points)}"/>'


def dashes(points: Iterable[tuple[float, float, float]], kind: str) -> str:
    """Many lines from left to right (x, y, to x) as one path; those of no length are dots."""
    return (
        f'<path class="{kind}" d="{"".join(f"M{_n(x)} {_n(y)}H{_n(to)}" for x, y, to in points)}"/>'
    )


def crosses(points: Iterable[tuple[float, float]]) -> list[str]:
    """Where something is missing; nothing for no points."""
    path = "".join(f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8" for x, y in points)
    return [f'<path class="missing" d="{path}"/>'] if path else []


def ticks_between(low: float, high: float, count: int) -> list[float]:
    """Round numbers from ``low`` to ``high``, about ``count``: 1, 2 or 5 times a power of ten apart. A span under 1e-9 is taken for 1."""
    span = high - low if high - low > 1e-9 else 1.0
    rough = span / count
    power: float = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough)
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step) + 1)]
