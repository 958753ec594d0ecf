"""Block policies: which of two policies wins, and what a block must look like to win.

The kernel asks sub policies first, then main ones; within a type the lowest priority number wins, and of two with the same number the older one
(net/xfrm/xfrm_policy.c: xfrm_policy_lookup, __xfrm_policy_eval_candidates). Only policies with the packet's own if_id match at all.

Three ways to keep traffic from leaving in clear while an SA and its policies disagree (:class:`Guard`):

``IN_PLACE``  the policy itself becomes a block, by one UPDPOLICY that the kernel does as one exchange, and later an allow again. It wins and loses against
              all others exactly as before. It keeps its templates: the kernel ignores them while it blocks.
``OVERLAY``   a second policy above it. A policy is named by selector, mark, if_id and type, *not* by priority, so a block with the very same
              selector would collide with the policy that it is to cover (EEXIST). The selector's ``user`` field makes it another one: the
              kernel compares it when it looks for a policy by name and never when it matches a packet (selector_cmp, xfrm_selector_match).
``TEMPLATES`` nothing blocks: a policy that names an SA which is not there lets nothing pass, either. But where somebody listens for ACQUIRE, each such packet
              asks for a new SA.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum

from pyxfrm.model import (
    Action,
    Direction,
    Mark,
    Network,
    OffloadFlag,
    Policy,
    PolicyType,
    Port,
    Selector,
)

__all__ = ["BLOCK_USER", "Guard", "covers", "in_place", "overlaps", "overlay", "rivals"]

# Marks our overlays; any number would do that no selector has. "XBLK" in ASCII.
BLOCK_USER = 0x58424C4B


class Guard(Enum):
    """How traffic is stopped while SAs and policies disagree; see the module's text."""

    IN_PLACE = "in-place"
    OVERLAY = "overlay"
    TEMPLATES = "templates"


def _networks_meet(a: Network, b: Network) -> bool:
    prefix = min(a.prefix, b.prefix)
    return Network(a.address, prefix).masked == Network(b.address, prefix).masked


def _ports_meet(a: Port, b: Port) -> bool:
    return not (a.value ^ b.value) & a.mask & b.mask


def _marks_meet(a: Mark | None, b: Mark | None) -> bool:
    if a is None or b is None:
        return True
    return not (a.value ^ b.value) & a.mask & b.mask


def _same_or_any(a: int, b: int) -> bool:
    return a == b or not a or not b


def overlaps(a: Selector, b: Selector) -> bool:
    """Whether some packet matches both."""
    return (
        a.family == b.family
        and _networks_meet(a.saddr, b.saddr)
        and _networks_meet(a.daddr, b.daddr)
        and _same_or_any(a.proto, b.proto)
        and _same_or_any(a.ifindex, b.ifindex)
        and _ports_meet(a.sport, b.sport)
        and _ports_meet(a.dport, b.dport)
    )


def rivals(policy: Policy, others: Iterable[Policy]) -> list[Policy]:
    """Policies that some packet of ``policy`` matches, too; itself left out."""
    return [
        other
        for other in others
        if other.dir == policy.dir
        and other.if_id == policy.if_id
        and other.id != policy.id
        and _marks_meet(other.mark, policy.mark)
        and overlaps(other.sel, policy.sel)
    ]


def in_place(policy: Policy) -> Policy:
    """``policy`` turned into a block where it stands."""
    return replace(policy, action=Action.BLOCK)


def overlay(policy: Policy, others: Iterable[Policy]) -> tuple[Policy, str]:
    """A block that beats ``policy`` and all its rivals; and a warning, "" if it surely wins."""
    against = [*rivals(policy, others), policy]
    subs = [p for p in against if p.type == PolicyType.SUB]
    kind = PolicyType.SUB if subs else PolicyType.MAIN
    beat = min(p.priority for p in (subs or against))
    block = Policy(
        Direction(policy.dir),
        replace(policy.sel, user=BLOCK_USER),
        Action.BLOCK,
        max(0, beat - 1),
        mark=policy.mark,
        if_id=policy.if_id,
        type=kind,
        context=policy.context,
    )
    if any(p.offload and p.offload.flags & OffloadFlag.PACKET for p in against):
        return block, f"a policy offloaded to a device may win over the block on {policy.id}"
    if beat == 0:
        return block, (
            f"a policy with priority 0 covers {policy.id}: no block can win over it; "
            "block in place instead"
        )
    return block, ""


def covers(block: Policy, policy: Policy) -> bool:
    """Whether ``block`` is the overlay of ``policy``."""
    return (
        block.sel == replace(policy.sel, user=BLOCK_USER)
        and (block.dir, block.mark, block.if_id) == (policy.dir, policy.mark, policy.if_id)
        and block.action == Action.BLOCK
    )
