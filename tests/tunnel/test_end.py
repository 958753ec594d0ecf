"""Two ends on loopback, without privileges: streams through them while their SAs move."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.cli.demo.nat import Nat
from pyxfrm.client import Xfrm
from pyxfrm.model import (
    REMOVE,
    AddressMove,
    Direction,
    Encap,
    Migration,
    Mode,
    PolicyMigration,
    Proto,
    ip,
    network,
)
from pyxfrm.transport.base import Group
from pyxfrm.tunnel import End, Keys, Queue, Run, Static, Station, Stream, Via
from pyxfrm.tunnel.place import UDP, Place
from pyxfrm.wire import messages
from tests.tunnel.allowed import needs_v6, raw_sockets
from tests.tunnel.pair import LEFT4, RIGHT4, RIGHT6, Pair, point


def until(pair: Pair, done: Callable[[], bool]) -> None:
    """Run until something is so; a machine with other work may take its time."""
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        pair.loop.run(seconds=0.01)


def stream_through(pair: Pair, *moves: Callable[[], None], rate: float = 2000) -> Stream:
    """A stream from left to right, and the moves one after the other while it flows; what is under way arrives."""
    stream = pair.a.stream(RIGHT4, rate=rate)
    for move in (*moves, stream.stop):
        enough = stream.sent + 150  # since the last move: after a stall many are sent at once
        until(pair, lambda enough=enough: stream.sent >= enough)  # type: ignore[misc]
        pair.loop.after(0, move)
        pair.loop.turn(0)
    settle(pair)
    return stream


def settle(pair: Pair) -> None:
    """Nobody sends any more, and what is under way arrives: until a tenth of a second brings nothing."""
    for source in (*pair.a.streams, *pair.b.streams, *pair.a.pings, *pair.b.pings):
        if source.total is None:
            source.stop()
    until(pair, lambda: all(one.done for one in (*pair.a.streams, *pair.b.streams)))
    count = -1
    while count != (count := pair.left.stats.packets_in + pair.right.stats.packets_in):
        pair.loop.run(seconds=0.1)


def nothing_went_wrong(pair: Pair, stream: Stream) -> None:
    arrivals = pair.b.arrivals[stream.number]
    assert stream.sent > 100
    assert (arrivals.lost(stream.sent), arrivals.duplicates, pair.leaks) == (0, 0, 0)
    for end in (pair.left, pair.right):
        assert not any(end.datapath.stat.values())
        assert not end.stats.unsent
        assert end.stats.clear_out == end.stats.clear_in == 0
        assert end.problems == []
    heads = [payload[:8] for payload in pair.wire]  # SPI and number
    assert len(set(heads)) == len(heads)


def test_a_stream_and_a_ping_pass() -> None:
    with Pair(point("127.0.0.1"), point("127.0.0.2")) as pair:
        ping = pair.b.ping(LEFT4, rate=100)
        six = pair.a.stream(RIGHT6, rate=500)
        nothing_went_wrong(pair, stream_through(pair))
        assert ping.lost == ping.duplicates == 0
        assert pair.b.arrivals[six.number].lost(six.sent) == 0
        assert pair.a.answered == ping.sent > 0


@pytest.mark.parametrize(
    "places",
    [
        ("127.0.0.3", "127.0.0.4", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),  # only the port is another
        pytest.param(("::1", "127.0.0.1", "::1"), marks=needs_v6),
    ],
    ids=["addresses", "ports", "families"],
)
def test_a_stream_loses_nothing_while_both_ends_move(places: tuple[str, ...]) -> None:
    with Pair(point("127.0.0.1"), point("127.0.0.2")) as pair:

        def move(address: str) -> Callable[[], None]:
            other = "::1" if ":" in address else "127.0.0.2"
            return lambda: pair.move(point(address), point(other))

        nothing_went_wrong(pair, stream_through(pair, *map(move, places)))
        pair.loop.run(seconds=1.1)
        assert len(pair.left.outer) == len(pair.right.outer) == 1  # the old places are closed


def test_one_end_moves_behind_a_nat_and_the_nat_changes_its_mapping() -> None:
    here, there, inside, outside = (point(f"127.0.0.{n}") for n in (1, 2, 5, 6))
    again = point("127.0.0.7")
    with Pair(here, there) as pair, closing(Nat(pair.loop, inside, outside, here, there)) as nat:

        def behind() -> None:
            pair.other = pair.other.move(pair.at_right, there=outside)
            pair.view = pair.view.move(pair.at_left, there=inside)

        def remap() -> None:
            nat.rebind(again)
            pair.other = pair.other.move(pair.at_right, there=again)

        ping = pair.b.ping(LEFT4, rate=100)
        stream = stream_through(pair, behind, remap)
        nothing_went_wrong(pair, stream)
        assert ping.lost == 0
        assert nat.passed > 100


def test_the_mapping_of_a_nat_is_told() -> None:
    here, there, other = point("127.0.0.1"), point("127.0.0.2"), point("127.0.0.3")
    with Pair(here, there) as pair:
        events = pair.right.host.connect((Group.MAPPING,))
        pair.view.move(pair.at_left, here=other)  # the right end does not know
        pair.a.stream(RIGHT4, rate=100, total=3)
        settle(pair)
        told = events.recv()
        assert isinstance(told, bytes)
        assert messages.decode(told).header.nlmsg_type == m.XFRM_MSG_MAPPING
        assert pair.b.arrivals  # such packets are good all the same


def test_without_holding_packets_are_dropped_and_never_sent_in_clear() -> None:
    with Pair(point("127.0.0.1"), point("127.0.0.2"), hold=0.0) as pair:
        pair.at_left.flush_sas()
        pair.a.stream(RIGHT4, rate=1000, total=20)
        pair.a.stream(ip("10.9.0.77"), rate=1000, total=10)  # no policy is for this one
        settle(pair)
        assert pair.left.datapath.stat["XfrmOutNoStates"] == 20
        assert pair.left.stats.clear_out == 10
        assert pair.wire == []


def test_packets_wait_for_an_sa_that_is_deleted_and_made_again_elsewhere() -> None:
    with Pair(point("127.0.0.1"), point("127.0.0.2"), hold=20.0) as pair:
        new = point("127.0.0.3")

        def take_down() -> None:
            pair.at_left.flush_sas()
            pair.loop.after(0.05, put_up)

        def put_up() -> None:
            """As it is done without MIGRATE_STATE: with new keys, since numbers start again. What is under way arrives first."""
            if pair.right.stats.packets_in < pair.left.stats.packets_out:
                pair.loop.after(0.01, put_up)
                return
            pair.at_right.flush_sas()
            inner = (pair.view.inner_here, pair.view.inner_there)
            pair.view = Static(Keys.fresh(), new, pair.view.there, *inner)
            pair.other = pair.view.mirror()
            for client, view in ((pair.at_right, pair.other), (pair.at_left, pair.view)):
                for sa in view.sas():
                    client.add_sa(sa)
                for policy in view.policies():
                    client.update_policy(policy)

        stream = stream_through(pair, take_down)
        nothing_went_wrong(pair, stream)
        assert pair.b.arrivals[stream.number].longest_gap > 0.04


def test_the_old_message_moves_it_too() -> None:
    with Pair(point("127.0.0.1"), point("127.0.0.2")) as pair:
        here, there, new = pair.view.here, pair.view.there, point("127.0.0.3")

        def migrate() -> None:
            for policy in pair.view.policies():
                if policy.dir is Direction.OUT:
                    step = AddressMove(
                        *(here.address, there.address, new.address, there.address),
                        *(Proto.ESP, Mode.TUNNEL, policy.templates[0].reqid),
                    )
                    encap = Encap(new.port or 0, there.port or 0)
                    pair.at_left.migrate(
                        PolicyMigration(policy.sel, Direction.OUT, (step,), encap=encap)
                    )

        stream = stream_through(pair, migrate)
        nothing_went_wrong(pair, stream)
        arrivals = pair.b.arrivals[stream.number]
        assert {one.via.address for one in arrivals.packets if one.via} == {
            here.address.packed,
            new.address.packed,
        }


def test_an_address_that_is_not_there_is_a_problem_told_in_a_line() -> None:
    with Pair(point("192.0.2.77", 4500), point("127.0.0.2")) as pair:
        assert pair.left.problems == ["192.0.2.77:4500 udp: Cannot assign requested address"]
        pair.a.stream(RIGHT4, rate=1000, total=5)
        settle(pair)
        assert pair.left.stats.unsent == {"no place": 5}


def test_the_sockets_have_followed_when_the_answer_is_there() -> None:
    with Pair(point("127.0.0.1"), point("127.0.0.2")) as pair:
        new = point("127.0.0.9")
        pair.view = pair.view.move(pair.at_left, here=new)
        assert new.port is not None
        assert pair.left.outer.get(Place(new.address.packed, UDP, new.port)) is not None
        assert len(pair.left.outer.leaving) == 1


def test_the_engine_is_asked_from_another_thread_while_packets_flow() -> None:
    with Pair(point("127.0.0.1"), point("127.0.0.2")) as pair:
        stream = pair.a.stream(RIGHT4, rate=2000)
        thread = threading.Thread(target=pair.loop.run)
        thread.start()
        for n in range(3, 23):
            pair.move(point(f"127.0.0.{n}"))
        pair.loop.stop()
        thread.join()
        settle(pair)
        arrivals = pair.b.arrivals[stream.number]
        assert (arrivals.lost(stream.sent), arrivals.duplicates, pair.leaks) == (0, 0, 0)


def test_another_process_asks_through_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "left"
    with Pair(point("127.0.0.1"), point("127.0.0.2")) as pair:
        pair.left.serve(path)
        assert path.stat().st_mode & 0o777 == 0o600
        thread = threading.Thread(target=pair.loop.run)
        thread.start()
        try:
            with Xfrm.connect(path) as xfrm:
                assert len(list(xfrm.sas())) == 2
                out, _ = pair.view.sas()
                new = point("127.0.0.8")
                assert new.port is not None
                encap = Encap(new.port, pair.view.there.port or 0)
                xfrm.migrate_sa(Migration.of(out, saddr=new.address, encap=encap))
                assert pair.left.outer.get(Place(new.address.packed, UDP, new.port)) is not None
        finally:
            pair.loop.stop()
            thread.join()
    assert not path.exists()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_close_leaves_no_descriptor_and_no_socket() -> None:
    before = descriptors()
    with Pair(point("127.0.0.1"), point("127.0.0.2")) as pair:
        place = pair.view.here
        pair.a.stream(RIGHT4, rate=1000)
        pair.loop.run(seconds=0.05)
        pair.move(point("127.0.0.3"))
        pair.loop.run(seconds=0.05)
    assert descriptors() == before
    with End(Queue()) as end:  # the place is free again
        Static(
            Keys.fresh(), place, point("127.0.0.2"), [network("10.0.0.1")], [network("10.0.0.2")]
        ).install(end.client())
        assert end.problems == []


def test_a_move_out_of_udp_asks_for_a_raw_socket() -> None:
    with Pair(point("127.0.0.1"), point("127.0.0.2")) as pair:
        out, _ = pair.view.sas()
        pair.at_left.migrate_sa(Migration.of(out, encap=REMOVE))
        raw = Place(out.saddr.packed, 50)
        assert raw in pair.left.needs.places
        if raw_sockets():
            assert raw in pair.left.outer.places
        else:
            assert pair.left.problems == ["127.0.0.1 esp: Operation not permitted"]


def test_a_keepalive_is_sent_and_taken() -> None:
    with Pair(point("127.0.0.1"), point("127.0.0.2")) as pair:
        pair.at_left.delete_sa(pair.view.sas()[0].id)
        pair.at_left.add_sa(replace(pair.view.sas()[0], nat_keepalive=1))
        until(pair, lambda: pair.right.stats.keepalives_in == 1)
        assert pair.left.stats.keepalives_out >= 1
        assert pair.wire == [b"\xff"] * pair.left.stats.keepalives_out
        assert not any(pair.right.datapath.stat.values())


class Narrow:
    """A socket whose path carries 1200 bytes of payload, which the kernel learns when the first longer one comes back."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def fileno(self) -> int:
        return -1

    def send(self, run: Run) -> Counter[str]:
        return Counter(["EMSGSIZE" for one in run.payloads if len(one) > 1200])

    def receive(self) -> list[Run]:
        return []

    def close(self) -> None:
        pass


