"""Pictures of arrivals, and what is counted of them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.relocation.report import Arrival, Mark, Summary, draw, sum_up
from pyxfrm.relocation.tap import esp_of

arrivals = st.lists(
    st.builds(Arrival, st.floats(0, 10), st.integers(256, 259), st.integers(1, 50)),
    min_size=1,
    max_size=60,
)


def test_counts() -> None:
    made = [
        Arrival(t, 1, n)
        for t, n in ((0.0, 10), (0.1, 11), (0.2, 13), (0.9, 12), (1.0, 16), (1.1, 16))
    ]
    assert sum_up(made) == Summary(packets=6, missing=2, twice=1, late=1, gap=0.7)


@given(arrivals)
def test_counts_against_the_obvious(made: list[Arrival]) -> None:
    summary = sum_up(made)
    streams = {a.stream for a in made}
    missing = twice = 0
    for stream in streams:
        numbers = [a.number for a in made if a.stream == stream]
        missing += sum(n not in numbers for n in range(min(numbers), max(numbers)))
        twice += sum(numbers.count(n) - 1 for n in set(numbers))
    assert (summary.missing, summary.twice) == (missing, twice)
    assert 0 <= summary.gap <= 10


@given(arrivals, st.lists(st.builds(Mark, st.floats(0, 10), st.text(max_size=9)), max_size=4))
def test_every_picture_is_well_formed(made: list[Arrival], marks: list[Mark]) -> None:
    printable = [Mark(m.at, "".join(c for c in m.text if c.isprintable())) for m in marks]
    text = draw(made, printable, "<a> & b")
    root = ET.fromstring(text)
    dots = root.findall("{http://www.w3.org/2000/svg}circle")
    assert len(dots) == len(made)
    assert "&lt;a&gt; &amp; b" in text


def test_nothing_arrived() -> None:
    assert "nothing arrived" in draw([], [], "")


def test_esp_plain_and_in_udp() -> None:
    esp = bytes.fromhex("c0ffee01 0000002a") + bytes(40)
    v4 = bytes([0x45] + [0] * 8 + [50]) + bytes(10)
    assert esp_of(v4 + esp) == (0xC0FFEE01, 42)
    udp = bytes([0x45] + [0] * 8 + [17]) + bytes(10) + bytes(8)
    assert esp_of(udp + esp) == (0xC0FFEE01, 42)
    v6 = bytes([0x60] + [0] * 5 + [50]) + bytes(33)
    assert esp_of(v6 + esp) == (0xC0FFEE01, 42)
    tcp = bytes([0x45] + [0] * 8 + [6]) + bytes(10)
    assert esp_of(tcp + esp) is None
    assert esp_of(udp + bytes(4) + esp) is None  # the non-ESP marker: IKE
    assert esp_of(bytes(10)) is None
    assert esp_of(bytes([0x10]) + bytes(60)) is None


@given(st.binary(max_size=80))
def test_any_packet_is_read(packet: bytes) -> None:
    found = esp_of(packet)
    assert found is None or found[0] > 255
