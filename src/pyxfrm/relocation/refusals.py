"""What speaks against a plan: reasons to refuse it, and things to know before it is done.

The kernel's lookups have gaps, so that a request can move another SA than the one that was meant: an SA is found where
``key & mask == value``, newest first, and an SA with a broad mask hides a more exact one (net/xfrm/xfrm_state.c:
__xfrm_state_lookup). A dump does not tell which one is newest. So where two SAs answer to one request, the plan is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pyxfrm.model import (
    INHERIT,
    REMOVE,
    Address,
    Family,
    Mark,
    Mode,
    Network,
    Policy,
    PolicyId,
    Sa,
    SaDir,
)
from pyxfrm.relocation.belong import names, placed
from pyxfrm.relocation.facts import Facts
from pyxfrm.relocation.footprint import Footprint
from pyxfrm.relocation.moves import Plan, PolicyMove, Refusal, SaMove, Why

__all__ = ["all_of", "unpaired", "warnings"]

_Place = tuple[Address, int, int]


def all_of(plan: Plan, facts: Facts) -> tuple[Refusal, ...]:
    """Every reason not to do it."""
    found: list[Refusal] = []
    for rule in (_nothing, _ambiguous, _taken, _family, _address, _owned, _selectors, _policies):
        found += (Refusal(why, text) for why, text in rule(plan, facts))
    return tuple(found)


_Found = Iterator[tuple[Why, str]]


def _nothing(plan: Plan, _: Facts) -> _Found:
    if not plan.sas and not plan.policies:
        yield Why.NOTHING, f"nothing here belongs to {plan.wish}; nothing to move"


def _answers(mark: Mark | None, key: int) -> bool:
    return mark is None or mark.matches(key)


def _by_place(sas: Iterable[Sa]) -> dict[_Place, list[Sa]]:
    places: dict[_Place, list[Sa]] = {}
    for sa in sas:
        places.setdefault((sa.id.daddr, sa.id.proto, sa.id.spi), []).append(sa)
    return places


def _ambiguous(plan: Plan, facts: Facts) -> _Found:
    places = _by_place(facts.sas)
    for move in plan.sas:
        sa = move.old.id
        found = [
            other
            for other in places.get((sa.daddr, sa.proto, sa.spi), ())
            if _answers(other.id.mark, sa.key)
        ]
        if len(found) > 1:
            marks = ", ".join(str(o.id.mark or "none") for o in found)
            yield (
                Why.AMBIGUOUS,
                f"{len(found)} SAs answer to {sa} (marks {marks}): the kernel may move another one",
            )


def _taken(plan: Plan, facts: Facts) -> _Found:
    places = _by_place(facts.sas)
    targets = Counter(
        (m.new.id.daddr, m.old.id.proto, m.old.id.spi, m.old.id.key) for m in plan.sas
    )
    for move in plan.sas:
        new = move.new.id
        if targets[(new.daddr, new.proto, new.spi, new.key)] > 1:
            yield Why.TAKEN, f"two SAs of this plan would become {new}"
        if move.same_tuple:
            continue
        for other in places.get((new.daddr, new.proto, new.spi), ()):
            if _answers(other.id.mark, new.key) or _answers(new.mark, other.id.key):
                yield (
                    Why.TAKEN,
                    f"{move.old.id}: another SA is already at its new place, {other.id}",
                )


def _family(plan: Plan, _: Facts) -> _Found:
    """Outside tunnels (BEET is one here) the selector must be of the new family, or of none (net/xfrm/xfrm_state.c: __xfrm_init_state)."""
    for move in plan.sas:
        family = move.new.id.family
        if move.old.tunnels or move.new.sel.family in (family, Family.UNSPEC):
            continue
        families = f"from {move.old.id.family.name} to {family.name}"
        text = (
            f"mode {move.old.mode} with selector {move.new.sel} cannot go {families}; tunnels can"
        )
        yield Why.FAMILY, f"{move.old.id}: {text}"


def _address(plan: Plan, facts: Facts) -> _Found:
    new = plan.wish.new_local
    if new is None or plan.options.any_address or facts.addresses is None:
        return
    if new not in facts.addresses:
        yield Why.ADDRESS, f"{new} is on no interface of this machine (--any-address: it will be)"


def _owned(plan: Plan, facts: Facts) -> _Found:
    if facts.owners and not plan.options.force:
        who = ", ".join(map(str, facts.owners))
        yield (
            Why.OWNED,
            f"a key manager owns the SAs of this namespace: {who} (--force moves them all the same)",
        )


def _fits(move: SaMove, saddr: Network, daddr: Network) -> bool:
    return move.new.saddr in saddr and move.new.id.daddr in daddr


def _selectors(plan: Plan, _: Facts) -> _Found:
    """Transport mode: packets have the SA's addresses, which the selectors must allow."""
    for move in plan.sas:
        if move.old.mode != Mode.TRANSPORT:
            continue
        sel = move.new.sel
        if sel.family == move.new.id.family and not _fits(move, sel.saddr, sel.daddr):
            yield Why.SELECTOR, f"{move.old.id}: its selector {sel} excludes its new addresses"
    for policy in plan.policies:
        for n in policy.sas:
            move = plan.sas[n]
            sel = policy.new.sel
            if not _by_packet(policy.old):
                continue
            if sel.family != move.new.id.family or not _fits(move, sel.saddr, sel.daddr):
                yield (
                    Why.SELECTOR,
                    f"policy {policy.old.id}: its selector excludes the new addresses of {move.old.id}",
                )


