"""Bricks of pictures: whatever they are given, the file is well formed."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm import svg

numbers = st.floats(-1e6, 1e6)
words = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=20)


@given(words, st.lists(st.tuples(numbers, numbers), max_size=5))
def test_well_formed(said: str, points: list[tuple[float, float]]) -> None:
    x, y = 1.0, 2.0
    parts = [
        svg.text(x, y, said, "faint"),
        svg.turned(x, y, said),
        svg.line(x, y, x, y, "grid"),
        svg.rect("band", x, y, x, y),
        svg.dots(points, "dots s0"),
        *svg.crosses(points),
        svg.group(x, y, [svg.dashes([(x, y, x)], "dots s1")]),
    ]
    root = ET.fromstring(svg.document(100, 50, said, parts))
    assert root.get("viewBox") == "0 0 100 50"
    found = [e.text or "" for e in root.iter() if e.tag.endswith(("text", "title"))]
    assert found == [said] * 3
    paths = [e.get("d", "") for e in root.iter() if e.tag.endswith("path")]
    assert paths[0].count("M") == len(points)
    assert len(paths) == (3 if points else 2)
    assert paths[-1] == "M1 2H1"


def test_light_and_dark_have_the_same_classes() -> None:
    light, dark = svg.sheet().split("@media (prefers-color-scheme: dark) {")
    named = {rule.split(" {")[0] for rule in dark.splitlines() if " { " in rule}
    assert named
    assert all(f"{name} {{" in light for name in named)
    assert "var(" not in light + dark
    assert all(f".s{n}" in named for n in range(svg.COLOURS))


@pytest.mark.parametrize(
    ("low", "high", "count", "ticks"),
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10]),
        (-30, 71, 8, [-20, 0, 20, 40, 60]),
        (0, 1, 3, [0, 0.5, 1]),
        (5, 5, 3, [5]),
        (0, 5e-324, 8, [0]),
    ],
)
def test_ticks_are_round(low: float, high: float, count: int, ticks: list[float]) -> None:
    assert svg.ticks_between(low, high, count) == pytest.approx(ticks)
