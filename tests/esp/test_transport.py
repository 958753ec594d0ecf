from __future__ import annotations

import pytest

from pyxfrm.esp import Counter, Drop, EspOpener, EspSealer, Mode, Proto
from tests.esp.support import OUTSIDE, esp_sa, ipv4, ipv6
from tests.esp.test_ip import DEST, HOP, ROUTE, ROUTE_BODY, chain

PACKET4 = ipv4(
    b"payload", 6, tos=0xB9, ident=77, frag=0, ttl=9, options=b"\x94\4\0\0", addresses=OUTSIDE[4]
)


def test_ipv4_header_stays_with_its_options() -> None:
    sa = esp_sa(mode=Mode.TRANSPORT)
    sealed = EspSealer(sa).seal(PACKET4)
    assert (
        sealed[:24]
        == ipv4(
            sealed[24:],
            Proto.ESP,
            tos=0xB9,
            ident=77,
            frag=0,
            ttl=9,
            options=b"\x94\4\0\0",
            addresses=OUTSIDE[4],
        )[:24]
    )
    assert EspOpener(sa).open(sealed) == PACKET4


def test_ipv6_extension_headers_stay_outside() -> None:
    packet = chain((HOP, b""), (ROUTE, ROUTE_BODY), (DEST, b""))
    sa = esp_sa(mode=Mode.TRANSPORT, outer=6)
    sealed = EspSealer(sa).seal(packet)
    at = 40 + 8 + 24
    assert sealed[6] == HOP
    assert sealed[40] == ROUTE
    assert sealed[48] == Proto.ESP
    assert int.from_bytes(sealed[4:6], "big") == len(sealed) - 40
    assert sealed[at : at + 4] == sa.spi.to_bytes(4, "big")
    assert EspOpener(sa).open(sealed) == packet


@pytest.mark.parametrize(
    ("outer", "packet"), [(4, ipv6(b"")), (6, ipv4(b"")), (4, b""), (6, ipv6(b"", DEST))]
)
def test_what_it_cannot_carry(outer: int, packet: bytes) -> None:
    sa = esp_sa(mode=Mode.TRANSPORT, outer=outer)
    with pytest.raises(Drop) as drop:
        EspSealer(sa).seal(packet)
    assert drop.value.counter is Counter.OUT_STATE_MODE_ERROR


def test_payload_length_is_without_the_header() -> None:
    assert EspSealer(esp_sa(mode=Mode.TRANSPORT)).payload_length(PACKET4) == 7
    assert EspOpener(esp_sa()).payload_length(PACKET4) == len(PACKET4)
    v6 = esp_sa(mode=Mode.TRANSPORT, outer=6)
    assert EspSealer(v6).payload_length(chain((HOP, b""))) == 8
