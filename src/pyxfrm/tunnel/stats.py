"""What an end counts beside the counters of /proc/net/xfrm_stat, which its data path has."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Stats"]


@dataclass(slots=True)
class Stats:
    """Packets since the end was made.

    ``packets_out``  left under protection, keepalives included; ``packets_in``: came out of the tunnel
    ``wire_out``, ``wire_in``  bytes given to the sockets and taken from them: without the IP and UDP headers outside
    ``clear_out``   inner packets without a policy that protects them: dropped here, never sent
    ``clear_in``    packets that came in under no SA's protection: dropped
    ``unsent``      sealed, but the network did not take them: by errno, or "no place"
    ``late``        came to a place that an SA had left
    ``ike``         datagrams with a non-ESP marker, handed on or dropped
    ``keepalives_in``, ``keepalives_out``  of a NAT (RFC 3948 §2.3)
    ``too_big``     inner packets answered with an ICMP error about their size
    ``moves``       changes of the set of places
    """

    packets_out: int = 0
    wire_out: int = 0
    packets_in: int = 0
    wire_in: int = 0
    clear_out: int = 0
    clear_in: int = 0
    unsent: Counter[str] = field(default_factory=Counter)
    late: int = 0
    ike: int = 0
    keepalives_in: int = 0
    keepalives_out: int = 0
    too_big: int = 0
    moves: int = 0
