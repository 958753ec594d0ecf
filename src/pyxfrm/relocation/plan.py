"""From facts and a wish to a plan: everything that belongs to an endpoint, and what speaks against moving it.

Nothing here asks a kernel: :func:`make_plan` is a function of what was seen. A plan with refusals is still a plan: it can be shown.

The order of a plan is the order of work: inbound SAs first (a packet that arrives early is late for nobody), IPComp before the ESP around it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pyxfrm.model import (
    HOST_TO_HOST,
    Address,
    Direction,
    Family,
    HostToHost,
    Migration,
    Mode,
    Network,
    Policy,
    Proto,
    SaDir,
    Selector,
    Template,
)
from pyxfrm.relocation import refusals, strategies
from pyxfrm.relocation.belong import Placed, names, placed, sa_dir, turned
from pyxfrm.relocation.blocks import Guard, overlay
from pyxfrm.relocation.children import number_children
from pyxfrm.relocation.facts import Facts
from pyxfrm.relocation.footprint import Footprint
from pyxfrm.relocation.moves import Left, Options, Plan, PolicyMove, SaMove
from pyxfrm.relocation.wish import Wish

__all__ = ["make_pair", "make_plan"]

_NO_OPTIONS = Options()


def make_plan(wish: Wish, facts: Facts, options: Options = _NO_OPTIONS) -> Plan:
    """What moving the endpoint of ``wish`` means in the namespace of ``facts``."""
    chosen, left = _choose_sas(wish, facts)
    moves = [_sa_move(wish, sa, way) for sa, way in chosen]
    moves.sort(key=lambda m: (m.dir != SaDir.IN, m.old.id.proto != Proto.COMP, _order(m.old)))
    policies, behind = _choose_policies(wish, facts, moves)
    moves, policies = number_children(moves, policies)
    plan = Plan(wish, options, sas=tuple(moves), policies=tuple(policies))
    plan = replace(plan, left=(*left, *behind, *_siblings(plan, facts)))
    plan = _blocks(plan, facts)
    plan = replace(
        plan,
        refusals=refusals.all_of(plan, facts),
        warnings=(*plan.warnings, *refusals.warnings(plan, facts)),
    )
    return strategies.decide(plan, facts)


def make_pair(
    wish: Wish, facts: tuple[Facts, Facts], options: Options = _NO_OPTIONS
) -> tuple[Plan, Plan]:
    """Plans for both ends of the same Child SAs, with one strategy. ``wish`` is the first end's.

    The second end's local addresses are the first one's remote ones: no NAT between them.
    """
    options = replace(options, pair=True)
    first = make_plan(wish, facts[0], options)
    turned = replace(options, dual=options.peer_dual, peer_dual=options.dual)
    second = make_plan(wish.mirrored, facts[1], turned)
    if options.strategy is None and first.strategy is not second.strategy:
        # What one end cannot do, the other must not.
        later = max(first.strategy, second.strategy, key=strategies.PREFERRED.index)
        return make_pair(wish, facts, replace(options, strategy=later))
    drain, jump = max(first.drain, second.drain), max(first.jump, second.jump)
    rate = max(first.rate, second.rate)
    alone = tuple(refusals.unpaired(first, second))
    first = replace(first, refusals=(*first.refusals, *alone))
    return (
        replace(first, drain=drain, jump=jump, rate=rate),
        replace(second, drain=drain, jump=jump, rate=rate),
    )


def _order(sa: Footprint) -> tuple[bytes, int, int]:
    return sa.id.daddr.packed, sa.id.spi, sa.id.key


# -- SAs ---------------------------------------------------------------------------------------


def _choose_sas(wish: Wish, facts: Facts) -> tuple[list[tuple[Footprint, SaDir]], list[Left]]:
    chosen, left = [], []
    for sa in map(Footprint.of, facts.sas):
        way = wish.direction(sa.saddr, sa.id.daddr)
        if way is None:
            continue
        why = _why_not(wish, sa)
        if why:
            left.append(Left(f"SA {sa}", why))
        else:
            chosen.append((sa, way))
    return chosen, left


def _why_not(wish: Wish, sa: Footprint) -> str:
    if sa.id.proto in (Proto.IPIP, Proto.IPV6):
        return "it is a helper of IPComp: the kernel makes it anew"
    if not sa.id.proto.by_spi:
        return f"{sa.id.proto} has no SPI to name it by"
    if sa.larval or not sa.id.spi:
        return "it is larval: it has no keys yet"
    if sa.id.mark and not sa.id.mark.findable:
        return f"no lookup finds mark {sa.id.mark}: its value has bits outside its mask"
    return wish.select.why_not(sa)


def _sa_move(wish: Wish, sa: Footprint, way: SaDir) -> SaMove:
    saddr, daddr = wish.moved(way, sa.saddr, sa.id.daddr)
    return SaMove(
        sa,
        Migration(
            sa.id,
            saddr,
            daddr,
            sa.reqid if wish.reqid is None else wish.reqid,
            _new_selector(sa, saddr, daddr),
            encap=wish.encap_for(way),
            offload=wish.offload,
        ),
        way,
    )


def _new_selector(sa: Footprint, saddr: Address, daddr: Address) -> Selector | HostToHost:
    """The SA's own selector follows its addresses where it is just those two hosts."""
    same = sa.saddr == saddr and sa.id.daddr == daddr
    if sa.mode != Mode.TRANSPORT or same or not _is_host_to_host(sa):
        return sa.sel
    return HOST_TO_HOST


