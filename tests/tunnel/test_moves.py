"""Two ends, a clock and a network of our own: packets are late and come out of order while both ends move a hundred times. Nothing is lost, nothing comes twice."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from pyxfrm.model import Address, ip, network
from pyxfrm.tunnel import End, Keys, Place, Point, Run, Static, Station, Stream, Via
from pyxfrm.tunnel.station import MARK

DELAY = 0.3  # seconds that a packet is under way at most
STEP = 0.001
FORMS = ("192.0.2.{}{}", "2001:db8::{}{}")
INSIDE = ip("10.9.0.1"), ip("10.9.0.2")


class Socket:
    """Puts runs on the wire."""

    def __init__(self, place: Place, wire: list[Run]) -> None:
        self.place = place
        self.wire = wire

    def fileno(self) -> int:
        return -1

    def send(self, run: Run) -> Counter[str]:
        assert run.via.place == self.place
        self.wire.append(run)
        return Counter()

    def receive(self) -> list[Run]:
        return []

    def close(self) -> None:
        self.place = self.place._replace(proto=0)  # nothing can be sent from here any more


class World:
    """Left and right, a stream each way, and what is under way."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 1_800_000_000.0
        self.wire: list[Run] = []
        self.under_way: list[tuple[float, int, Run]] = []
        self.numbers: set[bytes] = set()
        self.stations = [Station(address) for address in INSIDE]
        self.ends = [
            End(
                station,
                drain=2.0,
                hold=2.0,
                clock=lambda: self.now,
                make=lambda place: Socket(place, self.wire),
            )
            for station in self.stations
        ]
        self.clients = [end.client() for end in self.ends]
        inner = [[network(str(address))] for address in INSIDE]
        self.view = Static(Keys.fresh(), self._point(0, 4, 4500), self._point(1, 4, 4500), *inner)
        self.view.install(self.clients[0])
        self.view.mirror().install(self.clients[1])
        self.streams: list[Stream] = [
            station.stream(other, rate=500, size=100)
            for station, other in zip(self.stations, reversed(INSIDE), strict=True)
        ]

    def _point(self, side: int, version: int, port: int | None) -> Point:
        number = self.random.randrange(3)
        return Point(ip(FORMS[version == 6].format(side + 1, number)), port)

    def move(self) -> None:
        """Both ends, wherever: first what they receive with, then, perhaps later, what they send with."""
        version = self.random.choice((4, 4, 6))
        port = self.random.choice((None, 4500, 4501))
        view = self.view
        new = view.moved(self._point(0, version, port), self._point(1, version, port))
        views = (view, new), (view.mirror(), new.mirror())
        for client, (before, after) in zip(self.clients, views, strict=True):
            before.carry_in(client, after)
        if self.random.random() < 0.3:
            self.play(0.01)
        for client, (before, after) in zip(self.clients, views, strict=True):
            before.carry_out(client, after)
        self.view = new

    def play(self, seconds: float) -> None:
        """Time passes."""
        until = self.now + seconds
        while self.now < until:
            self.now += STEP
            for end in self.ends:
                end.step(self.now)
            self._take_from_wire()
            due = sorted(one for one in self.under_way if one[0] <= self.now)
            self.under_way = [one for one in self.under_way if one[0] > self.now]
            for _, __, run in due:
                self._arrive(run)

    def _take_from_wire(self) -> None:
        for run in self.wire:
            for payload in run.payloads:
                assert MARK not in payload
                assert payload[:16] not in self.numbers  # SPI, number, IV
                self.numbers.add(payload[:16])
                one = run._replace(payloads=(payload,), size=len(payload))
                when = self.now + self.random.random() * DELAY
                self.under_way.append((when, len(self.numbers), one))
        self.wire.clear()

    def _arrive(self, run: Run) -> None:
        via = run.via
        place = Place(via.address, via.place.proto, via.port)
        (end,) = (end for end in self.ends if _side(end) == _digit(place.address))
        assert place in end.outer.places, f"nobody listens at {place}"
        end.accept(run._replace(via=Via(place, via.place.address, via.place.port)), self.now)

    def close(self) -> None:
        for end in self.ends:
            end.close()


def _digit(address: bytes) -> int:
    """The side of an outer address."""
    text = str(Address(ip("::").family if len(address) == 16 else ip("0.0.0.0").family, address))
    last = text.replace(":", ".").rpartition(".")[2]
    return int(last[0])


def _side(end: End) -> int:
    assert isinstance(end.inner, Station)
    return 1 if INSIDE[0].packed in end.inner.addresses else 2


@settings(max_examples=5)
@given(st.integers(0, 1 << 30))
def test_a_hundred_moves_in_a_network_that_is_late(seed: int) -> None:
    world = World(seed)
    for _ in range(100):
        world.play(0.01)
        world.move()
    for stream in world.streams:
        stream.stop()
    world.play(DELAY + 2.5)
    for stream, station in zip(world.streams, reversed(world.stations), strict=True):
        arrivals = station.arrivals[stream.number]
        assert stream.sent >= 450
        assert (arrivals.lost(stream.sent), arrivals.duplicates) == (0, 0)
    for end in world.ends:
        assert not any(end.datapath.stat.values())
        assert end.stats.clear_out == end.stats.clear_in == 0
        assert not end.stats.unsent
        assert len(end.outer) == 1
    world.close()
