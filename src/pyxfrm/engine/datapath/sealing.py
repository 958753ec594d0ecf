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

__all__ = ["Sealing", "limited", "marked"]


_NO_LIMITS = (XFRM_INF,) * 4  # of bytes and packets, soft and hard


def limited(sa: Sa) -> bool:
    """Whether the next packets of an SA need a look at its limits, one by one."""
    return not sa.use_time or sa.traits.lft[:4] != _NO_LIMITS


def marked(mark: int, sa: Sa) -> int:
    """The mark of a packet that goes through an SA (XFRMA_SET_MARK)."""
    value, mask = sa.smark
    return value & mask | mark & ~mask


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
            live = sa.live = Live(self.idents, self.engine.profile)
        try:
            return live.sealer or live.outbound(sa)
        except UsageError as error:
            raise Refused("XfrmOutStateModeError", str(error)) from None

    def seal(self, sa: Sa, packet: bytes) -> bytes:
        """One packet through one SA. Raises Refused or Drop."""
        live, engine = sa.live, self.engine
        sealer = (live.sealer if live is not None else None) or self.sealer(sa)
        size = sealer.payload_length(packet)
        if sa.state is not State.VALID:
            raise Refused("XfrmOutStateInvalid", f"the SA is {sa.state.name}")
        if limited(sa):
            self._admit(sa)
        try:
            sealed = sealer.seal(packet)
        except Drop as drop:
            if drop.counter is Counter.OUT_STATE_PROTO_ERROR:  # found out when it was counted
                traffic.count(engine, sa, size)
            raise
        if engine.listens(XFRMNLGRP_AEVENTS):
            aevents.numbers_moved(engine, sa)
        traffic.count(engine, sa, size)
        return sealed

    def _admit(self, sa: Sa) -> None:
        dying = sa.dying
        admitted = traffic.admit(self.engine, sa)
        if not admitted or sa.dying != dying:
            self.changed()
        if not admitted:
            raise Refused("XfrmOutStateExpired", "a hard limit of bytes or packets is reached")

    def takes_runs(self, sa: Sa) -> bool:
        """Whether the SA's packets may be sealed many at a time: nothing happens between two of them that anybody could see."""
        return (
            sa.state is State.VALID
            and not limited(sa)
            and not self.engine.listens(XFRMNLGRP_AEVENTS)
        )

    def seal_run(self, sa: Sa, packets: list[bytes]) -> list[bytes | Drop]:
        """Many packets through one SA that takes runs. Raises Refused for all of them."""
        sealer = self.sealer(sa)
        sealed = sealer.seal_batch(packets)
        counted = packets
        if set(map(type, sealed)) != {bytes}:
            both = zip(packets, sealed, strict=True)
            counted = [one for one, done in both if isinstance(done, bytes) or _counted(done)]
        if not counted:
            return sealed
        traffic.count(self.engine, sa, sum(map(sealer.payload_length, counted)), len(counted))
        return sealed


def _counted(result: Drop) -> bool:
    return result.counter is Counter.OUT_STATE_PROTO_ERROR
