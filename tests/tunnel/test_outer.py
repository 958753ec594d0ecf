"""Sockets: what goes in at one place comes out at another, with its DS field, in runs and one by one."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from pyxfrm.tunnel.framing import Run
from pyxfrm.tunnel.outer import Outer, RawOuter, UdpOuter, open_outer, path_mtu
from pyxfrm.tunnel.place import UDP, Place, Via
from tests.tunnel.allowed import needs_raw, needs_v6
from tests.tunnel.pair import free_port

ESP = 50
LOOP4, OTHER4 = bytes((127, 0, 0, 1)), bytes((127, 0, 0, 2))
LOOP6 = bytes(15) + b"\1"


def places(kind: str) -> tuple[Place, Place]:
    if kind == "udp4":
        return Place(LOOP4, UDP, free_port()), Place(OTHER4, UDP, free_port())
    if kind == "udp6":
        return Place(LOOP6, UDP, free_port()), Place(LOOP6, UDP, free_port())
    return Place(LOOP4, ESP), Place(OTHER4, ESP)


@pytest.fixture(
    params=["udp4", pytest.param("udp6", marks=needs_v6), pytest.param("esp4", marks=needs_raw)]
)
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[Outer, Outer]]:
    here, there = (open_outer(place) for place in places(request.param))
    yield here, there
    here.close()
    there.close()


def way(here: Outer, there: Outer) -> Via:
    return Via(here.place, there.place.address, there.place.port)


def everything(outer: Outer, count: int) -> list[Run]:
    """Runs, until so many payloads have come."""
    runs: list[Run] = []
    poll = select.poll()
    poll.register(outer.fileno(), select.POLLIN)
    while sum(len(run.payloads) for run in runs) < count:
        assert poll.poll(5000)
        runs += outer.receive()
    return runs


def esp(number: int, size: int) -> bytes:
    """Something that no kernel has an SA for."""
    return b"\x77\x77\x77\x77" + number.to_bytes(4, "big") + bytes([number & 0xFF]) * (size - 8)


@pytest.mark.parametrize("count", [1, 2, 64])
@pytest.mark.parametrize("tos", [0, 0xB8, 0x03])
def test_a_run_arrives_as_it_was_sent(ends: tuple[Outer, Outer], count: int, tos: int) -> None:
    here, there = ends
    payloads = [esp(n, 200) for n in range(count - 1)] + [esp(count, 50)]
    assert not here.send(Run(way(here, there), payloads, len(payloads[0]), tos, df=True))
    runs = everything(there, count)
    assert [payload for run in runs for payload in run.payloads] == payloads
    for run in runs:
        assert run.via == Via(there.place, here.place.address, here.place.port)
        assert run.tos == tos
        assert {len(payload) for payload in run.payloads[:-1]} <= {run.size}
        assert len(run.payloads[-1]) <= run.size


def test_udp_goes_in_one_piece_and_comes_in_one_piece() -> None:
    here, there = (UdpOuter(place) for place in places("udp4"))
    here.send(Run(way(here, there), [esp(n, 1000) for n in range(40)], 1000))
    assert here.batched
    runs = there.receive()
    here.close()
    there.close()
    assert [len(run.payloads) for run in runs] == [40]


def test_what_is_too_long_for_the_path_is_named_and_the_socket_stays_as_fast() -> None:
    here, there = (UdpOuter(place) for place in places("udp4"))
    payloads = [bytes(65508), bytes(65508)]  # with UDP and IP header over 65535
    failed = here.send(Run(way(here, there), payloads, 65508, df=True))
    assert failed == {"EMSGSIZE": 2}
    assert here.batched
    here.close()
    there.close()


def test_an_address_without_a_way_is_a_count() -> None:
    here = UdpOuter(Place(LOOP4, UDP, free_port()))
    failed = here.send(Run(Via(here.place, bytes((203, 0, 113, 9)), 9), [b"x", b"y"], 1))
    here.close()
    assert sum(failed.values()) == 2
    assert set(failed) <= {"EINVAL", "ENETUNREACH", "EHOSTUNREACH"}


def test_nothing_to_read_is_nothing() -> None:
    here = UdpOuter(Place(LOOP4, UDP, free_port()))
    assert here.receive() == []
    here.close()


@needs_raw
@pytest.mark.parametrize("address", [LOOP4, pytest.param(LOOP6, marks=needs_v6)], ids=["v4", "v6"])
def test_a_raw_socket_hands_on_what_came_to_its_place_only(address: bytes) -> None:
    other = OTHER4 if len(address) == 4 else LOOP6
    here, there = RawOuter(Place(address, ESP)), RawOuter(Place(other, ESP))
    wide = _unbound(address)
    here.send(Run(Via(here.place, other), (esp(1, 60),), 60))
    (run,) = everything(there, 1)
    assert run.payloads == (esp(1, 60),)
    if len(address) == 4:
        assert select.select([wide.fileno()], [], [], 5)[0]
        assert wide.receive() == []  # it was for another
    for one in (here, there, wide):
        one.close()


class _unbound(RawOuter):  # noqa: N801
    """A raw socket in the moment before it is bound: the kernel gives it what comes to every address."""

    def __init__(self, address: bytes) -> None:
        super().__init__(Place(address, ESP))
        self._sock.connect(("0.0.0.0" if len(address) == 4 else "::", 0))
        self._sock.close()
        family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
        self._sock = socket.socket(family, socket.SOCK_RAW, ESP)
        self._set_up()


def test_the_mtu_of_loopback() -> None:
    assert path_mtu(LOOP4) == path_mtu(OTHER4) > 1500


def test_a_place_that_is_not_ours() -> None:
    with pytest.raises(OSError, match="Cannot assign"):
        open_outer(Place(bytes((192, 0, 2, 99)), UDP, 9))


def test_port_0_is_no_place() -> None:
    with pytest.raises(OSError, match="UDP has no port 0"):
        open_outer(Place(LOOP4, UDP, 0))
