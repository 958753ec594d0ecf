"""ICMP errors about packets that were sealed: "too big" from a router on the way.

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

__all__ = ["TooBig", "too_big"]

_ICMP, _ICMPV6 = 1, 58
_REPORTS = {(_ICMP, 3, 4), (_ICMPV6, 2, 0)}  # "fragmentation needed", "packet too big"
_HEAD = 8  # bytes of ICMP before the quote
_UDP = 8


class TooBig(NamedTuple):
    """A router could not pass on a packet of the SA (``daddr``, ``spi``, ``proto``).

    ``mtu``     bytes it could have passed on; 0: an old router that does not say (RFC 1191 §4)
    ``sport``   source port of the UDP encapsulation, None where there is none
    ``spi``     0 where the quote ends before it, which behind a UDP header is allowed
    """

    daddr: bytes
    spi: int
    proto: int
    mtu: int
    sport: int | None


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
    return TooBig(daddr, spi or 0, proto, mtu, sport)
