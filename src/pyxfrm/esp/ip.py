"""IPv4 and IPv6 headers, as far as IPsec touches them (RFC 791, RFC 8200).

Everything here takes untrusted bytes and gives a value or raises Drop. Headers are handled as
bytes: what IPsec changes in one are its length, its protocol (next header) field and, for IPv4,
its checksum; :func:`finish` does that for both families.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pyxfrm.esp.association import Proto
from pyxfrm.esp.drop import Counter, Drop

__all__ = [
    "Arrival",
    "DF",
    "Upper",
    "checksum",
    "finish",
    "header_length",
    "insertion_point",
    "locate",
    "options",
    "spi_of",
    "traffic_class",
    "trim",
    "upper_layer",
]

DF = 0x40  # Don't Fragment, in byte 6 of an IPv4 header
_FRAGMENT = 0x3FFF  # more fragments, or an offset (IPv4 bytes 6 and 7)
_HOME_ADDRESS = 0xC9  # destination option of Mobile IPv6 (RFC 6275 §6.3)
# size of the smallest header, and where the SPI stands in it
_SPI_IN: dict[int, tuple[int, int, int]] = {
    Proto.ESP: (8, 0, 4),
    Proto.AH: (12, 4, 8),
    Proto.COMP: (4, 2, 4),
}


class Upper(NamedTuple):
    """What follows an IP header: its protocol, where it starts, where its number stands."""

    proto: int
    at: int
    proto_at: int


class Arrival(NamedTuple):
    """An inbound IPsec datagram before its SA is known: the key of the lookup, and where to open.

    ``proto``   ESP, AH, COMP, IPIP or IPV6; ``at``: offset of that header (the inner packet for
                the last two)
    ``spi``     host order; IPComp: the CPI; 0 for IPIP and IPV6
    ``sport``   source port of the UDP encapsulation, None where there is none
    """

    proto: int
    at: int
    spi: int
    saddr: bytes
    daddr: bytes
    sport: int | None


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071): the complement of the ones' complement sum of words.

    2**16 is 1 modulo 65535, so the whole string as one number leaves the sum as its remainder.
    """
    total = int.from_bytes(data if len(data) % 2 == 0 else data + b"\0", "big")
    return 0xFFFF - (total % 0xFFFF or (0xFFFF if total else 0))


