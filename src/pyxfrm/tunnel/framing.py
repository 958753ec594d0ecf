"""Between IP packets, which the data path speaks, and payloads, which sockets do.

Out, packets that were sealed are gathered into runs: one way, one length (the last may be shorter), one DS field, one DF bit. A run is what a socket
can hand to the kernel in one call. In, a run of payloads gets back the IP (and UDP) header that the kernel has taken off: what the data path looks at in
it is true (addresses, ports, lengths, DS field), what it does not look at is zero (identification, checksums).

Headers are built once for a run; a packet costs two slices.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from socket import AF_INET
from typing import NamedTuple

from pyxfrm.engine.datapath import Verdict
from pyxfrm.tunnel.place import UDP, Place, Via

__all__ = ["MOST_SEGMENTS", "Run", "datagrams", "gather", "header"]

MOST_SEGMENTS = 64  # of one UDP_SEGMENT send (UDP_MAX_SEGMENTS, include/linux/udp.h)
_MOST_BYTES = 65000  # of the same, with its headers under 65536
_DF = 0x40
_ports = struct.Struct(">HH").unpack_from
_UDP_HEADER = 8


class Run(NamedTuple):
    """Payloads that go one way together: all of ``size`` bytes, the last may have less.

    ``tos``  the DS field of their IP header; ``df``: they must not be fragmented
    """

    via: Via
    payloads: Sequence[bytes]
    size: int
    tos: int = 0
    df: bool = False


class _Gathering:
    """A run while it grows."""

    __slots__ = ("at", "df", "packets", "sas", "size", "tos", "total")

    def __init__(self, verdict: Verdict) -> None:
        packet = verdict.packet
        self.sas = verdict.sas
        self.at = _payload_at(packet)
        self.size = len(packet)
        self.tos = packet[1]
        self.df = packet[6]
        self.packets = [packet]
        self.total = self.size

    def run(self) -> Run:
        """The run, once it is complete."""
        first, at = self.packets[0], self.at
        via, tos = _read(first, at)
        df = first[0] >> 4 == 6 or bool(first[6] & _DF)
        return Run(via, [packet[at:] for packet in self.packets], self.size - at, tos, df)


def _payload_at(packet: bytes) -> int:
    if packet[0] >> 4 == 4:
        head, proto = (packet[0] & 15) * 4, packet[9]
    else:
        head, proto = 40, packet[6]
    return head + _UDP_HEADER if proto == UDP else head


def _read(packet: bytes, at: int) -> tuple[Via, int]:
    """Way and DS field of a sealed packet."""
    if packet[0] >> 4 == 4:
        proto, tos = packet[9], packet[1]
        saddr, daddr = packet[12:16], packet[16:20]
    else:
        proto, tos = packet[6], (packet[0] & 15) << 4 | packet[1] >> 4
        saddr, daddr = packet[8:24], packet[24:40]
    sport, dport = _ports(packet, at - _UDP_HEADER) if proto == UDP else (0, 0)
    return Via(Place(saddr, proto, sport), daddr, dport), tos


def gather(verdicts: Iterable[Verdict]) -> list[Run]:
    """Runs of packets that were sealed, in their order. ``sas`` of packets in a row through the same SAs is one object."""
    runs: list[Run] = []
    current: _Gathering | None = None
    for verdict in verdicts:
        packet = verdict.packet
        if current is not None:
            size = len(packet)
            if (
                verdict.sas is current.sas
                and size <= current.size
                and packet[1] == current.tos
                and packet[6] == current.df
                and len(current.packets) < MOST_SEGMENTS
                and current.total + size <= _MOST_BYTES
            ):
                current.packets.append(packet)
                current.total += size
                if size == current.size:
                    continue
                runs.append(current.run())
                current = None
                continue
            runs.append(current.run())
        current = _Gathering(verdict)
    if current is not None:
        runs.append(current.run())
    return runs


def header(via: Via, size: int, tos: int = 0) -> bytes:
    """IP (and UDP) header of a payload of ``size`` bytes that came to us by this way."""
    place = via.place
    udp = b""
    if place.proto == UDP:
        size += _UDP_HEADER
        udp = struct.pack(">HHHH", via.port, place.port, size, 0)
    if place.family == AF_INET:
        size += 20
        start = struct.pack(">BBHHHBBH", 0x45, tos, size & 0xFFFF, 0, 0, 64, place.proto, 0)
    else:
        start = struct.pack(">IHBB", 6 << 28 | tos << 20, size & 0xFFFF, place.proto, 64)
    return start + via.address + place.address + udp


def datagrams(run: Run) -> list[bytes]:
    """Whole IP packets of a run that came in."""
    payloads = run.payloads
    head = header(run.via, run.size, run.tos)
    whole = [head + payload for payload in payloads]
    if payloads and len(payloads[-1]) != run.size:
        last = payloads[-1]
        whole[-1] = header(run.via, len(last), run.tos) + last
    return whole
