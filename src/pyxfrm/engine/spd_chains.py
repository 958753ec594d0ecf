"""Which policy a packet meets: the lists that policies stand in, and the order in which they are looked through.

**Exact lists.** A policy whose prefixes are at least as long as the thresholds (32 and 32 bits, or 128 and 128, unless NEWSPDINFO lowers them)
stands in a list with the others that have these leading bits.

**Inexact bins.** The others stand in a bin by family, type, direction and if_id. A bin has four kinds of list: one for policies with both addresses
wide (no address, or a prefix shorter than 16 bits, 48 for IPv6), one a destination prefix, one a source prefix, and one a pair of both. Prefixes
of one kind never overlap: a wider one takes over those inside it, with their policies.

**Order.** Within a list by priority, then by age; but a policy that replaces one of its own priority takes its place, and one with packet
offload goes to the front. Over the lists of a flow the lower priority value wins, then the older policy.

So the lists decide only where policies overlap, have the same priority, and one has been updated.

**Finding one's place.** As a list is in order by priority, a policy's place in it is found by halving. Among equals ``Policy.place`` tells: its own number, or that of
the one it replaced. Where that fails (lists that offloaded policies or a wider prefix have put out of order) the list is walked.

Sources: net/xfrm/xfrm_policy.c: xfrm_policy_insert_list, xfrm_policy_inexact_insert, xfrm_policy_inexact_insert_node,
xfrm_policy_inexact_node_merge, __xfrm_policy_inexact_prune_bin, xfrm_policy_lookup_bytype, xfrm_hash_rebuild.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from pyxfrm.abi.xfrm import AF_INET, AF_INET6, XFRM_POLICY_OUT
from pyxfrm.engine.policy import address_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyxfrm.engine.policy import Flow, Policy

__all__ = ["Chains", "Node", "Tree"]

Key = tuple[int, int, int, int]

_WIDE_BELOW = {AF_INET: 16, AF_INET6: 48}
_WIDTH = {AF_INET: 32, AF_INET6: 128}


class Node:
    """A list of policies in the order of lookup.

    ``first``, ``length``  the prefix it stands for: lowest address, bits; 0 and 0 where it is in no tree
    ``tree``     the tree it is in
    ``sources``  for a destination prefix: the source prefixes below it
    ``key``      for an exact list: under what it is found
    ``mixed``    whether age is not the order of equals: some have taken others' places
    ``unsorted``  whether priority may not be the order either: there are, or were, offloaded policies
    """

    __slots__ = ("first", "key", "length", "mixed", "policies", "sources", "tree", "unsorted")

    def __init__(self, key: Key | None = None) -> None:
        self.key = key
        self.first = self.length = 0
        self.policies: list[Policy] = []
        self.mixed = self.unsorted = False
        self.tree: Tree | None = None
        self.sources: Tree | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing at it or below it."""
        return not self.policies and not self.sources

    def insert(self, new: Policy, replaced: Policy | None) -> None:
        """Put a policy where it belongs; ``replaced``, if any, is still in the list."""
        new.node = self
        new.place = new.serial
        if new.offload is not None:
            self.unsorted = True
            self.policies.insert(0, new)
        elif self.unsorted:
            self.policies.insert(self._scan(new, replaced), new)
        elif replaced is not None and replaced.priority == new.priority:
            self.mixed = True
            new.place = replaced.place
            self.policies.insert(self._where(replaced), new)
        else:
            self.policies.insert(bisect_right(self.policies, new.priority, key=_priority), new)

    def _scan(self, new: Policy, replaced: Policy | None) -> int:
        """Where ``new`` belongs in a list that offloaded policies have put out of order."""
        place, passed = 0, False
        for at, one in enumerate(self.policies):
            if one is replaced:
                passed = True
                if new.priority > one.priority:
                    continue
            elif new.priority >= one.priority:
                place = at + 1
                continue
            if passed:
                break
        return place

    def take_over(self, policies: Iterable[Policy]) -> None:
        """Policies of a prefix that this one has swallowed, each by priority and age."""
        for new in sorted(policies, key=_serial):
            place = 0 if new.offload is not None else self._place_by_age(new)
            new.node = self
            new.place = new.serial
            self.unsorted |= new.offload is not None
            self.policies.insert(place, new)

    def _place_by_age(self, new: Policy) -> int:
        """Before the first that is of a higher value or, if equal, younger."""
        if not (self.mixed or self.unsorted):
            return bisect_left(self.policies, _age(new), key=_age)
        later = (at for at, one in enumerate(self.policies) if _age(new) < _age(one))
        return next(later, len(self.policies))

    def _where(self, policy: Policy) -> int:
        """Where in the list a policy is."""
        wanted = _order(policy)
        at = bisect_left(self.policies, wanted, key=_order)
        while at < len(self.policies) and _order(self.policies[at]) == wanted:
            if self.policies[at] is policy:
                return at
            at += 1
        return self.policies.index(policy)

    def remove(self, policy: Policy) -> None:
        """Take a policy out."""
        del self.policies[self._where(policy)]
        if len(self.policies) <= 1:
            self.mixed = self.unsorted = False
            for last in self.policies:
                last.place = last.serial


