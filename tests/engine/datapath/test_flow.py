"""What of a packet policies look at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi.xfrm import AF_INET, AF_INET6
from pyxfrm.engine.datapath.flow import decode, in_words, key, rows, selects, uniform, whole
from pyxfrm.esp import trim
from tests.engine.datapath.support import packet4, packet6, udp
from tests.engine.helpers import ANY4, v6

GRE_KEYED = bytes.fromhex("20000800") + bytes.fromhex("000a000b") + bytes(8)
GRE_BOTH = bytes.fromhex("a0000800") + bytes(4) + bytes.fromhex("000a000b") + bytes(8)


@pytest.mark.parametrize(
    ("proto", "payload", "ports"),
    [
        (17, udp(5, 6), (5, 6)),
        (6, udp(5, 6), (5, 6)),
        (132, udp(5, 6), (5, 6)),
        (17, b"\0\5\0", (0, 0)),
        (1, bytes((8, 3)) + bytes(6), (8, 3)),
        (1, bytes((8, 3)), (0, 0)),
        (47, GRE_KEYED, (10, 11)),
        (47, GRE_BOTH, (10, 11)),
        (47, bytes(16), (0, 0)),
        (50, udp(5, 6), (0, 0)),
    ],
)
def test_ports(proto: int, payload: bytes, ports: tuple[int, int]) -> None:
    flow = decode(packet4(payload=payload, proto=proto), mark=3, oif=4)
    assert flow is not None
    assert (flow.family, flow.proto, flow.mark, flow.oif) == (AF_INET, proto, 3, 4)
    assert (flow.sport, flow.dport) == ports


def test_fragments_have_no_ports() -> None:
    for flags in (0x2000, 0x0001, 0x2001):
        flow = decode(packet4(flags=flags))
        assert flow is not None
        assert (flow.proto, flow.sport, flow.dport) == (17, 0, 0)


def test_extension_headers_are_passed_over() -> None:
    options = bytes((17, 0)) + bytes(6)
    flow = decode(packet6(v6(1), v6(2), options + udp(5, 6), proto=60))
    assert flow is not None
    assert (flow.family, flow.proto, flow.sport, flow.dport) == (AF_INET6, 17, 5, 6)
    fragment = decode(packet6(v6(1), v6(2), options + udp(5, 6), proto=44))
    assert fragment is not None
    assert (fragment.proto, fragment.sport) == (17, 0)
    short = decode(packet6(v6(1), v6(2), b"\x11", proto=60))
    assert short is not None
    assert short.proto == 60


@given(st.binary(max_size=80))
def test_total(data: bytes) -> None:
    flow = decode(data)
    if flow is not None:
        assert in_words(flow)
    key(data)


@given(st.binary(min_size=44, max_size=60), st.binary(min_size=44, max_size=60))
def test_packets_of_one_key_are_of_one_flow(one: bytes, other: bytes) -> None:
    made = [b"E" + data[1:9] + b"\x11" + data[10:] for data in (one, other)]
    other = made[0][:8] + b"?" + made[0][9:10] + b"??" + made[0][12:24] + b"other bytes behind it"
    assert key(made[0]) == key(other)
    assert decode(made[0]) == decode(other)


@given(st.binary(min_size=20, max_size=60), st.binary(min_size=20, max_size=60), st.booleans())
def test_no_key_for_two_flows(one: bytes, other: bytes, icmp: bool) -> None:
    proto = b"\1" if icmp else b"\x11"
    first, second = (b"E" + data[1:9] + proto + data[10:] for data in (one, other))
    if key(first) is not None and key(first) == key(second):
        assert decode(first) == decode(second)


def test_selectors() -> None:
    flow = decode(packet4())
    assert flow is not None
    assert selects(ANY4, flow)
    sel = ANY4._replace(daddr=bytes((10, 0, 2, 0)) + bytes(12), prefixlen_d=24)
    assert selects(sel, flow)
    assert not selects(sel._replace(prefixlen_d=32), flow)
    assert not selects(sel._replace(proto=6), flow)
    assert not selects(sel._replace(dport=1, dport_mask=0xFFFF), flow)
    assert not selects(sel._replace(ifindex=3), flow)


@given(st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=30)), max_size=12))
def test_rows_are_what_keys_say(made: list[tuple[int, bytes]]) -> None:
    packets = [
        (
            packet4(payload=udp(data=data)),
            packet4(payload=udp(7, 8, data)),
            packet4(proto=1, payload=data),
            packet4(flags=0, payload=udp(data=data)),
            packet6(v6(1), v6(2), udp(data=data)),
            data,
        )[kind]
        for kind, data in made
    ]
    found = list(rows(packets))
    assert [packet for _, row in found for packet in row] == packets
    for name, row in found:
        assert row
        for packet in row:
            assert name == key(packet) or decode(packet) == decode(row[0])


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4), st.integers(-1, 1))
def test_whole(payloads: list[bytes], lie: int) -> None:
    packets = [packet4(payload=data) for data in payloads]
    if lie:
        packets[-1] = packets[-1] + b"x" if lie > 0 else packets[-1][:-1]
    if whole(packets):
        assert [trim(packet) for packet in packets] == packets
        assert not lie
    same = [packet4()] * 3
    assert whole(same)


@given(
    st.integers(12, 40),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 255)), min_size=1, max_size=3),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_uniform(size: int, changes: list[tuple[int, int]], count: int, longer: int) -> None:
    """As found out packet by packet and byte by byte."""
    packets = [bytearray(packet4(payload=udp(data=b"12"))) for _ in range(count)]
    for at, value in changes:
        packets[-1][at % len(packets[-1])] = value
    if longer == 3:
        packets[0] += b"x"
    told = [bytes(packet) for packet in packets]
    first = told[0]
    alike = all(
        packet[0] == 0x45
        and int.from_bytes(packet[2:4], "big") == len(packet) == len(first)
        and packet[:4] + packet[6:10] + packet[12:size] == first[:4] + first[6:10] + first[12:size]
        for packet in told
    )
    assert uniform(told, size) == (alike and size <= len(first))
