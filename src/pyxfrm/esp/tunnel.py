"""Tunnel mode: a new IP header around the whole packet (RFC 4301 §5.1.2), any family in any.

What the new header takes from the inner one (net/xfrm/xfrm_output.c: xfrm4_tunnel_encap_add,
xfrm6_tunnel_encap_add; RFC 6040 §4.1, "normal mode"):

========================  =====================================================================
DSCP                      copied; 0 with DONT_ENCAP_DSCP
ECN                       copied, but CE becomes ECT(0); 0 with NOECN
DF (IPv4 outside)         copied from IPv4; from IPv6 set; never set with NOPMTUDISC
identification            0 where DF is set, else the next one given (Linux gives one with DF too
                          where a local socket asks for no path MTU discovery)
flow label (IPv6)         copied from IPv6, else 0
TTL, hop limit            the SA's own
========================  =====================================================================

Linux means to leave DF out for IPv6 packets of up to 1280 bytes, which must never meet "too big",
but looks at a protocol field that says IPv4 by then (seen on 7.2.7); so small ones have DF as well.

And back (net/xfrm/xfrm_input.c: xfrm4_remove_tunnel_encap): a congestion mark on the outer header
goes into an ECN-capable inner one, unless NOECN; with DECAP_DSCP the outer DSCP replaces the inner.
Linux keeps an inner packet that is not ECN-capable where RFC 6040 §4.2 would drop it. The inner
packet is not checked any further: that is for the IP layer that gets it.
"""

from __future__ import annotations

from struct import Struct

from pyxfrm.abi import xfrm as abi
from pyxfrm.esp import ip
from pyxfrm.esp.association import Association, Proto
from pyxfrm.esp.drop import Counter, Drop
from pyxfrm.esp.framing import Idents, Parts

__all__ = ["Tunnel", "mark_inner", "outer_class"]

_IPV4 = Struct(">BBHHBBBBH4s4s")
_IPV6 = Struct(">IHBB16s16s")
_CE = 3
_ECT0 = 2


class Tunnel:
    """Tunnel mode of one SA; the framing of :mod:`pyxfrm.esp.framing`."""

    __slots__ = ("_no_df", "_sa")

    def __init__(self, sa: Association) -> None:
        self._sa = sa
        self._no_df = bool(sa.flags & abi.XFRM_STATE_NOPMTUDISC)

    def wrap(self, packet: bytes, idents: Idents) -> Parts:  # noqa: D102
        if not ip.header_length(packet):
            raise Drop(Counter.OUT_STATE_MODE_ERROR, "not an IP packet")
        sa = self._sa
        outer = outer_class(sa, ip.traffic_class(packet))
        inner_v4 = packet[0] >> 4 == 4
        proto = Proto.IPIP if inner_v4 else Proto.IPV6
        if sa.family == 4:
            may_fragment = self._no_df or (inner_v4 and not packet[6] & ip.DF)
            ident, df = (idents(), 0) if may_fragment else (0, ip.DF)
            header = _IPV4.pack(0x45, outer, 0, ident, df, 0, sa.ttl, 0, 0, sa.saddr, sa.daddr)
            return Parts(header, 9, proto, packet)
        flow = 0 if inner_v4 else int.from_bytes(packet[1:4], "big") & 0xFFFFF
        first = 6 << 28 | outer << 20 | flow
        return Parts(_IPV6.pack(first, 0, 0, sa.ttl, sa.saddr, sa.daddr), 6, proto, packet)

    def unwrap(  # noqa: D102
        self, header: bytes, proto_at: int, next_header: int, payload: bytes
    ) -> bytes:
        del proto_at
        smallest = {Proto.IPIP: 20, Proto.IPV6: 40}.get(next_header)  # type: ignore[call-overload]
        if smallest is None:
            raise Drop(Counter.IN_STATE_MODE_ERROR, f"protocol {next_header} inside a tunnel")
        if len(payload) < smallest:
            raise Drop(Counter.IN_STATE_MODE_ERROR, f"inner packet of {len(payload)} bytes")
        if not header:
            return payload
        return mark_inner(payload, smallest == 20, ip.traffic_class(header), self._sa.flags)

    payload_length = staticmethod(len)


def outer_class(sa: Association, inner: int) -> int:
    """DS field of a new outer header for the DS field of the inner packet."""
    dscp = 0 if sa.extra_flags & abi.XFRM_SA_XFLAG_DONT_ENCAP_DSCP else inner & ~_CE
    if sa.flags & abi.XFRM_STATE_NOECN:
        return dscp
    ecn = inner & _CE
    return dscp | (_ECT0 if ecn == _CE else ecn)


def mark_inner(packet: bytes, v4: bool, outer: int, flags: int) -> bytes:
    """The inner packet with the marks that the outer DS field hands on."""
    if flags & abi.XFRM_STATE_DECAP_DSCP:
        field = ip.traffic_class(packet) if v4 else _class_v6(packet)
        packet = _replaced(packet, v4, outer & ~_CE | field & _CE)
    if outer & _CE == _CE and not flags & abi.XFRM_STATE_NOECN:
        field = packet[1] if v4 else _class_v6(packet)
        if field & _CE:
            packet = _congested(packet, field) if v4 else _replaced(packet, v4, field | _CE)
    return packet


def _class_v6(packet: bytes) -> int:
    return (packet[0] & 15) << 4 | packet[1] >> 4


def _replaced(packet: bytes, v4: bool, field: int) -> bytes:
    """A new DS field; IPv4: the checksum follows by difference (RFC 1624), right or wrong."""
    if not v4:
        first = packet[0] & 0xF0 | field >> 4, (field & 15) << 4 | packet[1] & 15
        return bytes(first) + packet[2:]
    check = int.from_bytes(packet[10:12], "big") + packet[1]
    if check >= 0xFFFF:
        check = (check + 1) & 0xFFFF
    check -= field
    if check < 0:
        check = (check - 1) & 0xFFFF
    return _ipv4_with(packet, field, check)


def _congested(packet: bytes, field: int) -> bytes:
    """An IPv4 header with CE set (include/net/inet_ecn.h: IP_ECN_set_ce)."""
    check = int.from_bytes(packet[10:12], "big") + 0xFFFF - (_CE - (field & _CE))
    if field & _CE == _CE:
        return packet
    return _ipv4_with(packet, field | _CE, (check & 0xFFFF) + (check >> 16))


def _ipv4_with(packet: bytes, field: int, check: int) -> bytes:
    fields = packet[:1] + bytes((field,)) + packet[2:10] + check.to_bytes(2, "big")
    return fields + packet[12:]
