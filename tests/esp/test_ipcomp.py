from __future__ import annotations

import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.errors import UsageError
from pyxfrm.esp import (
    Algorithm,
    Association,
    CompOpener,
    CompSealer,
    Counter,
    Drop,
    Mode,
    Proto,
    TunnelOpener,
    TunnelSealer,
    make_opener,
    make_sealer,
    make_window,
)
from tests.esp.support import OUTSIDE, esp_sa, inner_packet, ipv4, ipv6


def comp_sa(mode: Mode = Mode.TUNNEL, outer: int = 4, **more: object) -> Association:
    sa = esp_sa(mode=mode, outer=outer, proto=Proto.COMP, aead=None, spi=0x1234)
    return replace(sa, **{"comp": Algorithm("deflate"), **more})  # type: ignore[arg-type]


def refusal(opener: CompOpener | TunnelOpener, packet: bytes) -> Counter:
    with pytest.raises(Drop) as drop:
        opener.open(packet)
    return drop.value.counter


@pytest.mark.parametrize(
    ("mode", "outer", "inner"),
    [
        *((Mode.TUNNEL, outer, inner) for outer in (4, 6) for inner in (4, 6)),
        (Mode.TRANSPORT, 4, 4),
        (Mode.TRANSPORT, 6, 6),
    ],
)
def test_round_trip(mode: Mode, outer: int, inner: int) -> None:
    sa = comp_sa(mode, outer)
    packet = inner_packet(sa, inner, b"the same again " * 20)
    sealed = make_sealer(sa).seal(packet)
    at = 20 if outer == 4 else 40
    assert len(sealed) < len(packet)
    assert sealed[9 if outer == 4 else 6] == Proto.COMP
    follows = {Mode.TUNNEL: Proto.IPIP if inner == 4 else Proto.IPV6}.get(mode, Proto.UDP)
    assert sealed[at : at + 4] == bytes((follows, 0, 0x12, 0x34))
    assert zlib.decompress(sealed[at + 4 :], -11) == packet[0 if mode is Mode.TUNNEL else at :]
    assert make_opener(sa).open(sealed) == packet


@pytest.mark.parametrize(
    ("payload", "compressed"),
    [(bytes(89), False), (bytes(90), True), (bytes(range(256)), False)],
)
def test_what_does_not_get_shorter_goes_as_it_is(payload: bytes, compressed: bool) -> None:
    packet = ipv4(payload, addresses=OUTSIDE[4])
    sealed = CompSealer(comp_sa(Mode.TRANSPORT)).seal(packet)
    assert (sealed[9] == Proto.COMP) is compressed
    assert (sealed == packet) is not compressed


def test_in_a_tunnel_that_is_ip_in_ip() -> None:
    """The SA of protocol IPIP which Linux keeps beside (net/ipv4/ipcomp.c)."""
    for outer, inner in ((4, ipv4(b"x")), (6, ipv6(b"x")), (4, ipv6(b"x")), (6, ipv4(b"x"))):
        sa = comp_sa(outer=outer)
        beside = replace(sa, proto=Proto.IPIP)
        sealed = CompSealer(sa).seal(inner)
        assert sealed == make_sealer(beside).seal(inner)
        assert make_opener(beside).open(sealed) == inner
        assert refusal(CompOpener(sa), sealed) is Counter.IN_HDR_ERROR
    assert refusal(TunnelOpener(beside), ipv4(b"x")) is Counter.IN_STATE_MODE_ERROR


def comp_packet(compressed: bytes) -> bytes:
    return ipv4(bytes((4, 0, 0x12, 0x34)) + compressed, Proto.COMP, addresses=OUTSIDE[4])


def deflated(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


@pytest.mark.parametrize(
    "compressed",
    [
        b"",
        b"\xff\xff\xff",
        deflated(ipv4(bytes(200)))[:-1],  # cut short
        deflated(bytes(65401)),  # Linux has room for 65400
        deflated(b"x"),  # not shorter
    ],
)
def test_what_does_not_decompress(compressed: bytes) -> None:
    assert refusal(CompOpener(comp_sa()), comp_packet(compressed)) is Counter.IN_STATE_PROTO_ERROR


def test_a_bomb_is_not_unpacked() -> None:
    bomb = deflated(bytes(10_000_000))
    assert len(bomb) < 65000
    assert refusal(CompOpener(comp_sa()), comp_packet(bomb)) is Counter.IN_STATE_PROTO_ERROR


@given(st.binary(max_size=100))
def test_opening_anything_gives_a_counter(junk: bytes) -> None:
    for packet in (junk, comp_packet(junk), ipv4(junk, Proto.COMP)):
        refusal(CompOpener(comp_sa()), packet)


def test_another_cpi() -> None:
    sealed = CompSealer(comp_sa()).seal(ipv4(bytes(200)))
    assert refusal(CompOpener(comp_sa(spi=5)), sealed) is Counter.IN_NO_STATES
    assert CompOpener(comp_sa(spi=0x551234)).open(sealed)  # only 16 bits are on the wire


def test_a_window_refuses_everything() -> None:
    opener = CompOpener(comp_sa(), window=make_window(32))
    sealed = CompSealer(comp_sa()).seal(ipv4(bytes(200)))
    assert refusal(opener, sealed) is Counter.IN_STATE_SEQ_ERROR


def test_move() -> None:
    old, new = comp_sa(), comp_sa(outer=6)
    sealer, opener = CompSealer(old), CompOpener(old)
    sealed = sealer.move(new).seal(ipv4(bytes(200)))
    assert opener.at(new).open(sealed) == ipv4(bytes(200))
    beside = TunnelSealer(replace(old, proto=Proto.IPIP)).move(replace(new, proto=Proto.IPIP))
    other = TunnelOpener(replace(old, proto=Proto.IPIP)).at(replace(new, proto=Proto.IPIP))
    assert other.open(beside.seal(ipv4(b"x"))) == ipv4(b"x")
    with pytest.raises(Drop):
        sealer.seal(ipv4(b""))


@pytest.mark.parametrize(
    "sa",
    [
        comp_sa(comp=None),
        comp_sa(comp=Algorithm("lzs")),
        replace(comp_sa(), mode=Mode.BEET, inner=OUTSIDE[4]),
    ],
)
def test_what_cannot_be(sa: Association) -> None:
    with pytest.raises(UsageError):
        CompSealer(sa)
    with pytest.raises(UsageError):
        CompOpener(sa)
