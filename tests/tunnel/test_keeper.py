"""The set of open places, against a slow and obvious oracle."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pyxfrm.tunnel.keeper import RETRY, Keeper
from pyxfrm.tunnel.place import UDP, Place

PLACES = [Place(bytes((127, 0, 0, n)), UDP, 4500 + n % 2) for n in range(5)]
DRAIN = 1.0
places = st.frozensets(st.sampled_from(PLACES))


@dataclass
class Socket:
    """A socket that counts itself."""

    place: Place
    world: World

    def close(self) -> None:
        self.world.open.remove(self.place)


@dataclass
class World:
    """What is bound, and what cannot be."""

    open: list[Place] = field(default_factory=list)
    refused: frozenset[Place] = frozenset()

    def make(self, place: Place) -> Socket:
        if place in self.refused:
            raise OSError(99, "Cannot assign requested address")
        self.open.append(place)
        return Socket(place, self)


class Keeping(RuleBasedStateMachine):
    """Wishes, refusals and time, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.world = World()
        self.keeper = Keeper(self.world.make, DRAIN)
        self.wanted: frozenset[Place] = frozenset()
        self.left: dict[Place, float] = {}

    @rule(wanted=places)
    def want(self, wanted: frozenset[Place]) -> None:
        for place in self.wanted - wanted:
            if place in self.world.open:
                self.left[place] = self.now + DRAIN
        for place in wanted:
            self.left.pop(place, None)
        changed = self.keeper.want(wanted, self.now)
        assert changed == (wanted != self.wanted)
        self.wanted = wanted

    @rule(refused=places)
    def refuse(self, refused: frozenset[Place]) -> None:
        self.world.refused = refused

    @rule(seconds=st.sampled_from((0.01, RETRY, 0.4, DRAIN)))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.keeper.expire(self.now)
        self.left = {place: until for place, until in self.left.items() if until > self.now}

    @invariant()
    def nothing_is_open_twice_or_for_nobody(self) -> None:
        assert sorted(self.world.open) == sorted(self.keeper.places)
        assert self.keeper.places <= self.wanted | set(self.left)
        assert self.keeper.leaving == self.left

    @invariant()
    def what_is_wanted_is_open_or_tried_again_soon(self) -> None:
        for place in self.wanted:
            if place not in self.keeper.places:
                when, why = self.keeper.missing[place]
                assert when <= self.now + RETRY
                assert why == "Cannot assign requested address"
        assert set(self.keeper.missing) <= self.wanted

    @invariant()
    def it_says_when_to_look_again(self) -> None:
        times = [*self.left.values(), *(when for when, _ in self.keeper.missing.values())]
        assert self.keeper.deadline() == min(times, default=None)

    def teardown(self) -> None:
        self.keeper.close()
        assert not self.world.open


TestKeeping = Keeping.TestCase


def test_the_new_place_is_open_before_the_old_one_is_closed() -> None:
    world = World()
    keeper = Keeper(world.make, DRAIN)
    keeper.want(PLACES[:1], 0.0)
    keeper.want(PLACES[1:2], 5.0)
    assert set(world.open) == set(PLACES[:2])
    keeper.expire(5.0 + DRAIN)
    assert world.open == PLACES[1:2]


def test_a_place_that_comes_late_is_waited_for() -> None:
    world = World(refused=frozenset(PLACES))
    keeper = Keeper(world.make, DRAIN)
    keeper.want(PLACES[:1], 0.0)
    assert not world.open
    world.refused = frozenset()
    assert keeper.expire(RETRY)
    assert world.open == PLACES[:1]
    assert not keeper.missing


@given(places)
def test_close_closes_everything(wanted: frozenset[Place]) -> None:
    world = World()
    keeper = Keeper(world.make, DRAIN)
    keeper.want(wanted, 0.0)
    keeper.want((), 0.0)
    keeper.close()
    assert not world.open
    assert keeper.deadline() is None
