"""The short road for ESP in tunnel mode: little work per packet, the same results.

Python spends about as long on a handful of operations as AES-GCM does on a small packet, so the
packets of an ordinary stream do as few as possible here. Nothing is decided in this file: what it
keeps prepared was made by the long road (:mod:`pyxfrm.esp.esp`), and whatever it is not prepared
for goes there, with nothing changed yet.

*Out*, what stands in front of the sequence number and what is encrypted behind the packet depend
only on the packet's length and three of its bytes: version and DS field in bytes 0 and 1, the DF
bit in byte 6. So they are kept by these four. To make sure that they depend on nothing else they
are made with a stand-in packet that has just these bytes. Two things differ from packet to packet
and are written in: an identification where there is no DF, the flow label of IPv6 in IPv6. What
depends on the sequence number comes ready from :class:`pyxfrm.esp.ahead.Ahead`.

*In*, a packet that starts as the expected one (:class:`pyxfrm.esp.inorder.InOrder`), at the usual
place, without a congestion mark to hand on, needs its ICV checked and its trailer cut. Only then
the run is moved on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyxfrm.abi import xfrm as abi
from pyxfrm.esp import ip
from pyxfrm.esp.association import Association, Mode, Proto
from pyxfrm.esp.drop import Drop
from pyxfrm.esp.inorder import InOrder

if TYPE_CHECKING:
    from pyxfrm.esp.esp import EspOpener, EspSealer
    from pyxfrm.esp.transforms import Transform

__all__ = ["ShortIn", "ShortOut", "applies_in", "applies_out"]

_MOST_HEADS = 4096
_SMALLEST = 40  # no shorter inner packet is surely long enough for its header
# the last two bytes of a plaintext (pad length, next header) -> what of it is the inner packet
_CUTS = {
    bytes((padding, proto)): slice(None, -2 - padding)
    for padding in range(256)
    for proto in (Proto.IPIP, Proto.IPV6)
}
_Key = tuple[int, int, int, int]
# (what stands in front of the number, what is encrypted behind the packet), or (None, a function
# of the packet that makes these two)
_Head = tuple[bytes | None, Any]


def applies_in(sa: Association) -> bool:
    """Is there a short road in? Not where each packet gets another DSCP."""
    return sa.mode is Mode.TUNNEL and not sa.flags & abi.XFRM_STATE_DECAP_DSCP


def applies_out(sa: Association) -> bool:
    """Is there a short road out? Not where each packet needs a UDP checksum."""
    return sa.mode is Mode.TUNNEL and (sa.encap is None or sa.family == 4)


class _Heads(dict[_Key, _Head]):
    """Heads by the packet's length and its bytes 0, 1 and 6; made when first asked for."""

    def __init__(self, esp: EspSealer) -> None:
        super().__init__()
        self._esp = esp

    def __missing__(self, key: _Key) -> _Head:
        length, first, second, flags = key
        stand_in = bytes((first, second, 0, 0, 0, 0, flags)).ljust(length, b"\0")
        parts = self._esp.framing.wrap(stand_in, int)
        tail = self._esp.tail(parts)
        front = self._esp.head(parts, length + len(tail))
        if len(self) >= _MOST_HEADS:
            self.clear()
        self[key] = head = self._head(front, tail, inner_v6=first >> 4 == 6)
        return head

    def _head(self, front: bytes, tail: bytes, inner_v6: bool) -> _Head:
        idents = self._esp.idents
        if self._esp.association.bare:
            return front, tail
        if front[0] >> 4 == 4 and not front[6] & ip.DF:
            return None, lambda _: (_stamp(front, idents()), tail)
        if front[0] >> 4 == 6 and inner_v6:
            return None, lambda packet: (front[:2] + packet[2:4] + front[4:], tail)
        return front, tail


def _stamp(front: bytes, ident: int) -> bytes:
    """The front with an identification; the checksum goes down by it (RFC 1624)."""
    check = (int.from_bytes(front[10:12], "big") - ident) % 0xFFFF
    before, after = front[:4] + ident.to_bytes(2, "big") + front[6:10], front[12:]
    return before + check.to_bytes(2, "big") + after


