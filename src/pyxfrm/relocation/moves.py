"""The plan as values: what moves, what stays, and why not.

All of it is frozen, compares by value, prints, and can be stored (:mod:`pyxfrm.relocation.record`). No keys are in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

from pyxfrm.errors import UsageError
from pyxfrm.model import Action, Address, Direction, Migration, Policy, PolicyId, SaDir
from pyxfrm.relocation.blocks import Guard, covers
from pyxfrm.relocation.facts import Features
from pyxfrm.relocation.footprint import Footprint
from pyxfrm.relocation.wish import Wish

__all__ = ["Left", "Options", "Plan", "PolicyMove", "Refusal", "SaMove", "Strategy", "Why"]


class Strategy(Enum):
    """How SAs are moved (docs/relocation.md has the limits and the numbers).

    ``MIGRATE_STATE``  block, XFRM_MSG_MIGRATE_STATE, allow
    ``MIGRATE``        block, the old XFRM_MSG_MIGRATE, allow
    ``RECREATE``       block, read, add the copy, delete, allow: for kernels with neither message
    ``HOLD``           packets wait in the policy during MIGRATE_STATE: none is lost
    ``GAP``            a copy behind a sequence gap beside the old SA: none is lost, none waits
    """

    MIGRATE_STATE = "migrate-state"
    MIGRATE = "migrate"
    RECREATE = "recreate"
    HOLD = "hold"
    GAP = "gap"


class Why(Enum):
    """Why a plan is refused."""

    NOTHING = "nothing"
    AMBIGUOUS = "ambiguous"
    TAKEN = "taken"
    FAMILY = "family"
    ADDRESS = "address"
    OWNED = "owned"
    SELECTOR = "selector"
    POLICY_TAKEN = "policy-taken"
    SHARED = "shared"
    STRATEGY = "strategy"
    PAIR = "pair"


@dataclass(frozen=True, slots=True)
class SaMove:
    """One SA's move. ``child``: number of the Child SA that it belongs to, from 1."""

    old: Footprint
    migration: Migration
    dir: SaDir
    child: int = 0

    @property
    def new(self) -> Footprint:
        """The SA as it will be."""
        return self.old.after(self.migration)

    @property
    def back(self) -> Migration:
        """The move that undoes this one."""
        return self.old.back(self.migration)

    @property
    def same_tuple(self) -> bool:
        """It keeps its destination, so old and new cannot stand side by side."""
        return self.migration.same_tuple


@dataclass(frozen=True, slots=True)
class PolicyMove:
    """One policy's move: ``old`` is there now, ``new`` shall be there.

    Where both have one name (:attr:`in_place`) the kernel exchanges them at once; else the new one is installed before the old one is removed.
    ``sas``: positions of its SAs in :attr:`Plan.sas`. ``opened``: for the inbound directions, the form that also takes packets of
    an SA whose source is not settled yet; None where there is none.
    """

    old: Policy
    new: Policy
    sas: tuple[int, ...] = ()
    child: int = 0

    @property
    def in_place(self) -> bool:
        """Selector, mark and if_id stay: one UPDPOLICY does it."""
        return self.old.id == self.new.id

    @property
    def unchanged(self) -> bool:
        """Nothing of it changes, though its SAs move."""
        return self.old == self.new

    @property
    def outbound(self) -> bool:
        """It decides about packets that leave."""
        return self.old.dir == Direction.OUT

    @property
    def opened(self) -> Policy | None:
        """The inbound policy with "any" for the tunnel's source: it takes its SA before and after.

        Only where the reqid names the SA and stays, else any peer's SA would do (net/xfrm/xfrm_policy.c: xfrm_state_ok).
        """
        if self.outbound or not self.in_place or self.old.action != Action.ALLOW:
            return None
        templates = []
        for before, after in zip(self.old.templates, self.new.templates, strict=True):
            if before == after or before.saddr == after.saddr:
                templates.append(after)
                continue
            if not before.reqid or before.reqid != after.reqid or before.family != after.family:
                return None
            templates.append(replace(after, saddr=Address.any(after.family)))
        opened = replace(self.new, templates=tuple(templates))
        return opened if opened not in (self.old, self.new) else None


@dataclass(frozen=True, slots=True)
class Left:
    """Something near the endpoint that does not move."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason not to do it at all."""

    why: Why
    text: str


@dataclass(frozen=True, slots=True)
class Options:
    """How a relocation shall be done.

    ``strategy``     None: the best one that the facts allow
    ``guard``        how outbound traffic is stopped where the strategy stops it
    ``any_address``  the new local address need not be on an interface yet
    ``force``        move SAs that a key manager owns, too
    ``drain``        seconds that packets under way get; None: from the delay
    ``split``        one batch a phase instead of one for all (for measurements)
    ``dual``         accept packets at both local addresses during the drain, by tc on this device; "": no
    ``peer_dual``    the same at the other end of a pair
    ``pair``         the other end is ours, too, and moves in step
    """

    strategy: Strategy | None = None
    guard: Guard = Guard.IN_PLACE
    any_address: bool = False
    force: bool = False
    drain: float | None = None
    split: bool = False
    dual: str = ""
    peer_dual: str = ""
    pair: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """One end's relocation, in the order in which it is done.

    ``blocks``  overlay policies, with guard OVERLAY only
    ``cannot``  what the strategy does not carry over
    ``rate``    packets a second of the busiest outbound policy, as far as known
    ``drain``   seconds that packets under way get
    ``jump``    sequence numbers that a copy leaves out
    ``features``  what the kernel can do
    """

    wish: Wish
    options: Options = field(default=Options())
    strategy: Strategy = Strategy.MIGRATE_STATE
    sas: tuple[SaMove, ...] = ()
    policies: tuple[PolicyMove, ...] = ()
    blocks: tuple[Policy, ...] = ()
    left: tuple[Left, ...] = ()
    warnings: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    cannot: tuple[str, ...] = ()
    rate: float = 0.0
    drain: float = 0.001
    jump: int = 4096
    features: Features = field(default=Features())

    def check(self) -> None:
        """UsageError with the first reason not to do it, if there is one."""
        if self.refusals:
            more = f" (and {len(self.refusals) - 1} more)" if len(self.refusals) > 1 else ""
            raise UsageError(f"relocation refused: {self.refusals[0].text}{more}")

    def child(self, number: int) -> Plan:
        """The part of the plan that is one Child SA."""
        return self.only({number})

    def only(self, children: set[int]) -> Plan:
        """The part of the plan that is these Child SAs."""
        kept = [i for i, move in enumerate(self.sas) if move.child in children]
        place = {old: new for new, old in enumerate(kept)}
        policies = tuple(
            replace(p, sas=tuple(place[i] for i in p.sas if i in place))
            for p in self.policies
            if p.child in children
        )
        blocks = tuple(b for b in self.blocks if any(covers(b, p.old) for p in policies))
        return replace(self, sas=tuple(self.sas[i] for i in kept), policies=policies, blocks=blocks)

    @property
    def children(self) -> tuple[int, ...]:
        """Numbers of its Child SAs."""
        return tuple(sorted({m.child for m in self.sas} | {p.child for p in self.policies}))

    @property
    def protected(self) -> tuple[PolicyId, ...]:
        """The outbound policies whose packets must never leave in clear."""
        return tuple(p.old.id for p in self.policies if p.outbound)