def _priority(policy: Policy) -> int:
    return policy.priority


def _serial(policy: Policy) -> int:
    return policy.serial


def _age(policy: Policy) -> tuple[int, int]:
    return policy.priority, policy.serial


def _order(policy: Policy) -> tuple[int, int]:
    return policy.priority, policy.place


class Tree:
    """Nodes by prefix; no two overlap, so their lowest addresses are in order."""

    __slots__ = ("_firsts", "_nodes", "owner", "width")

    def __init__(self, width: int, owner: Node | None = None) -> None:
        self.width = width
        self.owner = owner
        self._firsts: list[int] = []
        self._nodes: list[Node] = []

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes)

    def find(self, address: int) -> Node | None:
        """The node whose prefix holds an address."""
        at = bisect_right(self._firsts, address) - 1
        if at < 0:
            return None
        node = self._nodes[at]
        return node if (address ^ node.first) >> (self.width - node.length) == 0 else None

    def node(self, address: int, length: int) -> Node:
        """The node of a prefix: one as wide or wider, or a new one that swallows the narrower ones inside it."""
        found = self.find(address)
        if found is not None and found.length <= length:
            return found
        shift = self.width - length
        first = address >> shift << shift
        begin = bisect_left(self._firsts, first)
        end = bisect_left(self._firsts, first + (1 << shift))
        inside = self._nodes[begin:end]
        # The first keeps its list as it is, the others' policies are sorted in. Which one is first depends, in the kernel, on the shape of
        # a balanced tree; here it is the lowest. That shows only if the other's list had a replaced policy in an old place.
        node = inside[0] if inside else Node()
        node.first, node.length, node.tree = first, length, self
        self._firsts[begin:end] = [first]
        self._nodes[begin:end] = [node]
        for other in inside[1:]:
            _swallow(node, other)
        return node

    def drop(self, node: Node) -> None:
        """Take a node out."""
        at = bisect_left(self._firsts, node.first)
        del self._firsts[at], self._nodes[at]
        node.tree = None

    def adopt(self, node: Node) -> None:
        """Put in a node of another tree, joined with all that it overlaps."""
        while (other := self._overlapping(node)) is not None:
            same = other.length == node.length
            self.drop(other)
            if node.length < other.length:
                other.first, other.length = node.first, node.length
            other.take_over(node.policies)
            node = other
            if same:
                break
        at = bisect_left(self._firsts, node.first)
        self._firsts.insert(at, node.first)
        self._nodes.insert(at, node)
        node.tree = self

    def _overlapping(self, node: Node) -> Node | None:
        found = self.find(node.first)
        if found is None:
            at = bisect_left(self._firsts, node.first)
            if at < len(self._nodes):
                found = self._nodes[at]
        if found is None:
            return None
        shift = self.width - min(found.length, node.length)
        return found if (found.first ^ node.first) >> shift == 0 else None


def _swallow(node: Node, other: Node) -> None:
    """Move all of ``other`` into ``node``."""
    if other.sources:
        if node.sources is None:
            node.sources = Tree(other.sources.width, node)
        for source in list(other.sources):
            node.sources.adopt(source)
    node.take_over(other.policies)
    other.tree = None


class _Bin:
    """The inexact policies of one family, type, direction and if_id."""

    __slots__ = ("anywhere", "by_daddr", "by_saddr", "emptied")

    def __init__(self, width: int) -> None:
        self.anywhere = Node()
        self.by_daddr = Tree(width)
        self.by_saddr = Tree(width)
        self.emptied: list[Node] = []

    def node_for(self, policy: Policy) -> Node:
        sel = policy.sel
        family = sel.family
        daddr = address_value(sel.daddr, family)
        saddr = address_value(sel.saddr, family)
        wide = _WIDE_BELOW[family]
        any_source = not saddr or sel.prefixlen_s < wide
        if not daddr or sel.prefixlen_d < wide:
            return self.anywhere if any_source else self.by_saddr.node(saddr, sel.prefixlen_s)
        node = self.by_daddr.node(daddr, sel.prefixlen_d)
        if any_source:
            return node
        if node.sources is None:
            node.sources = Tree(self.by_daddr.width, node)
        return node.sources.node(saddr, sel.prefixlen_s)

    def candidates(self, flow: Flow) -> Iterator[Node]:
        """The lists that a flow may be in, in the kernel's order."""
        daddr = address_value(flow.daddr, flow.family)
        saddr = address_value(flow.saddr, flow.family)
        to = self.by_daddr.find(daddr)
        both = to.sources.find(saddr) if to is not None and to.sources is not None else None
        for node in (both, self.by_saddr.find(saddr), to, self.anywhere):
            if node is not None:
                yield node

    def prune(self) -> None:
        """Forget prefixes that hold nothing any more."""
        emptied, self.emptied = self.emptied, []
        for node in emptied:
            at: Node | None = node
            while at is not None and at.tree is not None and at.empty:
                tree = at.tree
                tree.drop(at)
                at = tree.owner


