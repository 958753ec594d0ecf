"""What the SAs of an engine need of the network: places to send from and to listen at, and keepalives.

An outbound SA sends from its source address and encapsulation source port; an inbound one is sent to its destination address and
destination port. Which of the two an SA is, it says itself (XFRMA_SA_DIR), or the templates of policies tell: those of "out" policies name
outbound SAs. An SA keeps its SPI when it moves while policies may follow later, so what was once found out of an SPI stays true. An SA
that neither says what it is nor has a policy needs nothing: no packet would get through it.

Only SAs that were touched since the last look are looked at (``Sadb.touched``), and those whose direction is not known yet; so an end with ten thousand of them is asked
as quickly as one with two.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

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
from pyxfrm.tunnel.keepalives import Keepalives
from pyxfrm.tunnel.place import UDP, Place, Via

if TYPE_CHECKING:
    from pyxfrm.engine import Engine

__all__ = ["Needs"]

_ports = struct.Struct(">xxHH").unpack_from
_PROTOS = frozenset((IPPROTO_ESP, IPPROTO_AH))  # IPComp is inside one of them
_Name = tuple[int, bytes]


class Needs:
    """What the SAs of ``engine`` need, brought up to date by :meth:`look`.

    ``places``      to have open, and how many SAs use each
    ``keepalives``  of outbound SAs
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.places: Counter[Place] = Counter()
        self.keepalives = Keepalives()
        self._place: dict[int, Place] = {}  # by the SA's serial number
        self._undecided: dict[int, Sa] = {}
        self._directions: dict[_Name, int] = {}
        self._names: Counter[_Name] = Counter()
        engine.sadb.touched = list(engine.sadb)

    def look(self, now: float) -> bool:
        """See what has become of SAs; whether any of them or of their places is another."""
        touched, self.engine.sadb.touched = self.engine.sadb.touched or [], []
        gone: list[Sa] = []
        for sa in {sa.serial: sa for sa in touched}.values():
            if _counts(sa):
                self._forget(sa)
                self._names[sa.proto, sa.spi] += 1
                self._undecided[sa.serial] = sa
            else:
                gone.append(sa)
        if self._undecided:
            self._decide(now)
        for sa in gone:  # last, so that an SA that has moved was known by its old name until now
            self._forget(sa)
        return bool(touched)

    def _forget(self, sa: Sa) -> None:
        """An SA is gone, or not what it was; no matter if it was never known."""
        serial = sa.serial
        undecided = self._undecided.pop(serial, None)
        place = self._place.pop(serial, None)
        if place is not None:
            self.keepalives.drop(sa)
            self.places[place] -= 1
            if not self.places[place]:
                del self.places[place]
        if place is not None or undecided is not None:
            name = sa.proto, sa.spi
            self._names[name] -= 1
            if not self._names[name]:
                del self._names[name]
                self._directions.pop(name, None)

    def _decide(self, now: float) -> None:
        """Find out the directions of SAs, as far as anybody tells."""
        by_policy: dict[tuple[object, ...], int] | None = None
        for serial, sa in list(self._undecided.items()):
            name = sa.proto, sa.spi
            direction = sa.traits.dir or self._directions.get(name, 0)
            if not direction:
                if by_policy is None:
                    by_policy = dict(self._by_policy())
                direction = by_policy.get(_pattern(sa), 0)
            if direction:
                del self._undecided[serial]
                self._directions[name] = direction
                self._use(sa, direction, now)

    def _use(self, sa: Sa, direction: int, now: float) -> None:
        via = _via(sa, direction)
        self._place[sa.serial] = via.place
        self.places[via.place] += 1
        if sa.nat_keepalive and direction == XFRM_SA_DIR_OUT and via.port:
            self.keepalives.put(sa, via, now)

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
