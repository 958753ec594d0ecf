"""What a user does with a client, told step by step: played on engines and on real kernels, where it must go the same way.

A scenario takes a fresh client, holds what it sees to what it should see, and returns what it was told, as JSON, so that the lanes can be compared.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pyxfrm.client import Group, ShadowedError, Support, Xfrm, verbs
from pyxfrm.client.events import Acquire, PolicyMigrated, SaMigrated, UnknownEvent
from pyxfrm.client.info import Defaults
from pyxfrm.client.safety import pick
from pyxfrm.errors import RefusedError, UsageError
from pyxfrm.model import (
    HOST_TO_HOST,
    REMOVE,
    Action,
    AddressMove,
    Algorithm,
    Counters,
    Default,
    Direction,
    Encap,
    Limits,
    Mark,
    Migration,
    Mode,
    Policy,
    PolicyId,
    PolicyMigration,
    Proto,
    ReplayState,
    Sa,
    SaDir,
    SaId,
    Selector,
    Template,
    ip,
    network,
)

Told = list[Any]
Scenario = Callable[[Xfrm], Told]

SCENARIOS: dict[str, Scenario] = {}

PEER, HERE, THERE = ip("198.51.100.1"), ip("192.0.2.10"), ip("203.0.113.10")
PEER6, HERE6 = ip("2001:db8::1"), ip("2001:db8::10")
KEY = bytes(range(20))
SA = Sa(
    SaId(PEER, Proto.ESP, 0xC0000001),
    HERE,
    Mode.TUNNEL,
    (Algorithm.aes_gcm(KEY),),
    ReplayState.of(128, esn=True),
    reqid=7,
    sel=Selector(network("10.1.0.0/16"), network("10.2.0.0/16")),
    limits=Limits(hard_add=3600),
)
POLICY = Policy(
    Direction.OUT,
    Selector(network("10.1.0.0/16"), network("10.2.0.0/16")),
    priority=10,
    templates=(Template(HERE, PEER, Proto.ESP, Mode.TUNNEL, reqid=7),),
)


def scenario(function: Scenario) -> Scenario:
    """Register a scenario under its own name."""
    SCENARIOS[function.__name__] = function
    return function


def numbered(spi: int, mark: Mark | None = None) -> Sa:
    return replace(SA, id=replace(SA.id, spi=spi, mark=mark))


def refusal(ask: Callable[[], object], number: int) -> RefusedError:
    """The refusal, which must have this errno."""
    try:
        ask()
    except RefusedError as no:
        if no.errno == number:
            return no
        raise
    raise AssertionError("it was not refused")


def refused(ask: Callable[[], object], number: int) -> str:
    """Its words."""
    return str(refusal(ask, number))


@scenario
def an_sa_lives(xfrm: Xfrm) -> Told:
    told: Told = [xfrm.add_sa(SA)]
    record = xfrm.get_sa(SA.id)
    assert record.sa == SA
    assert record.counters.packets == 0
    told.append(refused(lambda: xfrm.add_sa(SA), errno.EEXIST))
    xfrm.update_sa(replace(SA, limits=Limits(hard_add=60)))
    assert xfrm.get_sa(SA.id).limits == Limits(hard_add=60)
    moved = xfrm.migrate_sa(Migration.of(SA, daddr=THERE), verify=True)
    assert moved.keys_equal is True
    told.append(moved.warning)
    assert [r.id.daddr for r in xfrm.sas()] == [THERE]
    xfrm.delete_sa(moved.move.new_id)
    assert list(xfrm.sas()) == []
    told.append(refused(lambda: xfrm.get_sa(SA.id), errno.ESRCH))
    return told


@scenario
def a_larval_sa_grows(xfrm: Xfrm) -> Told:
    name = SaId(PEER, Proto.ESP)
    larva = xfrm.allocate_spi(name, HERE, Mode.TUNNEL, low=0x1000, high=0x1000, reqid=7)
    assert larva.spi == 0x1000
    assert larva.algorithms == ()
    told: Told = [refused(lambda: xfrm.migrate_sa(Migration.of(larva.sa)), errno.EINVAL)]
    xfrm.update_sa(replace(SA, id=larva.id))
    assert xfrm.get_sa(larva.id).algorithms == SA.algorithms
    return told


@scenario
def every_kind_of_sa(xfrm: Xfrm) -> Told:
    """As many properties as one kernel has; each reads back as it was set."""
    cbc = (Algorithm.aes_cbc(bytes(16)), Algorithm.hmac_sha256(bytes(range(32))))
    sas = [
        replace(
            SA,
            algorithms=cbc,
            replay=ReplayState(32, oseq=5, seq=9, bitmap=3),
            encap=Encap(4500, 4501, oa=ip("192.0.2.99")),
            dir=SaDir.IN,
            mapping_threshold=60,
            set_mark=Mark(0x10, 0xF0),
            if_id=42,
        ),
        replace(
            numbered(2, Mark(1, 0xFF)),
            replay=replace(ReplayState.off(esn=True), oseq=2**32 + 5),
            dir=SaDir.OUT,
            encap=Encap(4500, 4500),
            nat_keepalive=20,
            tfc_pad=100,
            counters=Counters(10, 2, 1_700_000_000, 0),
        ),
        replace(
            numbered(3),
            id=SaId(PEER6, Proto.AH, 3),
            saddr=HERE6,
            mode=Mode.TRANSPORT,
            algorithms=(Algorithm.auth("hmac(sha256)", bytes(range(32)), 96),),
            replay=ReplayState.of(32),
            sel=Selector.hosts(HERE6, PEER6),
        ),
        replace(
            SA,
            id=SaId(PEER, Proto.COMP, 0x100),
            algorithms=(Algorithm.comp("deflate"),),
            replay=ReplayState.off(),
        ),
    ]
    for sa in sas:
        xfrm.add_sa(sa)
        record = xfrm.get_sa(sa.id)
        assert replace(record.sa, counters=sa.counters) == sa, record.sa
        if sa.counters:
            assert record.counters == sa.counters
    return [str(r.id) for r in xfrm.sas()]


@scenario
def where_an_sa_stands_can_be_read_and_set(xfrm: Xfrm) -> Told:
    xfrm.add_sa(SA)
    state = replace(SA.replay, oseq=2**33 + 5, seq=77, bitmap=0xFF)
    xfrm.set_replay_state(
        SA.id, replay=state, counters=Counters(1000, 10, 5, 6), replay_notify=8, notify_timer=20
    )
    found = xfrm.replay_state(SA.id, thresholds=True)
    assert (found.oseq, found.seq, found.bitmap, found.window) == (2**33 + 5, 77, 0xFF, 128)
    assert found.counters == Counters(1000, 10, 5, 6)
    assert (found.replay_notify, found.reqid, found.saddr) == (8, 7, HERE)
    assert xfrm.get_sa(SA.id).replay == state
    assert xfrm.replay_state(SA.id).replay_notify is None
    return [found.notify_timer]


@scenario
def a_policy_lives(xfrm: Xfrm) -> Told:
    told: Told = [xfrm.add_policy(POLICY)]
    told.append(refused(lambda: xfrm.add_policy(POLICY), errno.EEXIST))
    record = xfrm.get_policy(POLICY.id)
    assert record.policy == replace(POLICY, index=record.index)
    by_index = PolicyId.by_index(Direction.OUT, record.index)
    assert xfrm.get_policy(by_index).policy == record.policy
    block = replace(POLICY, action=Action.BLOCK, templates=())
    xfrm.update_policy(block)
    xfrm.add_policy(replace(POLICY, dir=Direction.IN))
    assert [p.policy.action for p in xfrm.policies(Direction.OUT)] == [Action.BLOCK]
    assert len(list(xfrm.policies())) == 2
    xfrm.delete_policy(by_index)
    xfrm.flush_policies()
    assert list(xfrm.policies()) == []
    told.append(refused(lambda: xfrm.delete_policy(POLICY.id), errno.ENOENT))
    return told


@scenario
def policies_of_one_selector_are_told_apart(xfrm: Xfrm) -> Told:
    """By mark and by if_id (bad case 8)."""
    every = [
        POLICY,
        replace(POLICY, mark=Mark(1, 0xFF)),
        replace(POLICY, if_id=5),
        replace(POLICY, mark=Mark(2, 0xFF), if_id=5, priority=3, limits=Limits(soft_use=60)),
    ]
    for policy in every:
        xfrm.add_policy(policy)
    for policy in every:
        record = xfrm.get_policy(policy.id)
        assert replace(record.policy, index=0) == policy
    for policy in every:
        xfrm.delete_policy(policy.id)
    return [len(list(xfrm.policies()))]


@scenario
def tables_and_defaults_are_told(xfrm: Xfrm) -> Told:
    xfrm.add_sa(SA)
    xfrm.add_policy(POLICY)
    assert xfrm.sad_info().sas == 1
    assert xfrm.spd_info().policies == (0, 1, 0)
    xfrm.set_spd_info(v4=(24, 16))
    assert xfrm.spd_info().thresholds4 == (24, 16)
    assert xfrm.spd_info().thresholds6 == (128, 128)
    accept = Default.ACCEPT
    assert xfrm.defaults() == Defaults(accept, accept, accept)
    xfrm.set_defaults(forward=Default.BLOCK)
    assert xfrm.defaults() == Defaults(accept, Default.BLOCK, accept)
    return [*xfrm.sad_info(), xfrm.spd_info()]


@scenario
def the_kernel_picks_by_protocol_and_address(xfrm: Xfrm) -> Told:
    xfrm.add_sa(SA)
    xfrm.add_sa(replace(SA, id=replace(SA.id, daddr=THERE)))
    assert len(list(xfrm.sas(Proto.ESP))) == 2
    assert list(xfrm.sas(Proto.AH)) == []
    assert [r.daddr for r in xfrm.sas(daddr=network("203.0.113.0/24"))] == [THERE]
    assert len(list(xfrm.sas(saddr=network("192.0.2.10")))) == 2
    assert list(xfrm.sas(saddr=network("::/0"))) == []
    xfrm.flush_sas(Proto.AH)
    assert len(list(xfrm.sas())) == 2
    xfrm.flush_sas()
    assert list(xfrm.sas()) == []
    return []


@scenario
def requests_in_the_middle_of_a_dump(xfrm: Xfrm) -> Told:
    for spi in range(0x100, 0x100 + 300):
        xfrm.add_sa(numbered(spi))
    seen = 0
    for record in xfrm.sas():
        xfrm.delete_sa(record.id)
        seen += 1
    assert seen == 300
    assert list(xfrm.sas()) == []
    return []


@scenario
def a_dump_that_is_not_read_to_its_end(xfrm: Xfrm) -> Told:
    xfrm.batch(verbs.add_sa(numbered(spi)) for spi in range(0x100, 0x100 + 300))
    for _ in range(5):
        first = next(iter(xfrm.sas()))
        assert first.spi == 0x100 + 299  # the newest
    return [xfrm.sad_info().sas]


@scenario
def a_batch_matches_errors_to_requests(xfrm: Xfrm) -> Told:
    tickets = xfrm.batch(
        [
            verbs.add_sa(SA),
            verbs.add_sa(SA),
            verbs.get_sa(SA.id),
            verbs.delete_sa(numbered(9).id),
            verbs.add_policy(POLICY),
        ]
    )
    assert [getattr(t.error, "errno", 0) for t in tickets] == [0, errno.EEXIST, 0, errno.ESRCH, 0]
    assert tickets[2].result().spi == SA.id.spi
    assert list(xfrm.batch([])) == []
    return [str(t.error) for t in tickets]


@scenario
def a_batch_of_thousands(xfrm: Xfrm) -> Told:
    tickets = xfrm.batch(verbs.add_sa(numbered(spi)) for spi in range(0x100, 0x100 + 2000))
    assert [t for t in tickets if t.error] == []
    assert len(tickets) == xfrm.sad_info().sas == 2000
    tickets = xfrm.batch(verbs.delete_sa(r.id) for r in xfrm.sas())
    assert [t for t in tickets if t.error] == []
    return [xfrm.sad_info().sas]


def _heard(events: Any, count: int) -> Told:
    got = [events.poll(5) for _ in range(count)]
    assert events.poll(0) is None
    assert not any(isinstance(e, UnknownEvent) for e in got)
    return got


@scenario
def changes_are_events(xfrm: Xfrm) -> Told:
    with xfrm.events() as events:
        xfrm.add_sa(SA)
        xfrm.update_sa(SA)
        xfrm.migrate_sa(Migration.of(SA, daddr=THERE))
        xfrm.delete_sa(replace(SA.id, daddr=THERE))
        xfrm.add_sa(SA)
        xfrm.flush_sas()
        xfrm.add_policy(POLICY)
        xfrm.update_policy(POLICY)
        xfrm.delete_policy(POLICY.id)
        xfrm.add_policy(POLICY)
        xfrm.flush_policies()
        xfrm.set_defaults(forward=Default.BLOCK)
        got = _heard(events, 12)
    moved = got[2]
    assert got[0].sa.sa == SA
    assert got[0].port == xfrm.transport.portid
    assert isinstance(moved, SaMigrated)
    assert (moved.sa, moved.new_daddr, moved.sel) == (SA.id, THERE, SA.sel)
    assert got[3].sa.id == replace(SA.id, daddr=THERE)
    return [type(e).__name__ for e in got]


@scenario
def an_sa_tells_of_itself(xfrm: Xfrm) -> Told:
    xfrm.add_sa(SA)
    xfrm.add_policy(POLICY)
    wanted = Acquire(0, 0, replace(SA.id, spi=0), HERE, Selector.hosts(HERE, PEER), POLICY, 0)
    with xfrm.events() as events:
        xfrm.set_replay_state(SA.id, counters=Counters(1, 2, 3, 4))
        xfrm.expire_sa(SA.id, hard=False)
        xfrm.expire_sa(SA.id, hard=True)
        xfrm.expire_policy(POLICY, hard=True)
        xfrm.acquire(wanted)
        got = _heard(events, 5)
    progress, soft, hard, policy, acquire = got
    assert progress.state.counters == Counters(1, 2, 3, 4)
    assert (soft.hard, hard.hard, policy.hard) == (False, True, True)
    assert hard.sa.id == SA.id
    assert policy.policy.priority == 10
    assert (acquire.sa.daddr, acquire.saddr) == (PEER, HERE)
    assert acquire.policy.templates == POLICY.templates
    assert list(xfrm.sas()) == []
    return [type(e).__name__ for e in got]


@scenario
def the_old_migration_moves_policy_and_sas(xfrm: Xfrm) -> Told:
    xfrm.add_sa(replace(SA, encap=Encap(4500, 4500)))
    xfrm.add_policy(POLICY)
    step = AddressMove(HERE, PEER, HERE, THERE, Proto.ESP, Mode.TUNNEL, 7)
    move = PolicyMigration(POLICY.sel, Direction.OUT, (step,), encap=Encap(4501, 4500))
    with xfrm.events(Group.MIGRATE) as events:
        xfrm.migrate(move)
        event = events.poll(5)
    assert isinstance(event, PolicyMigrated)
    assert event.moves == (step,)
    (record,) = xfrm.sas()
    assert (record.daddr, record.encap) == (THERE, Encap(4501, 4500))
    (policy,) = xfrm.policies()
    assert policy.templates[0].daddr == THERE
    return [str(event.sel), refused(lambda: xfrm.migrate(move), errno.ENODATA)]


# -- moves of one SA -------------------------------------------------------------------------------


@scenario
def every_kind_of_move(xfrm: Xfrm) -> Told:
    """One SA through all that a move can do; each proven by reading back."""
    told: Told = []
    state = replace(ReplayState.off(esn=True), oseq=1000)
    start = replace(numbered(0x77, Mark(1, 0xFF)), dir=SaDir.OUT, replay=state)
    xfrm.add_sa(start)

    def go(**what: Any) -> Sa:
        now = next(iter(xfrm.sas())).sa
        kept = {
            "sa": now.id,
            "new_saddr": now.saddr,
            "new_daddr": now.id.daddr,
            "reqid": now.reqid,
            "sel": now.sel,
        }
        moved = xfrm.migrate_sa(Migration(**{**kept, **what}), verify=True)
        told.append(moved.warning)
        assert moved.after is not None
        assert moved.after.replay.oseq == 1000
        return moved.after.sa

    assert go(new_saddr=THERE).saddr == THERE
    assert go(encap=Encap(4500, 4500)).encap == Encap(4500, 4500)
    assert go(nat_keepalive=20).nat_keepalive == 20
    assert go(new_saddr=HERE6, new_daddr=PEER6).encap == Encap(4500, 4500)
    assert go(encap=REMOVE).nat_keepalive == 0
    assert go(reqid=0).reqid == 0
    assert go(mark=Mark(2, 0xFF)).id.mark == Mark(2, 0xFF)
    assert go(set_mark=Mark(5)).set_mark == Mark(5)
    assert go(set_mark=REMOVE).set_mark is None
    assert go(mark=REMOVE).id.mark is None
    assert go(sel=Selector.hosts(HERE6, PEER6)).sel == Selector.hosts(HERE6, PEER6)
    there = go(new_saddr=ip("2001:db8::7"), sel=HOST_TO_HOST)
    assert there.sel == Selector.hosts(ip("2001:db8::7"), PEER6)
    assert go(offload=REMOVE).offload is None
    assert len(list(xfrm.sas())) == 1
    return told


@scenario
def an_inbound_sa_moves_between_nats(xfrm: Xfrm) -> Told:
    """Bad cases 9 to 11: a new port with a window of 2048; NAT goes, and its threshold with it."""
    state = replace(ReplayState.of(2048), seq=5000, bitmap=(1 << 2048) - 1)
    xfrm.add_sa(replace(SA, dir=SaDir.IN, replay=state, encap=Encap(4500, 4500)))

    def go(**what: Any) -> Sa:
        now = next(iter(xfrm.sas())).sa
        moved = xfrm.migrate_sa(replace(Migration.of(now), **what), verify=True)
        assert moved.after is not None
        return moved.after.sa

    assert go(encap=Encap(1024, 4500), mapping_threshold=30).mapping_threshold == 30
    assert go(encap=Encap(1025, 4500)).replay == state
    assert go(encap=REMOVE).mapping_threshold == 0
    return [refused(lambda: go(mapping_threshold=9), errno.EINVAL)]


@scenario
def a_move_to_an_occupied_place_leaves_both(xfrm: Xfrm) -> Told:
    xfrm.add_sa(SA)
    xfrm.add_sa(replace(SA, id=replace(SA.id, daddr=THERE), reqid=8))
    told = refused(lambda: xfrm.migrate_sa(Migration.of(SA, daddr=THERE)), errno.EEXIST)
    assert sorted(r.reqid for r in xfrm.sas()) == [7, 8]
    return [told]


# -- bad cases: identity ---------------------------------------------------------------------------


def shadowed(ask: Callable[[], object]) -> ShadowedError:
    try:
        ask()
    except ShadowedError as why:
        return why
    raise AssertionError("it was not refused")


NARROW, BROAD = Mark(1, 1), Mark(0, 0)


@scenario
def a_later_sa_with_a_broad_mark_shadows(xfrm: Xfrm) -> Told:
    """Bad cases 1 and 2: asking for 1/1 would move, change or delete the other."""
    named, other = numbered(5, NARROW), replace(numbered(5), reqid=8)
    xfrm.add_sa(named)
    told: Told = [str(xfrm.look_up(named.id).picked), xfrm.look_up(named.id).exact]
    xfrm.add_sa(other)
    for act in (
        lambda: xfrm.migrate_sa(Migration.of(named, daddr=THERE)),
        lambda: xfrm.delete_sa(named.id),
        lambda: xfrm.update_sa(named),
    ):
        why = shadowed(act)
        assert why.picked.reqid == 8
        assert [o.id.mark for o in why.others] == [NARROW]
        told.append(str(why))
    assert len(list(xfrm.sas())) == 2
    found = pick(xfrm.sas(), named.id)
    assert found.picked is not None
    assert (found.picked.reqid, found.exact) == (8, False)
    assert pick(xfrm.sas(), named.id, exact_marks=True).exact
    xfrm.delete_sa(other.id)
    xfrm.migrate_sa(Migration.of(named, daddr=THERE), verify=True)
    return told


@scenario
def without_the_check_the_wrong_sa_moves(xfrm: Xfrm) -> Told:
    """The kernel's own rule, which the check is there for."""
    xfrm.add_sa(numbered(5, NARROW))
    xfrm.add_sa(replace(numbered(5), reqid=8))
    xfrm.migrate_sa(Migration.of(numbered(5, NARROW), daddr=THERE), check=False)
    return [[str(r.daddr), r.reqid, str(r.mark)] for r in xfrm.sas()]


