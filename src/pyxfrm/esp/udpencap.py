"""ESP inside UDP, for paths with NAT (RFC 3948).

    IP header | UDP header | SPI ...          ESP
    IP header | UDP header | 0 0 0 0 | ...    IKE: the "non-ESP marker", an SPI of 0
    IP header | UDP header | ff               a keepalive, for the NAT's sake only

Over IPv4 the UDP checksum is 0. Over IPv6 Linux computes it (net/ipv6/esp6.c:
esp_output_encap_csum), which costs a pass over every packet.

Linux's receiver drops, uncounted, what is shorter than 48 bytes (UDP header included) over IPv6 and
28 over IPv4: it compares the wrong length with the IP header's (__xfrm6_udp_encap_rcv, seen on
7.2.7). Over IPv6 that is the shortest ESP packets of transport and BEET mode with a short ICV.

In transport mode a NAT has changed addresses that the inner TCP or UDP checksum covers; it was
right for the sender. Linux takes such packets as checked (net/ipv4/esp4.c: esp_input_done2);
whoever hands packets on from here does the same.
"""

from __future__ import annotations

from enum import Enum
from struct import Struct

from pyxfrm.esp.association import Proto
from pyxfrm.esp.ip import checksum

__all__ = ["Datagram", "KEEPALIVE", "classify", "udp_checksum", "udp_header"]

KEEPALIVE = b"\xff"

_HEADER = Struct(">HHHH")
_ESP_HEADER = 8


class Datagram(Enum):
    """What came in on an encapsulation port."""

    ESP = "esp"
    IKE = "ike"
    KEEPALIVE = "keepalive"


def classify(payload: bytes) -> Datagram:
    """Which of the three a UDP payload is (net/ipv4/xfrm4_input.c: __xfrm4_udp_encap_rcv).

    Too short for ESP counts as IKE: Linux leaves it to the socket.
    """
    if payload == KEEPALIVE:
        return Datagram.KEEPALIVE
    if len(payload) > _ESP_HEADER and payload[:4] != b"\0\0\0\0":
        return Datagram.ESP
    return Datagram.IKE


def udp_header(sport: int, dport: int, payload_length: int) -> bytes:
    """8 bytes, checksum 0."""
    return _HEADER.pack(sport, dport, payload_length + 8, 0)


def udp_checksum(saddr: bytes, daddr: bytes, datagram: bytes) -> int:
    """Checksum of a UDP datagram (its checksum field 0) under its pseudo header (RFC 8200 §8.1)."""
    length = len(datagram).to_bytes(4, "big")
    pseudo = saddr + daddr + length + bytes((0, 0, 0, Proto.UDP))
    return checksum(pseudo + datagram) or 0xFFFF
