"""Transport mode: the packet keeps its IP header, what follows is protected (RFC 4301 §4.1).

IPv4: the whole header with its options stays outside. IPv6: the extension headers that routers
look at stay outside too (``ip.insertion_point``). On the way back the header's protocol number,
length and checksum become those of the packet as it was
(net/xfrm/xfrm_output.c: xfrm4_transport_output, xfrm6_transport_output; xfrm_input.c).
"""

from __future__ import annotations

from pyxfrm.esp import ip
from pyxfrm.esp.association import Association
from pyxfrm.esp.drop import Counter, Drop
from pyxfrm.esp.framing import Idents, Parts

__all__ = ["Transport"]


class Transport:
    """Transport mode of one SA; the framing of :mod:`pyxfrm.esp.framing`."""

    __slots__ = ("_family",)

    def __init__(self, sa: Association) -> None:
        self._family = sa.family

    def wrap(self, packet: bytes, idents: Idents) -> Parts:  # noqa: D102
        del idents  # the packet keeps its own
        length = ip.header_length(packet)
        if not length or packet[0] >> 4 != self._family:
            raise Drop(Counter.OUT_STATE_MODE_ERROR, f"not an IPv{self._family} packet")
        if self._family == 4:
            return Parts(packet[:length], 9, packet[9], packet[length:])
        upper = ip.insertion_point(packet)
        return Parts(packet[: upper.at], upper.proto_at, upper.proto, packet[upper.at :])

    def unwrap(  # noqa: D102
        self, header: bytes, proto_at: int, next_header: int, payload: bytes
    ) -> bytes:
        total = len(header) + len(payload)
        whole = ip.finish(header, proto_at, next_header, total, Counter.IN_STATE_MODE_ERROR)
        return whole + payload

    def payload_length(self, packet: bytes) -> int:  # noqa: D102
        return len(self.wrap(packet, int).payload)
