"""Whatever happens, in whatever order: the invariants of :mod:`tests.simulation.world`, over 100,000 events and more."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pyxfrm.engine.datapath import Hold
from tests.simulation.world import World

EVENTS = 2500
seeds = st.integers(0, (1 << 32) - 1)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_a_bad_network(seed: int) -> None:
    world = World(seed, gentle=False)
    world.run(EVENTS)
    world.finish()
    assert world.moves > 5
    assert any(world.delivered)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_nothing_is_lost_by_a_move_if_packets_may_wait(seed: int) -> None:
    world = World(seed, gentle=True)
    world.run(EVENTS)
    assert world.finish() == set()
    assert world.moves > 5


def test_the_world_notices() -> None:
    """Without waiting and without old places the same moves do lose packets."""
    world = World(1, gentle=True)
    for host in world.hosts:
        host.datapath.moves.accept_old = 0.0
        host.datapath.moves.wait = lambda *_, **__: Hold(0.0, 0, None)  # type: ignore[method-assign]
    world.run(EVENTS)
    assert world.finish() != set()
