"""A packet as policies see it, and what a selector says of it.

Linux looks at the innermost *upper layer that is not a tunnel*: it passes over the extension headers of IPv6 and stops at IP-in-IP, ESP and AH.
Only whole packets have ports; of a fragment, even the first, just the protocol counts. What is cut short counts as far as it goes, the
rest as zeros (net/core/flow_dissector.c; net/xfrm/xfrm_policy.c: __xfrm_decode_session).

:func:`key` names the flow of a common packet (TCP, UDP and the like, ICMP), so that a lookup can be remembered.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from pyxfrm.abi.xfrm import AF_INET, AF_INET6
from pyxfrm.engine.policy import Flow, address_value
from pyxfrm.esp.ip import header_length

if TYPE_CHECKING:
    from pyxfrm.abi.structs import Selector

__all__ = ["decode", "in_words", "key", "rows", "selects", "uniform", "whole"]

_TCP, _UDP, _ICMP, _GRE, _ICMPV6 = 6, 17, 1, 47, 58
_PORTED = frozenset((_TCP, _UDP, 136, 132))
_HOPOPTS, _ROUTING, _FRAGMENT, _DSTOPTS = 0, 43, 44, 60
_FRAGMENT_BITS = 0x3FFF
_CHECKSUM_FLAG, _KEY_FLAG = 0x8000, 0x2000  # of GRE
_PLAIN4 = 0x45  # IPv4, no options
_KEYED, _KEYED6, _KEYED_ICMPV6 = (
    28,
    44,
    48,
)  # shorter packets may not have all that keys are made of
# fragment bits, protocol, addresses and ports of an IPv4 header
_common4 = struct.Struct(">6xHxB2x12s").unpack_from
_PORTED_BYTES = frozenset(bytes((proto,)) for proto in _PORTED)
_telling = itemgetter(slice(0, 1), slice(6, 10), slice(12, 24))
_IDENT_AND_CHECKSUM = (4, 5, 10, 11)  # bytes of an IPv4 header that may differ within a flow
_DS_FIELD = (1,)
_pair = struct.Struct(">HH").unpack_from
_PAD4 = bytes(12)
_FLOW_BYTES = 24  # an IPv4 header without options, and ports


def decode(packet: bytes, mark: int = 0, oif: int = 0) -> Flow | None:
    """The flow of an IP packet; None for what has no whole IP header."""
    head = header_length(packet)
    if not head:
        return None
    if packet[0] >> 4 == 4:
        saddr, daddr = packet[12:16] + _PAD4, packet[16:20] + _PAD4
        whole = not int.from_bytes(packet[6:8], "big") & _FRAGMENT_BITS
        return _flow(AF_INET, saddr, daddr, packet, (packet[9], head, whole), mark, oif)
    upper = _upper_v6(packet)
    return _flow(AF_INET6, packet[8:24], packet[24:40], packet, upper, mark, oif)


def _flow(
    family: int,
    saddr: bytes,
    daddr: bytes,
    packet: bytes,
    upper: tuple[int, int, bool],
    mark: int,
    oif: int,
) -> Flow:
    proto, at, whole = upper
    sport, dport = _ports(proto, packet[at : at + 16]) if whole else (0, 0)
    return Flow(family, daddr, saddr, dport, sport, proto, oif, mark)


def _ports(proto: int, upper: bytes) -> tuple[int, int]:
    """What a selector compares its (sport, dport) with: ports, type and code of ICMP, halves of a GRE key."""
    if proto in _PORTED and len(upper) >= 4:
        sport, dport = _pair(upper)
        return sport, dport
    if proto in (_ICMP, _ICMPV6) and len(upper) >= 8:
        return upper[0], upper[1]
    if proto == _GRE and len(upper) >= 4:
        return _gre_key(upper)
    return 0, 0


def _gre_key(upper: bytes) -> tuple[int, int]:
    """The key of GRE version 0; it follows the checksum, if there is one."""
    flags = int.from_bytes(upper[:2], "big")
    at = 8 if flags & _CHECKSUM_FLAG else 4
    if not flags & _KEY_FLAG or flags & 7 or len(upper) < at + 4:
        return 0, 0
    high, low = _pair(upper, at)
    return high, low


def _upper_v6(packet: bytes) -> tuple[int, int, bool]:
    """(protocol, where it starts, whether the packet is no fragment)."""
    proto, at = packet[6], 40
    while proto in (_HOPOPTS, _ROUTING, _DSTOPTS, _FRAGMENT):
        if at + 8 > len(packet):
            return proto, at, False
        if proto == _FRAGMENT:
            return packet[at], at + 8, False
        proto, at = packet[at], at + (packet[at + 1] + 1) * 8
    return proto, at, True


def key(packet: bytes) -> Hashable | None:
    """Something that two packets share only if they are of one flow; None where that is not so simple."""
    if len(packet) < _KEYED:
        return None
    if packet[0] == _PLAIN4:
        common = _common4(packet)
        if common[1] in _PORTED:
            return common
        return (common[0], packet[9:10] + packet[12:22]) if common[1] == _ICMP else None
    if packet[0] >> 4 == 6 and len(packet) >= _KEYED6:
        if packet[6] in _PORTED:
            return packet[6:7] + packet[8:44]
        if packet[6] == _ICMPV6 and len(packet) >= _KEYED_ICMPV6:
            return packet[6:7] + packet[8:42]
    return None


def rows(packets: Iterable[bytes]) -> Iterator[tuple[Hashable | None, list[bytes]]]:
    """Packets that come one after the other and have the same :func:`key`, with it.

    Most are told by few comparisons: all of one length and one flow; or IPv4, the same bytes where fragment bits, protocol, addresses and ports are.
    """
    packets = list(packets)
    if uniform(packets, _FLOW_BYTES) and packets[0][9:10] in _PORTED_BYTES:
        yield key(packets[0]), packets
        return
    for (first, _, _), group in groupby(packets, _telling):
        row = list(group)
        if first == b"\x45" and row[0][9:10] in _PORTED_BYTES:
            yield key(row[0]), row
        else:
            for name, some in groupby(row, key):
                yield name, list(some)


def whole(packets: list[bytes]) -> bool:
    """Whether all are IPv4 packets without options and of one length, which is what their headers say. (Else they may be all right, too.)"""
    return uniform(packets, 4, _DS_FIELD)


def uniform(packets: list[bytes], size: int, free: tuple[int, ...] = _IDENT_AND_CHECKSUM) -> bool:
    """Whether these are :func:`whole`, and alike in their first ``size`` bytes but for those at ``free`` (all below ``size``). Told by few calls, however many they are."""
    if not packets or not size <= len(packets[0]) == _total(packets[0]):
        return False
    if packets[0][0] != _PLAIN4 or len(set(map(len, packets))) != 1:
        return False
    starts = bytearray().join(map(itemgetter(slice(size)), packets))
    blank = bytes(len(packets))
    for at in free:
        starts[at::size] = blank
    return starts == starts[:size] * len(packets)


def _total(packet: bytes) -> int:
    return int.from_bytes(packet[2:4], "big")


def selects(sel: Selector, flow: Flow) -> bool:
    """Whether a selector covers a flow; its own family is not asked (include/net/xfrm.h: xfrm_selector_match)."""
    family = flow.family
    width = 32 if family == AF_INET else 128
    return (
        _covers(flow.daddr, sel.daddr, family, width, sel.prefixlen_d)
        and _covers(flow.saddr, sel.saddr, family, width, sel.prefixlen_s)
        and not (flow.dport ^ sel.dport) & sel.dport_mask
        and not (flow.sport ^ sel.sport) & sel.sport_mask
        and sel.proto in (0, flow.proto)
        and sel.ifindex in (0, flow.oif)
    )


def _covers(address: bytes, prefix: bytes, family: int, width: int, length: int) -> bool:
    shift = width - min(length, width)
    return address_value(address, family) >> shift == address_value(prefix, family) >> shift


def in_words(flow: Flow) -> str:
    """For people: addresses, protocol, ports, mark."""
    from ipaddress import ip_address

    size = 4 if flow.family == AF_INET else 16
    saddr, daddr = ip_address(flow.saddr[:size]), ip_address(flow.daddr[:size])
    text = f"{saddr} -> {daddr} proto {flow.proto}"
    if flow.sport or flow.dport:
        text += f" ports {flow.sport} -> {flow.dport}"
    return text + (f" mark 0x{flow.mark:x}" if flow.mark else "")
