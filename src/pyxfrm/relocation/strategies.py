"""Which way of moving SAs the facts allow, and what each cannot carry over.

Every limit is a rule with a sentence. :func:`decide` takes the strategy that was asked for, and refuses the plan where a rule speaks against it; asked for none, it takes the first
in :data:`PREFERRED` against which no rule speaks.

Figures: a policy's hold queue takes 101 packets (net/xfrm/xfrm_policy.c: XFRM_MAX_QUEUE_LEN and one), so 80 are planned with. A burst from it may
overtake packets that already have their numbers, so a replay window under 128 allows 30.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from pyxfrm.model import REMOVE, Family, Mode, Policy, SaDir
from pyxfrm.relocation.blocks import Guard, overlay, rivals
from pyxfrm.relocation.facts import Facts
from pyxfrm.relocation.moves import Plan, PolicyMove, Refusal, SaMove, Strategy, Why

__all__ = ["HELD_AT_MOST", "NOBODY", "PREFERRED", "decide", "limits"]

# A reqid that no SA has: policies whose templates stay as they are name it while their packets wait.
NOBODY = 0x6E6F2121

HELD_AT_MOST = 80
HELD_WITH_SMALL_WINDOW = 30
WINDOW_FOR_HOLD = 128
LEAST_DRAIN = 0.001  # seconds: a thread between its route lookup and xfrm_output
STEP_TIME = 0.004  # seconds that our own sends take, with room
# Numbers, of 2^32 without ESN: a flow that was quiet when it was measured may send 100,000 packets a second now, while this process has no time for half a second.
LEAST_JUMP = 1 << 18
JOURNAL_TIME = 0.25  # seconds between reading a sequence number and the last use of the old SA

# The best first: nothing lost and no keys read; nothing lost; shortest block; older kernels.
PREFERRED = (
    Strategy.HOLD,
    Strategy.GAP,
    Strategy.MIGRATE_STATE,
    Strategy.MIGRATE,
    Strategy.RECREATE,
)


def decide(plan: Plan, facts: Facts) -> Plan:
    """``plan`` with its strategy, its times, and a refusal where the strategy cannot be."""
    rate = _rate(plan, facts)
    asked = plan.options.drain
    drain = asked if asked is not None else max(LEAST_DRAIN, 1.6 * facts.delay)
    jump = max(LEAST_JUMP, int(4 * rate * (drain + JOURNAL_TIME)))
    if plan.options.pair and (plan.options.dual or plan.options.peer_dual):
        # One window for both sides of the gap: no wider than it must be.
        jump = max(256, int(2 * rate * (drain + JOURNAL_TIME)))
    plan = replace(plan, rate=rate, drain=drain, jump=jump, features=facts.features)
    strategy = plan.options.strategy
    if strategy is None and (plan.options.dual or plan.options.peer_dual):
        strategy = Strategy.GAP
    if strategy is None:
        strategy = next((s for s in PREFERRED if not limits(s, plan, facts)), None)
    if strategy is None:
        no = Refusal(Why.STRATEGY, "this kernel offers no way to move these SAs")
        return replace(plan, refusals=(*plan.refusals, no))
    against = tuple(
        Refusal(Why.STRATEGY, f"strategy {strategy.value}: {text}")
        for text in limits(strategy, plan, facts)
    )
    return replace(
        plan,
        strategy=strategy,
        refusals=(*plan.refusals, *against),
        cannot=_cannot(strategy, plan, facts),
    )


def limits(strategy: Strategy, plan: Plan, facts: Facts) -> tuple[str, ...]:
    """Why ``strategy`` cannot be used here; nothing if it can."""
    return tuple(text for rule in _RULES[strategy] for text in rule(plan, facts))


def _rate(plan: Plan, facts: Facts) -> float:
    """Packets a second of the busiest outbound policy."""
    busiest = 0.0
    for policy in plan.policies:
        if policy.outbound:
            sent = sum(facts.rates.get(plan.sas[n].old.id, 0.0) for n in policy.sas)
            busiest = max(busiest, sent)
    return busiest


# -- rules -----------------------------------------------------------------------------------------

_Rule = Callable[[Plan, Facts], Iterator[str]]


def _needs_migrate_state(_: Plan, facts: Facts) -> Iterator[str]:
    if not facts.features.migrate_state:
        yield "this kernel has no MIGRATE_STATE (Linux 7.2 and later have, with CONFIG_XFRM_MIGRATE)"


def _needs_migrate(_: Plan, facts: Facts) -> Iterator[str]:
    if not facts.features.migrate:
        yield "this kernel has no MIGRATE (CONFIG_XFRM_MIGRATE)"


def _needs_keys(_: Plan, facts: Facts) -> Iterator[str]:
    if not facts.features.keys:
        yield "the kernel shows no keys (lockdown): an SA cannot be copied"


def _needs_block(plan: Plan, facts: Facts) -> Iterator[str]:
    """While both SAs of one key are there, nothing may be sent: the numbers would meet."""
    if plan.options.guard is Guard.TEMPLATES:
        yield "traffic must be blocked while an SA is copied (--guard in-place): its old templates name it to the end"
    for policy in plan.policies if plan.blocks else ():
        why = overlay(policy.old, facts.policies)[1] if policy.outbound else ""
        if why:
            yield f"traffic must be blocked while an SA is copied: {why}"


def _needs_larval_drop(_: Plan, facts: Facts) -> Iterator[str]:
    if not facts.features.hold:
        yield "net.core.xfrm_larval_drop cannot be set"


def _hold_templates(plan: Plan, facts: Facts) -> Iterator[str]:
    if any(sa.reqid == NOBODY for sa in facts.sas):
        yield f"an SA has reqid {NOBODY}, which is for policies that wait"
    for policy in plan.policies:
        if policy.outbound and any(t.spi for t in policy.old.templates):
            yield f"policy {policy.old.id} names an SPI: a larval SA would take the new place"
        if policy.outbound and not policy.in_place:
            yield f"policy {policy.old.id} gets another selector: its packets cannot be held"


def _hold_room(plan: Plan, facts: Facts) -> Iterator[str]:
    rate = _rate(plan, facts)
    held = rate * (plan.drain + STEP_TIME)
    windows = [m.old.window for m in plan.sas if m.dir == SaDir.IN]
    narrow = bool(windows) and min(windows) < WINDOW_FOR_HOLD
    room = HELD_WITH_SMALL_WINDOW if narrow else HELD_AT_MOST
    if held > room:
        why = f" with a replay window under {WINDOW_FOR_HOLD}" if narrow else ""
        yield (
            f"about {held:.0f} packets would wait in one policy ({rate:.0f}/s for "
            f"{1000 * (plan.drain + STEP_TIME):.0f} ms), {room} are safe{why}"
        )


def _gap_moves(plan: Plan, facts: Facts) -> Iterator[str]:
    """Without a daddr that changes, two copies of an SA cannot stand side by side."""
    pair = plan.options.pair
    ways = [m for m in plan.sas if pair or m.dir == SaDir.OUT]
    if plan.sas and all(m.same_tuple for m in ways):
        yield "no SA that is to be copied changes its destination: a copy would be at the same place"
    if facts.features.migrate_state or not _not_copied(plan):
        return
    if pair:
        yield "an SA keeps its destination, and to move it in step with its peer takes MIGRATE_STATE"
    elif plan.options.dual:
        yield "the inbound SA moves first, while tc takes both addresses: that takes MIGRATE_STATE"
    elif plan.options.strategy is not Strategy.GAP:
        yield "some SAs cannot be copied, and without MIGRATE_STATE would be recreated: to be asked for"


def _not_copied(plan: Plan) -> list[SaMove]:
    """SAs that keep their destination, so that no copy can stand beside them, and inbound ones whose sender does not jump."""
    return [m for m in plan.sas if m.same_tuple or (m.dir == SaDir.IN and not _copied_in(plan))]


def _gap_held(plan: Plan, facts: Facts) -> Iterator[str]:
    """Packets of outbound SAs that keep their destination wait: as in ``hold``."""
    stay = {n for n, m in enumerate(plan.sas) if m.dir == SaDir.OUT and m.same_tuple}
    waits = tuple(p for p in plan.policies if p.outbound and stay & set(p.sas))
    if waits:
        part = replace(plan, policies=waits)
        for rule in (_needs_larval_drop, _hold_templates, _hold_room):
            yield from rule(part, facts)


def _gap_dual(plan: Plan, facts: Facts) -> Iterator[str]:
    """What tc can take packets for (:mod:`pyxfrm.relocation.dual`)."""
    if not plan.options.dual:
        return
    moved = [m for m in plan.sas if m.dir == SaDir.IN and not m.same_tuple]
    if not facts.features.dual:
        yield "dual: tc is not at hand"
    if not moved:
        yield "dual: no inbound SA changes its destination, so there is nothing to take"
    if any(Family.INET6 in (m.old.id.family, m.new.id.family) for m in moved):
        yield "dual: tc rewrites addresses of IPv4 alone"
    if len({m.old.encap and m.old.encap.dport for m in moved}) > 1:
        yield "dual: some SAs are encapsulated and some are not, or at other ports"


def _not_dual(plan: Plan, _: Facts) -> Iterator[str]:
    if plan.options.dual or plan.options.peer_dual:
        yield "taking both addresses (dual) belongs to gap"


def _copied_in(plan: Plan) -> bool:
    """Inbound SAs are copied where the sender jumps in step, and tc does not take both addresses."""
    return plan.options.pair and not plan.options.dual


def _gap_windows(plan: Plan, _: Facts) -> Iterator[str]:
    """With one SA for both addresses, late packets from before the jump must still be in the window."""
    if not (plan.options.pair and plan.options.dual):
        return
    for move in plan.sas:
        if move.dir == SaDir.IN and not move.same_tuple and move.old.window < 2 * plan.jump:
            yield (
                f"{move.old.id}: its replay window of {move.old.window} is narrower than "
                f"the gap of {plan.jump} packets and what is under way"
            )


def _gap_policies(plan: Plan, _: Facts) -> Iterator[str]:
    for policy in plan.policies:
        if policy.outbound and not policy.in_place:
            yield f"policy {policy.old.id} gets another selector: no exchange at once"


def _old_message(plan: Plan, facts: Facts) -> Iterator[str]:
    if plan.blocks:
        yield "MIGRATE would find the overlay in place of the policy: block in place"
    if plan.wish.reqid is not None:
        yield "MIGRATE cannot change a reqid"
    if plan.wish.encap is REMOVE and not facts.features.migrate_state:
        yield "MIGRATE cannot remove an encapsulation before Linux 7.2"
    named = {n for policy in plan.policies for n in policy.sas}
    for n, move in enumerate(plan.sas):
        if n not in named:
            yield f"{move.old.id}: MIGRATE needs a policy that names it"
        if _twins(move, facts) > 1:
            yield f"{move.old.id}: MIGRATE names SAs by addresses and reqid, and here are several"
        if move.same_tuple and move.migration.new_saddr == move.old.saddr:
            yield f"{move.old.id}: its addresses stay, so MIGRATE would not tell old from new"
        if move.migration.sel != move.old.sel:
            yield f"{move.old.id}: MIGRATE leaves selectors as they are"
    for policy in plan.policies:
        yield from _old_message_policy(policy, facts)


def _old_message_policy(policy: PolicyMove, facts: Facts) -> Iterator[str]:
    if not policy.in_place:
        yield f"policy {policy.old.id}: MIGRATE leaves selectors as they are"
    if policy.old.mark and policy.old.mark.mask:
        yield f"policy {policy.old.id}: MIGRATE finds no policy with a mark"
    if any(t.saddr.is_any or t.mode == Mode.TRANSPORT for t in policy.old.templates):
        yield f"policy {policy.old.id}: MIGRATE needs templates with explicit tunnel addresses"
    hidden = [r for r in rivals(policy.old, facts.policies) if _wins(r, policy.old)]
    if hidden:
        yield f"policy {policy.old.id}: MIGRATE would find {hidden[0].id} in its place"


def _wins(rival: Policy, policy: Policy) -> bool:
    """Whether MIGRATE, which looks up a packet from and to the first addresses, finds the rival."""
    return (
        rival.type == policy.type
        and rival.priority <= policy.priority
        and policy.sel.saddr.address in rival.sel.saddr
        and policy.sel.daddr.address in rival.sel.daddr
    )


def _twins(move: SaMove, facts: Facts) -> int:
    mine = move.old
    return sum(
        (sa.saddr, sa.id.daddr, sa.mode, sa.id.proto, sa.reqid)
        == (mine.saddr, mine.id.daddr, mine.mode, mine.id.proto, mine.reqid)
        for sa in facts.sas
    )


def _no_device(plan: Plan, _: Facts) -> Iterator[str]:
    for move in plan.sas:
        if move.old.offloaded and move.migration.offload is not REMOVE:
            yield f"{move.old.id} is offloaded to a device: a copy may find no room there"


def _one_encap(plan: Plan, _: Facts) -> Iterator[str]:
    """One message carries one encapsulation for all SAs of a policy."""
    for policy in plan.policies:
        if len({plan.sas[n].new.encap for n in policy.sas}) > 1:
            yield f"policy {policy.old.id}: its SAs are encapsulated differently"


_RULES: dict[Strategy, tuple[_Rule, ...]] = {
    Strategy.MIGRATE_STATE: (_needs_migrate_state, _not_dual),
    Strategy.MIGRATE: (
        _needs_migrate,
        _needs_block,
        _old_message,
        _no_device,
        _one_encap,
        _not_dual,
    ),
    Strategy.RECREATE: (_needs_keys, _needs_block, _no_device, _not_dual),
    Strategy.HOLD: (
        _needs_migrate_state,
        _needs_larval_drop,
        _hold_templates,
        _hold_room,
        _not_dual,
    ),
    Strategy.GAP: (
        _needs_keys,
        _gap_moves,
        _gap_windows,
        _gap_policies,
        _gap_held,
        _gap_dual,
        _no_device,
    ),
}

_STATS = "the counts of packets that the SA refused start again at 0"
_ORDER = "packets that waited come out of order, up to one tick of the kernel late"
_EXPOSED = (
    "until the old inbound SA is gone, a new packet replayed to its old address is accepted once"
)
_SKIPS = "outbound sequence numbers skip some, so that none is used twice"

_ONCE = "a packet received after the read and before the delete could be replayed once"


def _cannot(strategy: Strategy, plan: Plan, facts: Facts) -> tuple[str, ...]:
    if strategy is not Strategy.GAP:
        return _CANNOT[strategy]
    remade = _not_copied(plan) and not facts.features.migrate_state
    exposed = not plan.options.dual and plan.options.pair
    return (_STATS, _SKIPS, *((_EXPOSED,) if exposed else ()), *((_ONCE,) if remade else ()))


_CANNOT: dict[Strategy, tuple[str, ...]] = {
    Strategy.MIGRATE_STATE: (
        _STATS,
        "packets sent while traffic is blocked are lost (their senders see EPERM)",
    ),
    Strategy.MIGRATE: (
        _STATS,
        "packets sent while traffic is blocked are lost (their senders see EPERM)",
    ),
    Strategy.RECREATE: (
        _STATS,
        _SKIPS,
        "packets sent while traffic is blocked are lost (their senders see EPERM)",
        _ONCE,
    ),
    Strategy.HOLD: (_STATS, _ORDER),
}