@scenario
def the_order_of_insertion_decides(xfrm: Xfrm) -> Told:
    broad, narrow = replace(numbered(5), reqid=8), numbered(5, NARROW)
    xfrm.add_sa(broad)
    told: Told = [refused(lambda: xfrm.add_sa(narrow), errno.EEXIST)]  # bad case 4: a false one
    xfrm.delete_sa(broad.id)
    xfrm.add_sa(narrow)
    xfrm.add_sa(broad)
    assert xfrm.look_up(broad.id).exact
    found = xfrm.look_up(narrow.id)
    assert not found.exact
    return [*told, [str(r.id) for r in found.others]]


@scenario
def a_mark_alone_does_not_make_two_of_one_name(xfrm: Xfrm) -> Told:
    """Bad case 3."""
    xfrm.add_sa(numbered(5, Mark(1)))
    xfrm.add_sa(numbered(5, Mark(2)))
    move = replace(Migration.of(numbered(5, Mark(1))), mark=Mark(2))
    try:
        xfrm.migrate_sa(move)
    except UsageError as why:
        told = str(why)
    else:
        raise AssertionError("it was not refused")
    assert len({r.id for r in xfrm.sas()}) == 2
    xfrm.migrate_sa(move, check=False)
    assert len({r.id for r in xfrm.sas()}) == 1
    assert not xfrm.look_up(numbered(5, Mark(2)).id).exact
    return [told]


