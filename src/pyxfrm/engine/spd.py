"""The policy database: what names a policy, its index, the order of dumps, and how the tables grow.

A policy is found by its identity (:mod:`pyxfrm.engine.policy`) or by its index, never by a mask: value and mask of a mark must both be
equal. NEWPOLICY refuses a second one of the same identity; UPDPOLICY replaces it, and the new one takes over the index.

**Index.** The low three bits say the direction; the rest counts up in steps of 8, over all directions, a taken one is passed over.
0 would mean "none", so the first inbound policy has 8.

**Order of a dump**: newest first; a policy that was updated is new.

**Tables.** The one of each direction doubles once it holds more policies than it has buckets less one, and then the table by index
too, if all policies together are more than *its* buckets less one. The kernel does it some time after the request; here it is done when
the datagram has been handled. Only the table by index is reported (GETSPDINFO), as buckets less one.

The engine has no sockets that carry packets; how many policies such sockets have is told it (``socket_counts``).

Sources: net/xfrm/xfrm_policy.c: xfrm_policy_insert, xfrm_gen_index, xfrm_policy_bysel_ctx, xfrm_policy_byid, xfrm_policy_walk, xfrm_hash_resize.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxfrm.abi.xfrm import (
    XFRM_POLICY_MAX,
    XFRM_USERPOLICY_ACCEPT,
)
from pyxfrm.engine.spd_chains import Chains

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyxfrm.engine.policy import Flow, Identity, Policy

__all__ = ["MAX_BUCKETS", "Spd"]

MAX_BUCKETS = 1 << 20


class Spd:
    """All policies of a namespace.

    ``counts``    policies by direction
    ``socket_counts``  policies of single sockets: in, out, forward; they are made with setsockopt, not here
    ``buckets``   of the table by index
    ``next_index``  from where indexes are counted; a kernel counts through all namespaces
    ``defaults``  what happens to packets that no policy matches, by direction (XFRM_USERPOLICY_*)
    """

    def __init__(self, choose_index: Callable[[int], int | None] = lambda _: None) -> None:
        self.counts = [0] * XFRM_POLICY_MAX
        self.socket_counts = [0] * XFRM_POLICY_MAX
        self.buckets = 8
        self.defaults = [XFRM_USERPOLICY_ACCEPT] * XFRM_POLICY_MAX
        self._choose_index = choose_index
        self._all: dict[int, Policy] = {}
        self._by_identity: dict[Identity, Policy] = {}
        self._by_index: dict[int, Policy] = {}
        self._chains = Chains()
        self._serial = 0
        self.next_index = 0
        self._buckets_by_dir = [8] * XFRM_POLICY_MAX
        self._must_grow = False

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Policy]:
        """Every policy, newest first, as a dump shows them."""
        return reversed(self._all.values())

    # -- finding ---------------------------------------------------------------------------------

    def find(self, identity: Identity) -> Policy | None:
        """The policy of that identity."""
        return self._by_identity.get(identity)

    def by_index(self, index: int) -> Policy | None:
        """The policy of that index."""
        return self._by_index.get(index)

    def lookup(self, flow: Flow, direction: int, kind: int, if_id: int) -> Policy | None:
        """The policy of type ``kind`` that a flow meets."""
        return self._chains.lookup(flow, direction, kind, if_id)

    @property
    def thresholds(self) -> dict[int, tuple[int, int]]:
        """By family: (local, remote) prefix lengths from which on a policy is hashed."""
        return self._chains.thresholds

    # -- changing ----------------------------------------------------------------------------------

    def insert(self, policy: Policy) -> Policy | None:
        """Put a policy in, with ``policy.index`` as a wish; the one that it replaces, which is out then, if any."""
        identity = policy.identity
        replaced = self._by_identity.get(identity)
        self._serial = policy.serial = self._serial + 1
        self._chains.insert(policy, replaced)
        if replaced is not None:
            self.remove(replaced, prune=True)
            policy.index = replaced.index
        else:
            policy.index = self._new_index(policy.dir, policy.index)
        self._all[policy.serial] = policy
        self._by_identity[identity] = policy
        self._by_index[policy.index] = policy
        self.counts[policy.dir] += 1
        if replaced is None and self._is_full(policy.dir):
            self._must_grow = True
        return replaced

    def remove(self, policy: Policy, *, prune: bool = False) -> None:
        """Take a policy out and mark it dead; ``prune``: see :meth:`pyxfrm.engine.spd_chains.Chains.remove`."""
        policy.dead = True
        del self._all[policy.serial]
        del self._by_identity[policy.identity]
        del self._by_index[policy.index]
        self.counts[policy.dir] -= 1
        self._chains.remove(policy, prune=prune)

    def prune(self) -> None:
        """Tidy up after a flush."""
        self._chains.prune()

    def set_thresholds(self, thresholds: dict[int, tuple[int, int]]) -> None:
        """Change the thresholds of some families and sort all policies anew."""
        self._chains.thresholds.update(thresholds)
        self._chains.rebuild(list(self._all.values()))

    def _new_index(self, direction: int, wish: int) -> int:
        chosen = wish
        if not chosen or chosen in self._by_index:
            chosen = self._choose_index(direction) or 0
        while not chosen or chosen in self._by_index:
            chosen = self.next_index | direction or 8
            self.next_index = self.next_index + 8 & 0xFFFFFFFF
        return chosen

    # -- growing -----------------------------------------------------------------------------------

    def _is_full(self, direction: int) -> bool:
        buckets = self._buckets_by_dir[direction]
        return self.counts[direction] >= buckets and buckets < MAX_BUCKETS

    def settle(self) -> None:
        """Grow what is due; called when a datagram has been handled."""
        if not self._must_grow:
            return
        self._must_grow = False
        for direction in range(XFRM_POLICY_MAX):
            if self._is_full(direction):
                self._buckets_by_dir[direction] *= 2
        if len(self._all) >= self.buckets < MAX_BUCKETS:
            self.buckets *= 2
