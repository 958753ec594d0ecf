"""What became of one packet."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyxfrm.engine.policy import Policy
    from pyxfrm.engine.sa import Sa

__all__ = ["Action", "Verdict"]


class Action(Enum):
    """Where a packet goes."""

    PROTECTED = "protected"  # out, through SAs
    CLEAR = "clear"  # out, as it came
    DELIVERED = "delivered"  # in, for this host
    QUEUED = "queued"  # it waits; what becomes of it is told later, see Datapath.take
    DROPPED = "dropped"
    IKE = "ike"  # it came to an encapsulation port, for the socket there
    KEEPALIVE = "keepalive"  # so did this one, for nobody


class Verdict(NamedTuple):
    """One packet's fate.

    ``packet``    to send, or to deliver; empty where it goes nowhere
    ``counters``  of /proc/net/xfrm_stat that moved, in order
    ``why``       for people
    ``errno``     what Linux tells a sending socket: 0, EPERM, EAGAIN ... A packet without an SA is lost without an error
    ``policy``    the policy that decided, if any
    ``sas``       SAs gone through, in order; for a drop including the one that refused
    ``mark``      of the packet from here on: SAs may set it (XFRMA_SET_MARK)
    """

    action: Action
    packet: bytes = b""
    counters: tuple[str, ...] = ()
    why: str = ""
    errno: int = 0
    policy: Policy | None = None
    sas: tuple[Sa, ...] = ()
    mark: int = 0