@scenario
def a_false_eexist_names_who_sits_there(xfrm: Xfrm) -> Told:
    """Bad case 4: at the new address is an SA without mark."""
    xfrm.add_sa(numbered(5, Mark(5, 0xFF)))
    xfrm.add_sa(replace(SA, id=SaId(THERE, Proto.ESP, 5)))
    move = Migration.of(numbered(5, Mark(5, 0xFF)), daddr=THERE)
    no = refusal(lambda: xfrm.migrate_sa(move), errno.EEXIST)
    return [str(no), *no.__notes__]


@scenario
def a_mask_is_not_lost(xfrm: Xfrm) -> Told:
    """Bad case 5: mark 0/0xff, moved without saying a mark, keeps its mask."""
    xfrm.add_sa(numbered(5, Mark(0, 0xFF)))
    xfrm.migrate_sa(Migration.of(numbered(5, Mark(0, 0xFF)), daddr=THERE), verify=True)
    why = shadowed(lambda: xfrm.migrate_sa(Migration.of(replace(SA, id=SaId(THERE, Proto.ESP, 5)))))
    return [str(why), [str(r.id) for r in xfrm.sas()]]


@scenario
def a_kernel_is_probed_without_a_trace(xfrm: Xfrm) -> Told:
    with xfrm.events() as events:
        empty = xfrm.probe()
        assert empty.migrate_state is Support.AVAILABLE
        xfrm.add_sa(SA)
        assert type(events.poll(5)).__name__ == "SaAdded"
        found = xfrm.probe()
        assert found.exact_marks is False
        assert events.drain() == []
    assert len(list(xfrm.sas())) == 1
    return [found.why]


@scenario
def an_sa_marked_all_ones_tells_of_marks_too(xfrm: Xfrm) -> Told:
    for mark in (Mark(5), Mark(0), Mark(3, 0xFF)):
        xfrm.add_sa(numbered(5, mark))
        assert xfrm.probe().exact_marks is False
        xfrm.flush_sas()
    xfrm.add_sa(numbered(5, Mark(0xFFFFFFFF)))
    return []


def play(name: str) -> Told:
    """Play one on the kernel of this process, in the network namespace that it is in."""
    with Xfrm() as xfrm:
        return plain(SCENARIOS[name](xfrm))


def plain(told: Told) -> Told:
    """What was told, as JSON has it."""
    return [plain(list(x)) if isinstance(x, tuple | list) else x for x in told]
