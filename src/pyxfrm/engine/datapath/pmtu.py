"""How long a packet may be to fit, sealed, into what its path carries (RFC 4301 §8.2).

The caller says what its routes carry (``mtu`` of :class:`~pyxfrm.engine.datapath.Datapath`). Routers on the way say less by ICMP errors about sealed packets; :class:`Paths` keeps
what they say for ten minutes, if there is an SA that the quoted packet can be of. Nothing in such an error is authentic (RFC 4301 §8.2.1), so there is a floor: 552 bytes over IPv4, below which Linux
believes nothing, and after which it believes nothing more; 1280 over IPv6.

A packet that does not fit and must not be fragmented (IPv4 with DF, IPv6) is refused: EMSGSIZE for a local sender, an ICMP error for any (``Verdict.icmp``). No counter moves: in Linux too, sockets and
forwarding see to it before XFRM is asked. Others are sealed as they are, and it is for the outer IP layer to fragment them.

Sources: net/xfrm/xfrm_policy.c: xfrm_init_pmtu; net/ipv4/ip_forward.c: ip_forward; net/ipv6/ip6_output.c: ip6_forward; net/ipv4/route.c: __ip_rt_update_pmtu; net/ipv6/route.c: __ip6_rt_update_pmtu.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.abi.xfrm import AF_INET, AF_INET6
from pyxfrm.engine.sa import key_of
from pyxfrm.esp import ip

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.sa import Sa
    from pyxfrm.esp import Outbound, TooBig

__all__ = ["Paths", "least_mtu", "must_stay_whole"]

_sport = struct.Struct(">xxH").unpack_from
_FLOOR4, _FLOOR6 = 552, 1280
_GOOD_FOR = 600.0  # seconds
_MOST_LEARNED = 4096


class _Learned(NamedTuple):
    mtu: int
    until: float
    final: bool  # below the floor once, it is not lowered any more


class Paths:
    """What the paths to other gateways carry. ``changed`` is called when that is not what it was.

    ``route(daddr)``  what the route to an address (4 or 16 bytes) carries; 0: anything
    """

    def __init__(
        self, engine: Engine, route: Callable[[bytes], int], changed: Callable[[], None]
    ) -> None:
        self.route = route
        self._engine = engine
        self._changed = changed
        self._learned: dict[bytes, _Learned] = {}

    def mtu(self, daddr: bytes) -> int:
        """Bytes of the longest packet that the path carries; 0: no limit is known."""
        learned = self._learned.get(daddr)
        if learned is None or learned.until <= self._engine.now:
            return self.route(daddr)
        return min(learned.mtu, self.route(daddr) or learned.mtu)

    def learn(self, daddr: bytes, mtu: int) -> bool:
        """A packet to ``daddr`` was too big: from now on its path carries ``mtu`` bytes. Whether that was news."""
        now, known = self._engine.now, self.mtu(daddr)
        learned = self._learned.get(daddr)
        if learned is not None and learned.until > now and learned.final:
            return False
        if known and mtu > known:
            return False
        floor = _FLOOR4 if len(daddr) == 4 else _FLOOR6
        if len(self._learned) >= _MOST_LEARNED:
            self._learned.clear()
        final = mtu < floor and len(daddr) == 4
        believed = min(known or floor, floor) if final else max(mtu, floor)
        self._learned[daddr] = _Learned(believed, now + _GOOD_FOR, final)
        self._engine.timers.set(self, _forget, now + _GOOD_FOR)
        self._changed()
        return True

    def hear(self, report: TooBig, mark: int) -> bool:
        """A router's report; whether it was believed. One about a UDP datagram is, from any SA between the same ends."""
        family = AF_INET if len(report.daddr) == 4 else AF_INET6
        daddr, sadb = report.daddr.ljust(16, b"\0"), self._engine.sadb
        if report.sport is None:
            key = key_of(daddr, report.spi.to_bytes(4, "big"), family, report.proto)
            known = sadb.lookup_by_mask(key, (mark, 0xFFFFFFFF)) is not None
        else:
            ends = sadb.between(daddr, report.saddr.ljust(16, b"\0"), family)
            known = any(sa.encap is not None and _sport(sa.encap)[0] == report.sport for sa in ends)
        return known and self.learn(report.daddr, report.mtu)


def _forget(_: Engine, paths: Paths, __: float) -> None:
    """Something learned is out of date. (Whoever lets timers run has everything looked up anew.)"""
    now = paths._engine.now
    paths._learned = {daddr: one for daddr, one in paths._learned.items() if one.until > now}
    if paths._learned:
        due = min(one.until for one in paths._learned.values())
        paths._engine.timers.set(paths, _forget, due)


def least_mtu(paths: Paths, sas: Iterable[tuple[Sa, Outbound]], family: int) -> int:
    """The longest packet (of ``family``) that goes whole through SAs, given from the inside out; 0: no limit is known."""
    limit = 0
    for sa, sealer in reversed(list(sas)):
        path = paths.mtu(sa.daddr[:4] if sa.family == AF_INET else sa.daddr)
        if path:
            limit = min(limit or path, path)
        if limit:
            limit = sealer.room(limit)
    return max(limit, _FLOOR6) if limit and family == AF_INET6 else limit


def must_stay_whole(packet: bytes) -> bool:
    """Whether nobody on the way may fragment an IP packet."""
    return packet[0] >> 4 == 6 or bool(packet[6] & ip.DF)
