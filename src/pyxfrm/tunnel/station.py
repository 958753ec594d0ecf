"""A host in user space, for tunnels without a TUN device: it sends streams and pings, answers pings, and notes every packet that comes.

    here, there = Station(ip("10.9.0.1")), Station(ip("10.9.0.2"))
    stream = here.stream(ip("10.9.0.2"), rate=1000)     # UDP packets, numbered, with the time they left
    ...
    there.arrivals[stream.number].lost(stream.sent)

A packet of a stream is UDP; its payload starts with a mark (4 bytes, so that a leak is easily found on the wire), the stream's number (4), the packet's number
(8) and the time it was made (8, nanoseconds of the end's clock). Both stations must have one clock for latencies to mean something: those of
one machine have.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from random import SystemRandom
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.errors import UsageError
from pyxfrm.esp.ip import checksum
from pyxfrm.esp.udpencap import udp_checksum
from pyxfrm.tunnel.place import UDP

if TYPE_CHECKING:
    from pyxfrm.model import Address
    from pyxfrm.tunnel.place import Via

__all__ = ["Arrival", "Arrivals", "MARK", "PORT", "Ping", "Pong", "SMALLEST", "Station", "Stream"]

MARK = b"STRM"
PORT = 9  # discard
SMALLEST = 72  # bytes of an IPv6 packet that holds the payload
_ICMP, _ICMPV6 = 1, 58
_ECHO = {_ICMP: (8, 0), _ICMPV6: (128, 129)}  # request, reply
_PAYLOAD = struct.Struct(">4sIQQ")
_ICMP_HEAD = struct.Struct(">BBHHH")
_BEHIND = 0.5  # seconds; a source that is later than this leaves out what it missed
_NS = 1_000_000_000


class Arrival(NamedTuple):
    """One packet of a stream that came: its number, when it was made and when it came (seconds), and by which way."""

    number: int
    sent: float
    arrived: float
    via: Via | None


@dataclass
class Arrivals:
    """What came of one stream. ``packets``: each arrival, in order, repeated ones too; ``longest_gap``: seconds between two; ``via``: the last one's way."""

    packets: list[Arrival] = field(default_factory=list)
    received: int = 0
    duplicates: int = 0
    reordered: int = 0
    highest: int = -1
    longest_gap: float = 0.0
    latency_sum: float = 0.0
    latency_max: float = 0.0
    keep: bool = True
    _seen: set[int] = field(default_factory=set, repr=False)
    _floor: int = 0
    _last: float | None = None
    via: Via | None = None

    def add(self, arrival: Arrival) -> None:
        """Count one."""
        if self.keep:
            self.packets.append(arrival)
        if self._last is not None:
            self.longest_gap = max(self.longest_gap, arrival.arrived - self._last)
        self._last = arrival.arrived
        self.via = arrival.via
        if arrival.number < self._floor or arrival.number in self._seen:
            self.duplicates += 1
            return
        self._seen.add(arrival.number)
        while self._floor in self._seen:
            self._seen.remove(self._floor)
            self._floor += 1
        self.received += 1
        self.reordered += arrival.number < self.highest
        self.highest = max(self.highest, arrival.number)
        latency = arrival.arrived - arrival.sent
        self.latency_sum += latency
        self.latency_max = max(self.latency_max, latency)

    def lost(self, sent: int) -> int:
        """Of so many sent: how many never came."""
        return sent - self.received

    @property
    def latency(self) -> float:
        """Mean, in seconds; 0 if nothing came."""
        return self.latency_sum / self.received if self.received else 0.0


class _Source:
    """Makes packets at a rate: ``rate`` a second, ``total`` of them (None: without end)."""

    def __init__(self, rate: float, total: int | None) -> None:
        if not 0 < rate <= 10_000_000:
            raise UsageError(f"rate {rate:g}: packets a second, over 0, at most 10 million")
        self.rate = rate
        self.total = total
        self.sent = 0
        self.skipped = 0
        self._start: float | None = None
        self._slots = 0

    @property
    def done(self) -> bool:
        """Everything was sent, or it was stopped."""
        return self.total is not None and self.sent >= self.total

    def stop(self) -> None:
        """Send no more."""
        self.total = self.sent

    def deadline(self) -> float | None:
        """When the next packet is due."""
        if self.done:
            return None
        return 0.0 if self._start is None else self._start + self._slots / self.rate

    def due(self, now: float) -> int:
        """How many packets are due; what has been missed for too long is not sent late, but left out."""
        if self._start is None:
            self._start = now
        due = int((now - self._start) * self.rate) + 1 - self._slots
        late = due - max(1, int(_BEHIND * self.rate))
        if late > 0:
            self.skipped += late
            self._slots += late
            due -= late
        return due if self.total is None else min(due, self.total - self.sent)

    def make(self, now: float) -> bytes:
        """The next packet."""
        packet = self.packet(self.sent, now)
        self.sent += 1
        self._slots += 1
        return packet

    def packet(self, number: int, now: float) -> bytes:
        """One packet."""
        raise NotImplementedError


