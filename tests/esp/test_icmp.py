from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.esp import (
    AhSealer,
    Encap,
    EspSealer,
    Proto,
    TooBig,
    make_sealer,
    report_too_big,
    too_big,
)
from tests.esp.support import A4, A6, B4, B6, SPI, ah_sa, esp_sa, ipv4, ipv6
from tests.esp.test_ipcomp import comp_sa

ICMP, ICMPV6 = 1, 58


def report(quote: bytes, mtu: int = 1280, *, v6: bool = False, kind: bytes = b"") -> bytes:
    if v6:
        return ipv6((kind or b"\2\0") + b"\0\0" + mtu.to_bytes(4, "big") + quote, ICMPV6)
    return ipv4((kind or b"\3\4") + b"\0\0\0\0" + mtu.to_bytes(2, "big") + quote, ICMP)


def test_esp() -> None:
    sealed = EspSealer(esp_sa()).seal(ipv4(b"payload"))
    assert too_big(report(sealed[:28])) == TooBig(B4, SPI, Proto.ESP, 1280, None, A4)
    sealed = EspSealer(esp_sa(outer=6)).seal(ipv4(b"payload"))
    assert too_big(report(sealed, 1400, v6=True)) == TooBig(B6, SPI, Proto.ESP, 1400, None, A6)


def test_ah_and_ipcomp() -> None:
    sealed = AhSealer(ah_sa()).seal(ipv4(b"payload"))
    assert too_big(report(sealed[:28])) == TooBig(B4, SPI, Proto.AH, 1280, None, A4)
    sealed = make_sealer(comp_sa()).seal(ipv4(bytes(200)))
    assert too_big(report(sealed[:28])) == TooBig(B4, 0x1234, Proto.COMP, 1280, None, A4)


def test_encapsulated() -> None:
    sealed = EspSealer(esp_sa(encap=Encap(4500, 4501))).seal(ipv4(b"payload"))
    assert too_big(report(sealed[:28])) == TooBig(B4, 0, Proto.ESP, 1280, 4500, A4)
    assert too_big(report(sealed[:32])) == TooBig(B4, SPI, Proto.ESP, 1280, 4500, A4)


@pytest.mark.parametrize(
    "packet",
    [
        report(EspSealer(esp_sa()).seal(ipv4(b""))[:28], kind=b"\3\1"),
        report(EspSealer(esp_sa()).seal(ipv4(b""))[:28], kind=b"\5\0"),
        report(EspSealer(esp_sa()).seal(ipv4(b""))[:23]),
        report(ipv4(b"12345678", 6, addresses=(A4, B4))),
        report(b""),
        ipv4(b"\3\4", ICMP),
        ipv6(b"\2\0\0\0\0\0\5\0" + ipv6(b"")),  # not in ICMP
        b"",
    ],
)
def test_everything_else_is_no_report(packet: bytes) -> None:
    assert too_big(packet) is None


@given(st.binary(max_size=80), st.booleans())
def test_anything(junk: bytes, v6: bool) -> None:
    for packet in (junk, report(junk, v6=v6)):
        found = too_big(packet)
        assert found is None or len(found.daddr) in (4, 16)


@given(st.integers(576, 65535), st.booleans())
def test_what_is_told_is_understood(mtu: int, v6: bool) -> None:
    """A sealed packet that is sealed once more, and is too big: the inner SA's gateway is told of its packet."""
    sealed = EspSealer(esp_sa(outer=6 if v6 else 4)).seal(ipv4(bytes(1400)))
    told = too_big(report_too_big(sealed, mtu, B6 if v6 else B4))
    assert told == TooBig(B6 if v6 else B4, SPI, Proto.ESP, mtu, None, A6 if v6 else A4)


@given(st.binary(min_size=40, max_size=90), st.booleans())
def test_any_packet_can_be_reported(data: bytes, v6: bool) -> None:
    packet = bytes((0x60 if v6 else 0x45,)) + data[1:]
    told = report_too_big(packet, 1280, B6 if v6 else B4)
    assert told == b"" or told.endswith(packet)
