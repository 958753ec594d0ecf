"""Following an address: what moves an endpoint, and what must not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.client import EventStream
from pyxfrm.client.events import MappingChanged
from pyxfrm.errors import UsageError
from pyxfrm.model import Address, Encap, Proto, SaId, ip
from pyxfrm.relocation.interface import Rank
from pyxfrm.relocation.watch import AddressTracker, MappingTracker, Peer, follow, heed
from tests.relocation.world import A6, A, B, C, D

QUIET = 1.0


class Interface:
    """Addresses that come and go, and the tracker that sees each change."""

    def __init__(self, *addresses: Address, local: Address = A) -> None:
        self.there = dict.fromkeys(addresses, Rank.FIRST)
        self.tracker = AddressTracker(local, QUIET)
        self.tracker.see(self.there, 0.0)

    def add(self, address: Address, now: float, rank: Rank = Rank.FIRST) -> None:
        self.there[address] = rank
        self.tracker.see(self.there, now)

    def remove(self, address: Address, now: float) -> None:
        self.there.pop(address, None)
        self.tracker.see(self.there, now)


def test_make_before_break() -> None:
    made = Interface(A)
    made.add(B, 10.0)
    assert made.tracker.decide(20.0) is None
    made.remove(A, 21.0)
    assert made.tracker.decide(21.5) is None
    assert made.tracker.decide(22.0) == (A, B)
    made.tracker.moved(B, 22.1)
    assert made.tracker.decide(30.0) is None
    assert made.tracker.local == B


def test_break_before_make() -> None:
    made = Interface(A)
    made.remove(A, 10.0)
    assert made.tracker.decide(20.0) is None
    made.add(B, 21.0)
    assert made.tracker.due == 22.0
    assert made.tracker.decide(22.0) == (A, B)


def test_an_address_that_comes_back_moves_nobody() -> None:
    made = Interface(A)
    made.remove(A, 10.0)
    made.add(B, 10.1)
    made.add(A, 10.2)
    assert made.tracker.due is None
    assert made.tracker.decide(99.0) is None


def test_a_flapping_interface_ends_in_one_move() -> None:
    made = Interface(A)
    for n in range(20):
        made.remove(A, 10 + n / 10)
        (made.remove if n % 2 else made.add)(B, 10 + n / 10)
        made.add(D, 10 + n / 10)
    assert made.tracker.decide(12.0) is None
    assert made.tracker.decide(13.0) == (A, D)


def test_an_interface_that_vanishes_has_no_addresses() -> None:
    made = Interface(A, B)
    made.there.clear()
    made.tracker.see({}, 10.0)
    assert made.tracker.decide(99.0) is None
    made.add(D, 100.0)
    assert made.tracker.decide(101.0) == (A, D)


def test_the_same_again_does_not_start_the_wait_again() -> None:
    made = Interface(B)
    assert made.tracker.due == QUIET
    made.tracker.see(made.there, 0.9)
    assert made.tracker.decide(1.0) == (A, B)


def test_another_family_is_nowhere_to_go() -> None:
    made = Interface(A, A6)
    made.remove(A, 10.0)
    assert made.tracker.target is None


@pytest.mark.parametrize("rank", [Rank.UNUSABLE, Rank.STAY])
def test_tentative_deprecated_and_link_local_addresses_are_no_place_to_go(rank: Rank) -> None:
    made = Interface(A)
    made.add(B, 9.0, rank)
    made.remove(A, 10.0)
    assert made.tracker.decide(99.0) is None


def test_who_is_at_a_deprecated_address_stays_as_long_as_it_is_there() -> None:
    made = Interface(A, B)
    made.add(A, 10.0, Rank.STAY)
    assert made.tracker.decide(99.0) is None
    made.remove(A, 100.0)
    assert made.tracker.decide(101.0) == (A, B)


def test_an_address_that_is_found_to_be_a_duplicate_is_left() -> None:
    made = Interface(A, B)
    made.add(A, 10.0, Rank.UNUSABLE)
    assert made.tracker.decide(11.0) == (A, B)


def test_the_best_rank_and_of_these_the_newest() -> None:
    made = Interface()
    for address, rank in ((C, Rank.FIRST), (B, Rank.FIRST), (D, Rank.SECOND)):
        made.add(address, 1.0, rank)
    assert made.tracker.target == B
    made.remove(B, 2.0)
    assert made.tracker.target == C
    made.remove(C, 3.0)
    assert made.tracker.target == D


def test_a_refused_move_waits_for_the_next_change() -> None:
    made = Interface(B)
    made.add(D, 1.0)
    assert made.tracker.decide(2.0) == (A, D)
    made.tracker.give_up()
    assert made.tracker.decide(9.0) is None
    made.remove(B, 10.0)
    assert made.tracker.decide(11.0) == (A, D)


def test_an_address_that_went_during_the_move_is_followed_by_the_next() -> None:
    made = Interface(B)
    assert made.tracker.decide(2.0) == (A, B)
    made.remove(B, 2.1)
    made.add(D, 2.2)
    made.tracker.moved(B, 2.3)
    assert made.tracker.decide(3.3) == (B, D)


@given(
    st.lists(st.tuples(st.sampled_from((A, B, C, D)), st.sampled_from(Rank), st.booleans())),
    st.floats(0.01, 2.0),
)
def test_nobody_leaves_an_address_that_is_there(
    changes: list[tuple[Address, Rank, bool]], pause: float
) -> None:
    """Against the obvious: a move is from an address that is not usable to one that is, after a rest."""
    made = Interface(A)
    now = last = 0.0
    for address, rank, added in changes:
        before = dict(made.there)
        (made.add(address, now, rank) if added else made.remove(address, now))
        last = now if made.there != before else last
        now += pause
        ready = made.tracker.decide(now)
        if ready is None:
            continue
        origin, target = ready
        assert origin == made.tracker.local
        assert made.there.get(origin, Rank.UNUSABLE) == Rank.UNUSABLE
        assert made.there[target] >= Rank.SECOND
        assert now - last >= QUIET - 1e-9
        made.tracker.moved(target, now)


def test_an_interface_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="none of that name"):
        next(follow("no-such-dev", AddressTracker(A), lambda *_: True))


# -- mappings ----------------------------------------------------------------------------------------


def mapping(
    spi: int = 0xE1, port: int = 1025, saddr: str = str(D), old_port: int = 4500
) -> MappingChanged:
    name = SaId(A, Proto.ESP, spi)
    return MappingChanged(0, 0, name, 7, C, ip(saddr), old_port, port)


def at_old_place(_: SaId) -> Peer:
    return Peer(C, 4500, 4500)


def test_a_flood_of_mappings_ends_in_one_move() -> None:
    """13."""
    made = MappingTracker(frozenset({0xE1}), quiet=1.0)
    for n in range(100):
        made.feed(mapping(port=1025 + n), 10 + n / 100)
    assert made.decide(11.0, at_old_place) is None
    wish = made.decide(12.0, at_old_place)
    assert wish is not None
    assert (wish.local, wish.remote, wish.new_remote) == (A, C, D)
    assert wish.encap == Encap(4500, 1124)
    assert wish.select.reqids == {7}
    assert made.decide(99.0, at_old_place) is None


def test_a_packet_each_millisecond_does_not_put_it_off() -> None:
    """The kernel tells of the new place with every packet, until the SA has moved."""
    made = MappingTracker(frozenset({0xE1}), quiet=1.0)
    for n in range(1000):
        made.feed(mapping(), 10 + n / 1000)
    assert made.due == 11.0


def test_what_was_under_way_while_the_sa_moved_moves_it_no_more() -> None:
    made = MappingTracker(frozenset({0xE1}), quiet=1.0)
    made.feed(mapping(), 10.0)
    assert made.decide(11.0, lambda _: Peer(D, 1025, 4500)) is None
    assert made.due is None


def test_an_sa_that_is_gone_is_not_moved() -> None:
    made = MappingTracker(frozenset({0xE1}), quiet=1.0)
    made.feed(mapping(), 10.0)
    assert made.decide(11.0, lambda _: None) is None


def test_only_the_port_changed() -> None:
    made = MappingTracker(frozenset({0xE1}), quiet=1.0)
    made.feed(mapping(saddr=str(C)), 10.0)
    wish = made.decide(11.0, at_old_place)
    assert str(wish) == f"local {A}, remote {C}, encap 4500:1025"


def test_what_never_rests_is_acted_on_in_the_end() -> None:
    made = MappingTracker(frozenset({0xE1}), quiet=1.0, patience=3.0)
    for n in range(40):
        made.feed(mapping(port=1025 + n), 10 + n / 10)
        assert (made.decide(10 + n / 10, at_old_place) is not None) is (n == 30)


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
        events, MappingTracker(frozenset({0xE1}), 0.01), at_old_place, move
    )
    assert next(made) is asked[0]
    assert len(asked) == 1
