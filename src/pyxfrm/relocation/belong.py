"""Which templates name which SAs, by the kernel's own rules.

Outbound, the kernel looks for an SA with the template's addresses, protocol, mode and reqid, all exact, in the policy's if_id
(net/xfrm/xfrm_state.c: xfrm_state_find). Inbound, it compares the SA that decrypted a packet with the template: there a reqid, an SPI, a source
address or an if_id of zero means "any" (net/xfrm/xfrm_policy.c: xfrm_state_ok; include/net/xfrm.h: xfrm_state_addr_cmp).

A template of transport mode has no addresses of its own: it takes those of the tunnel template before it in the same policy (IPComp in a tunnel with ESP
around it), or those of the packet, which the policy's selector bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pyxfrm.model import (
    Address,
    Direction,
    Family,
    Network,
    Policy,
    SaDir,
    Template,
)
from pyxfrm.relocation.footprint import Footprint
from pyxfrm.relocation.wish import Wish

__all__ = ["Placed", "names", "placed", "sa_dir", "turned"]


@dataclass(frozen=True, slots=True)
class Placed:
    """A template with the networks that its SA's addresses must be in."""

    template: Template
    saddr: Network
    daddr: Network
    carried: bool

    @property
    def by_selector(self) -> bool:
        """Its addresses are the packet's own, bounded by the policy's selector."""
        return not self.carried


def _bound(address: Address) -> Network:
    return Network.any(address.family) if address.is_any else Network.host(address)


def placed(policy: Policy) -> Iterator[Placed]:
    """Each template of a policy with the addresses that the kernel uses it with."""
    saddr, daddr, carried = policy.sel.saddr, policy.sel.daddr, False
    for template in policy.templates:
        if template.mode.has_ends:
            saddr, daddr, carried = _bound(template.saddr), _bound(template.daddr), True
        yield Placed(template, saddr, daddr, carried)


def sa_dir(direction: Direction) -> SaDir | None:
    """Direction of the SAs that a policy's templates name; None for policies of sockets."""
    return _SA_DIR.get(direction)


_SA_DIR = {Direction.OUT: SaDir.OUT, Direction.IN: SaDir.IN, Direction.FWD: SaDir.IN}


def names(policy: Policy, place: Placed, sa: Footprint) -> bool:
    """Whether a template of ``policy`` is satisfied by ``sa``."""
    template = place.template
    outbound = policy.dir == Direction.OUT
    if (template.proto, template.mode) != (sa.id.proto, sa.mode):
        return False
    if template.spi not in (0, sa.id.spi):
        return False
    if template.reqid != sa.reqid and (outbound or template.reqid):
        return False
    if policy.if_id != sa.if_id and (outbound or policy.if_id):
        return False
    return sa.saddr in place.saddr and sa.id.daddr in place.daddr


def turned(wish: Wish, direction: SaDir, template: Template) -> Template:
    """``template`` as it must read once the endpoint has moved. "Any" addresses stay any."""
    saddr, daddr = wish.moved(direction, template.saddr, template.daddr)
    family: Family = template.family
    for given, then in ((template.saddr, saddr), (template.daddr, daddr)):
        if not given.is_any:
            family = then.family
    reqid = template.reqid if wish.reqid is None or not template.reqid else wish.reqid
    return replace(
        template,
        saddr=Address.any(family) if template.saddr.is_any else saddr,
        daddr=Address.any(family) if template.daddr.is_any else daddr,
        reqid=reqid,
    )
