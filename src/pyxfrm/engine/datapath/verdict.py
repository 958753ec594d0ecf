"""What became of one packet."""

from __future__ import annotations

from enum import Enum
from errno import EHOSTUNREACH, EINVAL, EMSGSIZE, EOVERFLOW
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.esp import report_too_big

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pyxfrm.engine.datapath.refused import Refused
    from pyxfrm.engine.policy import Policy
    from pyxfrm.engine.sa import Sa
    from pyxfrm.esp import Drop

__all__ = ["Action", "Verdict", "alike", "delivered", "protected", "refusal", "too_big"]

_ERRNOS = {"XfrmOutStateSeqError": EOVERFLOW, "XfrmOutError": EHOSTUNREACH}  # else EINVAL


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
    ``icmp``      an ICMP error about the packet, to be sent to whoever sent it (a local socket is told by ``errno``); mostly empty
    """

    action: Action
    packet: bytes = b""
    counters: tuple[str, ...] = ()
    why: str = ""
    errno: int = 0
    policy: Policy | None = None
    sas: tuple[Sa, ...] = ()
    mark: int = 0
    icmp: bytes = b""


_new = tuple.__new__
_PROTECTED, _DELIVERED = Action.PROTECTED, Action.DELIVERED


# What most packets get, in no more steps than needed.


def protected(packet: bytes, policy: Policy, sas: tuple[Sa, ...], mark: int) -> Verdict:
    """A packet that leaves sealed."""
    return _new(Verdict, (_PROTECTED, packet, (), "", 0, policy, sas, mark, b""))


def delivered(packet: bytes, policy: Policy, sas: tuple[Sa, ...]) -> Verdict:
    """A packet that came in sealed, without a mark."""
    return _new(Verdict, (_DELIVERED, packet, (), "", 0, policy, sas, 0, b""))


def alike(pattern: Verdict, packets: Iterable[bytes]) -> Iterator[Verdict]:
    """The same verdict for many packets."""
    action, _, *rest = pattern
    fields = zip(repeat(action), packets, *map(repeat, rest), strict=False)
    return map(_new, repeat(Verdict), fields)


def refusal(no: Drop | Refused, policy: Policy | None, sas: tuple[Sa, ...]) -> Verdict:
    """A drop, by what said no."""
    counter = str(no.counter)
    errno = _ERRNOS.get(counter, EINVAL) if counter.startswith("XfrmOut") else 0
    return Verdict(Action.DROPPED, b"", (counter,), no.why, errno, policy, sas)


def too_big(
    packet: bytes, mtu: int, address: Callable[[int], bytes | None], policy: Policy
) -> Verdict:
    """A packet that does not fit into its path once it is sealed, and must not be fragmented."""
    version = packet[0] >> 4
    saddr = address(version) or (packet[16:20] if version == 4 else packet[24:40])
    icmp = report_too_big(packet, mtu, saddr)
    why = f"{len(packet)} bytes; the path carries {mtu}, sealed"
    return Verdict(Action.DROPPED, b"", (), why, EMSGSIZE, policy, icmp=icmp)
