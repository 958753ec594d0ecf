"""Which SAs and policies are one Child SA, so that they are moved, blocked and lost together.

A Child SA has an SA each way and policies in each direction. They hang together by templates, and the two directions by their reqid (or, without one, by their
addresses), if_id and mark.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

from pyxfrm.relocation.moves import PolicyMove, SaMove

__all__ = ["number_children"]


class _Groups:
    """Union-find over anything hashable."""

    def __init__(self) -> None:
        self._parent: dict[Hashable, Hashable] = {}

    def top(self, node: Hashable) -> Hashable:
        while (up := self._parent.setdefault(node, node)) != node:
            node = up
        return node

    def join(self, a: Hashable, b: Hashable) -> None:
        self._parent[self.top(a)] = self.top(b)


def _bond(move: SaMove) -> Hashable:
    sa = move.old
    if sa.reqid:
        return "reqid", sa.reqid, sa.if_id
    ends = frozenset((sa.saddr, sa.id.daddr))
    return "ends", ends, sa.if_id, sa.id.mark


def number_children(
    sas: Sequence[SaMove], policies: Sequence[PolicyMove]
) -> tuple[list[SaMove], list[PolicyMove]]:
    """The same moves with ``child`` filled in: 1, 2, ... in the order of the plan."""
    groups = _Groups()
    for i, move in enumerate(sas):
        groups.join(("sa", i), _bond(move))
    for i, policy in enumerate(policies):
        for n in policy.sas:
            groups.join(("policy", i), ("sa", n))
        if not policy.sas and policy.old.templates:
            reqid = policy.old.templates[-1].reqid
            bond = ("reqid", reqid, policy.old.if_id) if reqid else ("policy", i)
            groups.join(("policy", i), bond)
    numbers: dict[Hashable, int] = {}

    def number(node: Hashable) -> int:
        return numbers.setdefault(groups.top(node), len(numbers) + 1)

    return (
        [replace(move, child=number(("sa", i))) for i, move in enumerate(sas)],
        [replace(policy, child=number(("policy", i))) for i, policy in enumerate(policies)],
    )
