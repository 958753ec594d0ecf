"""One policy as the engine keeps it (struct xfrm_policy): which packets, and what is to be done with them.

What names a policy is its direction, type, selector (all 56 bytes of it, padding included), mark, if_id and security context: there is
never a second one with the same (:attr:`Policy.identity`; of the context counts what it stands for). Its index is a second name, and stays when it is updated.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.abi.structs import LifetimeCfg, Selector
from pyxfrm.abi.xfrm import AF_INET
from pyxfrm.engine.security import label_of

if TYPE_CHECKING:
    from pyxfrm.abi.structs import UserTmpl
    from pyxfrm.engine.datapath.queue import PolicyQueue
    from pyxfrm.engine.security import SecCtx
    from pyxfrm.engine.spd_chains import Node

__all__ = ["Flow", "Identity", "Policy", "address_value", "flow_ports"]

Identity = tuple[int, int, bytes, tuple[int, int], int, int]

_PORTED = (6, 17, 136, 132)  # TCP, UDP, UDP-Lite, SCTP
_ICMP, _GRE, _ICMPV6, _MH = 1, 47, 58, 135

_word = struct.Struct(">I").unpack_from


class Flow(NamedTuple):
    """A packet as a policy sees it (struct flowi).

    ``daddr``, ``saddr``  16 bytes each
    ``dport``, ``sport``  see :func:`flow_ports`
    ``proto``             of the packet inside
    ``oif``               the interface it leaves by
    """

    family: int
    daddr: bytes
    saddr: bytes
    dport: int = 0
    sport: int = 0
    proto: int = 0
    oif: int = 0
    mark: int = 0


def flow_ports(proto: int, first: int, second: int) -> tuple[int, int]:
    """What a selector compares its (dport, sport) with, out of what a flow knows of a packet: two numbers of 16 bits.

    These are destination and source port of TCP, UDP, UDP-Lite and SCTP; of ICMP the first holds type and code, which
    stand for source and destination port; of mobility headers it holds the type, which stands for the source port; of GRE both are the key, and
    swap places. Other protocols have none (include/net/flow.h: union flowi_uli; include/net/xfrm.h: xfrm_flowi_dport, xfrm_flowi_sport).
    """
    if proto in _PORTED:
        return first, second
    if proto in (_ICMP, _ICMPV6):
        return first & 0xFF, first >> 8
    if proto == _MH:
        return 0, first >> 8
    if proto == _GRE:
        return second, first
    return 0, 0


def address_value(address: bytes, family: int) -> int:
    """An address as an integer of 32 or 128 bits."""
    if family == AF_INET:
        return int(_word(address)[0])
    return int.from_bytes(address, "big")


class Policy:
    """One policy.

    ``raw_sel``    the 56 bytes of its selector
    ``templates``  the SAs it asks for, in order; none: pass or block as ``action`` says
    ``mark``       (value, mask)
    ``sec_ctx``    security context as (doi, alg, text), or None
    ``offload``    (ifindex, flags) of struct xfrm_user_offload, or None: always whole-packet offload
    ``bytes``, ``packets``, ``add_time``, ``use_time``  struct xfrm_lifetime_cur
    ``queue``      packets that wait for an SA, see :mod:`pyxfrm.engine.datapath.queue`; None: none ever did
    ``serial``     order of insertion; ``place``: the same, or that of the policy whose place among equals it took
    ``node``       where it is held for lookups, see :mod:`pyxfrm.engine.spd_chains`
    """

    __slots__ = (
        "action",
        "add_time",
        "bytes",
        "dead",
        "dir",
        "flags",
        "if_id",
        "index",
        "lft",
        "mark",
        "node",
        "offload",
        "packets",
        "place",
        "priority",
        "queue",
        "raw_sel",
        "sec_ctx",
        "sel",
        "serial",
        "templates",
        "type",
        "use_time",
    )

    node: Node

    def __init__(self, direction: int, sel: Selector, raw_sel: bytes, lft: LifetimeCfg) -> None:
        self.dir = direction
        self.sel = sel
        self.raw_sel = raw_sel
        self.lft = lft
        self.type = self.priority = self.index = self.action = self.flags = self.if_id = 0
        self.templates: tuple[UserTmpl, ...] = ()
        self.mark = (0, 0)
        self.sec_ctx: SecCtx | None = None
        self.offload: tuple[int, int] | None = None
        self.bytes = self.packets = self.add_time = self.use_time = 0
        self.serial = self.place = 0
        self.queue: PolicyQueue | None = None
        self.dead = False

    @property
    def identity(self) -> Identity:
        """What no other policy shares."""
        return self.dir, self.type, self.raw_sel, self.mark, self.if_id, label_of(self.sec_ctx)

    def covers(self, flow: Flow) -> bool:
        """Whether the selector and the mark admit the flow (xfrm_selector_match, xfrm_policy_match)."""
        sel = self.sel
        family = sel.family
        width = 32 if family == AF_INET else 128
        return (
            flow.family == family
            and flow.mark & self.mark[1] == self.mark[0]
            and _same_prefix(flow.daddr, sel.daddr, family, width - sel.prefixlen_d)
            and _same_prefix(flow.saddr, sel.saddr, family, width - sel.prefixlen_s)
            and not (flow.dport ^ sel.dport) & sel.dport_mask
            and not (flow.sport ^ sel.sport) & sel.sport_mask
            and sel.proto in (0, flow.proto)
            and sel.ifindex in (0, flow.oif)
        )

    def __repr__(self) -> str:
        return f"<Policy index {self.index} dir {self.dir} priority {self.priority}>"


def _same_prefix(one: bytes, other: bytes, family: int, shift: int) -> bool:
    return address_value(one, family) >> shift == address_value(other, family) >> shift
