from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.esp import KEEPALIVE, Datagram, Encap, EspOpener, EspSealer, classify
from pyxfrm.esp.udpencap import udp_checksum, udp_header
from tests.esp.support import A6, B6, esp_sa, inner_packet
from tests.esp.test_ip import slow_checksum


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (KEEPALIVE, Datagram.KEEPALIVE),
        (b"\xff\xff", Datagram.IKE),
        (b"\0", Datagram.IKE),
        (b"", Datagram.IKE),
        (bytes(4) + b"IKE header", Datagram.IKE),
        (b"\0\0\0\1" + bytes(4), Datagram.IKE),  # 8 bytes are no ESP packet
        (b"\0\0\0\1" + bytes(5), Datagram.ESP),
    ],
)
def test_classify(payload: bytes, kind: Datagram) -> None:
    assert classify(payload) is kind


def test_header() -> None:
    assert udp_header(4500, 1025, 100) == bytes.fromhex("11940401006c0000")


@given(st.binary(max_size=80))
def test_checksum_over_the_pseudo_header(payload: bytes) -> None:
    datagram = udp_header(1, 2, len(payload)) + payload
    check = udp_checksum(A6, B6, datagram)
    filled = datagram[:6] + check.to_bytes(2, "big") + datagram[8:]
    pseudo = A6 + B6 + len(datagram).to_bytes(4, "big") + bytes((0, 0, 0, 17))
    assert slow_checksum(pseudo + filled) == 0
    assert check != 0


def test_over_ipv4_there_is_no_checksum_over_ipv6_there_is() -> None:
    encap = Encap(4500, 1024)
    for outer, at in ((4, 20), (6, 40)):
        sa = esp_sa(outer=outer, encap=encap)
        packet = EspSealer(sa).seal(inner_packet(sa, 4, b"payload"))
        assert packet[at : at + 4] == bytes.fromhex("11940400")
        assert int.from_bytes(packet[at + 4 : at + 6], "big") == len(packet) - at
        assert (packet[at + 6 : at + 8] == b"\0\0") is (outer == 4)
        if outer == 6:
            zeroed = packet[at : at + 6] + b"\0\0" + packet[at + 8 :]
            assert int.from_bytes(packet[at + 6 : at + 8], "big") == udp_checksum(A6, B6, zeroed)
        assert EspOpener(sa).open(packet) == inner_packet(sa, 4, b"payload")
