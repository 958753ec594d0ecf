"""Pictures of arrivals, and what is counted of them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.relocation.report import Arrival, Jump, Mark, Summary, draw, sum_up
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


SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return [e.text or "" for e in ET.fromstring(picture).iter(f"{SVG}text")]


def shapes(picture: str, kind: str) -> list[str]:
    """What the elements of one class are made of."""
    root = ET.fromstring(picture)
    return [e.get("d", "") for e in root.iter() if kind in e.get("class", "").split()]


def dots(picture: str) -> int:
    return sum(path.count("h0") for path in shapes(picture, "dots"))


@given(arrivals, st.lists(st.builds(Mark, st.floats(0, 10), st.text(max_size=9)), max_size=4))
def test_every_picture_is_well_formed(made: list[Arrival], marks: list[Mark]) -> None:
    """A dot for each packet, and one for the time before it, which the first of a stream has not."""
    printable = [Mark(m.at, "".join(c for c in m.text if c.isprintable())) for m in marks]
    picture = draw(made, printable, "<a> & b")
    streams = {a.stream for a in made}
    assert dots(picture) == 2 * len(made) - len(streams)
    assert "&lt;a&gt; &amp; b" in picture
    assert len(shapes(picture, "badge")) == len(marks)
    assert len(shapes(picture, "frame")) == len(streams) + 1


def steady(count: int = 100, stream: int = 0xC1, jump: int = 0) -> list[Arrival]:
    """A packet each millisecond; the second half has numbers that are higher by ``jump``."""
    return [
        Arrival(n / 1000, stream, 7 + n + (jump if n >= count // 2 else 0)) for n in range(count)
    ]


def test_lanes_axes_and_steps_are_labelled() -> None:
    marks = [Mark(0.010, "set 2 policies", 0.004), Mark(0.050, "delete 1 SA", 0.001)]
    said = texts(
        draw(steady() + steady(stream=0xC2), marks, "a move", names={0xC1: "in, SPI 0xc1"})
    )
    assert said[0] == "a move"
    counts = "100 packets, 0 missing, 0 twice, 0 late, longest gap 1.00 ms"
    assert f"in, SPI 0xc1: {counts}" in said
    assert f"SPI 0x000000c2: {counts}" in said
    assert said.count("packet number") == 2
    assert "time since the first step, ms" in said
    assert {"0", "20", "40", "60", "80"} <= set(said)
    assert {"1 ms", "10 ms", "100 ms"} <= set(said)
    assert "1: at 0.0 ms, 4.00 ms: set 2 policies" in said
    assert "2: at 40.0 ms, 1.00 ms: delete 1 SA" in said


def test_missing_packets_are_crosses() -> None:
    holes = [a for a in steady() if a.number not in (40, 41, 60)]
    (crosses,) = shapes(draw(holes), "missing")
    assert crosses.count("M") == 3
    assert shapes(draw(steady()), "missing") == []


def test_a_jump_on_purpose_is_not_a_loss() -> None:
    jumped = steady(jump=4096)
    picture = draw(jumped, jumps={0xC1: Jump(last=56, cut=4152)})
    assert any("100 packets, 0 missing" in line for line in texts(picture))
    assert any("4096 missing" in line for line in texts(draw(jumped)))
    lost = [a for a in jumped if a.number not in (56, 4153)]
    picture = draw(lost, jumps={0xC1: Jump(last=56, cut=4152)})
    assert any("98 packets, 2 missing" in line for line in texts(picture))


def test_light_and_dark_without_variables() -> None:
    """rsvg, Inkscape and others know no var()."""
    picture = draw(steady())
    assert "prefers-color-scheme: dark" in picture
    assert "var(" not in picture
    assert picture.count("{") == picture.count("}")


def test_nothing_arrived() -> None:
    assert "nothing arrived" in texts(draw([], [Mark(1.0, "x")], ""))


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
