"""What the SAs of an engine need of the network: places to send from and to listen at, and keepalives.

An outbound SA sends from its source address and encapsulation source port; an inbound one is sent to its destination address and
destination port. Which of the two an SA is, it says itself (XFRMA_SA_DIR), or the templates of policies tell: those of "out" policies name
outbound SAs. An SA keeps its SPI when it moves while policies may follow later, so what was once found out of an SPI stays true. An SA
that neither says what it is nor has a policy needs nothing: no packet would get through it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.abi.xfrm import (
    AF_INET,
    AF_INET6,
    IPPROTO_AH,
    IPPROTO_ESP,
    XFRM_POLICY_OUT,
    XFRM_SA_DIR_IN,
    XFRM_SA_DIR_OUT,
)
from pyxfrm.engine.sa import Sa, State
from pyxfrm.tunnel.place import UDP, Place, Via

if TYPE_CHECKING:
    from pyxfrm.engine import Engine

__all__ = ["Keepalive", "Needs", "Wanted"]

_ports = struct.Struct(">xxHH").unpack_from
_PROTOS = frozenset((IPPROTO_ESP, IPPROTO_AH))  # IPComp is inside one of them


class Keepalive(NamedTuple):
    """An outbound SA that keeps a NAT's mapping alive: every so many seconds without a packet, one of a single byte."""

    sa: Sa
    via: Via
    seconds: int


class Wanted(NamedTuple):
    """``places``: to have open."""

    places: frozenset[Place]
    keepalives: tuple[Keepalive, ...] = ()


class Needs:
    """Looks at the SAs of ``engine`` when told to; remembers directions by protocol and SPI."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._known: dict[tuple[int, bytes], int] = {}

    def look(self) -> Wanted:
        """What is needed now."""
        places: set[Place] = set()
        keepalives: list[Keepalive] = []
        known: dict[tuple[int, bytes], int] = {}
        by_policy: dict[tuple[object, ...], int] | None = None
        for sa in self.engine.sadb:
            if not _counts(sa):
                continue
            name = sa.proto, sa.spi
            direction = sa.traits.dir or self._known.get(name, 0)
            if not direction:
                if by_policy is None:
                    by_policy = dict(self._by_policy())
                direction = by_policy.get(_pattern(sa), 0)
            if not direction:
                continue
            known[name] = direction
            via = _via(sa, direction)
            places.add(via.place)
            if sa.nat_keepalive and direction == XFRM_SA_DIR_OUT and via.port:
                keepalives.append(Keepalive(sa, via, sa.nat_keepalive))
        self._known = known
        return Wanted(frozenset(places), tuple(keepalives))

    def _by_policy(self) -> Iterator[tuple[tuple[object, ...], int]]:
        for policy in self.engine.spd:
            out = policy.dir == XFRM_POLICY_OUT
            for one in policy.templates:
                size = 4 if one.family == AF_INET else 16
                pattern = (
                    one.family,
                    one.id.proto,
                    one.mode,
                    one.reqid,
                    one.saddr[:size],
                    one.id.daddr[:size],
                )
                yield pattern, XFRM_SA_DIR_OUT if out else XFRM_SA_DIR_IN


def _counts(sa: Sa) -> bool:
    return sa.state is State.VALID and sa.proto in _PROTOS and sa.family in (AF_INET, AF_INET6)


def _pattern(sa: Sa) -> tuple[object, ...]:
    size = 4 if sa.family == AF_INET else 16
    return sa.family, sa.proto, sa.traits.mode, sa.reqid, sa.saddr[:size], sa.daddr[:size]


def _via(sa: Sa, direction: int) -> Via:
    """Ours and theirs. An encapsulation is in UDP: Linux takes no other for ESP, unless it is built to."""
    size = 4 if sa.family == AF_INET else 16
    local, remote = sa.saddr[:size], sa.daddr[:size]
    proto, local_port, remote_port = sa.proto, 0, 0
    if sa.encap is not None:
        proto = UDP
        local_port, remote_port = _ports(sa.encap)
    if direction == XFRM_SA_DIR_IN:
        local, remote = remote, local
        local_port, remote_port = remote_port, local_port
    return Via(Place(local, proto, local_port), remote, remote_port)
