"""A host in user space: what it sends, and its books on what comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.errors import UsageError
from pyxfrm.esp.ip import checksum, upper_layer
from pyxfrm.esp.udpencap import udp_checksum
from pyxfrm.model import Address, ip
from pyxfrm.tunnel.station import Arrival, Arrivals, Station

HERE, THERE = (ip("10.9.0.1"), ip("2001:db8::1")), (ip("10.9.0.2"), ip("2001:db8::2"))
NOW = 1000.0
families = pytest.mark.parametrize("family", [0, 1], ids=["v4", "v6"])


def packets(station: Station, until: float, step: float = 0.001) -> list[bytes]:
    """What it sends from NOW until then."""
    now, made = NOW, list[bytes]()
    while now <= until:
        made += station.read(now, 64)
        now += step
    return made


@families
def test_a_stream_keeps_its_rate_its_size_and_its_numbers(family: int) -> None:
    here, there = Station(*HERE), Station(*THERE)
    stream = here.stream(THERE[family], rate=500, size=300)
    sent = packets(here, NOW + 1.0)
    assert abs(len(sent) - 500) <= 2
    assert {len(packet) for packet in sent} == {300}
    there.write(sent, None, NOW + 1.0)
    arrivals = there.arrivals[stream.number]
    assert [one.number for one in arrivals.packets] == list(range(len(sent)))
    assert arrivals.lost(stream.sent) == arrivals.duplicates == arrivals.reordered == 0


@families
def test_its_packets_are_whole(family: int) -> None:
    here = Station(*HERE)
    here.stream(THERE[family], rate=1, total=1)
    here.ping(THERE[family], total=1)
    stream, ping = here.read(NOW, 64)
    for packet in (stream, ping):
        if family == 0:
            assert checksum(packet[:20]) == 0
            assert int.from_bytes(packet[2:4], "big") == len(packet)
        else:
            assert int.from_bytes(packet[4:6], "big") == len(packet) - 40
    if family:
        datagram = stream[40:46] + bytes(2) + stream[48:]
        assert int.from_bytes(stream[46:48], "big") == udp_checksum(
            HERE[1].packed, THERE[1].packed, datagram
        )
    assert upper_layer(ping).proto == (58 if family else 1)


@families
def test_a_ping_is_answered_once(family: int) -> None:
    here, there = Station(*HERE), Station(*THERE)
    ping = here.ping(THERE[family], rate=10, total=3)
    sent = packets(here, NOW + 0.5)
    there.write(sent, None, NOW + 0.5)
    answers = there.read(NOW + 0.5, 64)
    here.write([*answers, answers[0]], None, NOW + 0.6)
    assert (ping.sent, ping.lost, ping.duplicates) == (3, 0, 1)
    assert [answer.number for answer in ping.answers] == [0, 1, 2]
    assert ping.answers[0].seconds == pytest.approx(0.6, abs=0.01)
    assert there.answered == 3


def test_an_echo_for_somebody_else_is_not_answered() -> None:
    here, there = Station(*HERE), Station(ip("10.9.0.77"))
    here.ping(THERE[0], total=1)
    there.write(here.read(NOW, 64), None, NOW)
    assert there.read(NOW, 64) == []
    assert len(there.others) == 1


def test_what_was_missed_for_long_is_left_out_and_not_sent_in_one_go() -> None:
    here = Station(*HERE)
    stream = here.stream(THERE[0], rate=1000)
    here.read(NOW, 64)
    late = list[bytes]()
    while some := here.read(NOW + 10, 64):
        late += some
    assert len(late) <= 501
    assert stream.skipped >= 9000
    assert stream.sent == 1 + len(late)  # numbers have no holes


def test_it_sends_so_many_and_stops_when_told() -> None:
    here = Station(*HERE)
    stream = here.stream(THERE[0], rate=100, total=7)
    assert len(packets(here, NOW + 1)) == 7
    assert stream.done
    other = here.stream(THERE[0], rate=100)
    here.read(NOW + 2, 64)
    other.stop()
    assert here.deadline() is None


@given(st.lists(st.integers(0, 30)))
def test_the_books_are_those_of_a_set(numbers: list[int]) -> None:
    arrivals = Arrivals()
    for when, number in enumerate(numbers):
        arrivals.add(Arrival(number, when, when + 0.5, None))
    assert arrivals.received == len(set(numbers))
    assert arrivals.duplicates == len(numbers) - len(set(numbers))
    assert arrivals.lost(31) == 31 - len(set(numbers))
    assert arrivals.longest_gap == (1 if len(numbers) > 1 else 0)
    first = [n for at, n in enumerate(numbers) if n not in numbers[:at]]
    assert arrivals.reordered == sum(n < max(first[:at]) for at, n in enumerate(first) if at)


@given(st.binary(min_size=20, max_size=120))
def test_any_packet_is_taken(packet: bytes) -> None:
    station = Station(*HERE)
    station.write([b"\x45" + packet[1:], b"\x60" + packet[1:].ljust(40, b"\0")], None, NOW)


@pytest.mark.parametrize("rate", [0, -1, 1e9])
def test_a_rate_that_is_none(rate: float) -> None:
    with pytest.raises(UsageError, match="packets a second"):
        Station(*HERE).stream(THERE[0], rate=rate)


@pytest.mark.parametrize("size", [71, 65001])
def test_a_size_that_is_none(size: int) -> None:
    with pytest.raises(UsageError, match="bytes of a packet, 72 to 65000"):
        Station(*HERE).stream(THERE[0], rate=1, size=size)


def test_a_family_that_it_has_not() -> None:
    address: Address = THERE[1]
    with pytest.raises(UsageError, match="no address of that family"):
        Station(HERE[0]).ping(address)
