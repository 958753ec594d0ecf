"""The short road for ESP in tunnel mode: little work per packet, the same results.

Python spends about as long on a handful of operations as AES-GCM does on a small packet, so the
packets of an ordinary stream do as few as possible here. Nothing is decided in this file: what it
keeps prepared was made by the long road (:mod:`pyxfrm.esp.esp`), and whatever it is not prepared
for goes there, with nothing changed yet.

*Out*, what stands in front of the sequence number and what is encrypted behind the packet depend
only on the packet's length and three of its bytes: version and DS field in bytes 0 and 1, the DF
bit in byte 6. So they are kept by these four, those of the packet before nearest at hand. To make
sure that they depend on nothing else they are made with a stand-in packet that has just these
bytes. Two things differ from packet to packet and are written in: an identification where there is
no DF, the flow label of IPv6 in IPv6. What depends on the sequence number comes ready from
:class:`pyxfrm.esp.ahead.Ahead`.

*In*, a packet that starts as the expected one (:class:`pyxfrm.esp.inorder.InOrder`), at the usual
place, without a congestion mark to hand on, needs its ICV checked and its trailer cut. Only then
the run is moved on.

*In runs*, packets that are alike, or all come in order, are looked at together first, in a few
calls, and then only sealed or opened. Where one of them is otherwise, each goes by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from pyxfrm.abi import xfrm as abi
from pyxfrm.esp import ip
from pyxfrm.esp.association import Association, Mode, Proto
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
_Packets = Callable[[list[bytes]], list[bytes]]
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

    ``seal``      as ``Outbound.seal``
    ``seal_run``  packets that are alike, sealed; none if they are not, fewer where numbers end.
                  Raises Drop where the first cannot be sealed, and then none is
    """

    __slots__ = ("seal", "seal_run")

    def __init__(self, esp: EspSealer, slow: Callable[[bytes], bytes]) -> None:
        self.seal, self.seal_run = _seal_roads(_Heads(esp), esp, slow)


def _seal_roads(
    heads: _Heads, esp: EspSealer, slow: Callable[[bytes], bytes]
) -> tuple[Callable[[bytes], bytes], _Packets]:
    take, records, encrypt = esp.ahead.take, esp.ahead.records, esp.transform.encrypt
    length = first = second = flags = -1  # of the packet before
    front: bytes | None = None  # and its head
    tail: Any = None

    def seal(packet: bytes) -> bytes:
        nonlocal length, first, second, flags, front, tail
        try:
            if (
                len(packet) != length
                or packet[0] != first
                or packet[1] != second
                or packet[6] != flags
            ):
                key = len(packet), packet[0], packet[1], packet[6]
                front, tail = heads[key]
                length, first, second, flags = key
            aad, nonce, shown = take()
        except (IndexError, StopIteration):
            return slow(packet)
        if front is None:
            own: bytes
            own, end = tail(packet)
            return own + shown + encrypt(nonce, packet + end, aad)
        return front + shown + encrypt(nonce, packet + tail, aad)

    def seal_run(packets: list[bytes]) -> list[bytes]:
        if not _alike(packets):
            return []
        packet = packets[0]
        head, end = heads[len(packet), packet[0], packet[1], packet[6]]
        if head is None:
            return []
        return [
            head + shown + encrypt(nonce, packet + end, aad)
            for packet, (aad, nonce, shown) in zip(packets, records, strict=False)
        ]

    return seal, seal_run


def _alike(packets: list[bytes]) -> bool:
    """Have all packets the same head: same length, same bytes 0, 1 and 6? (In few calls.)"""
    count, length = len(packets), len(packets[0])
    if length < _SMALLEST or list(map(len, packets)).count(length) != count:
        return False
    whole = b"".join(packets)
    return (
        whole[::length].count(whole[0]) == count
        and whole[1::length].count(whole[1]) == count
        and whole[6::length].count(whole[6]) == count
    )


class ShortIn:
    """The short road into one opener; ``slow`` is the long one.

    ``open``      as ``Inbound.open``
    ``open_run``  packets that come in order, one after the other, opened (at most ``InOrder.left``
                  of them); none if anything about one of them is unusual, with nothing changed
    """

    __slots__ = ("open", "open_run")

    def __init__(self, esp: EspOpener, run: InOrder, slow: Callable[[bytes], bytes]) -> None:
        self.open = _open_one(esp.association, esp.transform, run, slow)
        self.open_run = _open_run(esp.association, esp.transform, run)


def _open_one(
    sa: Association, transform: Transform, run: InOrder, slow: Callable[[bytes], bytes]
) -> Callable[[bytes], bytes]:
    head_bytes, iv_bytes, body_bytes = _places(sa, transform.iv_size)
    end, esn, marked = slice(-2, None), sa.esn, _mark(sa)
    salt, decrypt, take = transform.salt, transform.decrypt, run.take
    failures = (transform.failures, ValueError, KeyError)
    service = -1  # byte 1 of the packet before, which had no congestion mark
    ending, cut = b"", slice(0)  # and how its plaintext ended

    def open_(packet: bytes) -> bytes:
        nonlocal service, ending, cut
        head = run.head
        if packet[head_bytes] != head:
            return slow(packet)
        if packet[1] != service:
            if packet[1] & marked == marked:
                return slow(packet)
            service = packet[1]
        try:
            aad = run.prefix + head[4:] if esn else head
            plain = decrypt(salt + packet[iv_bytes], packet[body_bytes], aad)
            if plain[end] != ending:
                cut = _CUTS[plain[end]]
                ending = plain[end]
            inner = plain[cut]
            if run.head is not head or len(inner) < _SMALLEST:
                return slow(packet)
        except failures:
            return slow(packet)
        run.head = take()
        return inner

    return open_


def _open_run(sa: Association, transform: Transform, run: InOrder) -> _Packets:
    head_bytes, iv_bytes, body_bytes = _places(sa, transform.iv_size)
    esn, marked = sa.esn, _mark(sa)
    salt, decrypt = transform.salt, transform.decrypt
    failures = (transform.failures, ValueError, KeyError)
    head_of, service_of, ending_of = map(itemgetter, (head_bytes, 1, slice(-2, None)))

    def open_run(packets: list[bytes]) -> list[bytes]:
        heads = run.expected(len(packets))
        if list(map(head_of, packets)) != heads:
            return []
        if any(byte & marked == marked for byte in set(map(service_of, packets))):
            return []
        aads = [run.prefix + head[4:] for head in heads] if esn else heads
        try:
            plains = [
                decrypt(salt + packet[iv_bytes], packet[body_bytes], aad)
                for packet, aad in zip(packets, aads, strict=True)
            ]
            (ending,) = set(map(ending_of, plains))
            cut = _CUTS[ending]
        except failures:
            return []
        inner = [plain[cut] for plain in plains]
        if min(map(len, inner)) < _SMALLEST or run.head is not heads[0]:
            return []
        run.skip(len(inner))
        return inner

    return open_run


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
