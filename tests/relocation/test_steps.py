"""Playbooks: what each strategy asks, in which order, and what it makes of the replies."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from pyxfrm.errors import TransportError
from pyxfrm.model import Direction, Encap, Policy, Sa
from pyxfrm.relocation.blocks import Guard
from pyxfrm.relocation.commands import UNKNOWN, Failed
from pyxfrm.relocation.facts import Facts, Features
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import Options, Plan, Strategy
from pyxfrm.relocation.plan import make_plan
from pyxfrm.relocation.steps import relocate, resume
from pyxfrm.relocation.strategies import NOBODY
from pyxfrm.relocation.wish import Wish
from tests.relocation.playbook import NEW, OK, OLD, Playbook, script_reply, sight
from tests.relocation.world import KEY, NETS, A, B, C, D, child, host_pair, policy, sa

ALL = Features(migrate_state=True, migrate=True, keys=True, hold=True)


def small() -> tuple[list[Sa], list[Policy]]:
    """One SA and one policy each way."""
    sas = [sa(A, C, 0xC1), sa(C, A, 0xC2)]
    return sas, [policy(way, NETS, (A, C)) for way in (Direction.OUT, Direction.IN)]


def plan_for(
    strategy: Strategy,
    wish: Wish | None = None,
    *,
    world: tuple[list[Sa], list[Policy]] | None = None,
    **options: object,
) -> Plan:
    sas, policies = small() if world is None else world
    plan = make_plan(
        wish or Wish(local=A, new_local=B),
        Facts(tuple(sas), tuple(policies), features=ALL),
        Options(strategy=strategy, **options),  # type: ignore[arg-type]
    )
    plan.check()
    return replace(plan, jump=4096)


def opening(book: Playbook, plan: Plan) -> None:
    book << "read counters at 0" >> {"OutPolBlock": 1}
    book << "look at 0" >> sight(plan)
    book << "journal moving" >> None
    book << "look at 0" >> sight(plan)


def closing(book: Playbook, plan: Plan) -> None:
    book << "look at 0" >> sight(plan, NEW, NEW)
    book << "journal moved" >> None
    book << "read counters at 0" >> {"OutPolBlock": 4}


BLOCK_AND_MOVE = """script
    send to 0
      migrate 000000c2@192.0.2.10 to 198.51.100.1>203.0.113.10/1
      set in 10.2.0.0/16 10.1.0.0/16 via 198.51.100.1>203.0.113.10/1
      block out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.1/1
      migrate 000000c1@198.51.100.1 to 203.0.113.10>198.51.100.1/1
      set out 10.1.0.0/16 10.2.0.0/16 via 203.0.113.10>198.51.100.1/1"""

MOVE_BACK = """script
    send to 0
      migrate 000000c2@203.0.113.10 to 198.51.100.1>192.0.2.10/1
      set in 10.2.0.0/16 10.1.0.0/16 via 198.51.100.1>192.0.2.10/1"""


def test_migrate_state_is_one_send() -> None:
    """Two MIGRATE_STATE calls, and the outbound SA is blocked only while it moves."""
    plan = plan_for(Strategy.MIGRATE_STATE)
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    book << BLOCK_AND_MOVE >> OK
    closing(book, plan)
    outcome = book.play()
    assert outcome.state is State.MOVED
    assert outcome.account == ({"OutPolBlock": 3},)


def test_two_migrate_state_calls_for_a_dual_stack_child() -> None:
    from pyxfrm.relocation.commands import Migrate, Script

    plan = plan_for(Strategy.MIGRATE_STATE, world=child())
    steps = relocate((plan,))
    next(steps)
    steps.send({})
    steps.send(sight(plan))
    steps.send(None)
    script = steps.send(sight(plan))
    assert isinstance(script, Script)
    (batch,) = script.parts
    assert sum(isinstance(c, Migrate) for c in batch.commands) == 2  # type: ignore[union-attr]


def test_an_overlay_goes_last_in_a_send_of_its_own() -> None:
    plan = plan_for(Strategy.MIGRATE_STATE, guard=Guard.OVERLAY)
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    (
        book
        << """script
             send to 0
               migrate 000000c2@192.0.2.10 to 198.51.100.1>203.0.113.10/1
               set in 10.2.0.0/16 10.1.0.0/16 via 198.51.100.1>203.0.113.10/1
               block out 10.1.0.0/16 10.2.0.0/16 by overlay
               migrate 000000c1@198.51.100.1 to 203.0.113.10>198.51.100.1/1
               set out 10.1.0.0/16 10.2.0.0/16 via 203.0.113.10>198.51.100.1/1"""
        >> OK
    )
    book << "script\n  send to 0\n    unblock out 10.1.0.0/16 10.2.0.0/16" >> OK
    closing(book, plan)
    assert book.play().state is State.MOVED


def test_hosts_get_new_policies_before_the_old_ones_go() -> None:
    plan = plan_for(Strategy.MIGRATE_STATE, world=host_pair())
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    (
        book
        << """script
             send to 0
               migrate 000000d2@192.0.2.10 to 198.51.100.1>203.0.113.10/1 host-to-host
               add in 198.51.100.1/32 203.0.113.10/32 via 0.0.0.0>0.0.0.0/1
               block out 192.0.2.10/32 198.51.100.1/32 via 0.0.0.0>0.0.0.0/1
               migrate 000000d1@198.51.100.1 to 203.0.113.10>198.51.100.1/1 host-to-host
               add out 203.0.113.10/32 198.51.100.1/32 via 0.0.0.0>0.0.0.0/1"""
        >> OK
    )
    (
        book
        << """script
             send to 0
               remove out 192.0.2.10/32 198.51.100.1/32
               remove in 198.51.100.1/32 192.0.2.10/32"""
        >> OK
    )
    closing(book, plan)
    assert book.play().state is State.MOVED


def test_a_refused_addition_is_followed_by_no_removal() -> None:
    """A batch does not stop at an error, so what removes stands in another one."""
    plan = plan_for(Strategy.MIGRATE_STATE, world=host_pair())
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    (
        book
        << """script
             send to 0
               migrate 000000d2@192.0.2.10 to 198.51.100.1>203.0.113.10/1 host-to-host
               add in 198.51.100.1/32 203.0.113.10/32 via 0.0.0.0>0.0.0.0/1
               block out 192.0.2.10/32 198.51.100.1/32 via 0.0.0.0>0.0.0.0/1
               migrate 000000d1@198.51.100.1 to 203.0.113.10>198.51.100.1/1 host-to-host
               add out 203.0.113.10/32 198.51.100.1/32 via 0.0.0.0>0.0.0.0/1"""
        >> script_reply((".", ".", ".", ".", errno.EEXIST))
    )
    book << "look at 0" >> sight(plan, NEW, OLD)
    book << "journal returning: InstallPolicy: errno 17" >> None
    book << "look at 0" >> sight(plan, OLD, OLD)
    book << "journal as before" >> None
    book << "read counters at 0" >> {}
    assert book.play().state is State.AS_BEFORE


def test_the_old_message_keeps_templates_on_the_block() -> None:
    """MIGRATE finds a policy by a packet, and its templates by their addresses: an in-place block has both."""
    plan = plan_for(Strategy.MIGRATE)
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    (
        book
        << """script
             send to 0
               block out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.1/1
               migrate by policy out 10.1.0.0/16 10.2.0.0/16
               migrate by policy in 10.2.0.0/16 10.1.0.0/16
               set in 10.2.0.0/16 10.1.0.0/16 via 198.51.100.1>203.0.113.10/1
               set out 10.1.0.0/16 10.2.0.0/16 via 203.0.113.10>198.51.100.1/1"""
        >> OK
    )
    closing(book, plan)
    assert book.play().state is State.MOVED


HOLD = """script
    send to 0
      set out 10.1.0.0/16 10.2.0.0/16 via 203.0.113.10>198.51.100.1/1
    wait 1 ms
    send to 0
      migrate 000000c2@192.0.2.10 to 198.51.100.1>203.0.113.10/1
      migrate 000000c1@198.51.100.1 to 203.0.113.10>198.51.100.1/1
      set in 10.2.0.0/16 10.1.0.0/16 via 198.51.100.1>203.0.113.10/1
      set out 10.1.0.0/16 10.2.0.0/16 via 203.0.113.10>198.51.100.1/1"""


def test_hold_sends_the_same_policy_twice() -> None:
    """New templates first, drain, move, and the same UPDPOLICY again as the kick."""
    plan = plan_for(Strategy.HOLD)
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    book << "set net.core.xfrm_larval_drop 0 at 0" >> None
    book << HOLD >> OK
    book << "wait 200 ms" >> None
    book << "put back net.core.xfrm_larval_drop at 0" >> None
    closing(book, plan)
    assert book.play().state is State.MOVED


def test_hold_holds_where_the_templates_stay() -> None:
    """A NAT appears: the same templates would find the old SA, so nothing would wait."""
    plan = plan_for(Strategy.HOLD, Wish(local=A, encap=Encap(4500, 4500)))
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    book << "set net.core.xfrm_larval_drop 0 at 0" >> None
    (
        book
        << f"""script
             send to 0
               set out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.1/{NOBODY}
             wait 1 ms
             send to 0
               migrate 000000c2@192.0.2.10 to 198.51.100.1>192.0.2.10/1 encap 4500:4500
               migrate 000000c1@198.51.100.1 to 192.0.2.10>198.51.100.1/1 encap 4500:4500
               set out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.1/1"""
        >> OK
    )
    book << "wait 200 ms" >> None
    book << "put back net.core.xfrm_larval_drop at 0" >> None
    closing(book, plan)
    assert book.play().state is State.MOVED


def test_hold_refused_is_kicked_back_onto_the_old_sa() -> None:
    """No block on the way back: it would drop what waits."""
    plan = plan_for(Strategy.HOLD)
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    book << "set net.core.xfrm_larval_drop 0 at 0" >> None
    book << HOLD >> script_reply(".", (".", errno.EEXIST, ".", "."))
    book << "wait 200 ms" >> None
    book << "put back net.core.xfrm_larval_drop at 0" >> None
    seen = sight(plan, {0: [NEW], 1: [OLD]}, NEW)
    book << "look at 0" >> seen
    book << "journal returning: Migrate: errno 17" >> None
    book << "look at 0" >> seen
    (
        book
        << """script
             send to 0
               set out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.1/1
               migrate 000000c2@203.0.113.10 to 198.51.100.1>192.0.2.10/1
               set in 10.2.0.0/16 10.1.0.0/16 via 198.51.100.1>192.0.2.10/1
               set out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.1/1"""
        >> OK
    )
    book << "look at 0" >> sight(plan, OLD, OLD)
    book << "journal as before" >> None
    book << "read counters at 0" >> {}
    assert book.play().state is State.AS_BEFORE


def test_hold_without_the_setting_does_nothing() -> None:
    plan = plan_for(Strategy.HOLD)
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    book << "set net.core.xfrm_larval_drop 0 at 0" >> Failed(errno.EROFS, "Read-only file system")
    book << "look at 0" >> sight(plan)
    book << "journal returning: net.core.xfrm_larval_drop: Read-only file system" >> None
    book << "look at 0" >> sight(plan)
    book << "journal as before" >> None
    book << "read counters at 0" >> {}
    assert book.play().state is State.AS_BEFORE


REMOTE = Wish(remote=C, new_remote=D)


def gap_plan() -> tuple[Plan, Sa]:
    sas, policies = small()
    plan = plan_for(Strategy.GAP, REMOTE, world=(sas[:1], policies[:1]))
    return plan, replace(sas[0], replay=replace(sas[0].replay, oseq=1000))


def test_gap_writes_the_cut_down_before_it_copies() -> None:
    plan, old = gap_plan()
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    book << "read 000000c1@198.51.100.1 at 0" >> old
    book << "journal moving: cuts" >> None
    (
        book
        << """script
             send to 0
               copy to 000000c1@198.51.100.99 from 192.0.2.10 oseq 5096
               is 000000c1@198.51.100.1 below 4072
             send to 0
               set out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.99/1
             wait 21 ms"""
        >> OK
    )
    book << "read 000000c1@198.51.100.1 at 0" >> replace(old, replay=replace(old.replay, oseq=1010))
    book << "script\n send to 0\n  delete 000000c1@198.51.100.1" >> OK
    closing(book, plan)
    assert book.play().state is State.MOVED


def test_a_gap_that_was_used_up_before_the_switch_is_made_anew() -> None:
    """This process had no time while the old SA was busy: going on might use a number twice."""
    plan, old = gap_plan()
    later = replace(old, replay=replace(old.replay, oseq=4500))
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    book << "read 000000c1@198.51.100.1 at 0" >> old
    book << "journal moving: cuts" >> None
    (
        book
        << """script
             send to 0
               copy to 000000c1@198.51.100.99 from 192.0.2.10 oseq 5096
               is 000000c1@198.51.100.1 below 4072
             send to 0
               set out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.99/1
             wait 21 ms"""
        >> script_reply((".", errno.EAGAIN))
    )
    book << "look at 0" >> sight(plan, {0: [OLD, NEW]}, OLD, oseq=4500)
    book << "script\n send to 0\n  delete 000000c1@198.51.100.99" >> OK
    book << "look at 0" >> sight(plan, OLD, oseq=4500)
    book << "read 000000c1@198.51.100.1 at 0" >> later
    book << "journal moving: cuts" >> None
    (
        book
        << """script
             send to 0
               copy to 000000c1@198.51.100.99 from 192.0.2.10 oseq 20884
               is 000000c1@198.51.100.1 below 16788
             send to 0
               set out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.99/1
             wait 21 ms"""
        >> OK
    )
    book << "read 000000c1@198.51.100.1 at 0" >> later
    book << "script\n send to 0\n  delete 000000c1@198.51.100.1" >> OK
    closing(book, plan)
    assert book.play().state is State.MOVED


def test_an_sa_that_outran_its_gap_is_lost_and_blocked() -> None:
    """The key may have met a number twice: it must not be used any more."""
    plan, old = gap_plan()
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    book << "read 000000c1@198.51.100.1 at 0" >> old
    book << "journal moving: cuts" >> None
    (
        book
        << """script
             send to 0
               copy to 000000c1@198.51.100.99 from 192.0.2.10 oseq 5096
               is 000000c1@198.51.100.1 below 4072
             send to 0
               set out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.99/1
             wait 21 ms"""
        >> OK
    )
    book << "read 000000c1@198.51.100.1 at 0" >> replace(old, replay=replace(old.replay, oseq=5096))
    both = sight(plan, {0: [OLD, NEW]}, NEW, oseq=5096)
    book << "look at 0" >> both
    why = "dst 198.51.100.1 proto esp spi 0x000000c1: it outran the gap; its key is spent"
    book << f"journal blocking: {why}" >> None
    book << "look at 0" >> both
    book << "look at 0" >> both
    blocked = plan.policies[0].new
    (
        book
        << """script
             send to 0
               block out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.99/1"""
        >> OK
    )
    from pyxfrm.relocation.blocks import in_place

    stands = replace(both, policies={blocked.id: in_place(blocked)})
    book << "look at 0" >> stands
    book << "journal lost and blocked: 1 SAs lost" >> None
    book << "read counters at 0" >> {}
    outcome = book.play()
    assert outcome.state is State.LOST
    assert outcome.blocked == (blocked.id,)
    assert plan.sas[0].new.id in outcome.lost


def test_a_copy_that_was_used_is_not_taken_back() -> None:
    """Abort, but the copy has sent: its numbers must not be sent again by the old SA. Onward."""
    plan, old = gap_plan()
    cuts = {(0, plan.sas[0].old.id): 5096}
    book = Playbook(resume((plan,), State.MOVING, cuts, abort=True))
    book << "journal returning" >> None
    book << "read counters at 0" >> {"InNoStates": 7}
    book << "look at 0" >> sight(plan, {0: [OLD, NEW]}, NEW, oseq=5099)
    book << "journal moving" >> None
    book << "look at 0" >> sight(plan, {0: [OLD, NEW]}, NEW, oseq=5099)
    (
        book
        << """script
             send to 0
               set out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.99/1
             wait 21 ms"""
        >> OK
    )
    book << "read 000000c1@198.51.100.1 at 0" >> old
    book << "script\n send to 0\n  delete 000000c1@198.51.100.1" >> OK
    book << "look at 0" >> sight(plan, NEW, NEW)
    book << "journal moved" >> None
    book << "read counters at 0" >> {"InNoStates": 9, "OutNoStates": 0}
    outcome = book.play()
    assert outcome.state is State.MOVED
    assert outcome.account == ({"InNoStates": 2},)


def test_recreate_blocks_before_it_reads() -> None:
    """19: the number is read twice; the copy starts behind a cut all the same."""
    sas, policies = small()
    plan = plan_for(Strategy.RECREATE, REMOTE, world=(sas[:1], policies[:1]))
    old = replace(sas[0], replay=replace(sas[0].replay, oseq=1000))
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    book << "read 000000c1@198.51.100.1 at 0" >> old
    book << "journal moving: cuts" >> None
    block = "block out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.1/1"
    book << f"script\n send to 0\n  {block}" >> OK
    book << "read 000000c1@198.51.100.1 at 0" >> replace(old, replay=replace(old.replay, oseq=1017))
    book << "script\n send to 0\n  copy to 000000c1@198.51.100.99 from 192.0.2.10 oseq 5096" >> OK
    check = "send to 0\n  is 000000c1@198.51.100.1 below 4072"
    book << f"script\n {check}\n send to 0\n  delete 000000c1@198.51.100.1" >> OK
    allow = "set out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.99/1"
    book << f"script\n send to 0\n  {allow}" >> OK
    closing(book, plan)
    assert book.play().state is State.MOVED


def test_recreate_under_lockdown_is_refused_and_undone() -> None:
    """42: keys read as zeros are unreadable, never equal."""
    from pyxfrm.model import Algorithm

    sas, policies = small()
    plan = plan_for(Strategy.RECREATE, REMOTE, world=(sas[:1], policies[:1]))
    dark = replace(sas[0], algorithms=(Algorithm.aes_gcm(bytes(20)),))
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    book << "read 000000c1@198.51.100.1 at 0" >> dark
    book << "journal moving: cuts" >> None
    block = "block out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.1/1"
    book << f"script\n send to 0\n  {block}" >> OK
    book << "read 000000c1@198.51.100.1 at 0" >> dark
    from pyxfrm.relocation.blocks import in_place

    name = plan.policies[0].old.id
    stopped = replace(sight(plan), policies={name: in_place(plan.policies[0].old)})
    book << "look at 0" >> stopped
    why = "dst 198.51.100.1 proto esp spi 0x000000c1: its keys cannot be read (lockdown)"
    book << f"journal returning: {why}" >> None
    book << "look at 0" >> stopped
    allow = "set out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.1/1"
    book << f"script\n send to 0\n  {allow}" >> OK
    book << "look at 0" >> sight(plan)
    book << "journal as before" >> None
    book << "read counters at 0" >> {}
    assert book.play().state is State.AS_BEFORE


# -- what may come between -----------------------------------------------------------------------------


def test_a_stale_plan_changes_nothing() -> None:
    """33, 45."""
    plan = plan_for(Strategy.MIGRATE_STATE)
    book = Playbook(relocate((plan,)))
    book << "read counters at 0" >> {}
    book << "look at 0" >> sight(plan, {1: [OLD]})
    why = "the plan does not hold any more: dst 192.0.2.10 proto esp spi 0x000000c2 is gone"
    book << f"journal as before: {why}" >> None
    outcome = book.play()
    assert outcome.state is State.AS_BEFORE
    assert outcome.troubles == (why,)


def test_a_lost_answer_is_looked_after_and_not_asked_again() -> None:
    """36: did it happen? It did."""
    plan = plan_for(Strategy.MIGRATE_STATE)
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    book << BLOCK_AND_MOVE >> script_reply("????.")
    closing(book, plan)
    outcome = book.play()
    assert outcome.state is State.MOVED
    assert len(outcome.troubles) == 4


def test_the_second_sa_refused_moves_the_first_back_by_migrating() -> None:
    """37: never by adding a snapshot."""
    plan = plan_for(Strategy.MIGRATE_STATE)
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    book << BLOCK_AND_MOVE >> script_reply((".", ".", ".", errno.EINVAL, "."))
    here = sight(plan, {0: [NEW], 1: [OLD]}, NEW)
    book << "look at 0" >> here
    book << "journal returning: Migrate: errno 22" >> None
    book << "look at 0" >> here
    (
        book
        << MOVE_BACK + "\n      set out 10.1.0.0/16 10.2.0.0/16 via 192.0.2.10>198.51.100.1/1"
        >> OK
    )
    book << "look at 0" >> sight(plan, OLD, OLD)
    book << "journal as before" >> None
    book << "read counters at 0" >> {}
    assert book.play().state is State.AS_BEFORE


def test_an_sa_at_neither_place_is_lost_and_its_child_blocked() -> None:
    """39: the insertion failed after the delete."""
    from pyxfrm.relocation.blocks import in_place

    plan = plan_for(Strategy.MIGRATE_STATE)
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    book << BLOCK_AND_MOVE >> script_reply((".", ".", ".", errno.EEXIST, "."))
    gone = sight(plan, {0: [NEW]}, NEW)
    book << "look at 0" >> gone
    book << "journal blocking: Migrate: errno 17" >> None
    book << "look at 0" >> gone
    book << "look at 0" >> gone
    block = "block out 10.1.0.0/16 10.2.0.0/16 via 203.0.113.10>198.51.100.1/1"
    book << f"script\n send to 0\n  {block}" >> OK
    out = plan.policies[0].new
    book << "look at 0" >> replace(gone, policies={**gone.policies, out.id: in_place(out)})
    book << "journal lost and blocked: 2 SAs lost" >> None
    book << "read counters at 0" >> {}
    outcome = book.play()
    assert outcome.state is State.LOST
    assert outcome.blocked == (out.id,)
    assert len(outcome.lost) == 2
    (_, why) = outcome.troubles
    assert (
        why == f"{plan.sas[1].old.id} is gone: it expired, was deleted, or came to grief in a move"
    )


def test_an_sa_that_was_replaced_in_the_middle_is_told() -> None:
    from pyxfrm.relocation.blocks import in_place

    plan = plan_for(Strategy.MIGRATE_STATE)
    book = Playbook(relocate((plan,)))
    opening(book, plan)
    book << BLOCK_AND_MOVE >> script_reply(".....")
    seen, new = sight(plan, NEW, NEW), plan.sas[1].new
    rekeyed = replace(seen, sas={**seen.sas, new.id: replace(new, if_id=7)})
    book << "look at 0" >> rekeyed
    why = f"{plan.sas[1].old.id} is gone: another SA is there now (rekeyed?), from {new.saddr} to {new.id.daddr}"
    book << f"journal blocking: {why}" >> None
    book << "look at 0" >> rekeyed
    book << "look at 0" >> rekeyed
    block = "block out 10.1.0.0/16 10.2.0.0/16 via 203.0.113.10>198.51.100.1/1"
    book << f"script\n send to 0\n  {block}" >> OK
    out = plan.policies[0].new
    book << "look at 0" >> replace(rekeyed, policies={**rekeyed.policies, out.id: in_place(out)})
    book << "journal lost and blocked: 2 SAs lost" >> None
    book << "read counters at 0" >> {}
    outcome = book.play()
    assert (outcome.state, outcome.troubles) == (State.LOST, (why,))


def test_tables_that_cannot_be_read_leave_it_unfinished() -> None:
    plan = plan_for(Strategy.MIGRATE_STATE)
    steps = relocate((plan,))
    next(steps)
    steps.send({})
    steps.send(UNKNOWN)
    steps.send(UNKNOWN)
    with pytest.raises(TransportError, match="resume it"):
        steps.send(UNKNOWN)


def test_nothing_is_tried_for_ever() -> None:
    """Answers that never come: four passes forward, then four back, then the block."""
    plan = plan_for(Strategy.MIGRATE_STATE)
    book = Playbook(relocate((plan,)))
    book << "read counters at 0" >> {}
    book << "look at 0" >> sight(plan)
    book << "journal moving" >> None
    for _ in range(4):
        book << "look at 0" >> sight(plan)
        book << BLOCK_AND_MOVE >> script_reply("?????")
    book << "look at 0" >> sight(plan)
    book << "journal returning: UpdatePolicy: no answer" >> None
    book << "look at 0" >> sight(plan)
    book << "journal as before" >> None
    book << "read counters at 0" >> {}
    assert book.play().state is State.AS_BEFORE


def test_no_key_is_in_a_script_of_what_was_asked() -> None:
    from pyxfrm.relocation.commands import AddSa
    from pyxfrm.relocation.describe import kernel_words

    sas, _ = small()
    text = repr(AddSa(sas[0])) + kernel_words(AddSa(sas[0]))
    assert KEY[:4].hex() not in text
    assert "hidden" in text
