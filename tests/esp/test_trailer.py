from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.esp import Counter, EspSealer, Mode
from pyxfrm.esp.trailer import payload_mtu, split_trailer, trailer
from pyxfrm.esp.transforms import make_transform
from tests.esp.support import ALGORITHMS, ENCAPS, SHAPES, esp_sa, inner_packet, outcome


def test_padding_is_one_two_three() -> None:
    assert trailer(0, 4, 59) == bytes((1, 2, 2, 59))
    assert trailer(10, 16, 6) == bytes((1, 2, 3, 4, 4, 6))
    assert trailer(2, 4, 4) == bytes((0, 4))


def test_tfc_padding_is_zeros() -> None:
    assert trailer(3, 4, 4, pad_to=10) == bytes(7) + bytes((0, 4))
    assert trailer(30, 4, 4, pad_to=10) == bytes((0, 4))


@given(st.binary(min_size=1, max_size=80), st.sampled_from([4, 16]), st.integers(0, 100))
def test_there_and_back(payload: bytes, block: int, pad_to: int) -> None:
    plain = payload + trailer(len(payload), block, 4, pad_to)
    assert len(plain) % block == 0
    next_header, back = split_trailer(plain)
    assert (next_header, back) == (4, payload + bytes(max(0, pad_to - len(payload))))


@given(st.binary(max_size=6) | st.binary(min_size=0, max_size=300))
def test_split_anything(plain: bytes) -> None:
    parts = outcome(split_trailer, plain)
    if isinstance(parts, Counter):
        assert parts is Counter.IN_STATE_PROTO_ERROR
        assert len(plain) < 2 or plain[-2] + 2 >= len(plain)
    else:
        assert len(parts[1]) == len(plain) - 2 - plain[-2] > 0


@pytest.mark.parametrize("name", ["gcm128", "cbc256-sha512", "null-sha1"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("encap", ENCAPS)
@pytest.mark.parametrize("mtu", [1400, 1401, 1410, 1500])
def test_what_fits_fits_and_one_byte_more_does_not(
    name: str, shape: tuple[Mode, int, int], encap: object, mtu: int
) -> None:
    mode, outer, inner = shape
    sa = esp_sa(name, mode, outer, inner, encap=encap)
    room = payload_mtu(sa, make_transform(sa), mtu)
    if mode is Mode.BEET and inner != outer:
        return  # the figure is for the family outside
    header = 20 if inner == 4 else 40
    fits = inner_packet(sa, inner, bytes(room - header))
    assert len(EspSealer(sa).seal(fits)) <= mtu
    if mode is not Mode.BEET or inner == 6:  # else there is room for a pseudo header
        too_long = inner_packet(sa, inner, bytes(room - header + 1))
        assert len(EspSealer(sa).seal(too_long)) > mtu


def test_nothing_fits() -> None:
    sa = esp_sa()
    transform = make_transform(sa)
    assert payload_mtu(sa, transform, 0) == 1
    assert payload_mtu(sa, transform, 52) == 1
    assert payload_mtu(sa, transform, 56) == 2


def test_every_transform_says_its_overhead() -> None:
    for name in ALGORITHMS:
        sa = esp_sa(name)
        packet = inner_packet(sa, 4, bytes(101))
        room = payload_mtu(sa, make_transform(sa), len(EspSealer(sa).seal(packet)))
        assert room >= len(packet)