def header_length(packet: bytes) -> int:
    """Length of the IP header without extension headers; 0 if this is no IP packet."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        length = (packet[0] & 15) * 4
        return length if 20 <= length <= len(packet) else 0
    return 40 if len(packet) >= 40 and packet[0] >> 4 == 6 else 0


def traffic_class(packet: bytes) -> int:
    """The DS field: TOS of IPv4, traffic class of IPv6."""
    return packet[1] if packet[0] >> 4 == 4 else (packet[0] & 15) << 4 | packet[1] >> 4


def trim(packet: bytes) -> bytes:
    """The packet without what follows its own length (TFC padding, link-layer padding).

    Raises Drop where the length lies. The IP layer above IPsec does this (net/ipv4/ip_input.c:
    ip_rcv_core), IPsec itself does not look.
    """
    if len(packet) >= 20 and packet[0] == 0x45 and packet[2] << 8 | packet[3] == len(packet):
        return packet  # as nearly all are
    head = header_length(packet)
    if not head:
        raise Drop(Counter.IN_HDR_ERROR, "not an IP packet")
    if packet[0] >> 4 == 4:
        length = int.from_bytes(packet[2:4], "big")
    else:
        length = 40 + int.from_bytes(packet[4:6], "big")
    if not head <= length <= len(packet):
        raise Drop(Counter.IN_HDR_ERROR, f"IP length {length} in a packet of {len(packet)} bytes")
    return packet[:length]


def finish(
    header: bytes, proto_at: int, proto: int, total: int, counter: Counter = Counter.OUT_ERROR
) -> bytes:
    """An IP header (with its extension headers) made true for its new contents.

    ``proto`` is written at ``proto_at``; ``total`` is the length of the whole packet. A packet
    longer than IP can say raises Drop with ``counter``.
    """
    if header[0] >> 4 == 6:
        if total - 40 > 0xFFFF:
            raise Drop(counter, f"IPv6 payload of {total - 40} bytes")
        length = (total - 40).to_bytes(2, "big")
        header = header[:4] + length + header[6:]
        return header[:proto_at] + bytes((proto,)) + header[proto_at + 1 :]
    if total > 0xFFFF:
        raise Drop(counter, f"IPv4 packet of {total} bytes")
    length = total.to_bytes(2, "big")
    before = header[:2] + length + header[4:9] + bytes((proto,))
    after = header[12:]
    return before + checksum(before + after).to_bytes(2, "big") + after


def options(header: bytes) -> Iterator[tuple[int, int, int]]:
    """(type, offset, length) of the options in an IPv6 hop-by-hop or destination header.

    Pad1 is left out. Offsets and lengths include the option's own two bytes. Raises ValueError
    where an option leaves the header.
    """
    at = 2
    while at < len(header):
        if header[at] == 0:
            at += 1
            continue
        length = header[at + 1] + 2 if at + 1 < len(header) else 0
        if not length or at + length > len(header):
            raise ValueError("an option leaves its header")
        yield header[at], at, length
        at += length


def _extension(packet: bytes, at: int) -> bytes:
    """The extension header at ``at``, b"" where there is no whole one."""
    if at + 8 > len(packet):
        return b""
    end = at + (packet[at + 1] + 1) * 8
    return packet[at:end] if end <= len(packet) else b""


def insertion_point(packet: bytes) -> Upper:
    """Where Linux puts AH or ESP into an IPv6 packet in transport mode, and what follows it.

    After hop-by-hop options, routing headers, and the destination options before them; before
    everything else (RFC 4303 §3.1.1; net/ipv6/output_core.c: ip6_find_1stfragopt). Destination
    options with a home address stay outside wherever they are.
    """
    at, proto_at, routed = 40, 6, False
    while True:
        proto = packet[proto_at]
        if proto == Proto.ROUTING:
            routed = True
        elif proto == Proto.DSTOPTS:
            if routed and not _has_home_address(_extension(packet, at)):
                return Upper(proto, at, proto_at)
        elif proto != Proto.HOPOPTS:
            return Upper(proto, at, proto_at)
        extension = _extension(packet, at)
        if not extension:
            raise Drop(Counter.OUT_STATE_MODE_ERROR, "IPv6 extension headers leave the packet")
        proto_at = at
        at += len(extension)


def _has_home_address(extension: bytes) -> bool:
    try:
        return any(kind == _HOME_ADDRESS for kind, _, _ in options(extension))
    except ValueError:
        return False


def upper_layer(packet: bytes) -> Upper:
    """What an inbound packet carries after its IP header and extension headers.

    Fragments are not reassembled here: one raises Drop. (An IPv6 fragment header that says
    "whole", RFC 6946, is skipped.)
    """
    head = header_length(packet)
    if not head:
        raise Drop(Counter.IN_HDR_ERROR, "not an IP packet")
    if packet[0] >> 4 == 4:
        if int.from_bytes(packet[6:8], "big") & _FRAGMENT:
            raise Drop(Counter.IN_HDR_ERROR, "a fragment: IPsec is opened after reassembly")
        return Upper(packet[9], head, 9)
    at, proto_at = head, 6
    while packet[proto_at] in (Proto.HOPOPTS, Proto.ROUTING, Proto.DSTOPTS, Proto.FRAGMENT):
        extension = _extension(packet, at)
        if packet[proto_at] == Proto.FRAGMENT:
            extension = packet[at : at + 8]
            if int.from_bytes(extension[2:4], "big") & 0xFFF9:
                raise Drop(Counter.IN_HDR_ERROR, "a fragment: IPsec is opened after reassembly")
        if len(extension) < 8:
            raise Drop(Counter.IN_HDR_ERROR, "IPv6 extension headers leave the packet")
        proto_at = at
        at += len(extension)
    return Upper(packet[proto_at], at, proto_at)


def locate(datagram: bytes) -> Arrival:
    """Find the IPsec header of an inbound IP datagram (net/xfrm/xfrm_input.c: xfrm_parse_spi).

    UDP is taken for an encapsulation: whoever calls knows that the port is one
    (:func:`pyxfrm.esp.udpencap.classify` tells ESP from IKE and keepalives).
    """
    proto, at, _ = upper_layer(datagram)
    saddr, daddr = (
        (datagram[12:16], datagram[16:20])
        if datagram[0] >> 4 == 4
        else (datagram[8:24], datagram[24:40])
    )
    sport = None
    if proto == Proto.UDP:
        sport = int.from_bytes(datagram[at : at + 2], "big")
        proto, at = Proto.ESP, at + 8
    if proto in (Proto.IPIP, Proto.IPV6):
        return Arrival(proto, at, 0, saddr, daddr, sport)
    spi = spi_of(proto, datagram[at:])
    if spi is None or len(datagram) < at + _SPI_IN[proto][0]:
        raise Drop(Counter.IN_HDR_ERROR, f"no whole IPsec header (protocol {proto})")
    return Arrival(proto, at, spi, saddr, daddr, sport)


def spi_of(proto: int, header: bytes) -> int | None:
    """The SPI in an ESP, AH or IPComp header (the CPI); None if it is another, or cut short."""
    _, start, end = _SPI_IN.get(proto, (0, 0, 0))
    return int.from_bytes(header[start:end], "big") if 0 < end <= len(header) else None