def _is_host_to_host(sa: Footprint) -> bool:
    """Whether the SA's selector is one host on both sides, and these are its addresses."""
    return (sa.sel.saddr, sa.sel.daddr) == (Network.host(sa.saddr), Network.host(sa.id.daddr))


# -- policies ----------------------------------------------------------------------------------


@dataclass
class _Policies:
    wish: Wish
    moves: list[SaMove]

    def take(self, policy: Policy) -> PolicyMove | str:
        """Its move; or why it stays, "" where it has nothing to do with the endpoint."""
        way = sa_dir(policy.dir)
        if way is None:
            return self._of_socket(policy)
        mine: list[int] = []
        templates = list(policy.templates)
        stays = ""
        for i, place in enumerate(placed(policy)):
            named = [
                n
                for n, move in enumerate(self.moves)
                if move.dir == way and names(policy, place, move.old)
            ]
            why = "" if named else self._trap(way, place)
            if named or why == "moves":
                templates[i] = turned(self.wish, way, place.template)
                mine += named
            elif why:
                stays = why
        if not mine and templates == list(policy.templates):
            return stays
        sel = self._selector(policy, mine)
        if sel.family != policy.sel.family:
            templates = [_of_family(sel.family, template) for template in templates]
        new = replace(policy, templates=tuple(templates), sel=sel)
        return PolicyMove(policy, new, tuple(sorted(set(mine))))

    def _of_socket(self, policy: Policy) -> str:
        """Policies that a program set on one of its sockets: nobody else can change them."""
        for place in placed(policy):
            template = place.template
            if place.carried and self.wish.direction(template.saddr, template.daddr) is not None:
                return "it belongs to a socket: only that program can change it"
        return ""

    def _trap(self, way: SaDir, place: Placed) -> str:
        """For a template without an SA: "moves", why it stays, or "" for no business of ours."""
        template, wish = place.template, self.wish
        if not place.carried or template.daddr.is_any:
            return ""
        if wish.direction(template.saddr, template.daddr) != way:
            return ""
        if wish.select.admits(template.reqid):
            return "moves"
        return "its template names the endpoint, but none of the SAs that were selected"

    def _selector(self, policy: Policy, mine: list[int]) -> Selector:
        """Host-to-host transport: the policy's selector is made of the addresses that move."""
        sel = policy.sel
        for place in placed(policy):
            if place.carried or place.template.mode != Mode.TRANSPORT:
                return sel
        for n in mine:
            old, new = self.moves[n].old, self.moves[n].new
            if sel.saddr == Network.host(old.saddr) and sel.daddr == Network.host(old.id.daddr):
                ends = Selector.hosts(new.saddr, new.id.daddr)
                return replace(sel, saddr=ends.saddr, daddr=ends.daddr)
        return sel


def _of_family(family: Family, template: Template) -> Template:
    """A template that takes the packet's own addresses, for packets of that family."""
    if not (template.saddr.is_any and template.daddr.is_any):
        return template
    return replace(template, saddr=Address.any(family), daddr=Address.any(family))


def _choose_policies(
    wish: Wish, facts: Facts, moves: list[SaMove]
) -> tuple[list[PolicyMove], list[Left]]:
    chooser = _Policies(wish, moves)
    chosen, left = [], []
    for policy in facts.policies:
        taken = chooser.take(policy)
        if isinstance(taken, PolicyMove):
            chosen.append(_unnumbered(taken))
        elif taken:
            left.append(Left(f"policy {policy.id}", taken))
    chosen.sort(key=lambda p: (_TURN[Direction(p.old.dir)], p.old.priority))
    return chosen, left


_TURN = {Direction.OUT: 0, Direction.IN: 1, Direction.FWD: 2}


def _unnumbered(move: PolicyMove) -> PolicyMove:
    """The move with the kernel's own numbering left out: a policy is named by its selector."""
    return replace(move, old=replace(move.old, index=0), new=replace(move.new, index=0))


def _siblings(plan: Plan, facts: Facts) -> Iterable[Left]:
    """SAs that a moving template names and that stay behind: other CPUs', other labels', old ones."""
    moving = {move.old.id for move in plan.sas}
    for sa in map(Footprint.of, facts.sas):
        if sa.id in moving or sa.larval or plan.wish.direction(sa.saddr, sa.id.daddr) is not None:
            continue
        for policy in plan.policies:
            if policy.old.templates == policy.new.templates:
                continue
            if any(names(policy.old, place, sa) for place in placed(policy.old)):
                yield Left(f"SA {sa}", f"policy {policy.old.id} names it, but it is elsewhere")
                break


def _blocks(plan: Plan, facts: Facts) -> Plan:
    if plan.options.guard is not Guard.OVERLAY:
        return plan
    made = [overlay(p.old, facts.policies) for p in plan.policies if p.outbound]
    return replace(
        plan,
        blocks=tuple(block for block, _ in made),
        warnings=(*plan.warnings, *(text for _, text in made if text)),
    )