def _by_packet(policy: Policy) -> bool:
    """Its SAs have the packet's own addresses: transport mode alone."""
    return all(p.by_selector and p.template.mode == Mode.TRANSPORT for p in placed(policy))


def _plain(policy: PolicyId) -> PolicyId:
    return replace(policy, mark=None) if policy.mark == Mark(0, 0) else policy


def _policies(plan: Plan, facts: Facts) -> _Found:
    taken = {_plain(p.id) for p in facts.policies}
    seen: set[PolicyId] = set()
    for move in plan.policies:
        new = _plain(move.new.id)
        if new in seen or (not move.in_place and new in taken):
            yield Why.POLICY_TAKEN, f"policy {move.old.id}: its new place {new} is taken"
        seen.add(new)
        if move.old.templates != move.new.templates:
            yield from _shared(plan, move, facts)


def _shared(plan: Plan, move: PolicyMove, facts: Facts) -> _Found:
    """A template that changes must not be what an SA of somebody else lives by."""
    moving = {m.old.id for m in plan.sas}
    for sa in facts.sas:
        if sa.id in moving or plan.wish.direction(sa.saddr, sa.id.daddr) is not None:
            continue
        mark = Footprint.of(sa)
        if not mark.larval and any(names(move.old, p, mark) for p in placed(move.old)):
            yield Why.SHARED, f"policy {move.old.id} is shared with SA {sa.id}, which does not move"
            return


def unpaired(first: Plan, second: Plan) -> Iterator[Refusal]:
    """SAs of one end that the other end does not have, the other way round."""
    ends = [
        {(m.old.id.daddr, m.old.id.proto, m.old.id.spi, m.dir) for m in p.sas}
        for p in (first, second)
    ]
    turned = {(d, p, s, SaDir.IN if way == SaDir.OUT else SaDir.OUT) for d, p, s, way in ends[1]}
    for daddr, proto, spi, _ in ends[0] ^ turned:
        text = f"{proto} spi {spi:#010x} to {daddr} is at one end only"
        yield Refusal(Why.PAIR, text)


# -- things to know ------------------------------------------------------------------------------


def warnings(plan: Plan, facts: Facts) -> tuple[str, ...]:
    """What does not stop the move, but should be known."""
    found: list[str] = []
    for rule in (_behind, _uncovered, _restarts, _offloaded, _lonely, _forced):
        found += rule(plan, facts)
    return tuple(found)


def _behind(plan: Plan, _: Facts) -> Iterator[str]:
    stay = [left for left in plan.left if left.why.endswith("was not selected")]
    if stay and any(p.old.templates != p.new.templates for p in plan.policies):
        yield f"{len(stay)} SAs of the endpoint stay behind, and no template will name them"


def _uncovered(plan: Plan, _: Facts) -> Iterator[str]:
    for policy in plan.policies:
        if not policy.in_place and policy.outbound:
            yield f"after the move no policy protects {policy.old.sel}: its address is given up"
    local = plan.wish.local
    if local is None or plan.wish.new_local in (None, local):
        return
    for policy in plan.policies:
        if policy.in_place and policy.outbound and policy.old.sel.saddr == Network.host(local):
            yield f"policy {policy.old.id} protects packets from {local}, not from the new address"


def _restarts(plan: Plan, _: Facts) -> Iterator[str]:
    for policy in plan.policies:
        limits = policy.old.limits
        if limits.hard_add is not None or limits.hard_use is not None:
            yield f"policy {policy.old.id}: its time limit starts again"


def _offloaded(plan: Plan, _: Facts) -> Iterator[str]:
    for move in plan.sas:
        if move.old.offloaded and move.migration.offload is INHERIT:
            yield f"{move.old.id} is offloaded to a device: some kernels refuse to move such an SA"
        if move.migration.offload is REMOVE and move.old.offloaded:
            yield f"{move.old.id} will be handled in software"


def _lonely(plan: Plan, _: Facts) -> Iterator[str]:
    named = {n for policy in plan.policies for n in policy.sas}
    for n, move in enumerate(plan.sas):
        if n not in named:
            yield f"no policy names {move.old.id} ({move.dir}): it moves alone"


def _forced(plan: Plan, facts: Facts) -> Iterator[str]:
    if facts.owners and plan.options.force:
        who = ", ".join(map(str, facts.owners))
        yield f"{who} will not know that its SAs have moved"
        if any(owner.hears_acquire for owner in facts.owners):
            yield "it may be asked for new SAs (ACQUIRE) by packets that are sent while these move"