class Chains:
    """All lists of a namespace.

    ``thresholds``  by family: (local, remote) prefix lengths from which on a policy stands in an exact list
    """

    def __init__(self) -> None:
        self.thresholds = {AF_INET: (32, 32), AF_INET6: (128, 128)}
        self._exact: dict[Key, Node] = {}
        self._bins: dict[Key, _Bin] = {}

    def insert(self, policy: Policy, replaced: Policy | None) -> None:
        """Put a policy into its list, before ``replaced`` is taken out."""
        self._node_for(policy).insert(policy, replaced)

    def remove(self, policy: Policy, *, prune: bool) -> None:
        """Take a policy out; ``prune``: prefixes that hold nothing any more are forgotten at once."""
        node = policy.node
        node.remove(policy)
        if node.key is not None:
            if not node.policies:
                del self._exact[node.key]
            return
        bin_ = self._bins[_bin_key(policy)]
        if not node.policies:
            bin_.emptied.append(node)
        if prune:
            bin_.prune()

    def prune(self) -> None:
        """Forget all prefixes that hold nothing any more."""
        for bin_ in self._bins.values():
            bin_.prune()

    def rebuild(self, policies: list[Policy]) -> None:
        """Sort anew under other thresholds; ``policies`` oldest first."""
        for policy in reversed(policies):
            if self._exact_key(policy) is None:
                self._bin(policy).node_for(policy)
        for policy in policies:
            self.remove(policy, prune=False)
            self.insert(policy, None)
        self.prune()

    def lookup(self, flow: Flow, direction: int, kind: int, if_id: int) -> Policy | None:
        """The policy of that type that a flow meets (xfrm_policy_lookup_bytype)."""
        found: Policy | None = None
        node = self._exact.get(self._flow_key(flow, direction))
        if node is not None:
            for one in node.policies:
                if one.type == kind and one.if_id == if_id and one.covers(flow):
                    found = one
                    break
        bin_ = self._bins.get((flow.family, kind, direction, if_id))
        if bin_ is None or (found is not None and found.offload is not None):
            return found
        for node in bin_.candidates(flow):
            found = _better(node, found, flow)
        return found

    def _bits(self, family: int, direction: int) -> tuple[int, int]:
        """Thresholds as (destination, source) bits."""
        local, remote = self.thresholds[family]
        return (remote, local) if direction == XFRM_POLICY_OUT else (local, remote)

    def _exact_key(self, policy: Policy) -> Key | None:
        sel = policy.sel
        dbits, sbits = self._bits(sel.family, policy.dir)
        if sel.prefixlen_d < dbits or sel.prefixlen_s < sbits:
            return None
        return self._key(sel.family, policy.dir, sel.daddr, sel.saddr, dbits, sbits)

    def _flow_key(self, flow: Flow, direction: int) -> Key:
        dbits, sbits = self._bits(flow.family, direction)
        return self._key(flow.family, direction, flow.daddr, flow.saddr, dbits, sbits)

    @staticmethod
    def _key(
        family: int, direction: int, daddr: bytes, saddr: bytes, dbits: int, sbits: int
    ) -> Key:
        width = _WIDTH[family]
        to = address_value(daddr, family) >> (width - dbits)
        come = address_value(saddr, family) >> (width - sbits)
        return family, direction, to, come

    def _bin(self, policy: Policy) -> _Bin:
        key = _bin_key(policy)
        found = self._bins.get(key)
        if found is None:
            found = self._bins[key] = _Bin(_WIDTH[policy.sel.family])
        return found

    def _node_for(self, policy: Policy) -> Node:
        key = self._exact_key(policy)
        if key is None:
            return self._bin(policy).node_for(policy)
        node = self._exact.get(key)
        if node is None:
            node = self._exact[key] = Node(key)
        return node


def _bin_key(policy: Policy) -> Key:
    return policy.sel.family, policy.type, policy.dir, policy.if_id


def _better(node: Node, best: Policy | None, flow: Flow) -> Policy | None:
    """What a flow meets, ``best`` so far, after another list (__xfrm_policy_eval_candidates)."""
    for one in node.policies:
        if best is not None and one.priority > best.priority:
            return best
        if one.covers(flow):
            if best is not None and one.priority == best.priority and best.serial < one.serial:
                return best
            return one
    return best
