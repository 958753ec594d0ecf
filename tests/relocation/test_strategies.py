"""Which strategy is taken, and why another one is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyxfrm.model import (
    REMOVE,
    Action,
    Direction,
    Encap,
    Mark,
    Policy,
    PolicyType,
    ReplayState,
    network,
)
from pyxfrm.relocation.blocks import Guard
from pyxfrm.relocation.facts import Facts, Features
from pyxfrm.relocation.moves import Options, Plan, Strategy, Why
from pyxfrm.relocation.plan import make_pair
from pyxfrm.relocation.strategies import LEAST_JUMP, NOBODY
from pyxfrm.relocation.wish import Wish
from tests.relocation.test_pair import other_end
from tests.relocation.test_plan import LOCAL, plan_of, whys
from tests.relocation.world import A6, C6, A, B, C, D, child, host_pair

ALL = Features(migrate_state=True, migrate=True, keys=True, hold=True)


@pytest.mark.parametrize(
    ("features", "wish", "strategy"),
    [
        (ALL, LOCAL, Strategy.HOLD),
        (replace(ALL, hold=False), LOCAL, Strategy.MIGRATE_STATE),
        (replace(ALL, hold=False), Wish(remote=C, new_remote=D), Strategy.GAP),
        (replace(ALL, migrate_state=False), LOCAL, Strategy.MIGRATE),
        (replace(ALL, migrate_state=False), Wish(local=A, reqid=9), Strategy.RECREATE),
        (replace(ALL, migrate_state=False, migrate=False), LOCAL, Strategy.RECREATE),
    ],
)
def test_the_best_strategy_that_the_kernel_allows(
    features: Features, wish: Wish, strategy: Strategy
) -> None:
    plan = plan_of(*child(), wish=wish, features=features)
    assert plan.strategy is strategy
    assert plan.refusals == ()
    assert plan.cannot


def test_no_strategy_at_all() -> None:
    """42: lockdown, and no message."""
    none = Features(migrate_state=False, migrate=False, keys=False, hold=False)
    assert Why.STRATEGY in whys(plan_of(*child(), features=none))


def refused(options: Options, wish: Wish = LOCAL, **facts: object) -> str:
    sas, policies = child()
    plan = plan_of(sas, policies, wish=wish, options=options, **facts)
    return " / ".join(r.text for r in plan.refusals)


def test_hold_says_why_not() -> None:
    asked = Options(strategy=Strategy.HOLD)
    busy = {child()[0][0].id: 50_000.0}
    assert "80 are safe" in refused(asked, rates=busy)
    assert "packets would wait" in refused(asked, rates={child()[0][0].id: 5_000.0}, delay=0.05)
    assert refused(asked, rates={child()[0][0].id: 5_000.0}) == ""
    assert "larval_drop" in refused(asked, features=replace(ALL, hold=False))
    sas, policies = child()
    named = [
        replace(p, templates=(replace(p.templates[0], spi=sas[0].id.spi),)) for p in policies[:1]
    ]
    plan = plan_of(sas, named, options=asked)
    assert any("names an SPI" in r.text for r in plan.refusals)
    odd = [*sas, replace(sas[0], id=replace(sas[0].id, spi=0xBAD), reqid=NOBODY)]
    plan = plan_of(odd, policies, options=asked)
    assert any("which is for policies that wait" in r.text for r in plan.refusals)
    small = [sas[0], replace(sas[1], replay=ReplayState.of(32))]
    plan = plan_of(small, policies, options=asked, rates={sas[0].id: 10_000.0})
    assert any("replay window under 128" in r.text for r in plan.refusals)


def test_gap_says_why_not() -> None:
    asked = Options(strategy=Strategy.GAP)
    assert "same place" in refused(asked)
    remote = Wish(remote=C, new_remote=D)
    assert refused(asked, wish=remote) == ""
    assert "no keys" in refused(asked, wish=remote, features=replace(ALL, keys=False))


def test_gap_on_a_kernel_without_migrate_state() -> None:
    """What cannot be copied is recreated, if that is asked for by name; both ends in step are not."""
    old = replace(ALL, migrate_state=False)
    both = Wish(local=A, new_local=B, remote=C, new_remote=D)
    plan = plan_of(*child(), wish=both, options=Options(strategy=Strategy.GAP), features=old)
    assert plan.refusals == ()
    assert any("replayed once" in text for text in plan.cannot)
    assert plan_of(*child(), wish=both, features=old).strategy is Strategy.MIGRATE
    gap = Options(strategy=Strategy.GAP)
    (sas, policies), (more, others) = child(), other_end()
    here = Facts(tuple(sas), tuple(policies), features=old)
    there = Facts(tuple(more), tuple(others), features=old)
    assert make_pair(both, (here, there), gap)[0].refusals == ()
    first, _ = make_pair(Wish(local=A, new_local=B, remote=C), (here, there), gap)
    assert "in step with its peer takes MIGRATE_STATE" in first.refusals[0].text


@pytest.mark.parametrize("strategy", [Strategy.MIGRATE, Strategy.RECREATE])
def test_what_copies_an_sa_needs_traffic_to_be_blocked(strategy: Strategy) -> None:
    asked = Options(strategy=strategy, guard=Guard.TEMPLATES)
    assert "traffic must be blocked while an SA is copied" in refused(asked)
    assert refused(replace(asked, guard=Guard.IN_PLACE)) == ""
    sas, policies = child()
    over = replace(asked, guard=Guard.OVERLAY)
    for priority, wins in ((5, strategy is Strategy.RECREATE), (0, False)):
        plan = plan_of(sas, [replace(p, priority=priority) for p in policies], options=over)
        assert (plan.refusals == ()) is wins, priority


def test_migrate_says_why_not() -> None:
    asked = Options(strategy=Strategy.MIGRATE)
    assert refused(asked) == ""
    assert "reqid" in refused(asked, wish=Wish(local=A, new_local=B, reqid=9))
    old = replace(ALL, migrate_state=False)
    removal = Wish(local=A, new_local=B, encap=REMOVE)
    assert "before Linux 7.2" in refused(asked, wish=removal, features=old)
    sas, policies = child()
    twin = replace(sas[0], id=replace(sas[0].id, spi=0xE9))
    plan = plan_of([*sas, twin], policies, options=asked)
    assert any("here are several" in r.text for r in plan.refusals)
    marked_ = [replace(p, mark=Mark(1, 1)) for p in policies]
    plan = plan_of(sas, marked_, options=asked)
    assert any("with a mark" in r.text for r in plan.refusals)
    rival = Policy(
        Direction.OUT, policies[0].sel, priority=1, action=Action.BLOCK, type=PolicyType.MAIN
    )
    rival = replace(rival, sel=replace(policies[0].sel, saddr=network("10.0.0.0/8")))
    plan = plan_of(sas, [*policies, rival], options=asked)
    assert any("in its place" in r.text for r in plan.refusals)
    plan = plan_of(*host_pair(), options=asked)
    assert any("explicit tunnel addresses" in r.text for r in plan.refusals)


def test_the_drain_follows_the_delay() -> None:
    assert plan_of(*child()).drain == 0.001
    assert plan_of(*child(), delay=0.005).drain == pytest.approx(0.008)
    assert plan_of(*child(), delay=0.005, options=Options(drain=0.5)).drain == 0.5


def test_the_jump_follows_the_rate() -> None:
    sas, policies = child()
    assert plan_of(sas, policies).jump == LEAST_JUMP
    slow, fast = (plan_of(sas, policies, rates={sas[0].id: rate}) for rate in (5e3, 5e6))
    assert slow.jump == LEAST_JUMP
    assert fast.jump > 5e6


# -- tc --------------------------------------------------------------------------------------------

TC = replace(ALL, dual=True)
GAP = Options(strategy=Strategy.GAP, dual="eth0")
BOTH = Wish(local=A, new_local=B, remote=C, new_remote=D)


def test_who_asks_for_tc_gets_gap() -> None:
    plan = plan_of(*child(), wish=BOTH, options=Options(dual="eth0"), features=TC)
    assert (plan.strategy, plan.refusals) == (Strategy.GAP, ())
    asked = Options(strategy=Strategy.HOLD, dual="eth0")
    assert "belongs to gap" in refused(asked, wish=BOTH, features=TC)


def test_tc_says_why_not() -> None:
    assert refused(GAP, wish=BOTH, features=TC) == ""
    assert "tc is not at hand" in refused(GAP, wish=BOTH, features=ALL)
    remote = Wish(remote=C, new_remote=D)
    assert "nothing to take" in refused(GAP, wish=remote, features=TC)
    v6 = Wish(local=A, new_local=A6, remote=C, new_remote=C6)
    assert "IPv4 alone" in refused(GAP, wish=v6, features=TC)
    (sas, policies), (more, others) = child(encap=Encap(4500, 4500)), child(number=2)
    plan = plan_of(sas + more, policies + others, wish=BOTH, options=GAP, features=TC)
    assert any("some are not" in r.text for r in plan.refusals)


def pair_of(options: Options, wish: Wish = BOTH, window: int = 4096) -> tuple[Plan, Plan]:
    facts = []
    for sas, policies in (child(), other_end()):
        wide = [replace(sa, replay=ReplayState.of(window)) for sa in sas]
        facts.append(Facts(tuple(wide), tuple(policies), features=TC))
    return make_pair(wish, (facts[0], facts[1]), options)


def test_each_end_of_a_pair_has_its_own_device() -> None:
    first, second = pair_of(Options(dual="eth0", peer_dual="eth1"))
    assert (first.options.dual, second.options.dual) == ("eth0", "eth1")
    assert first.jump == second.jump == 256
    assert not first.refusals + second.refusals


def test_one_window_for_both_sides_of_the_gap() -> None:
    plans = pair_of(Options(dual="eth0"), wish=Wish(local=A, new_local=B, remote=C), window=128)
    assert "replay window of 128 is narrower" in " ".join(r.text for r in plans[0].refusals)


def test_what_gap_cannot_copy_waits_and_has_the_limits_of_hold() -> None:
    """The first end's outbound SA keeps its destination."""
    (sas, policies), (more, others) = child(), other_end()
    there = Facts(tuple(more), tuple(others), features=ALL)
    for rate, word in ((1_000.0, ""), (50_000.0, "packets would wait")):
        here = Facts(tuple(sas), tuple(policies), features=ALL, rates={sas[0].id: rate})
        first, _ = make_pair(LOCAL, (here, there), Options(strategy=Strategy.GAP))
        text = " ".join(r.text for r in first.refusals)
        assert (word in text) if word else not text
