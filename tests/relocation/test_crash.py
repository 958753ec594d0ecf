"""Death after every single effect, for every strategy, then resume or abort: three ends, and no fourth.

At every effect packets are sent through the engine's policies: none leaves in clear, no key meets a number twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, Profile
from pyxfrm.client import Xfrm
from pyxfrm.model import REMOVE, Encap, Policy, PolicyType, Sa
from pyxfrm.relocation.blocks import Guard
from pyxfrm.relocation.commands import Sight
from pyxfrm.relocation.driver import Driver
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import Options, Plan, Strategy
from pyxfrm.relocation.run import Steps
from pyxfrm.relocation.sight import Target, arrived, look_for
from pyxfrm.relocation.steps import Outcome
from pyxfrm.relocation.ways.hold import LARVAL_DROP
from pyxfrm.relocation.wish import Wish
from tests.relocation.cutting import CutEnd, CutJournal, CutTransport, Fuse, Killed, every
from tests.relocation.traffic import Traffic
from tests.relocation.world import A6, C6, A, B, C, D, World, beet_pair, child, host_pair


@dataclass(frozen=True)
class Case:
    wish: Wish
    options: Options
    make: Callable[[], tuple[list[Sa], list[Policy]]] = child
    profile: Profile = LINUX_7_2


LOCAL = Wish(local=A, new_local=B)
BOTH = Wish(local=A, new_local=B, remote=C, new_remote=D)
REMOTE = Wish(remote=C, new_remote=D)
TO_V6 = Wish(local=A, new_local=A6, remote=C, new_remote=C6)
NAT = Wish(local=A, encap=Encap(4500, 4500))
NO_NAT = Wish(local=A, new_local=B, encap=REMOVE)
REQID = Wish(local=A, reqid=77)
PORT = Wish(local=A, encap=Encap(4500, 4777))


def natted() -> tuple[list[Sa], list[Policy]]:
    return child(encap=Encap(4500, 4501))


def per_cpu() -> tuple[list[Sa], list[Policy]]:
    """Beside the outbound SA for any CPU one for CPU 0: same addresses, same reqid, another SPI."""
    sas, policies = child(directed=True)
    out = sas[0]
    mine = replace(out, id=replace(out.id, spi=out.id.spi + 4), cpu=0)
    return [*sas, mine], policies


def sub_policies() -> tuple[list[Sa], list[Policy]]:
    """Sub policies are asked before main ones, and have names of their own."""
    sas, policies = child()
    return sas, [replace(p, type=PolicyType.SUB) for p in policies]


def three() -> tuple[list[Sa], list[Policy]]:
    sas, policies = [], []
    for number in (1, 2, 3):
        more, others = child(number=number)
        sas += more
        policies += others
    return sas, policies


def _all(strategy: Strategy, wishes: dict[str, Wish], **more: object) -> dict[str, Case]:
    options = Options(strategy=strategy, **more)  # type: ignore[arg-type]
    return {
        f"{strategy.value}-{name}": Case(wish, options, natted if wish is NO_NAT else child)
        for name, wish in wishes.items()
    }


EVERY = {
    "local": LOCAL,
    "both": BOTH,
    "remote": REMOTE,
    "v6": TO_V6,
    "nat": NAT,
    "no-nat": NO_NAT,
    "reqid": REQID,
}
CASES = {
    **_all(Strategy.MIGRATE_STATE, EVERY),
    **_all(Strategy.HOLD, EVERY),
    **_all(Strategy.RECREATE, EVERY),
    **_all(Strategy.GAP, {k: EVERY[k] for k in ("both", "remote", "v6")}),
    **_all(Strategy.MIGRATE, {k: EVERY[k] for k in ("local", "both", "v6", "no-nat")}),
    "migrate-old": Case(BOTH, Options(strategy=Strategy.MIGRATE), profile=LINUX_6_12),
    "gap-recreate-both": Case(BOTH, Options(strategy=Strategy.GAP), profile=LINUX_6_12),
    "gap-recreate-remote": Case(REMOTE, Options(strategy=Strategy.GAP), profile=LINUX_6_12),
    "gap-recreate-v6": Case(TO_V6, Options(strategy=Strategy.GAP), profile=LINUX_6_12),
    "split": Case(LOCAL, Options(strategy=Strategy.MIGRATE_STATE, split=True)),
    "overlay": Case(LOCAL, Options(strategy=Strategy.MIGRATE_STATE, guard=Guard.OVERLAY)),
    "templates": Case(LOCAL, Options(strategy=Strategy.MIGRATE_STATE, guard=Guard.TEMPLATES)),
    "hosts": Case(LOCAL, Options(strategy=Strategy.MIGRATE_STATE), host_pair),
    "hosts-v6": Case(TO_V6, Options(strategy=Strategy.MIGRATE_STATE), host_pair),
    "beet-v6": Case(TO_V6, Options(strategy=Strategy.HOLD), beet_pair),
    "hosts-recreate": Case(LOCAL, Options(strategy=Strategy.RECREATE), host_pair),
    "port": Case(PORT, Options(strategy=Strategy.HOLD), natted),
    "port-recreate": Case(PORT, Options(strategy=Strategy.RECREATE), natted),
    "cpus": Case(LOCAL, Options(strategy=Strategy.MIGRATE_STATE), per_cpu),
    "cpus-hold": Case(BOTH, Options(strategy=Strategy.HOLD), per_cpu),
    "sub": Case(BOTH, Options(strategy=Strategy.HOLD), sub_policies),
    "three": Case(LOCAL, Options(strategy=Strategy.MIGRATE_STATE), three),
}


class Scene:
    """A world with traffic, and processes that may die in it."""

    def __init__(self, case: Case, tmp: Path) -> None:
        sas, policies = case.make()
        self.world = World(tmp, sas, policies, profile=case.profile)
        self.plan = self.world.plan(case.wish, case.options)
        self.traffic = Traffic(self.world.engine, policies)
        for move in self.plan.policies:
            if not move.in_place:
                self.traffic.add_alternative(move.old, move.new)
        self.traffic.burst()

    def driver(self, fuse: Fuse) -> Driver:
        fuse.each = self.traffic.burst
        inner = self.world.end()
        inner.xfrm = Xfrm(transport=CutTransport(self.world.host.connect(), fuse), timeout=0.05)
        journal = CutJournal(self.world.tmp / "journal.db", fuse)
        return Driver(
            [CutEnd(inner, fuse)],
            journal,
            hurry=False,
            sleep=lambda _: self.traffic.burst(),
        )

    def check(self, outcome: Outcome) -> None:
        sight = self.world.driver().run(look_at(self.plan))
        if outcome.state is State.MOVED:
            assert arrived(self.plan, sight, Target.NEW)
        elif outcome.state is State.AS_BEFORE:
            assert arrived(self.plan, sight, Target.OLD)
        else:
            assert outcome.state is State.LOST
            assert outcome.lost
        assert self.world.settings[LARVAL_DROP] == "1"
        self.traffic.burst()
        assert self.world.driver().unfinished() is None


def look_at(plan: Plan) -> Steps[Sight]:
    sight: Sight = yield look_for(plan)
    return sight


def steps_of(case: Case, tmp: Path) -> int:
    """Effects of an undisturbed run."""
    scene = Scene(case, tmp)
    fuse = Fuse()
    outcome = scene.driver(fuse).relocate(scene.plan)
    assert outcome.state is State.MOVED
    scene.check(outcome)
    assert scene.traffic.sent
    return fuse.burnt


# One case for each way of working dies at every step always; the others with PYXFRM_EXHAUSTIVE.
FIRST = (
    "migrate-state-both",
    "hold-both",
    "recreate-both",
    "recreate-nat",
    "gap-both",
    "migrate-both",
    "hosts",
    "overlay",
)


@pytest.mark.parametrize("abort", [False, True], ids=["resume", "abort"])
@pytest.mark.parametrize("name", CASES)
def test_death_after_every_step(name: str, abort: bool, tmp_path: Path) -> None:
    die_and_go_on(name, abort, tmp_path, 1 if name in FIRST else every(5))


def die_and_go_on(name: str, abort: bool, tmp_path: Path, stride: int) -> None:
    case = CASES[name]
    total = steps_of(case, tmp_path / "undisturbed")
    ends: set[State] = set()
    for left in range(0, total, stride):
        scene = Scene(case, tmp_path / str(left))
        with pytest.raises(Killed):
            scene.driver(Fuse(left)).relocate(scene.plan)
        driver = scene.driver(Fuse())
        if driver.unfinished() is None:
            continue
        outcome = driver.resume(abort=abort)
        scene.check(outcome)
        ends.add(outcome.state)
    assert ends <= {State.MOVED, State.AS_BEFORE, State.LOST}
    assert (State.AS_BEFORE if abort else State.MOVED) in ends
    if "recreate" not in name:
        assert State.LOST not in ends
