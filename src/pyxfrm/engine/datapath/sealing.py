"""A packet through the SAs of a bundle, from the inside out (net/xfrm/xfrm_output.c: xfrm_output_one).

For each SA in Linux's order: the mode must be able to carry the packet, the SA must be valid and within its limits (which may end it, or warn), the number
must not be used up. What leaves has been counted: in the SA's lifetime, and towards replay events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxfrm.abi.xfrm import XFRM_INF, XFRMNLGRP_AEVENTS
from pyxfrm.engine import aevents, traffic
from pyxfrm.engine.datapath.refused import Refused
from pyxfrm.engine.live import Live
from pyxfrm.engine.sa import State
from pyxfrm.errors import UsageError
from pyxfrm.esp import Counter, Drop

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.sa import Sa
    from pyxfrm.esp import Outbound
    from pyxfrm.esp.framing import Idents

__all__ = ["Sealing", "limited"]


def limited(sa: Sa) -> bool:
    """Whether the next packets of an SA need a look at its limits, one by one."""
    limits = sa.traits.lft
    return (
        not sa.use_time
        or limits.hard_byte_limit != XFRM_INF
        or limits.hard_packet_limit != XFRM_INF
        or limits.soft_byte_limit != XFRM_INF
        or limits.soft_packet_limit != XFRM_INF
    )


class Sealing:
    """The way out through SAs. ``changed`` is called when an SA is not what it was for lookups: dying, or dead."""

    def __init__(self, engine: Engine, idents: Idents, changed: Callable[[], None]) -> None:
        self.engine = engine
        self.idents = idents
        self.changed = changed

    def sealer(self, sa: Sa) -> Outbound:
        """The SA's sealer. Raises Refused where the SA cannot be carried."""
        live = sa.live
        if live is None:
            live = sa.live = Live(self.idents)
        try:
            return live.sealer or live.outbound(sa)
        except UsageError as error:
            raise Refused("XfrmOutStateModeError", str(error)) from None

    def seal(self, sa: Sa, packet: bytes) -> bytes:
        """One packet through one SA. Raises Refused or Drop."""
        sealer = self.sealer(sa)
        size = sealer.payload_length(packet)
        if sa.state is not State.VALID:
            raise Refused("XfrmOutStateInvalid", f"the SA is {sa.state.name}")
        if limited(sa):
            self._admit(sa)
        try:
            sealed = sealer.seal(packet)
        except Drop as drop:
            if drop.counter is Counter.OUT_STATE_PROTO_ERROR:  # found out when it was counted
                traffic.count(self.engine, sa, size)
            raise
        if self.engine.listens(XFRMNLGRP_AEVENTS):
            aevents.numbers_moved(self.engine, sa)
        traffic.count(self.engine, sa, size)
        return sealed

    def _admit(self, sa: Sa) -> None:
        dying = sa.dying
        admitted = traffic.admit(self.engine, sa)
        if not admitted or sa.dying != dying:
            self.changed()
        if not admitted:
            raise Refused("XfrmOutStateExpired", "a hard limit of bytes or packets is reached")

    def seal_batch(self, sa: Sa, packets: list[bytes]) -> list[bytes | Drop | Refused]:
        """Many packets through one SA, counted one by one only where somebody looks at the counts."""
        sealer = self.sealer(sa)
        if sa.state is not State.VALID or limited(sa) or self.engine.listens(XFRMNLGRP_AEVENTS):
            return [self._try(sa, packet) for packet in packets]
        sealed = sealer.seal_batch(packets)
        sizes = [
            sealer.payload_length(packet)
            for packet, result in zip(packets, sealed, strict=True)
            if isinstance(result, bytes) or _counted(result)
        ]
        traffic.count(self.engine, sa, sum(sizes), len(sizes))
        return list(sealed)

    def _try(self, sa: Sa, packet: bytes) -> bytes | Drop | Refused:
        try:
            return self.seal(sa, packet)
        except (Drop, Refused) as no:
            return no


def _counted(result: Drop) -> bool:
    return result.counter is Counter.OUT_STATE_PROTO_ERROR
