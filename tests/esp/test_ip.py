from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.esp import Counter, Drop, Proto, locate, trim
from pyxfrm.esp.ip import (
    checksum,
    finish,
    header_length,
    insertion_point,
    options,
    traffic_class,
    upper_layer,
)
from tests.esp.support import IN_A4, IN_A6, IN_B4, IN_B6, ipv4, ipv6, outcome


def slow_checksum(data: bytes) -> int:
    """RFC 1071 §4.1, word by word."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@given(st.binary(max_size=64) | st.sampled_from([b"\0\0", b"\xff\xff", b"\xff\xfe\0\1"]))
def test_checksum_word_by_word(data: bytes) -> None:
    assert checksum(data) == slow_checksum(data)


def test_header_lengths() -> None:
    assert header_length(ipv4(b"")) == 20
    assert header_length(ipv4(b"", options=bytes(8))) == 28
    assert header_length(ipv6(b"")) == 40
    for wrong in (b"", b"\x45", ipv4(b"")[:19], b"\x46" + bytes(19), b"\x44" + bytes(30)):
        assert header_length(wrong) == 0
    assert header_length(ipv6(b"")[:39]) == header_length(b"\x50" + bytes(60)) == 0


def test_the_ds_field_of_both_families() -> None:
    assert traffic_class(ipv4(b"", tos=0xB9)) == traffic_class(ipv6(b"", tos=0xB9)) == 0xB9


def test_finish_makes_a_header_true() -> None:
    was, wanted = ipv4(b"1234", options=b"\1\1\1\0"), ipv4(b"123", Proto.ESP, options=b"\1\1\1\0")
    assert finish(was[:24], 9, Proto.ESP, len(wanted)) + b"123" == wanted
    was6, wanted6 = ipv6(b"1234"), ipv6(b"123", Proto.ESP)
    assert finish(was6[:40], 6, Proto.ESP, len(wanted6)) + b"123" == wanted6


def test_finish_refuses_what_ip_cannot_say() -> None:
    for packet, most in ((ipv4(b""), 65535), (ipv6(b""), 65575)):
        finish(packet, 6, 50, most)
        with pytest.raises(Drop) as drop:
            finish(packet, 6, 50, most + 1)
        assert drop.value.counter is Counter.OUT_ERROR


@pytest.mark.parametrize("make", [ipv4, ipv6])
def test_trim(make: type[bytes]) -> None:
    packet = make(b"payload")
    assert trim(packet) == trim(packet + b"more") == packet
    with pytest.raises(Drop, match="IP length"):
        trim(packet[:-1])
    with pytest.raises(Drop, match="not an IP packet"):
        trim(b"")


def test_trim_refuses_a_length_within_the_header() -> None:
    packet = bytearray(ipv4(b"payload"))
    packet[3] = 19
    with pytest.raises(Drop):
        trim(bytes(packet))


def extension(following: int, body: bytes = b"") -> bytes:
    """An IPv6 extension header; the rest of it is PadN."""
    size = -(-(len(body) + 2) // 8) * 8
    padding = size - len(body) - 2
    fill = b"" if not padding else (b"\0" if padding == 1 else bytes((1, padding - 2)))
    return bytes((following, size // 8 - 1)) + (body + fill).ljust(size - 2, b"\0")


HOP, ROUTE, DEST, FRAG = Proto.HOPOPTS, Proto.ROUTING, Proto.DSTOPTS, Proto.FRAGMENT
HOME = bytes((0xC9, 16)) + IN_A6


def chain(*headers: tuple[int, bytes]) -> bytes:
    """An IPv6 packet with these extension headers, UDP behind them."""
    follow = [*(kind for kind, _ in headers[1:]), Proto.UDP]
    body = b"".join(extension(n, b) for n, (_, b) in zip(follow, headers, strict=False))
    return ipv6(body + b"12345678", headers[0][0] if headers else Proto.UDP)


ROUTE_BODY = bytes((2, 0)) + bytes(4) + IN_B6


@pytest.mark.parametrize(
    ("headers", "outside"),
    [
        ([], 0),
        ([(HOP, b"")], 1),
        ([(HOP, b""), (ROUTE, ROUTE_BODY)], 2),
        ([(HOP, b""), (DEST, b""), (ROUTE, ROUTE_BODY), (DEST, b"")], 3),
        ([(DEST, b"")], 1),  # as Linux does, although RFC 4303 would let it inside
        ([(ROUTE, ROUTE_BODY), (DEST, HOME)], 2),
        ([(FRAG, b"")], 0),
    ],
    ids=["none", "hop", "hop,route", "all", "dest", "home", "fragment"],
)
def test_insertion_point(headers: list[tuple[int, bytes]], outside: int) -> None:
    packet = chain(*headers)
    sizes = [len(extension(0, body)) for _, body in headers]
    upper = insertion_point(packet)
    assert upper.at == 40 + sum(sizes[:outside])
    assert upper.proto == [*(kind for kind, _ in headers), Proto.UDP][outside]
    assert packet[upper.proto_at] == upper.proto


@given(st.binary(max_size=80), st.integers(0, 255))
def test_insertion_point_of_anything(rest: bytes, proto: int) -> None:
    packet = ipv6(rest, proto)
    upper = outcome(insertion_point, packet)
    if isinstance(upper, Counter):
        assert upper is Counter.OUT_STATE_MODE_ERROR
        return
    assert 40 <= upper.at <= len(packet)
    assert packet[upper.proto_at] == upper.proto


def test_upper_layer() -> None:
    assert upper_layer(ipv4(b"x", options=bytes(4))) == (Proto.UDP, 24, 9)
    assert upper_layer(ipv6(b"x")) == (Proto.UDP, 40, 6)
    packet = chain((HOP, b""), (ROUTE, ROUTE_BODY), (DEST, b""))
    assert upper_layer(packet).at == len(packet) - 8


def test_fragments_are_not_opened() -> None:
    for frag in (0x2000, 1, 0x2001):
        with pytest.raises(Drop, match="a fragment"):
            upper_layer(ipv4(b"", frag=frag))
    whole = ipv6(bytes((Proto.ESP, 0, 0, 0)) + b"iden" + bytes(8), FRAG)
    assert upper_layer(whole) == (Proto.ESP, 48, 40)
    for flags in (b"\0\1", b"\0\x08"):
        with pytest.raises(Drop, match="a fragment"):
            upper_layer(ipv6(bytes((Proto.ESP, 0)) + flags + b"iden" + bytes(8), FRAG))


def test_options() -> None:
    header = extension(0, b"\x05\2ab" + b"\0" + HOME)
    assert list(options(header))[:2] == [(5, 2, 4), (0xC9, 7, 18)]
    with pytest.raises(ValueError, match="leaves"):
        list(options(bytes((0, 0, 5, 5, 0, 0, 0, 0))))
    with pytest.raises(ValueError, match="leaves"):
        list(options(bytes((0, 0, 1, 3, 0, 0, 0, 9))))


@pytest.mark.parametrize(
    ("packet", "wanted"),
    [
        (ipv4(b"\0\0\4\xd2" + bytes(4), Proto.ESP), (50, 20, 0x4D2, IN_A4, IN_B4, None)),
        (ipv6(b"\0\0\4\xd2" + bytes(4), Proto.ESP), (50, 40, 0x4D2, IN_A6, IN_B6, None)),
        (ipv4(bytes(4) + b"\0\0\4\xd2" + bytes(4), Proto.AH), (51, 20, 0x4D2, IN_A4, IN_B4, None)),
        (ipv4(b"\4\0\4\xd2", Proto.COMP), (108, 20, 0x4D2, IN_A4, IN_B4, None)),
        (
            ipv4(b"\x11\x94" + bytes(6) + b"\0\0\4\xd2" + bytes(4)),
            (50, 28, 0x4D2, IN_A4, IN_B4, 4500),
        ),
        (ipv4(ipv4(b""), Proto.IPIP), (4, 20, 0, IN_A4, IN_B4, None)),
        (ipv6(ipv4(b""), Proto.IPIP), (4, 40, 0, IN_A6, IN_B6, None)),
    ],
)
def test_locate(packet: bytes, wanted: tuple[object, ...]) -> None:
    assert tuple(locate(packet)) == wanted


@pytest.mark.parametrize(
    "packet",
    [
        ipv4(bytes(7), Proto.ESP),
        ipv4(bytes(11), Proto.AH),
        ipv4(bytes(3), Proto.COMP),
        ipv4(bytes(15), Proto.UDP),
        ipv4(bytes(20), 6),
        b"",
    ],
)
def test_locate_finds_nothing(packet: bytes) -> None:
    with pytest.raises(Drop) as drop:
        locate(packet)
    assert drop.value.counter is Counter.IN_HDR_ERROR


@given(st.binary(max_size=120))
def test_locate_of_anything(packet: bytes) -> None:
    found = outcome(locate, packet)
    assert isinstance(found, Counter) or 20 <= found.at <= len(packet)


@given(st.binary(max_size=60), st.integers(0, 255), st.booleans())
def test_locate_of_any_payload(payload: bytes, proto: int, v6: bool) -> None:
    packet = ipv6(payload, proto) if v6 else ipv4(payload, proto)
    found = outcome(locate, packet)
    assert isinstance(found, Counter) or found.at <= len(packet)
