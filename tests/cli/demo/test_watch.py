"""The onlooker: sees what can be read, and what is used twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.cli.demo.watch import Watch


def sealed(spi: int, number: int, iv: int, inside: bytes = b"") -> bytes:
    """An ESP payload."""
    return spi.to_bytes(4, "big") + number.to_bytes(4, "big") + iv.to_bytes(8, "big") + inside


@given(st.lists(st.tuples(*[st.integers(1, 4)] * 3), max_size=20))
def test_reuse_is_what_a_slow_look_finds(packets: list[tuple[int, int, int]]) -> None:
    watch = Watch([])
    for packet in packets:
        watch.look(sealed(*packet))
    again = [
        any(spi == s and (number == n or iv == i) for s, n, i in packets[:k])
        for k, (spi, number, iv) in enumerate(packets)
    ]
    assert watch.reused == sum(again)
    assert watch.sent == len(packets)


def test_clear_text_is_seen() -> None:
    watch = Watch([b"secret"])
    watch.look(sealed(1, 1, 1, b"nothing"))
    watch.look(sealed(1, 2, 2, b"a secret in it"))
    assert (watch.clear, watch.reused) == (1, 0)


def test_keepalives_have_no_number() -> None:
    watch = Watch([])
    watch.look(b"\xff")
    watch.look(b"\xff")
    assert (watch.sent, watch.reused) == (2, 0)
