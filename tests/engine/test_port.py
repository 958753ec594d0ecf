"""A port's receive queue against a slow oracle, and what a lost datagram means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.engine.port import Port, truesize

SIZES = st.lists(st.integers(1, 5000), max_size=40)


@pytest.mark.parametrize(
    ("length", "cost"),
    # read off Linux 7.2.7 and 6.12: how many datagrams of a length fit into SO_RCVBUF
    [(20, 896), (36, 896), (264, 896), (352, 1280), (660, 1280), (1004, 2304)],
)
def test_cost_of_a_datagram(length: int, cost: int) -> None:
    assert truesize(length) == cost


@given(SIZES, st.integers(0, 20_000))
def test_what_fits_is_kept_in_order_up_to_the_first_that_does_not(
    sizes: list[int], rcvbuf: int
) -> None:
    port = Port(1, rcvbuf=rcvbuf)
    sent = [bytes((n % 251,)) * size for n, size in enumerate(sizes)]
    kept = [datagram for datagram in sent if port.put(datagram)]
    used = 0
    expected: list[bytes] = []
    for datagram in sent:
        used += truesize(len(datagram))
        if expected and used > rcvbuf:
            break
        expected.append(datagram)
    assert kept == expected
    assert port.take_overrun() == (len(kept) < len(sent))
    assert not port.take_overrun()
    assert port.pop_all() == kept


def test_nothing_is_heard_until_the_queue_is_empty() -> None:
    port = Port(1, rcvbuf=2000)
    assert [port.put(b"x" * 20) for _ in range(4)] == [True, True, False, False]
    port.pop()
    port.woken()
    assert not port.put(b"y")
    port.pop()
    port.woken()
    assert port.put(b"z")
    assert port.pop() == (0, b"z")


def test_without_enobufs_single_datagrams_are_missed() -> None:
    port = Port(1, rcvbuf=2000)
    port.no_enobufs = True
    assert [port.put(b"x" * 20) for _ in range(3)] == [True, True, False]
    port.pop()
    assert port.put(b"y")
    assert not port.take_overrun()