def test_a_path_that_has_become_narrow_is_learned_from_the_first_packet_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = [1500, 1228]  # before and after
    monkeypatch.setattr("pyxfrm.tunnel.end.path_mtu", lambda _: known.pop(0) if known[1:] else 1228)
    inner = Queue()
    with End(inner, make=Narrow) as end:
        station = Station(LEFT4)
        Static(
            *(Keys.fresh(), point("127.0.0.1"), point("127.0.0.2")),
            *([network("10.9.0.1")], [network("10.9.0.2")]),
        ).install(end.client())
        for size, unsent, told in ((1100, 0, 0), (1300, 1, 0), (1300, 1, 1), (1100, 1, 1)):
            station.stream(RIGHT4, rate=1, size=size, total=1)
            inner.put(*station.read(end.clock(), 1))
            end.turn(0)
            assert end.stats.unsent.total() == unsent
            assert end.stats.too_big == told
        (answer,) = inner.delivered
        assert answer.packet[20:22] == b"\x03\x04"  # fragmentation needed
        # 1228 = 28 outside + 16 ESP and IV + 1166 + 2 of trailer + 16 ICV
        assert int.from_bytes(answer.packet[26:28], "big") == 1166
        assert answer.via is None


def test_ike_is_handed_on_without_its_marker() -> None:
    heard: list[tuple[bytes, Via]] = []
    with Pair(
        point("127.0.0.1"), point("127.0.0.2"), ike=lambda data, via: heard.append((data, via))
    ) as pair:
        (place,) = pair.right.outer.places
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.9", 0))
            sock.sendto(bytes(4) + b"an IKE message", (place.host, place.port))
            until(pair, lambda: bool(heard))
            sender = sock.getsockname()[1]
        assert heard == [(b"an IKE message", Via(place, bytes((127, 0, 0, 9)), sender))]
        assert pair.right.stats.ike == 1