class Stream(_Source):
    """UDP packets of ``size`` bytes (whole IP packets), numbered from 0."""

    def __init__(
        self, number: int, ends: tuple[bytes, bytes], rate: float, size: int, total: int | None
    ) -> None:
        super().__init__(rate, total)
        if not SMALLEST <= size <= 65000:
            raise UsageError(f"size {size}: bytes of a packet, {SMALLEST} to 65000")
        self.number = number
        self.size = size
        self._ends = ends
        head = 20 if len(ends[0]) == 4 else 40
        self._filling = bytes(size - head - 8 - _PAYLOAD.size)
        self._front = _ip_header(ends, UDP, size) + struct.pack(">HHHH", PORT, PORT, size - head, 0)

    def packet(self, number: int, now: float) -> bytes:
        """One packet."""
        payload = _PAYLOAD.pack(MARK, self.number, number, int(now * _NS))
        packet = self._front + payload + self._filling
        if len(self._ends[0]) == 4:
            return packet
        check = udp_checksum(*self._ends, packet[40:])
        return packet[:46] + check.to_bytes(2, "big") + packet[48:]


class Pong(NamedTuple):
    """An answer to a ping: its number, seconds there and back, bytes, and by which way it came."""

    number: int
    seconds: float
    size: int
    via: Via | None


class Ping(_Source):
    """Echo requests with ``size`` bytes of data; ``answers`` in order, ``duplicates`` counted."""

    def __init__(
        self, number: int, ends: tuple[bytes, bytes], rate: float, size: int, total: int | None
    ) -> None:
        super().__init__(rate, total)
        if not 8 <= size <= 65000 - 48:
            raise UsageError(f"size {size}: bytes of data in a ping, 8 to 64952")
        self.number = number
        self.size = size
        self.answers: list[Pong] = []
        self.duplicates = 0
        self._ends = ends
        self._open: dict[int, int] = {}  # sequence number on the wire -> packet's number
        self._proto = _ICMP if len(ends[0]) == 4 else _ICMPV6

    def packet(self, number: int, now: float) -> bytes:
        """One packet."""
        seq = number & 0xFFFF
        self._open[seq] = number
        data = struct.pack(">Q", int(now * _NS)).ljust(self.size, b"\0")
        kind = _ECHO[self._proto][0]
        return _icmp(self._ends, self._proto, kind, self.number & 0xFFFF, seq, data)

    def answered(self, seq: int, data: bytes, via: Via | None, now: float) -> None:
        """An echo reply came."""
        number = self._open.pop(seq, None)
        if number is None:
            self.duplicates += 1
            return
        seconds = now - int.from_bytes(data[:8], "big") / _NS
        self.answers.append(Pong(number, seconds, len(data), via))

    @property
    def lost(self) -> int:
        """Unanswered so far."""
        return self.sent - len(self.answers)


