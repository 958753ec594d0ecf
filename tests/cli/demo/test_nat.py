"""A NAT of two sockets, and what the demo asks of the network."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from pyxfrm.cli.demo.nat import Nat
from pyxfrm.cli.demo.sockets import bind, drops, free, has_ipv6
from pyxfrm.tunnel import Loop, Point


@pytest.fixture
def loop() -> Iterator[Loop]:
    """On loopback what was sent is there at once: a turn without waiting passes it on."""
    with Loop() as made:
        yield made


def pair(point: Point) -> tuple[str, int]:
    return str(point.address), point.port or 0


def test_a_nat_hides_who_is_inside_and_may_change_its_mind(loop: Loop) -> None:
    left, right = free("127.0.0.1"), free("127.0.0.2")
    inside, outside, again = free("127.0.0.4"), free("127.0.0.5"), free("127.0.0.5")
    with bind(left) as client, bind(right) as server:
        nat = Nat(loop, inside, outside, left, right)

        def answer(data: bytes, to: Point) -> bytes:
            server.sendto(data, pair(to))
            loop.turn(0)
            return client.recv(10)

        assert answer(b"before", outside) == b"before"  # the end inside has said its address
        for place in (outside, again):
            client.sendto(b"ask", pair(inside))
            loop.turn(0)
            assert server.recvfrom(10) == (b"ask", pair(place))
            if place is outside:
                nat.rebind(again)
                assert nat.outside == again
        assert answer(b"old", outside) == b"old"
        assert answer(b"new", again) == b"new"
        assert (nat.passed, nat.unsent, nat.overflowed) == (5, 0, 0)
        nat.close()
        nat.close()
        assert nat.sockets == []


def test_what_cannot_be_sent_is_counted(loop: Loop) -> None:
    left, inside = free("127.0.0.1"), free("127.0.0.4")
    with bind(left) as client:
        nat = Nat(loop, inside, free("127.0.0.5"), left, Point(left.address, 0))  # no such port
        client.sendto(b"x", pair(inside))
        loop.turn(0)
        assert (nat.passed, nat.unsent) == (0, 1)
        nat.close()


def test_overflow_is_counted_and_remembered(loop: Loop) -> None:
    left, inside = free("127.0.0.1"), free("127.0.0.4")
    with bind(left) as client:
        nat = Nat(loop, inside, free("127.0.0.5"), left, left)
        nat.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(50):
            client.sendto(bytes(1000), pair(inside))
        count = nat.overflowed
        assert 0 < count < 50
        assert drops(nat.sockets[0].fileno()) == count
        nat.close()
        assert nat.overflowed == count


def test_free_places() -> None:
    point = free("127.0.0.9")
    with bind(point) as sock:
        assert sock.getsockname() == pair(point)
        with pytest.raises(OSError, match="in use"):
            bind(point)
    if has_ipv6():
        assert str(free("::1")).startswith("[::1]:")
