"""ICMP errors "too big": what routers say of sealed packets, what the sender of another is told.

The error quotes the head of the packet it is about, which is enough to find the SA: destination,
protocol and SPI (net/ipv4/esp4.c: esp4_err, net/ipv6/esp6.c: esp6_err and their like in ah and
ipcomp). What to believe of it is for the caller: nothing in it is authenticated (RFC 4301 §8.2.1
asks for at least an existing SA). Of everything else Linux takes redirects only, which do not
matter here.
"""

from __future__ import annotations

from typing import NamedTuple

from pyxfrm.esp import ip
from pyxfrm.esp.association import Proto
from pyxfrm.esp.drop import Drop

__all__ = ["TooBig", "report_too_big", "too_big"]

_ICMP, _ICMPV6 = 1, 58
_REPORTS = {(_ICMP, 3, 4), (_ICMPV6, 2, 0)}  # "fragmentation needed", "packet too big"
_HEAD = 8  # bytes of ICMP before the quote
_UDP = 8
# ICMP messages that are no errors: echo, timestamp, information, mask
_QUERIES = {bytes((kind,)) for kind in (0, 8, 9, 10, 13, 14, 15, 16, 17, 18)}


class TooBig(NamedTuple):
    """A router could not pass on a packet of the SA (``daddr``, ``spi``, ``proto``) from ``saddr``.

    ``mtu``     bytes it could have passed on; 0: an old router that does not say (RFC 1191 §4)
    ``sport``   source port of the UDP encapsulation, None where there is none
    ``spi``     0 where the quote ends before it, which behind a UDP header is allowed
    """

    daddr: bytes
    spi: int
    proto: int
    mtu: int
    sport: int | None
    saddr: bytes = b""


def too_big(packet: bytes) -> TooBig | None:
    """What an inbound IP packet reports, if it is such a report; None for every other packet."""
    try:
        upper = ip.upper_layer(packet)
        message = packet[upper.at :]
        if (upper.proto, *message[:2]) not in _REPORTS or len(message) < _HEAD:
            return None
        quote = message[_HEAD:]
        quoted = ip.upper_layer(quote)
    except Drop:
        return None
    mtu = int.from_bytes(message[6:8] if upper.proto == _ICMP else message[4:8], "big")
    daddr = quote[16:20] if quote[0] >> 4 == 4 else quote[24:40]
    header, proto, sport = quote[quoted.at :], quoted.proto, None
    if proto == Proto.UDP and len(header) >= _UDP:
        sport, proto = int.from_bytes(header[:2], "big"), int(Proto.ESP)
        header = header[_UDP:]
    spi = ip.spi_of(proto, header)
    if spi is None and sport is None:
        return None
    saddr = quote[12:16] if len(daddr) == 4 else quote[8:24]
    return TooBig(daddr, spi or 0, proto, mtu, sport, saddr)


def report_too_big(packet: bytes, mtu: int, saddr: bytes) -> bytes:
    """An ICMP error to the sender of an IP packet longer than ``mtu``; b"": there must be none.

    ``saddr`` is its source address. None about ICMP errors, all but the first of fragments, and
    packets from no one host (RFC 1122 §3.2.2, RFC 4443 §2.4; net/ipv4/icmp.c: __icmp_send,
    net/ipv6/icmp.c: icmp6_send). The quote is as long as Linux's: in all 576 bytes, with IPv6 1280.
    """
    if packet[0] >> 4 == 4:
        return _report4(packet, mtu, saddr)
    sender = packet[8:24]
    upper = _upper6(packet)
    is_error = (
        upper is not None and upper.proto == _ICMPV6 and packet[upper.at : upper.at + 1] < b"\x80"
    )
    if sender[0] == 0xFF or not any(sender) or is_error:
        return b""
    message = b"\2\0\0\0" + mtu.to_bytes(4, "big") + packet[: 1280 - 40 - _HEAD]
    pseudo = saddr + sender + len(message).to_bytes(4, "big") + bytes((0, 0, 0, _ICMPV6))
    message = message[:2] + ip.checksum(pseudo + message).to_bytes(2, "big") + message[4:]
    head = b"\x60\0\0\0" + len(message).to_bytes(2, "big") + bytes((_ICMPV6, 64))
    return head + saddr + sender + message


def _report4(packet: bytes, mtu: int, saddr: bytes) -> bytes:
    sender, length = packet[12:16], ip.header_length(packet)
    is_error = packet[9] == _ICMP and packet[length : length + 1] not in _QUERIES
    later = int.from_bytes(packet[6:8], "big") & 0x1FFF
    if is_error or later or sender[0] in (0, 127) or sender[0] >= 0xE0:
        return b""
    message = b"\3\4\0\0\0\0" + mtu.to_bytes(2, "big") + packet[: 576 - 20 - _HEAD]
    message = message[:2] + ip.checksum(message).to_bytes(2, "big") + message[4:]
    service = packet[1] & 0x1E | 0xC0
    head = bytes((0x45, service, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0)) + saddr + sender
    return ip.finish(head, 9, _ICMP, len(head) + len(message)) + message


def _upper6(packet: bytes) -> ip.Upper | None:
    try:
        return ip.upper_layer(packet)
    except Drop:
        return None