class Station:
    """A host with one address of each family at most.

    ``arrivals``  what came, by the number of the stream
    ``others``    packets that were nothing of ours, the last 64
    ``keep``      keep each arrival (else just their counts)
    ``first``     number of the first stream or ping; by chance unless given, so that a station that starts again is told from the one before
    """

    def __init__(self, *addresses: Address, keep: bool = True, first: int | None = None) -> None:
        self.addresses = {address.packed for address in addresses}
        self.arrivals: dict[int, Arrivals] = {}
        self.streams: list[Stream] = []
        self.pings: list[Ping] = []
        self.answered = 0
        self.others: deque[bytes] = deque(maxlen=64)
        self.keep = keep
        self._numbers = count(SystemRandom().randrange(1 << 30) if first is None else first)
        self._replies: deque[bytes] = deque()

    # -- what it sends -----------------------------------------------------------------------------

    def stream(
        self, to: Address, *, rate: float, size: int = 200, total: int | None = None
    ) -> Stream:
        """Start a stream: ``rate`` packets a second, of ``size`` bytes with their IP header."""
        stream = Stream(next(self._numbers), self._ends(to), rate, size, total)
        self.streams.append(stream)
        return stream

    def ping(
        self, to: Address, *, rate: float = 1.0, size: int = 56, total: int | None = None
    ) -> Ping:
        """Start a ping: ``rate`` a second, with ``size`` bytes of data."""
        ping = Ping(next(self._numbers), self._ends(to), rate, size, total)
        self.pings.append(ping)
        return ping

    def _ends(self, to: Address) -> tuple[bytes, bytes]:
        for own in self.addresses:
            if len(own) == len(to.packed):
                return own, to.packed
        raise UsageError(f"{to}: this station has no address of that family")

    @property
    def _sources(self) -> list[_Source]:
        return [*self.streams, *self.pings]

    # -- as the inner side of an end ---------------------------------------------------------------

    def fileno(self) -> int:
        """See :class:`~pyxfrm.tunnel.inner.Inner`."""
        return -1

    def deadline(self) -> float | None:
        """See :class:`~pyxfrm.tunnel.inner.Inner`."""
        if self._replies:
            return 0.0
        times = (source.deadline() for source in self._sources)
        return min((when for when in times if when is not None), default=None)

    def read(self, now: float, most: int) -> Sequence[bytes]:
        """See :class:`~pyxfrm.tunnel.inner.Inner`."""
        packets = [self._replies.popleft() for _ in range(min(most, len(self._replies)))]
        for source in self._sources:
            for _ in range(min(source.due(now), most - len(packets))):
                packets.append(source.make(now))  # noqa: PERF401
        return packets

    def write(self, packets: Sequence[bytes], via: Via | None, now: float) -> None:
        """See :class:`~pyxfrm.tunnel.inner.Inner`."""
        for packet in packets:
            self._take(packet, via, now)

    def close(self) -> None:
        """See :class:`~pyxfrm.tunnel.inner.Inner`."""

    # -- what comes --------------------------------------------------------------------------------

    def _take(self, packet: bytes, via: Via | None, now: float) -> None:
        """One packet, of whatever kind; the end has looked at its IP header."""
        head, proto = ((packet[0] & 15) * 4, packet[9]) if packet[0] >> 4 == 4 else (40, packet[6])
        upper = packet[head:]
        if proto == UDP and upper[8:12] == MARK and len(upper) >= 8 + _PAYLOAD.size:
            _, stream, number, sent = _PAYLOAD.unpack_from(upper, 8)
            arrivals = self.arrivals.get(stream)
            if arrivals is None:
                arrivals = self.arrivals[stream] = Arrivals(keep=self.keep)
            arrivals.add(Arrival(number, sent / _NS, now, via))
        elif proto in _ECHO and len(upper) >= 8:
            self._echo(packet, proto, upper, via, now)
        else:
            self.others.append(packet)

    def _echo(self, packet: bytes, proto: int, upper: bytes, via: Via | None, now: float) -> None:
        kind, _, _, ident, seq = _ICMP_HEAD.unpack_from(upper)
        request, reply = _ECHO[proto]
        saddr, daddr = (
            (packet[12:16], packet[16:20]) if proto == _ICMP else (packet[8:24], packet[24:40])
        )
        if kind == request and daddr in self.addresses:
            self._replies.append(_icmp((daddr, saddr), proto, reply, ident, seq, upper[8:]))
            self.answered += 1
        elif kind == reply:
            for ping in self.pings:
                if ping.number & 0xFFFF == ident:
                    ping.answered(seq, upper[8:], via, now)
        else:
            self.others.append(packet)


def _ip_header(ends: tuple[bytes, bytes], proto: int, size: int) -> bytes:
    """Header of a packet of ``size`` bytes; over IPv4 with DF."""
    saddr, daddr = ends
    if len(saddr) == 4:
        start = struct.pack(">BBHHHBBH", 0x45, 0, size, 0, 0x4000, 64, proto, 0)
        check = checksum(start + saddr + daddr)
        return start[:10] + check.to_bytes(2, "big") + saddr + daddr
    return struct.pack(">IHBB", 6 << 28, size - 40, proto, 64) + saddr + daddr


def _icmp(
    ends: tuple[bytes, bytes], proto: int, kind: int, ident: int, seq: int, data: bytes
) -> bytes:
    """An echo request or reply."""
    body = _ICMP_HEAD.pack(kind, 0, 0, ident, seq) + data
    pseudo = b""
    if proto == _ICMPV6:
        pseudo = ends[0] + ends[1] + struct.pack(">IHBB", len(body), 0, 0, proto)
    check = checksum(pseudo + body)
    body = body[:2] + check.to_bytes(2, "big") + body[4:]
    size = len(body) + (20 if len(ends[0]) == 4 else 40)
    return _ip_header(ends, proto, size) + body
