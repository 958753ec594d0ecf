from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.esp import Counter, Drop, EspOpener, EspSealer, Mode, Proto
from pyxfrm.esp.beet import Beet
from tests.esp.support import INSIDE, OUTSIDE, esp_sa, ipv4, ipv6, outcome


def beet(outer: int, inner: int) -> Beet:
    return Beet(esp_sa(mode=Mode.BEET, outer=outer, inner=inner))


def test_ipv4_in_ipv4_keeps_all_but_addresses() -> None:
    packet = ipv4(b"payload", 6, tos=0xBB, ident=77, frag=0x4000, ttl=9)
    parts = beet(4, 4).wrap(packet, int)
    wanted = ipv4(b"payload", 6, tos=0xBB, ident=77, frag=0x4000, ttl=9, addresses=OUTSIDE[4])
    assert parts.header[4:9] == wanted[4:9]
    assert parts.header[12:] == wanted[12:20]
    assert parts[1:] == (9, 6, b"payload")


def test_ipv6_in_ipv4_and_back() -> None:
    packet = ipv6(b"payload", 6, tos=0xBB, flow=0xABCDE, hops=9)
    parts = beet(4, 6).wrap(packet, int)
    assert parts.header[1] == 0xBB
    assert parts.header[4:9] == b"\0\0\x40\0\x09"
    back = beet(4, 6).unwrap(parts.header, *parts[1:])
    assert back == ipv6(b"payload", 6, tos=0xBB, hops=9)  # the flow label is lost


def test_ipv4_in_ipv6_and_back() -> None:
    packet = ipv4(b"payload", 6, tos=0xBB, ident=77, frag=0, ttl=9)
    parts = beet(6, 4).wrap(packet, int)
    assert parts.header[:8] == b"\x6b\xb0\0\0\0\0\0\x09"
    back = beet(6, 4).unwrap(parts.header, *parts[1:])
    assert back == ipv4(b"payload", 6, tos=0xBB, ident=0, frag=0x4000, ttl=9)


def test_ipv6_in_ipv6_keeps_the_flow_label() -> None:
    packet = ipv6(b"payload", 6, tos=0xBB, flow=0xABCDE, hops=9)
    parts = beet(6, 6).wrap(packet, int)
    assert beet(6, 6).unwrap(parts.header, *parts[1:]) == packet


@pytest.mark.parametrize(
    ("options", "pseudo"),
    [
        (bytes.fromhex("94040000"), "06000000"),
        (bytes.fromhex("9404000001010100"), "06010400" + "01" * 4),
        (bytes(12), "06010000"),
        (bytes(40), "06050400" + "01" * 4),
    ],
)
@pytest.mark.parametrize("outer", [4, 6])
def test_ipv4_options_travel_behind_a_pseudo_header(
    outer: int, options: bytes, pseudo: str
) -> None:
    """draft-nikander-esp-beet-mode-09 §5.4; lengths as Linux has them."""
    packet = ipv4(b"payload", 6, options=options)
    parts = beet(outer, 4).wrap(packet, int)
    assert parts.next_header == Proto.BEETPH
    assert parts.payload == bytes.fromhex(pseudo) + options + b"payload"
    assert beet(outer, 4).unwrap(parts.header, *parts[1:]) == packet


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        bytes((6, 0, 0)),
        bytes((6, 0, 5, 0)) + bytes(20),  # 3 bytes of options
        bytes((6, 0, 12, 0)) + bytes(20),  # fewer than none
        bytes((6, 32, 4, 0)) + bytes(300),  # 256 bytes
        bytes((6, 4, 4, 0)) + bytes(3),  # padding cut short
    ],
)
def test_pseudo_headers_that_make_no_sense(payload: bytes) -> None:
    with pytest.raises(Drop) as drop:
        beet(4, 4).unwrap(ipv4(b""), 9, Proto.BEETPH, payload)
    assert drop.value.counter is Counter.IN_STATE_MODE_ERROR


def test_more_options_than_a_header_can_have() -> None:
    """Linux lets up to 248 bytes pass; the 4-bit header length then says something else."""
    payload = bytes((6, 6, 4, 0)) + bytes(4) + bytes(48) + b"payload"
    packet = beet(4, 4).unwrap(ipv4(b""), 9, Proto.BEETPH, payload)
    assert packet[0] == 0x41
    assert packet[20:] == payload[8:]


@given(st.binary(max_size=80), st.integers(0, 255), st.booleans())
def test_unwrap_anything(payload: bytes, next_header: int, v6: bool) -> None:
    header = ipv6(b"") if v6 else ipv4(b"")
    for inner in (4, 6):
        unwrap = beet(6 if v6 else 4, inner).unwrap
        packet = outcome(unwrap, header, 9, next_header, payload)
        if isinstance(packet, bytes):
            assert packet[0] >> 4 == inner
        else:
            assert packet is Counter.IN_STATE_MODE_ERROR


@pytest.mark.parametrize("packet", [ipv4(b"", frag=0x2000), ipv4(b"", frag=5), b"", b"\x45"])
def test_what_it_cannot_carry(packet: bytes) -> None:
    with pytest.raises(Drop) as drop:
        EspSealer(esp_sa(mode=Mode.BEET)).seal(packet)
    assert drop.value.counter is Counter.OUT_STATE_MODE_ERROR


def test_payload_length_counts_the_pseudo_header() -> None:
    sa = esp_sa(mode=Mode.BEET)
    assert EspSealer(sa).payload_length(ipv4(b"1234567")) == 7
    assert EspOpener(sa).payload_length(ipv4(b"1234567", options=bytes(8))) == 23
    v6 = esp_sa(mode=Mode.BEET, inner=6)
    assert EspSealer(v6).payload_length(ipv6(b"1234567", addresses=INSIDE[6])) == 7
