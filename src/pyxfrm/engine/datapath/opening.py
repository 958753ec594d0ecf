"""An inbound packet through the SAs that protect it, from the outside in (net/xfrm/xfrm_input.c: xfrm_input).

Each SA is found by destination, SPI and protocol, then by the packet's mark. In Linux's order: an outbound SA is refused, one without keys or at its end too,
then UDP encapsulation that packet and SA do not share, a number seen before or out of the window, a limit; only then is the packet decrypted. In tunnel and BEET
mode the inner packet starts anew, and may be protected again; in transport mode what follows is looked at.

**The SA found last is found first** where several share destination, SPI and protocol: of those whose mark fits, Linux takes the one that was last looked up in its
table, though another may be nearer to the front.

IP-in-IP is opened where an IPComp SA leans on a helper with these addresses (its packets that did not get shorter); elsewhere it is a packet like any other.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.abi.xfrm import (
    AF_INET,
    AF_INET6,
    IPPROTO_AH,
    IPPROTO_COMP,
    IPPROTO_ESP,
    IPPROTO_IPIP,
    IPPROTO_IPV6,
    XFRM_MAX_DEPTH,
    XFRM_MODE_TRANSPORT,
    XFRM_SA_DIR_IN,
    XFRMNLGRP_AEVENTS,
)
from pyxfrm.engine import aevents, traffic
from pyxfrm.engine.datapath.refused import Refused
from pyxfrm.engine.datapath.sealing import limited
from pyxfrm.engine.live import Live
from pyxfrm.engine.sa import State, key_of
from pyxfrm.errors import UsageError
from pyxfrm.esp import Drop, locate, trim

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.datapath.moves import Moves
    from pyxfrm.engine.sa import Sa
    from pyxfrm.esp import Arrival, Inbound
    from pyxfrm.esp.framing import Idents

__all__ = ["IPSEC", "Opening", "Step"]

IPSEC = frozenset((IPPROTO_ESP, IPPROTO_AH, IPPROTO_COMP))
_TUNNELS = frozenset((IPPROTO_IPIP, IPPROTO_IPV6))
_NUMBERED = frozenset((IPPROTO_ESP, IPPROTO_AH))
_SEQ_AT = {IPPROTO_ESP: 4, IPPROTO_AH: 8}
_ALL_BITS = 0xFFFFFFFF
_SPARE = 64
_sport = struct.Struct(">xxH").unpack_from


class Step(NamedTuple):
    """The next SA of a packet: where the packet's IPsec header is, whose it is, and what opens it."""

    arrival: Arrival
    sa: Sa
    opener: Inbound


