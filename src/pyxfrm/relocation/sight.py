"""What a look at the kernel means for a plan: where each SA and each policy stands.

An SA is *ours* at a place if it has the SPI, algorithms, interface and ``added`` time of the plan (:meth:`~pyxfrm.relocation.footprint.Footprint.same_sa`). Anything else there is
somebody else's, and our SA is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import Enum

from pyxfrm.model import Action, Policy, PolicyId, SaId
from pyxfrm.relocation.commands import Look, Sight
from pyxfrm.relocation.moves import Plan, PolicyMove, SaMove

__all__ = [
    "Place",
    "Places",
    "Target",
    "arrived",
    "form_at",
    "look_for",
    "place_of",
    "policy_at",
    "sum_up",
    "used",
    "why_gone",
    "why_stale",
]


class Target(Enum):
    """The end that a procedure works towards."""

    NEW = "new"
    OLD = "old"


class Place(Enum):
    """Where one SA is."""

    OLD = "old"
    NEW = "new"
    BOTH = "both"
    GONE = "gone"


class Places(Enum):
    """Where all SAs of a relocation are, in one word.

    ``OLD``, ``NEW``  all there; ``MIXED`` some here, some there; ``BOTH`` some are copied and the original
    is still there; ``USED`` the same, and a copy has sent packets; ``GONE`` at least one is nowhere.
    """

    OLD = "old"
    NEW = "new"
    MIXED = "mixed"
    BOTH = "both"
    USED = "used"
    GONE = "gone"


def look_for(plan: Plan, end: int = 0) -> Look:
    """The look that tells where a plan stands."""
    sas = [m.old.id for m in plan.sas] + [m.new.id for m in plan.sas if not m.same_tuple]
    policies = [p.old.id for p in plan.policies]
    policies += [p.new.id for p in plan.policies if not p.in_place]
    policies += [b.id for b in plan.blocks]
    return Look(tuple(sas), tuple(policies), end)


def place_of(move: SaMove, sight: Sight) -> Place:
    """Where the SA of ``move`` is."""
    new = sight.sas.get(move.new.id)
    at_new = new is not None and move.new.same_sa(new) and move.new.same_place(new)
    old = sight.sas.get(move.old.id)
    at_old = old is not None and move.old.same_sa(old) and not (move.same_tuple and at_new)
    return _PLACE[at_old, at_new]


_PLACE = {
    (True, True): Place.BOTH,
    (True, False): Place.OLD,
    (False, True): Place.NEW,
    (False, False): Place.GONE,
}


def used(move: SaMove, sight: Sight, cut: int | None) -> bool:
    """Whether the copy at the new place may have sent packets already."""
    return cut is None or sight.oseq.get(move.new.id, 0) > cut


def sum_up(
    plans: Iterable[Plan], sights: Iterable[Sight], cuts: Mapping[tuple[int, SaId], int]
) -> Places:
    """All SAs of all ends in one word; GONE outweighs USED, and USED outweighs BOTH."""
    seen: set[Place] = set()
    onward = False
    for end, (plan, sight) in enumerate(zip(plans, sights, strict=True)):
        for move in plan.sas:
            place = place_of(move, sight)
            seen.add(place)
            if place is Place.BOTH:
                onward |= used(move, sight, cuts.get((end, move.old.id)))
    if Place.GONE in seen:
        return Places.GONE
    if Place.BOTH in seen:
        return Places.USED if onward else Places.BOTH
    if seen == {Place.OLD}:
        return Places.OLD
    return Places.NEW if seen <= {Place.NEW} else Places.MIXED


# -- policies --------------------------------------------------------------------------------------


def form_at(policy: PolicyMove, target: Target) -> Policy:
    """What the policy reads at that end."""
    return policy.new if target is Target.NEW else policy.old


def _plain(policy: Policy | None) -> Policy | None:
    return None if policy is None else replace(policy, index=0)


def policy_at(policy: PolicyMove, sight: Sight, target: Target) -> bool:
    """Whether the policy stands as it shall at ``target``, and nothing is left at the other end."""
    here = form_at(policy, target)
    if _plain(sight.policies.get(here.id)) != here:
        return False
    other = policy.old if target is Target.NEW else policy.new
    return policy.in_place or other.id not in sight.policies


def arrived(plan: Plan, sight: Sight, target: Target) -> bool:
    """Whether everything of the plan is at ``target``, and no overlay is left."""
    want = Place.NEW if target is Target.NEW else Place.OLD
    return (
        all(place_of(move, sight) is want for move in plan.sas)
        and all(policy_at(policy, sight, target) for policy in plan.policies)
        and not any(block.id in sight.policies for block in plan.blocks)
    )


def blocked(policy: PolicyId, sight: Sight) -> bool:
    """Whether a policy of that name stands as a block."""
    seen = sight.policies.get(policy)
    return seen is not None and seen.action == Action.BLOCK


def why_gone(plan: Plan, sight: Sight) -> list[str]:
    """A line about each SA that is at neither place."""
    return [
        f"{move.old.id} is gone: {_instead(move, sight)}"
        for move in plan.sas
        if place_of(move, sight) is Place.GONE
    ]


def _instead(move: SaMove, sight: Sight) -> str:
    for there in (move.old, move.new):
        seen = sight.sas.get(there.id)
        if seen is not None and there.same_place(seen):
            return f"another SA is there now (rekeyed?), from {seen.saddr} to {seen.id.daddr}"
    return "it expired, was deleted, or came to grief in a move"


def why_stale(plan: Plan, sight: Sight) -> str:
    """What is not as the plan says; "" if all is."""
    for move in plan.sas:
        seen = sight.sas.get(move.old.id)
        if seen is None:
            return f"{move.old.id} is gone"
        if not (move.old.same_sa(seen) and move.old.same_place(seen)):
            return f"{move.old.id} is another SA now"
        if not move.same_tuple and move.new.id in sight.sas:
            return f"another SA is at {move.new.id} now"
    for policy in plan.policies:
        if _plain(sight.policies.get(policy.old.id)) != policy.old:
            return f"policy {policy.old.id} has changed"
        if not policy.in_place and policy.new.id in sight.policies:
            return f"another policy is at {policy.new.id} now"
    return ""