VIA = Via(Place(bytes((127, 0, 0, 1)), UDP, 4500), bytes((127, 0, 0, 2)), 4500)


@settings(max_examples=200)
@given(st.binary(max_size=200), st.integers(0, 255))
def test_garbage_from_outside_ends_in_a_counter(garbage: bytes, tos: int) -> None:
    inner, ike = Queue(), list[bytes]()
    with End(inner, make=_never, ike=lambda data, _: ike.append(data)) as end:
        end.datapath.encap_ports = {4500}
        end.accept(Run(VIA, (garbage,), len(garbage), tos), end.clock())
        raw = Via(Place(VIA.place.address, 50), VIA.address)
        end.accept(Run(raw, (garbage,), len(garbage), tos), end.clock())
        stats = end.stats
        assert sum(end.datapath.stat.values()) + stats.ike + stats.keepalives_in == 2
        assert inner.delivered == []
        assert stats.clear_in == 0


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_garbage_from_inside_does_not_leave(garbage: bytes) -> None:
    inner, wire = Queue(), list[Run]()
    with End(inner, make=_never, tap=lambda _, run: wire.append(run)) as end:
        inner.put(garbage)
        end.turn(0)
        assert wire == []
        assert sum(end.datapath.stat.values()) + end.stats.clear_out == 1


def test_what_is_mutated_on_the_way_is_refused_and_nothing_else() -> None:
    with Pair(point("127.0.0.1"), point("127.0.0.2")) as pair:
        pair.a.stream(RIGHT4, rate=10000, total=50)
        settle(pair)
        wire, now = list(pair.wire), pair.right.clock()
        (place,) = pair.right.outer.places
        via = Via(place, bytes((127, 0, 0, 1)), 9)
        for serial, payload in enumerate(wire):
            at = serial % len(payload)
            bad = payload[:at] + bytes((payload[at] ^ 0x40,)) + payload[at + 1 :]
            pair.right.accept(Run(via, (bad,), len(bad)), now)
            pair.right.accept(Run(via, (payload,), len(payload)), now)  # and once more as it was
        (arrivals,) = pair.b.arrivals.values()
        assert (arrivals.received, arrivals.duplicates) == (50, 0)
        assert sum(pair.right.datapath.stat.values()) == 100


def _never(_: Place) -> NoReturn:
    raise OSError(1, "Operation not permitted")