class ShortOut:
    """The short road out of one sealer; ``slow`` is the long one.

    ``seal``        as ``Outbound.seal``
    ``seal_batch``  the first of some packets, sealed: up to one that is unusual, or all
    """

    __slots__ = ("seal", "seal_batch")

    def __init__(self, esp: EspSealer, slow: Callable[[bytes], bytes]) -> None:
        self.seal, self.seal_batch = _seal_roads(_Heads(esp), esp, slow)


def _seal_roads(
    heads: _Heads, esp: EspSealer, slow: Callable[[bytes], bytes]
) -> tuple[Callable[[bytes], bytes], Callable[[list[bytes]], list[bytes]]]:
    take, encrypt = esp.ahead.take, esp.transform.encrypt

    def seal(packet: bytes) -> bytes:
        try:
            front, tail = heads[len(packet), packet[0], packet[1], packet[6]]
            aad, nonce, shown = take()
        except (IndexError, StopIteration):
            return slow(packet)
        if front is None:
            front, tail = tail(packet)
        return front + shown + encrypt(nonce, packet + tail, aad)

    def seal_batch(packets: list[bytes]) -> list[bytes]:
        sealed = list[bytes]()
        for packet in packets:
            try:
                front, tail = heads[len(packet), packet[0], packet[1], packet[6]]
                aad, nonce, shown = take()
            except (IndexError, StopIteration, Drop):
                break
            if front is None:
                front, tail = tail(packet)
            sealed.append(front + shown + encrypt(nonce, packet + tail, aad))
        return sealed

    return seal, seal_batch


class ShortIn:
    """The short road into one opener; ``slow`` is the long one.

    ``open``        as ``Inbound.open``
    ``open_batch``  the first of some packets, opened: up to one that is unusual, or all
    """

    __slots__ = ("open", "open_batch")

    def __init__(self, esp: EspOpener, run: InOrder, slow: Callable[[bytes], bytes]) -> None:
        self.open, self.open_batch = _open_roads(esp.association, esp.transform, run, slow)


def _open_roads(
    sa: Association, transform: Transform, run: InOrder, slow: Callable[[bytes], bytes]
) -> tuple[Callable[[bytes], bytes], Callable[[list[bytes]], list[bytes]]]:
    head_bytes, iv_bytes, body_bytes = _places(sa, transform.iv_size)
    end, esn, marked = slice(-2, None), sa.esn, _mark(sa)
    salt, decrypt, take = transform.salt, transform.decrypt, run.take
    failures = (transform.failures, ValueError, KeyError)

    def open_(packet: bytes) -> bytes:
        head = run.head
        if packet[head_bytes] != head or packet[1] & marked == marked:
            return slow(packet)
        try:
            aad = run.prefix + head[4:] if esn else head
            plain = decrypt(salt + packet[iv_bytes], packet[body_bytes], aad)
            inner = plain[_CUTS[plain[end]]]
            if run.head is not head or len(inner) < _SMALLEST:
                return slow(packet)
        except failures:
            return slow(packet)
        run.head = take()
        return inner

    def open_batch(packets: list[bytes]) -> list[bytes]:
        opened = list[bytes]()
        head, prefix = run.head, run.prefix
        for packet in packets:
            if packet[head_bytes] != head or packet[1] & marked == marked:
                break
            try:
                aad = prefix + head[4:] if esn else head
                plain = decrypt(salt + packet[iv_bytes], packet[body_bytes], aad)
                inner = plain[_CUTS[plain[end]]]
            except failures:
                break
            if len(inner) < _SMALLEST:
                break
            head = take()
            opened.append(inner)
        run.head = head
        return opened

    return open_, open_batch


def _places(sa: Association, iv_size: int) -> tuple[slice, slice, slice]:
    """Where SPI and number, IV, and the rest stand in a packet without options."""
    at = 0 if sa.bare else (20 if sa.family == 4 else 40) + (8 if sa.encap else 0)
    body = at + 8 + iv_size
    return slice(at, at + 8), slice(at + 8, body), slice(body, None)


def _mark(sa: Association) -> int:
    """The bits of byte 1 that together mean congestion (IPv6: the DS field stands 4 bits left)."""
    if sa.bare or sa.flags & abi.XFRM_STATE_NOECN:
        return 0x100  # a bit that no byte has
    return 0x03 if sa.family == 4 else 0x30