class Opening:
    """The way in through SAs. ``changed`` is called when an SA is not what it was for lookups."""

    def __init__(
        self, engine: Engine, moves: Moves, idents: Idents, changed: Callable[[], None]
    ) -> None:
        self.engine = engine
        self.moves = moves
        self.idents = idents
        self.changed = changed
        self._recent: dict[bytes, list[Sa]] = {}

    # -- finding -----------------------------------------------------------------------------------

    def find(self, arrival: Arrival, mark: int) -> Sa | None:
        """The SA of a packet, by Linux's rules alone."""
        proto, daddr = arrival.proto, arrival.daddr.ljust(16, b"\0")
        family = AF_INET if len(arrival.daddr) == 4 else AF_INET6
        spi = arrival.spi.to_bytes(4, "big")
        if proto in _TUNNELS:
            helper = self._helper(arrival, family)
            if helper is None:
                return None
            proto, spi = helper
        return self._by_key(key_of(daddr, spi, family, proto), mark)

    def _helper(self, arrival: Arrival, family: int) -> tuple[int, bytes] | None:
        """Protocol and SPI of the helper with these addresses: its protocol is of the outer family, whichever is inside.

        net/ipv4/xfrm4_tunnel.c: xfrm_tunnel_rcv; net/ipv6/xfrm6_tunnel.c: xfrm6_tunnel_rcv.
        """
        if family == AF_INET:
            return IPPROTO_IPIP, arrival.saddr
        spi = self.engine.tunnel_spis.find(arrival.saddr)
        return None if spi is None else (IPPROTO_IPV6, spi)

    def _by_key(self, key: bytes, mark: int) -> Sa | None:
        recent = self._recent.get(key)
        if recent is not None:
            for sa in recent:
                if mark & sa.mark[1] == sa.mark[0] and sa.state is not State.DEAD:
                    return sa
        return self.engine.sadb.lookup_by_mask(key, (mark, _ALL_BITS))

    def _remember(self, sa: Sa) -> None:
        """An SA was found in the table: it comes first from now on, among those that share its key."""
        recent = self._recent.get(sa.key, ())
        if sa in recent:
            return
        if len(self._recent) > 2 * len(self.engine.sadb) + _SPARE:
            self._recent.clear()
        self._recent[sa.key] = [sa, *(one for one in recent if one.state is State.VALID)]

    # -- one SA ------------------------------------------------------------------------------------

    def step(self, packet: bytes, mark: int, depth: int, *, encapsulated: bool) -> Step:
        """Whose packet it is. Raises Refused or Drop."""
        arrival = locate(packet)
        if depth == XFRM_MAX_DEPTH:
            raise Refused("XfrmInBufferError", "protected too many times")
        sa = self.find(arrival, mark)
        moved = self.moves.find(arrival, sa, encapsulated=encapsulated)
        if moved is not None:
            return Step(arrival, *moved)
        if sa is None:
            raise Refused(
                "XfrmInNoStates", f"no SA for SPI 0x{arrival.spi:08x} and its destination"
            )
        if sa.traits.dir not in (0, XFRM_SA_DIR_IN):
            raise Refused("XfrmInStateDirError", "the SA is an outbound one")
        if sa.state is not State.VALID:
            counter = "XfrmAcquireError" if sa.state is State.ACQ else "XfrmInStateInvalid"
            raise Refused(counter, f"the SA is {sa.state.name}")
        if (sa.encap is not None) != encapsulated:
            raise Refused("XfrmInStateMismatch", "UDP encapsulation: packet and SA differ")
        return Step(arrival, sa, self.opener(sa))

    def opener(self, sa: Sa) -> Inbound:
        """The SA's opener. Raises Refused where the SA cannot be carried."""
        live = sa.live
        if live is None:
            live = sa.live = Live(self.idents, self.engine.profile)
        try:
            return live.opener or live.inbound(sa)
        except UsageError as error:
            raise Refused("XfrmInStateModeError", str(error)) from None

    def open(self, packet: bytes, step: Step) -> bytes:
        """What is inside, counted and told. Raises Refused or Drop."""
        sa, opener = step.sa, step.opener
        self._remember(sa)
        if limited(sa):
            self._admit(packet, step)
        try:
            inner = opener.open(packet)
        except Drop as drop:
            if drop.opened is not None:
                self._done(step, drop.opened)
            raise
        self._done(step, opener.payload_length(inner))
        return inner if sa.traits.mode == XFRM_MODE_TRANSPORT else trim(inner)

    def takes_runs(self, step: Step) -> bool:
        """Whether packets like that of ``step`` may be opened many at a time: nothing happens between two of them that anybody could see."""
        sa, arrival = step.sa, step.arrival
        return (
            sa.state is State.VALID
            and not limited(sa)
            and not self.engine.listens(XFRMNLGRP_AEVENTS)
            and (sa.encap is None or arrival.sport is None or _is_at_home(sa, arrival))
        )

    def open_run(self, step: Step, packets: list[bytes]) -> list[bytes | Drop]:
        """What is inside many packets of an SA in tunnel mode that takes runs; not trimmed yet."""
        sa = step.sa
        self._remember(sa)
        opened = step.opener.open_batch(packets)
        if set(map(type, opened)) == {bytes}:
            traffic.count(self.engine, sa, sum(map(len, opened)), len(opened))  # type: ignore[arg-type]
            return opened
        sizes = [
            len(one) if isinstance(one, bytes) else one.opened
            for one in opened
            if isinstance(one, bytes) or one.opened is not None
        ]
        if sizes:
            traffic.count(self.engine, sa, sum(filter(None, sizes)), len(sizes))
        return opened

    def _done(self, step: Step, size: int) -> None:
        """An authentic packet: tell, and count."""
        engine, sa, opener = self.engine, step.sa, step.opener
        if sa.encap is not None and step.arrival.sport is not None:
            self._map(sa, step.arrival, step.arrival.sport)
        if engine.listens(XFRMNLGRP_AEVENTS) and sa.proto in _NUMBERED and opener.replay.window:
            aevents.numbers_moved(engine, sa)
        traffic.count(engine, sa, size)

    def _admit(self, packet: bytes, step: Step) -> None:
        """Limits are looked at after the number and before the ICV."""
        sa, at = step.sa, _SEQ_AT.get(step.sa.proto)
        if at is not None:
            start = step.arrival.at + at
            step.opener.replay.check(int.from_bytes(packet[start : start + 4], "big"))
        dying = sa.dying
        admitted = traffic.admit(self.engine, sa)
        if not admitted or sa.dying != dying:
            self.changed()
        if not admitted:
            raise Refused("XfrmInStateExpired", "a hard limit of bytes or packets is reached")

    def _map(self, sa: Sa, arrival: Arrival, sport: int) -> None:
        """Tell a packet's source that is not where the SA's packets should come from."""
        if not _is_at_home(sa, arrival):
            traffic.mapping(self.engine, sa, arrival.saddr.ljust(16, b"\0"), sport)

    def is_protected(self, packet: bytes, proto: int, mark: int) -> bool:
        """Whether a packet for this host has an IPsec header to be taken off."""
        if proto in IPSEC:
            return True
        if proto not in _TUNNELS or not len(self.engine.sadb):
            return False
        try:
            return self.find(locate(packet), mark) is not None
        except Drop:
            return False


def _is_at_home(sa: Sa, arrival: Arrival) -> bool:
    """Whether an encapsulated packet came from where the SA says."""
    at_address = arrival.saddr == sa.saddr[: len(arrival.saddr)]
    return at_address and sa.encap is not None and arrival.sport == _sport(sa.encap)[0]
