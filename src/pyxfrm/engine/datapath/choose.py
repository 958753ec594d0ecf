"""Which SA a template gets for a packet on its way out (net/xfrm/xfrm_state.c: xfrm_state_find, xfrm_state_look_at).

Candidates have the template's protocol, mode, reqid and (if it names one) SPI, the policy's mark and if_id, and the wanted addresses. Of those
whose selector covers the flow the best is taken: one of this CPU before one of all CPUs, one that is not dying before one that is, a younger one
before an older one; among equals the first in the chain, which is the newest.

SAs with exactly the wanted addresses come first, then those with any source address. (The second look goes through a chain of the hash table
and compares destinations only: by a chance collision of hashes, Linux also takes an SA with another source there. Not so here: a packet leaves
from the address that the template says.)

Nothing is changed here: a :class:`Choice` says what is to be done.
"""

from __future__ import annotations

from errno import EAGAIN, EEXIST, ESRCH
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.abi.xfrm import (
    XFRM_OFFLOAD_PACKET,
    XFRM_POLICY_CPU_ACQUIRE,
    XFRM_STATE_WILDRECV,
    XFRMNLGRP_ACQUIRE,
)
from pyxfrm.engine.datapath.flow import selects
from pyxfrm.engine.sa import NO_PCPU, State, key_of, same_address

if TYPE_CHECKING:
    from pyxfrm.abi.structs import UserTmpl
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.policy import Flow, Policy
    from pyxfrm.engine.sa import Sa

__all__ = ["Choice", "Wanted", "choose", "fits"]

_ANY = bytes(16)


class Wanted(NamedTuple):
    """What is looked for: a template of a policy, for a flow, between two addresses (16 bytes each), on a CPU."""

    policy: Policy
    template: UserTmpl
    flow: Flow
    daddr: bytes
    saddr: bytes
    cpu: int = 0


class Choice(NamedTuple):
    """What was found.

    ``sa``       the SA to use, or None
    ``errno``    why there is none
    ``acquire``  a key manager is to be asked (for this CPU alone if there is an ``sa``)
    """

    sa: Sa | None
    errno: int = 0
    acquire: bool = False


def fits(sa: Sa, wanted: Wanted) -> bool:
    """Whether an SA is a candidate; its selector and its state are not looked at yet."""
    policy, template, family = wanted.policy, wanted.template, wanted.template.family
    value = policy.mark[0] & policy.mark[1]
    return (
        sa.family == family
        and sa.reqid == template.reqid
        and value & sa.mark[1] == sa.mark[0]
        and sa.traits.if_id == policy.if_id
        and not sa.traits.flags & XFRM_STATE_WILDRECV
        and sa.traits.mode == template.mode
        and sa.proto == template.id.proto
        and template.id.spi in (0, int.from_bytes(sa.spi, "big"))
        and same_address(sa.daddr, wanted.daddr, family)
        and _source_fits(sa.saddr, wanted.saddr, family)
        and _offload(sa.offload, policy.offload)
    )


def _source_fits(one: bytes, other: bytes, family: int) -> bool:
    return (
        same_address(one, other, family)
        or same_address(one, _ANY, family)
        or same_address(other, _ANY, family)
    )


def _offload(sa: tuple[int, int] | None, policy: tuple[int, int] | None) -> bool:
    """Whole-packet offload: of both, on one device, or of none."""
    packet = sa if sa is not None and sa[1] & XFRM_OFFLOAD_PACKET else None
    if policy is None:
        return packet is None
    return packet is not None and packet[0] == policy[0]


class _Search:
    """One walk over candidates: the best valid one so far, and what else was met."""

    def __init__(self, flow: Flow, cpu: int) -> None:
        self.flow = flow
        self.cpu = cpu
        self.best: Sa | None = None
        self.acquiring = False
        self.failed = False

    def look_at(self, sa: Sa) -> None:
        """Weigh one candidate."""
        if sa.state == State.VALID:
            if self._covers(sa) and sa.traits.pcpu_num in (NO_PCPU, self.cpu) and self._better(sa):
                self.best = sa
        elif sa.state == State.ACQ:
            if self.best is None or sa.traits.pcpu_num == self.cpu:
                self.acquiring = True
        elif sa.state in (State.ERROR, State.EXPIRED) and self._covers(sa):
            self.failed = True

    def _covers(self, sa: Sa) -> bool:
        family = sa.sel.family
        return not family or (family == self.flow.family and selects(sa.sel, self.flow))

    def _better(self, sa: Sa) -> bool:
        best = self.best
        return (
            best is None
            or (best.traits.pcpu_num == NO_PCPU and sa.traits.pcpu_num == self.cpu)
            or best.dying > sa.dying
            or (best.dying == sa.dying and best.add_time < sa.add_time)
        )


def choose(engine: Engine, wanted: Wanted) -> Choice:
    """The SA for a template, or why there is none. ``wanted.saddr`` is an address, not "any"."""
    search = _Search(wanted.flow, wanted.cpu)
    for saddr in (wanted.saddr, _ANY):
        template = wanted.template
        for sa in engine.sadb.between(wanted.daddr, saddr, template.family, template.reqid):
            if fits(sa, wanted):
                search.look_at(sa)
        if search.best is not None or search.acquiring:
            break
    return _decide(engine, wanted, search)


def _decide(engine: Engine, wanted: Wanted, search: _Search) -> Choice:
    best = search.best
    own_cpu = bool(wanted.policy.flags & XFRM_POLICY_CPU_ACQUIRE)
    if best is not None and (not own_cpu or best.traits.pcpu_num == wanted.cpu):
        return Choice(best)
    if search.failed or search.acquiring:
        return Choice(None, EAGAIN if search.acquiring else ESRCH)
    if _spi_in_use(engine, wanted):
        return Choice(None, EEXIST)
    if not engine.listens(XFRMNLGRP_ACQUIRE):
        return Choice(None, ESRCH)
    return Choice(best, ESRCH, acquire=True)


def _spi_in_use(engine: Engine, wanted: Wanted) -> bool:
    """A template with an SPI of its own, which is some other SA's."""
    ident = wanted.template.id
    if not ident.spi:
        return False
    spi = ident.spi.to_bytes(4, "big")
    key = key_of(wanted.daddr, spi, wanted.template.family, ident.proto)
    return engine.sadb.lookup_by_mask(key, wanted.policy.mark) is not None
