"""Both ends in one procedure: planned together, moved in step, cut anywhere, and never at different ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pyxfrm.client import Xfrm
from pyxfrm.model import Direction, Encap, Policy, ReplayState, Sa
from pyxfrm.relocation.describe import describe
from pyxfrm.relocation.driver import Driver
from pyxfrm.relocation.facts import Features
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import Options, Strategy, Why
from pyxfrm.relocation.plan import make_pair
from pyxfrm.relocation.sight import Target, arrived
from pyxfrm.relocation.ways.hold import LARVAL_DROP
from pyxfrm.relocation.wish import Wish
from tests.relocation.cutting import CutEnd, CutJournal, CutTransport, Fuse, Killed, every
from tests.relocation.test_crash import look_at
from tests.relocation.traffic import Traffic
from tests.relocation.world import A, B, C, D, World, child, policy, sa

LOCAL = Wish(local=A, new_local=B, remote=C)
BOTH = Wish(local=A, new_local=B, remote=C, new_remote=D)


def other_end(encap: Encap | None = None) -> tuple[list[Sa], list[Policy]]:
    """The same Child SA as :func:`tests.relocation.world.child`, seen from C."""
    back = Encap(encap.dport, encap.sport) if encap else None
    spi = 0xC0000010
    sas = [sa(A, C, spi + 1, encap=encap), sa(C, A, spi + 2, encap=back)]
    policies = [
        policy(way, nets, (C, A))
        for nets in (("10.2.0.0/16", "10.1.0.0/16"), ("fd02::/64", "fd01::/64"))
        for way in (Direction.OUT, Direction.IN, Direction.FWD)
    ]
    return sas, policies


class Pair:
    def __init__(self, tmp: Path, wish: Wish, options: Options, window: int = 128) -> None:
        halves = {"one": child(), "two": other_end()}
        worlds = [
            World(tmp, [replace(sa, replay=ReplayState.of(window)) for sa in sas], policies, name=n)
            for n, (sas, policies) in halves.items()
        ]
        self.worlds = (worlds[0], worlds[1])
        features = Features(dual=True)
        facts = [world.facts(features=features) for world in worlds]
        self.plans = make_pair(wish, (facts[0], facts[1]), options)
        for plan in self.plans:
            plan.check()
        self.traffics = [
            Traffic(world.engine, [p.old for p in plan.policies])
            for world, plan in zip(self.worlds, self.plans, strict=True)
        ]
        self.tmp = tmp

    def burst(self) -> None:
        for traffic in self.traffics:
            traffic.burst(2)

    def driver(self, fuse: Fuse) -> Driver:
        fuse.each = self.burst
        ends = []
        for world in self.worlds:
            inner = world.end()
            inner.xfrm = Xfrm(transport=CutTransport(world.host.connect(), fuse), timeout=0.05)
            ends.append(CutEnd(inner, fuse))
        journal = CutJournal(self.tmp / "journal.db", fuse)
        return Driver(ends, journal, hurry=False, sleep=lambda _: self.burst())

    def check(self, state: State) -> None:
        assert state in (State.MOVED, State.AS_BEFORE)
        target = Target.NEW if state is State.MOVED else Target.OLD
        for world, plan in zip(self.worlds, self.plans, strict=True):
            sight = world.driver().run(look_at(plan))
            assert arrived(plan, sight, target)
            assert world.settings[LARVAL_DROP] == "1"
        self.burst()


CASES = {
    "gap-local": (LOCAL, Options(strategy=Strategy.GAP)),
    "gap-both": (BOTH, Options(strategy=Strategy.GAP)),
    "hold-local": (LOCAL, Options(strategy=Strategy.HOLD)),
    "hold-both": (BOTH, Options(strategy=Strategy.HOLD)),
    "migrate-state": (BOTH, Options(strategy=Strategy.MIGRATE_STATE)),
}


@pytest.mark.parametrize("name", CASES)
def test_both_ends_move(name: str, tmp_path: Path) -> None:
    pair = Pair(tmp_path, *CASES[name])
    outcome = pair.driver(Fuse()).relocate(*pair.plans)
    assert outcome.troubles == ()
    assert outcome.state is State.MOVED
    pair.check(outcome.state)
    if name.startswith("hold"):
        sent = [t.sent for t in pair.traffics]
        assert all(sent)


@pytest.mark.parametrize("abort", [False, True], ids=["resume", "abort"])
@pytest.mark.parametrize("name", CASES)
def test_death_after_every_step_of_a_pair(name: str, abort: bool, tmp_path: Path) -> None:
    die_and_go_on(name, abort, tmp_path, every(7))


def die_and_go_on(name: str, abort: bool, tmp_path: Path, stride: int) -> None:
    counting = Fuse()
    pair = Pair(tmp_path / "undisturbed", *CASES[name])
    pair.driver(counting).relocate(*pair.plans)
    ends = set()
    for left in range(0, counting.burnt, stride):
        pair = Pair(tmp_path / str(left), *CASES[name])
        with pytest.raises(Killed):
            pair.driver(Fuse(left)).relocate(*pair.plans)
        driver = pair.driver(Fuse())
        if driver.unfinished() is None:
            continue
        outcome = driver.resume(abort=abort)
        pair.check(outcome.state)
        ends.add(outcome.state)
    assert (State.AS_BEFORE if abort else State.MOVED) in ends


def test_a_gap_leaves_no_old_sa_and_jumps_at_both_ends(tmp_path: Path) -> None:
    pair = Pair(tmp_path, *CASES["gap-local"])
    pair.driver(Fuse()).relocate(*pair.plans)
    (receiver,) = [r.sa for r in pair.worlds[0].xfrm.sas() if r.daddr == B]
    (sender,) = [r.sa for r in pair.worlds[1].xfrm.sas() if r.daddr == B]
    assert sender.replay.oseq >= pair.plans[0].jump
    assert receiver.replay.seq >= pair.plans[0].jump
    assert receiver.replay.bitmap == (1 << 128) - 1


def test_plans_of_a_pair_have_one_strategy(tmp_path: Path) -> None:
    one = World(tmp_path, *child(), name="one")
    two = World(tmp_path, *other_end(), name="two")
    no_hold = Features(migrate_state=True, keys=False, hold=False)
    first, second = make_pair(BOTH, (one.facts(), two.facts(features=no_hold)))
    assert first.strategy is second.strategy is Strategy.MIGRATE_STATE


def test_an_sa_at_one_end_only_is_refused(tmp_path: Path) -> None:
    one = World(tmp_path, *child(), name="one")
    sas, policies = other_end()
    two = World(tmp_path, sas[:1], policies, name="two")
    first, _ = make_pair(BOTH, (one.facts(), two.facts()))
    assert Why.PAIR in {r.why for r in first.refusals}


def test_a_pair_is_resumed_with_both_ends(tmp_path: Path) -> None:
    from pyxfrm.errors import UsageError

    pair = Pair(tmp_path, *CASES["gap-both"])
    with pytest.raises(Killed):
        pair.driver(Fuse(12)).relocate(*pair.plans)
    alone = pair.worlds[0].driver()
    assert alone.unfinished() is not None
    with pytest.raises(UsageError, match="name both ends"):
        alone.resume()


def commands_of(pair: Pair, driver: Driver) -> list[str]:
    moments: list[str] = []
    driver.listener = lambda moment: moments.append(describe(moment.command))
    driver.relocate(*pair.plans)
    return moments


def test_with_tc_the_receiver_moves_before_its_sender(tmp_path: Path) -> None:
    """tc makes of packets for the old place packets for the new one, not the other way round.

    And it is slow: the number that the cut is made from is read after it.
    """
    options = Options(strategy=Strategy.GAP, dual="eth0", drain=0.01)
    pair = Pair(tmp_path, LOCAL, options, window=2048)
    driver = pair.driver(Fuse())
    rules: list[bool] = []
    for end in driver.ends:
        end.dual_accept = lambda rule, *, on: rules.append(on)  # type: ignore[method-assign]
    done = commands_of(pair, driver)
    assert rules == [True, False]
    taken = next(n for n, words in enumerate(done) if words.startswith("take"))
    read = next(n for n, words in enumerate(done) if words.startswith("read c0"))
    assert taken < read
    script = next(words for words in done if words.startswith("script"))
    moved = script.index("migrate c0000012@192.0.2.10")
    assert moved < script.index("copy to c0000012@203.0.113.10") < script.index("wait")
    pair.check(State.MOVED)
