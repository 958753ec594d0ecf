"""IPComp with DEFLATE, and the bare tunnel beside it (RFC 3173, RFC 2394; net/xfrm/xfrm_ipcomp.c).

    IP header | next header | flags 0 | CPI (16 bits) | compressed payload

Payloads below 90 bytes are not compressed, nor those that would not get shorter by it, header
included (6.12 wants a byte more; on the way in 7.2 wants one byte, 6.12 the header's four): they go
without an IPComp header. In tunnel mode such a packet is a plain IP-in-IP packet, which is why Linux
keeps a second SA of protocol IPIP (or IPV6) beside it; :class:`TunnelSealer` and
:class:`TunnelOpener` are that SA's.

IPComp has no sequence number. Linux nevertheless asks the replay window, with number 0: an SA with
a window refuses everything. So the window here is 0 unless given.
"""

from __future__ import annotations

import zlib

from pyxfrm.errors import UsageError
from pyxfrm.esp import ip
from pyxfrm.esp.association import Association, Mode, Proto
from pyxfrm.esp.base import Inbound, Outbound, same_sa
from pyxfrm.esp.drop import Counter, Drop
from pyxfrm.esp.framing import Idents
from pyxfrm.esp.inorder import InOrder
from pyxfrm.esp.replay import Window, make_window
from pyxfrm.esp.sequence import Sequence

__all__ = ["CompOpener", "CompSealer", "TunnelOpener", "TunnelSealer"]

_THRESHOLD = 90
_HEADER = 4
_MOST = 65400  # bytes that Linux decompresses to
_WINDOW_OUT = -11  # raw DEFLATE with a window of 2048 bytes, as Linux sends
_WINDOW_IN = -15
_MEM_LEVEL = 8


class CompSealer(Outbound):
    """Compresses the packets of one outbound IPComp SA."""

    __slots__ = ()

    def __init__(self, sa: Association, *, idents: Idents | None = None) -> None:
        _check(sa)
        super().__init__(sa, Sequence(), idents)

    def _seal(self, packet: bytes) -> bytes:
        parts = self.framing.wrap(packet, self.idents)
        proto, payload = parts.next_header, parts.payload
        shorter = _compress(payload) if len(payload) >= _THRESHOLD else payload
        if len(shorter) + self.association.comp_gains[1] <= len(payload):
            cpi = (self.association.spi & 0xFFFF).to_bytes(2, "big")
            proto, payload = Proto.COMP, bytes((proto, 0)) + cpi + shorter
        total = len(parts.header) + len(payload)
        return ip.finish(parts.header, parts.proto_at, proto, total) + payload

    def _restart(self) -> None:
        """Nothing is numbered."""

    def _successor(self, sa: Association) -> CompSealer:
        return CompSealer(sa, idents=self.idents)


class CompOpener(Inbound):
    """Decompresses the packets of one inbound IPComp SA."""

    __slots__ = ()

    def __init__(
        self, sa: Association, *, window: Window | None = None, run: InOrder | None = None
    ) -> None:
        _check(sa)
        super().__init__(sa, run or InOrder(sa.spi, window or make_window(0)))

    def at(self, sa: Association) -> CompOpener:  # noqa: D102
        same_sa(sa, self.association)
        return CompOpener(sa, run=self._run)

    def _open(self, packet: bytes) -> bytes:
        upper = ip.upper_layer(packet)
        body = upper.at + _HEADER
        if upper.proto != Proto.COMP or len(packet) < body:
            raise Drop(Counter.IN_HDR_ERROR, "no whole IPComp header")
        if int.from_bytes(packet[body - 2 : body], "big") != self.association.spi & 0xFFFF:
            raise Drop(Counter.IN_NO_STATES, "the CPI is another SA's")
        self._run.settle().check(0)
        payload = _decompress(packet[body:], self.association.comp_gains[0])
        return self._unwrap(packet[: upper.at], upper.proto_at, packet[upper.at], payload)


class TunnelSealer(Outbound):
    """An IP header around the packet, and nothing else."""

    __slots__ = ()

    def __init__(self, sa: Association, *, idents: Idents | None = None) -> None:
        super().__init__(sa, Sequence(), idents)

    def _seal(self, packet: bytes) -> bytes:
        parts = self.framing.wrap(packet, self.idents)
        total = len(parts.header) + len(parts.payload)
        return ip.finish(parts.header, parts.proto_at, parts.next_header, total) + parts.payload

    def _restart(self) -> None:
        """Nothing is numbered."""

    def _successor(self, sa: Association) -> TunnelSealer:
        return TunnelSealer(sa, idents=self.idents)


class TunnelOpener(Inbound):
    """Takes the outer IP header off."""

    __slots__ = ()

    def __init__(self, sa: Association, *, run: InOrder | None = None) -> None:
        super().__init__(sa, run or InOrder(sa.spi, make_window(0)))

    def at(self, sa: Association) -> TunnelOpener:  # noqa: D102
        same_sa(sa, self.association)
        return TunnelOpener(sa, run=self._run)

    def _open(self, packet: bytes) -> bytes:
        upper = ip.upper_layer(packet)
        header, payload = packet[: upper.at], packet[upper.at :]
        return self._unwrap(header, upper.proto_at, upper.proto, payload)


def _check(sa: Association) -> None:
    if sa.comp is None:
        raise UsageError("Missing required compression algorithm")
    if sa.comp.name != "deflate":
        raise UsageError(f"compression algorithm {sa.comp.name!r} is not deflate")
    if sa.mode is Mode.BEET:
        raise UsageError("IPComp has tunnel and transport mode only")


def _compress(payload: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=_WINDOW_OUT, memLevel=_MEM_LEVEL)
    return deflate.compress(payload) + deflate.flush()


def _decompress(data: bytes, gain: int) -> bytes:
    """The payload. Linux refuses one that compression has not made shorter, by ``gain`` bytes."""
    inflate = zlib.decompressobj(wbits=_WINDOW_IN)
    try:
        payload = inflate.decompress(data, _MOST + 1)
    except zlib.error as error:
        raise Drop(Counter.IN_STATE_PROTO_ERROR, f"DEFLATE: {error}") from None
    if not inflate.eof or not len(data) + gain <= len(payload) <= _MOST:
        raise Drop(Counter.IN_STATE_PROTO_ERROR, "DEFLATE: cut short, too long, or not compressed")
    return payload
