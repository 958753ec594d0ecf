"""Whatever happens, in whatever order: the invariants of :mod:`tests.simulation.world`, over 100,000 events and more."""

from __future__ import annotations

from collections import Counter

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
    assert world.moves + world.rekeys > 5
    assert any(world.delivered)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_nothing_is_lost_if_packets_may_wait(seed: int) -> None:
    world = World(seed, gentle=True)
    world.run(EVENTS)
    assert world.finish() == set()
    assert world.moves + world.rekeys > 5


def test_the_world_notices() -> None:
    """Without waiting and without old places the same moves do lose packets."""
    world = World(1, gentle=True)
    for host in world.hosts:
        host.datapath.moves.accept_old = 0.0
        host.datapath.moves.wait = lambda *_, **__: Hold(0.0, 0, None)  # type: ignore[method-assign]
    world.run(EVENTS)
    assert world.finish() != set()


def test_everything_happens() -> None:
    """Else the worlds would prove less than they say."""
    happened: Counter[str] = Counter()
    for seed in range(9):
        for gentle in (True, False):
            world = World(seed, gentle=gentle)
            world.run(EVENTS // 2)
            world.finish()
            happened.update(moves=world.moves, rekeys=world.rekeys, renumbered=world.renumbered)
            happened.update({"in batches": world.batches, "one by one": not world.batches})
            happened.update("hard" if hard else "soft" for _, _, hard in world.expired)
            happened.update(sum(world.counters, Counter()))
    wanted = {"moves", "rekeys", "renumbered", "in batches", "one by one", "hard", "soft"}
    drops = {"XfrmInNoStates", "XfrmInStateProtoError", "XfrmInStateSeqError", "XfrmOutStateExpired", "XfrmOutNoStates", "XfrmInStateExpired"}  # fmt: skip
    assert {name for name in wanted | drops if not happened[name]} == set()
