"""BEET mode, "bound end-to-end tunnel": tunnel semantics at transport size.

(draft-nikander-esp-beet-mode-09; net/xfrm/xfrm_output.c: xfrm4_beet_encap_add,
xfrm6_beet_encap_add; xfrm_input.c: xfrm4_remove_beet_encap, xfrm6_remove_beet_encap.)

Inner addresses are fixed, they are the SA's selector, so they do not travel. The outer header has
the outer addresses and everything else of the inner header: DS field, TTL or hop limit, IPv4 to
IPv4 also identification and fragment bits, IPv6 to IPv6 the flow label. Between the families:
IPv6 inside IPv4 gets identification 0 and DF, IPv4 inside IPv6 flow label 0. The receiver builds
the inner header from the outer one in the same way.

IPv4 options of the inner header travel behind a pseudo header (protocol 94):

    next header | options / 8 | padding | reserved | padding as NOPs | options | payload

with 4 bytes of padding, or none where the options themselves are 4 bytes off a multiple of 8. The
reserved byte is 0 here; Linux sends whatever was there.
IPv6 extension headers are payload. IPv4 fragments cannot be carried.
"""

from __future__ import annotations

from struct import Struct

from pyxfrm.esp import ip
from pyxfrm.esp.association import Association, Proto
from pyxfrm.esp.drop import Counter, Drop
from pyxfrm.esp.framing import Idents, Parts

__all__ = ["Beet"]

_IPV4 = Struct(">BBHHHBBH4s4s")
_IPV6 = Struct(">IHBB16s16s")
_NOP = b"\1"
_DF16 = 0x4000
_FRAGMENT = 0x3FFF
_MAX_OPTIONS = 250


class _Fields:
    """The fields of an IP header that BEET hands from one header to the other."""

    __slots__ = ("flow", "frag", "hops", "ident", "tos")

    def __init__(self, header: bytes) -> None:
        self.tos = ip.traffic_class(header)
        if header[0] >> 4 == 4:
            self.ident = int.from_bytes(header[4:6], "big")
            self.frag = int.from_bytes(header[6:8], "big")
            self.hops, self.flow = header[8], 0
        else:
            self.ident, self.frag, self.hops = 0, _DF16, header[7]
            self.flow = int.from_bytes(header[1:4], "big") & 0xFFFFF

    def header(self, saddr: bytes, daddr: bytes, ihl: int = 5) -> bytes:
        """An IP header with these fields and addresses; length and protocol are still 0."""
        if len(daddr) == 16:
            first = 6 << 28 | self.tos << 20 | self.flow
            return _IPV6.pack(first, 0, 0, self.hops, saddr, daddr)
        first = 0x40 | ihl
        return _IPV4.pack(first, self.tos, 0, self.ident, self.frag, self.hops, 0, 0, saddr, daddr)


class Beet:
    """BEET mode of one SA; the framing of :mod:`pyxfrm.esp.framing`."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, sa: Association) -> None:
        assert sa.inner is not None  # noqa: S101 (Association saw to it)
        self._inner = sa.inner
        self._outer = sa.saddr, sa.daddr

    def wrap(self, packet: bytes, idents: Idents) -> Parts:  # noqa: D102
        del idents  # the packet keeps its own
        length = ip.header_length(packet)
        if not length:
            raise Drop(Counter.OUT_STATE_MODE_ERROR, "not an IP packet")
        fields = _Fields(packet)
        proto, payload = packet[6], packet[40:]
        if packet[0] >> 4 == 4:
            if fields.frag & _FRAGMENT:
                raise Drop(Counter.OUT_STATE_MODE_ERROR, "BEET carries no IPv4 fragments")
            proto, payload = packet[9], packet[length:]
            if length > 20:
                payload = _pseudo_header(proto, packet[20:length]) + payload
                proto = Proto.BEETPH
        proto_at = 9 if len(self._outer[1]) == 4 else 6
        return Parts(fields.header(*self._outer), proto_at, proto, payload)

    def unwrap(  # noqa: D102
        self, header: bytes, proto_at: int, next_header: int, payload: bytes
    ) -> bytes:
        del proto_at
        fields = _Fields(header)
        if len(self._inner[1]) == 16:
            head, total = fields.header(*self._inner), 40 + len(payload)
            return ip.finish(head, 6, next_header, total, Counter.IN_STATE_MODE_ERROR) + payload
        length = 0
        if next_header == Proto.BEETPH:
            next_header, length, payload = _without_pseudo_header(payload)
        # The length of the header is a 4-bit field and Linux does not look whether it fits.
        head = fields.header(*self._inner, ihl=(5 + length // 4) & 15)
        whole = head + payload
        own = max(20, (whole[0] & 15) * 4)
        done = ip.finish(whole[:own], 9, next_header, len(whole), Counter.IN_STATE_MODE_ERROR)
        return done + whole[own:]

    def payload_length(self, packet: bytes) -> int:  # noqa: D102
        return len(self.wrap(packet, int).payload)


def _pseudo_header(proto: int, options: bytes) -> bytes:
    padding = 4 - (len(options) & 4)
    return bytes((proto, len(options) // 8, padding, 0)) + _NOP * padding + options


def _without_pseudo_header(payload: bytes) -> tuple[int, int, bytes]:
    """(protocol, length of the options, options and payload)."""
    if len(payload) < 4:
        raise Drop(Counter.IN_STATE_MODE_ERROR, "BEET pseudo header cut short")
    proto, eighths, padding = payload[:3]
    start = 4 + padding
    length = eighths * 8 + 8 - start
    if length < 0 or length & 3 or length > _MAX_OPTIONS or len(payload) < start:
        raise Drop(Counter.IN_STATE_MODE_ERROR, "BEET pseudo header makes no sense")
    return proto, length, payload[start:]
