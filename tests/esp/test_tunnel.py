"""What a tunnel's outer header takes from the inner one, and gives back."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi import xfrm as abi
from pyxfrm.esp import Counter, Drop, EspOpener, EspSealer, Proto
from pyxfrm.esp.ip import checksum, traffic_class
from pyxfrm.esp.tunnel import Tunnel, mark_inner, outer_class
from tests.esp.support import A4, A6, B4, B6, esp_sa, ipv4, ipv6

NOECN, DECAP, NOPMTU = (
    abi.XFRM_STATE_NOECN,
    abi.XFRM_STATE_DECAP_DSCP,
    abi.XFRM_STATE_NOPMTUDISC,
)
DONT = abi.XFRM_SA_XFLAG_DONT_ENCAP_DSCP
fields = st.integers(0, 255)


@pytest.mark.parametrize(
    ("flags", "extra", "inner", "outer"),
    [
        (0, 0, 0b10111000, 0b10111000),
        (0, 0, 0b10111001, 0b10111001),
        (0, 0, 0b10111010, 0b10111010),
        (0, 0, 0b10111011, 0b10111010),  # RFC 3168 §9.1.1: CE becomes ECT(0)
        (NOECN, 0, 0b10111011, 0b10111000),
        (0, DONT, 0b10111001, 0b00000001),
        (NOECN, DONT, 0b10111001, 0),
    ],
)
def test_ds_field_of_the_outer_header(flags: int, extra: int, inner: int, outer: int) -> None:
    sa = esp_sa(flags=flags, extra_flags=extra)
    assert outer_class(sa, inner) == outer
    for outside, packet in ((4, ipv4(b"", tos=inner)), (6, ipv6(b"", tos=inner))):
        out = esp_sa(outer=outside, flags=flags, extra_flags=extra)
        assert traffic_class(Tunnel(out).wrap(packet, int).header) == outer


@pytest.mark.parametrize(
    ("flags", "inner", "outer", "result"),
    [
        (0, 0b00, 0b11, 0b00),  # not ECN-capable: kept as it is, not dropped
        (0, 0b01, 0b11, 0b11),
        (0, 0b10, 0b11, 0b11),
        (0, 0b11, 0b11, 0b11),
        (0, 0b11, 0b00, 0b11),
        (0, 0b10, 0b01, 0b10),
        (NOECN, 0b10, 0b11, 0b10),
        (0, 0b10100010, 0b01000111, 0b10100011),
        (DECAP, 0b10100010, 0b01000110, 0b01000110),
        (DECAP, 0b10100010, 0b01000111, 0b01000111),
        (DECAP | NOECN, 0b10100010, 0b01000111, 0b01000110),
    ],
)
def test_marks_come_back(flags: int, inner: int, outer: int, result: int) -> None:
    v4 = mark_inner(ipv4(b"", tos=inner), True, outer, flags)
    assert v4 == ipv4(b"", tos=result)
    v6 = mark_inner(ipv6(b"", tos=inner, flow=0xABCDE), False, outer, flags)
    assert v6 == ipv6(b"", tos=result, flow=0xABCDE)


@given(fields, fields, st.sampled_from([0, NOECN, DECAP, NOECN | DECAP]), st.integers(0, 0xFFFF))
def test_an_inner_checksum_stays_as_right_or_wrong_as_it_was(
    inner: int, outer: int, flags: int, ident: int
) -> None:
    marked = mark_inner(ipv4(b"", tos=inner, ident=ident), True, outer, flags)
    assert checksum(marked[:20]) == 0
    wrong = bytearray(ipv4(b"", tos=inner, ident=ident))
    wrong[11] ^= 1
    assert checksum(mark_inner(bytes(wrong), True, outer, flags)[:20]) != 0


def outer_v4(packet: bytes, flags: int = 0) -> bytes:
    idents = count(7).__next__
    return EspSealer(esp_sa(flags=flags), idents=idents).seal(packet)[:20]


@pytest.mark.parametrize(
    ("packet", "flags", "df"),
    [
        (ipv4(b"", frag=0x4000), 0, True),
        (ipv4(b"", frag=0), 0, False),
        (ipv4(b"", frag=0x4000), NOPMTU, False),
        (ipv6(bytes(1240)), 0, True),
        (ipv6(bytes(1241)), 0, True),
        (ipv6(bytes(1241)), NOPMTU, False),
    ],
)
def test_df_and_identification(packet: bytes, flags: int, df: bool) -> None:
    header = outer_v4(packet, flags)
    assert header[6:8] == (b"\x40\0" if df else b"\0\0")
    assert int.from_bytes(header[4:6], "big") == (0 if df else 7)
    assert checksum(header) == 0


def test_the_rest_of_an_ipv4_header() -> None:
    header = Tunnel(esp_sa(ttl=99)).wrap(ipv4(b""), int).header
    assert (header[0], header[8], header[12:16], header[16:]) == (0x45, 99, A4, B4)


@pytest.mark.parametrize(
    ("packet", "flow"), [(ipv6(b"", flow=0xABCDE, tos=0xFF), 0xABCDE), (ipv4(b""), 0)]
)
def test_the_rest_of_an_ipv6_header(packet: bytes, flow: int) -> None:
    header = Tunnel(esp_sa(outer=6, ttl=99)).wrap(packet, int).header
    assert int.from_bytes(header[:4], "big") & 0xF00FFFFF == 6 << 28 | flow
    assert (header[7], header[8:24], header[24:]) == (99, A6, B6)


def test_what_is_no_ip_packet_is_not_carried() -> None:
    for wrong in (b"", b"\x45", b"\x55" + bytes(60), b"\x60" + bytes(38)):
        with pytest.raises(Drop) as drop:
            EspSealer(esp_sa()).seal(wrong)
        assert drop.value.counter is Counter.OUT_STATE_MODE_ERROR


@pytest.mark.parametrize(
    ("next_header", "payload"),
    [
        (Proto.IPIP, bytes(19)),
        (Proto.IPV6, bytes(39)),
        (Proto.UDP, bytes(40)),
        (Proto.HOPOPTS, bytes(40)),
    ],
)
def test_what_does_not_fit_a_tunnel_inside(next_header: int, payload: bytes) -> None:
    with pytest.raises(Drop) as drop:
        Tunnel(esp_sa()).unwrap(ipv4(b""), 9, next_header, payload)
    assert drop.value.counter is Counter.IN_STATE_MODE_ERROR


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("flags", [0, NOECN, DECAP])
def test_a_router_marks_congestion(outer: int, flags: int) -> None:
    sa = esp_sa(outer=outer, flags=flags)
    sent = EspSealer(sa).seal(ipv4(bytes(40), tos=0b10111010))
    if outer == 4:
        header = bytearray(sent[:20])
        header[1] |= 3
        marked = bytes(header) + sent[20:]
    else:
        marked = sent[:1] + bytes((sent[1] | 0x30,)) + sent[2:]
    expected = 0b10111010 if flags & NOECN else 0b10111011
    assert EspOpener(sa).open(marked) == ipv4(bytes(40), tos=expected)


def test_bare_packets_have_nothing_outside() -> None:
    sa = esp_sa(bare=True)
    whole, bare = EspSealer(esp_sa()), EspSealer(sa)
    packet = ipv4(bytes(40))
    assert bare.seal(packet) == whole.seal(packet)[20:]
    assert EspOpener(sa).open(EspSealer(sa).seal(packet)) == packet
    marked = EspSealer(esp_sa(bare=True, spi=0x01030000)).seal(packet)
    assert EspOpener(esp_sa(bare=True, spi=0x01030000)).open(marked) == packet
    odd = esp_sa(bare=True, spi=0x45000000)
    assert EspOpener(odd).open(EspSealer(odd).seal(ipv4(b"", frag=0))) == ipv4(b"", frag=0)
