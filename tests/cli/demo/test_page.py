"""Figure and page: well formed, complete, and they say what the account says."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyxfrm.cli.demo.account import NOBODY, Account, Packet, Row
from pyxfrm.cli.demo.page import Facts, page
from pyxfrm.cli.demo.picture import figure, overview

VOID = {"meta"}


def row(name: str, begin: float, sent: int, **more: object) -> Row:
    """A stretch in which nothing went wrong, unless ``more`` says so."""
    made = Row(
        name, f"why {name}", "", begin, 0.02, 10, 3, ("a - b", "c - b"), sent, sent, 0, 0, 0, 2,
        0.004, [0.001] * sent, Counter(),
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def packets(count: int, leave_out: set[int] = frozenset()) -> list[Packet]:  # type: ignore[assignment]
    """A packet each 2 ms and way, 1 ms under way."""
    return [
        Packet(stream, n, n / 500, n / 500 + 0.001)
        for n in range(count)
        if n not in leave_out
        for stream in (0, 1)
    ]


QUIET = row("no move", 0.0, 400, calls=0, took=0.0)
GOOD = Account(500, [QUIET, row("another <address>", 0.4, 400)], packets(400), [], 0)
BAD = Account(
    500,
    [QUIET, row("delete & add", 0.4, 400, received=398, reused=5, reasons=Counter({NOBODY: 2}))],
    packets(400, {210}),
    [Packet(0, 210, 0.42, 0.42), Packet(1, 210, 0.42, 0.42)],
    0,
)


class Reader(HTMLParser):
    """Every element is closed, and by itself; its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.said: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"] and data.strip():
            self.said.append(" ".join(data.split()))


def crosses(svg: str) -> int:
    return sum(
        e.get("d", "").count("l8 8")
        for e in ET.fromstring(svg).iter()
        if e.get("class") == "missing"
    )


def test_the_page_stands_alone_and_says_what_happened() -> None:
    text = page(GOOD, BAD, Facts("xfrm demo --rate 500"))
    reader = Reader(text)
    assert reader.links == []
    assert "<script" not in text
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
    said = reader.said
    assert said.count("another <address>") == 2  # a row of each table
    assert "1. another <address>" in said
    assert said[said.index("lost of 800") - 1] == "0"
    assert "xfrm demo --rate 500" in said
    assert "delete & add: 2 of 400 packets lost: 2 went to an address that had been left." in said
    assert any(line.startswith("delete & add: 5 packets went out with a number") for line in said)
    assert any(" CPUs, load " in line for line in said)


def test_bad_numbers_look_bad() -> None:
    text = page(BAD, None, Facts(""))
    assert '<b class="bad">2</b>lost of 800' in text
    assert '<b class="bad">5</b>with a number used before' in text
    assert '<b class="good">0</b>came twice' in text
    assert "as it was done before" not in text


def test_what_was_left_out_is_told() -> None:
    left = row("IPv4 to IPv6", 0.8, 0, calls=0, skipped="this machine has no IPv6")
    made = replace(GOOD, rows=[*GOOD.rows, left], left_out=7)
    said = Reader(page(made, None, Facts(""))).said
    assert "IPv4 to IPv6: left out, since this machine has no IPv6." in said
    (lead,) = (line for line in said if line.startswith("Two ends of an IPsec tunnel"))
    assert "moved 1 times: another <address>. Each SA" in lead
    assert "7 packets: this machine was too late for them" in said


def test_the_figure_shows_what_is_missing() -> None:
    assert crosses(figure(GOOD)) == 0
    assert crosses(figure(GOOD, BAD)) == 2
    texts = [e.text for e in ET.fromstring(figure(GOOD, BAD)).iter() if e.tag.endswith("text")]
    assert "1: another <address>" in texts
    assert "delete & add: 2 lost" in texts
    assert "800 packets came, 0 did not" in texts


@given(
    st.lists(
        st.builds(Packet, st.integers(0, 1), st.integers(0, 9), st.floats(0, 9), st.floats(0, 9)),
        max_size=9,
    ),
    st.floats(0, 9),
    st.floats(0, 9),
)
@example([Packet(0, 0, 0.0, 5e-324)], 0.0, 0.0)  # a time so short that it has no tenth
def test_any_account_can_be_drawn(some: list[Packet], begin: float, took: float) -> None:
    made = Account(1, [replace(GOOD.rows[1], begin=begin, took=took)], some, some, 0)
    ET.fromstring(figure(made, made))
    Reader(page(made, made, Facts("")))


def test_dots_that_touch_are_one_line() -> None:
    many = [Packet(0, n, 1.0 + n * 1e-5, 1.001 + n * 1e-5) for n in range(300)]
    far = Packet(0, 300, 2.0, 2.001)
    paths = [svg for svg in overview(replace(GOOD, packets=[*many, far]))[2] if "dots fine" in svg]
    latencies, _, gaps, _ = (svg.count("M") for svg in paths)
    assert latencies == 2
    assert gaps == 2


@pytest.mark.parametrize("name", ["load", "cpus", "python", "system", "when"])
def test_facts_are_there(name: str) -> None:
    assert str(getattr(Facts(""), name))
