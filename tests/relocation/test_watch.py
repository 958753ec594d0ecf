"""Following an address: what moves an endpoint, and what must not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import cast

import pytest

from pyxfrm.client import EventStream
from pyxfrm.client.events import MappingChanged
from pyxfrm.errors import UsageError
from pyxfrm.model import Encap, Proto, SaId, ip
from pyxfrm.relocation.watch import (
    AddressTracker,
    Change,
    MappingTracker,
    follow,
    heed,
    read_change,
)
from tests.relocation.world import A6, A, B, C, D


def tracker(*addresses: str) -> AddressTracker:
    return AddressTracker(A, [ip(text) for text in addresses], quiet=1.0)


def test_make_before_break() -> None:
    made = tracker(str(A))
    made.feed(Change(B, added=True), 10.0)
    assert made.decide(20.0) is None
    made.feed(Change(A, added=False), 21.0)
    assert made.decide(21.5) is None
    assert made.decide(22.0) == (A, B)
    made.moved(B)
    assert made.decide(30.0) is None
    assert made.local == B


def test_break_before_make() -> None:
    made = tracker(str(A))
    made.feed(Change(A, added=False), 10.0)
    assert made.decide(20.0) is None
    made.feed(Change(B, added=True), 21.0)
    assert made.due == 22.0
    assert made.decide(22.0) == (A, B)


def test_an_address_that_comes_back_moves_nobody() -> None:
    made = tracker(str(A))
    made.feed(Change(A, added=False), 10.0)
    made.feed(Change(B, added=True), 10.1)
    made.feed(Change(A, added=True), 10.2)
    assert made.due is None
    assert made.decide(99.0) is None


def test_a_flapping_interface_ends_in_one_move() -> None:
    made = tracker(str(A))
    for n in range(20):
        made.feed(Change(A, added=False), 10 + n / 10)
        made.feed(Change(B, added=n % 2 == 0), 10 + n / 10)
        made.feed(Change(D, added=True), 10 + n / 10)
    assert made.decide(12.0) is None
    assert made.decide(13.0) == (A, D)


def test_another_family_is_nowhere_to_go() -> None:
    made = tracker(str(A), str(A6))
    made.feed(Change(A, added=False), 10.0)
    assert made.target is None


def test_tentative_and_link_local_addresses_do_not_count() -> None:
    made = tracker(str(A))
    made.feed(Change(A, added=False), 10.0)
    made.feed(Change(B, added=True, usable=False), 10.0)
    assert made.decide(99.0) is None


def test_a_refused_move_waits_for_the_next_change() -> None:
    made = tracker(str(B))
    made.feed(Change(D, added=True), 1.0)
    assert made.decide(2.0) == (A, D)
    made.give_up()
    assert made.decide(9.0) is None
    made.feed(Change(B, added=False), 10.0)
    assert made.decide(11.0) == (A, D)


def rtnl(
    event: str, address: str, *, index: int = 3, flags: int = 0, scope: int = 0
) -> dict[str, object]:
    attrs = [("IFA_ADDRESS", address), ("IFA_FLAGS", flags)]
    return {"event": event, "index": index, "flags": flags & 0xFF, "scope": scope, "attrs": attrs}


def test_what_rtnetlink_says() -> None:
    assert read_change(rtnl("RTM_NEWADDR", str(B)), 3) == Change(B, added=True)
    assert read_change(rtnl("RTM_DELADDR", str(B)), 3) == Change(B, added=False)
    assert read_change(rtnl("RTM_NEWADDR", str(B)), 4) is None
    assert read_change(rtnl("RTM_NEWROUTE", str(B)), 3) is None
    for unusable in (
        rtnl("RTM_NEWADDR", str(A6), flags=0x40),
        rtnl("RTM_NEWADDR", "fe80::1", scope=253),
    ):
        change = read_change(unusable, 3)
        assert change is not None
        assert not change.usable


def test_an_interface_that_is_not_there() -> None:
    pytest.importorskip("pyroute2")
    with pytest.raises(UsageError, match="none of that name"):
        next(follow("no-such-dev", tracker(), lambda *_: True))


# -- mappings ----------------------------------------------------------------------------------------


def mapping(
    spi: int = 0xE1, port: int = 1025, saddr: str = str(D), old_port: int = 4500
) -> MappingChanged:
    name = SaId(A, Proto.ESP, spi)
    return MappingChanged(0, 0, name, 7, C, ip(saddr), old_port, port)


def test_a_flood_of_mappings_ends_in_one_move() -> None:
    """13."""
    made = MappingTracker(frozenset({0xE1}), quiet=1.0)
    for n in range(100):
        made.feed(mapping(port=1025 + n), 10 + n / 100)
    assert made.decide(11.0, lambda _: 4500) is None
    wish = made.decide(12.0, lambda _: 4500)
    assert wish is not None
    assert (wish.local, wish.remote, wish.new_remote) == (A, C, D)
    assert wish.encap == Encap(4500, 1124)
    assert wish.select.reqids == {7}
    assert made.decide(99.0, lambda _: 4500) is None


def test_port_zero_means_nothing() -> None:
    """14."""
    made = MappingTracker(frozenset({0xE1}), quiet=1.0)
    made.feed(mapping(port=0), 10.0)
    assert made.due is None


def test_a_packet_alone_moves_no_sa() -> None:
    """15: only SAs that somebody with authority has named."""
    made = MappingTracker(frozenset({0xE2}), quiet=1.0)
    made.feed(mapping(spi=0xE1), 10.0)
    assert made.due is None
    assert MappingTracker(frozenset()).due is None


def test_heed_moves_when_it_is_quiet() -> None:
    class Events:
        def __init__(self) -> None:
            self.left = [mapping(port=1), mapping(port=2), None]

        def poll(self, timeout: float | None) -> MappingChanged | None:
            event = self.left.pop(0)
            if event is None:
                assert timeout is not None
                threading.Event().wait(timeout)
            return event

    asked = []

    def move(wish: object) -> bool:
        asked.append(wish)
        return True

    events = cast("EventStream", Events())
    made: Iterator[object] = heed(
        events, MappingTracker(frozenset({0xE1}), 0.01), lambda _: 4500, move
    )
    assert next(made) is asked[0]
    assert len(asked) == 1
