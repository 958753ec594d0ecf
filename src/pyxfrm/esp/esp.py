"""ESP: sealing and opening the packets of one SA (RFC 4303; net/ipv4/esp4.c, net/ipv6/esp6.c).

    IP header | UDP header | SPI | number | IV | payload, trailer (encrypted) | ICV
                (if encapsulated)

Out: the mode takes the packet apart, the sequence gives the number, the transform encrypts, the
headers are put in front. In: number checked against the window, ICV and decryption, trailer,
window checked again and moved, the mode puts the packet together. That is Linux's order
(net/xfrm/xfrm_output.c: xfrm_output_one; xfrm_input.c: xfrm_input), so that what fails is counted
where Linux counts it.

This file is the long road: each step, for every packet. The packets of an ordinary stream in
tunnel mode take :mod:`pyxfrm.esp.shortcut` instead, with the same results.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyxfrm.errors import UsageError
from pyxfrm.esp import ip, shortcut
from pyxfrm.esp.ahead import Record
from pyxfrm.esp.association import Association, Proto
from pyxfrm.esp.base import Inbound, Outbound, same_sa
from pyxfrm.esp.drop import Counter, Drop
from pyxfrm.esp.framing import Idents, Parts
from pyxfrm.esp.inorder import InOrder
from pyxfrm.esp.replay import EsnWindow, Window, make_window
from pyxfrm.esp.sequence import Sequence
from pyxfrm.esp.trailer import payload_mtu, split_trailer, trailer
from pyxfrm.esp.transforms import Transform, make_transform
from pyxfrm.esp.udpencap import udp_checksum, udp_header

__all__ = ["EspOpener", "EspSealer"]

_LONGEST_RUN = 64  # packets that are opened twice, at most, because one of them is unusual


class EspSealer(Outbound):
    """Seals the packets of one outbound ESP SA."""

    __slots__ = ("_pad_to", "_short", "ahead", "transform")

    def __init__(
        self,
        sa: Association,
        *,
        transform: Transform | None = None,
        sequence: Sequence | None = None,
        idents: Idents | None = None,
    ) -> None:
        super().__init__(sa, sequence or Sequence(esn=sa.esn, may_wrap=sa.may_wrap), idents)
        self.transform = transform or make_transform(sa)
        self._pad_to = min(sa.tfcpad, self.room(sa.mtu))
        self._short: shortcut.ShortOut | None = None
        self._restart()

    def _restart(self) -> None:
        self.ahead = self.sequence.ahead(self._record)
        if shortcut.applies_out(self.association):
            self._short = shortcut.ShortOut(self, self._seal)
            self.seal = self._short.seal

    def seal_batch(self, packets: Iterable[bytes]) -> list[bytes | Drop]:  # noqa: D102
        packets = list(packets)
        if self._short is None or self.seal is not self._short.seal or not packets:
            return super().seal_batch(packets)
        try:
            sealed: list[bytes | Drop] = [*self._short.seal_run(packets)]
        except Drop:
            sealed = []
        if len(sealed) < len(packets):
            sealed += super().seal_batch(packets[len(sealed) :])
        return sealed

    def room(self, mtu: int) -> int:  # noqa: D102
        return payload_mtu(self.association, self.transform, mtu)

    def head(self, parts: Parts, plain_length: int) -> bytes:
        """Everything in front of the sequence number: IP header, UDP header, SPI."""
        sa, transform = self.association, self.transform
        spi = sa.spi.to_bytes(4, "big")
        if sa.bare:
            return spi
        length = 8 + transform.iv_size + plain_length + transform.icv_size
        proto: int = Proto.ESP
        if sa.encap is not None:
            if length + 8 + (20 if sa.family == 4 else 0) > 0xFFFF:
                raise Drop(Counter.OUT_STATE_PROTO_ERROR, f"UDP payload of {length} bytes")
            spi = udp_header(sa.encap.sport, sa.encap.dport, length) + spi
            length, proto = length + 8, Proto.UDP
        total = len(parts.header) + length
        return ip.finish(parts.header, parts.proto_at, proto, total) + spi

    def tail(self, parts: Parts) -> bytes:
        """Everything that is encrypted after the payload."""
        return trailer(len(parts.payload), self.transform.block, parts.next_header, self._pad_to)

    def _seal(self, packet: bytes) -> bytes:
        parts = self.framing.wrap(packet, self.idents)
        plain = parts.payload + self.tail(parts)
        head = self.head(parts, len(plain))
        aad, nonce, shown = self.take()
        sealed = head + shown + self.transform.encrypt(nonce, plain, aad)
        if self.association.encap is not None and self.association.family == 6:
            return _with_checksum(sealed, len(parts.header))
        return sealed

    def take(self) -> Record:
        """(AAD, nonce, what goes behind the SPI in clear) of the next sequence number."""
        try:
            record: Record = self.ahead.take()
        except StopIteration:
            raise Drop(Counter.OUT_STATE_SEQ_ERROR, "the sequence numbers are used up") from None
        return record

    def _record(self, number: int, iv: int) -> Record:
        spi, low = self.association.spi.to_bytes(4, "big"), number & 0xFFFFFFFF
        shown, ivs = low.to_bytes(4, "big"), iv.to_bytes(8, "big")
        aad = spi + (number.to_bytes(8, "big") if self.association.esn else shown)
        return aad, self.transform.salt + ivs, shown + ivs if self.transform.iv_size == 8 else shown

    def _successor(self, sa: Association) -> EspSealer:
        return EspSealer(sa, transform=self.transform, sequence=self.sequence, idents=self.idents)


def _with_checksum(packet: bytes, udp: int) -> bytes:
    """An IPv6 packet with the checksum of its UDP header, which starts at ``udp``."""
    check = udp_checksum(packet[8:24], packet[24:40], packet[udp:])
    return packet[: udp + 6] + check.to_bytes(2, "big") + packet[udp + 8 :]


class EspOpener(Inbound):
    """Opens the packets of one inbound ESP SA. Default window: 32 packets."""

    __slots__ = ("_short", "_spi", "transform")

    def __init__(
        self,
        sa: Association,
        *,
        transform: Transform | None = None,
        window: Window | None = None,
        run: InOrder | None = None,
    ) -> None:
        super().__init__(sa, run or InOrder(sa.spi, window or make_window(32, esn=sa.esn)))
        if isinstance(self._run.window, EsnWindow) != sa.esn:
            raise UsageError("an EsnWindow goes with the ESN flag, and only with it")
        self.transform = transform or make_transform(sa)
        self._spi = sa.spi.to_bytes(4, "big")
        self._short: shortcut.ShortIn | None = None
        if shortcut.applies_in(sa):
            self._short = shortcut.ShortIn(self, self._run, self._open)
            self.open = self._short.open

    def open_batch(self, packets: Iterable[bytes]) -> list[bytes | Drop]:  # noqa: D102
        packets, run = list(packets), self._run
        opened: list[bytes | Drop] = []
        while len(opened) < len(packets):
            if self._short is None or not run.left:
                opened += super().open_batch(packets[len(opened) : len(opened) + 1])
                continue
            some = packets[len(opened) : len(opened) + min(run.left, _LONGEST_RUN)]
            opened += self._short.open_run(some) or super().open_batch(some)
        return opened

    def at(self, sa: Association) -> EspOpener:  # noqa: D102
        same_sa(sa, self.association)
        return EspOpener(sa, transform=self.transform, run=self._run)

    def _open(self, packet: bytes) -> bytes:
        header, proto_at, at = self._outside(packet)
        window = self._run.settle()
        number = window.check(int.from_bytes(packet[at + 4 : at + 8], "big"))
        next_header, payload = split_trailer(self._decrypt(packet, at, number))
        if next_header == Proto.NONE:
            raise Drop(Counter.IN_STATE_PROTO_ERROR, "a dummy packet (RFC 4303 §2.6)")
        window.recheck(number)
        self._run.accept(number)
        return self._unwrap(header, proto_at, next_header, payload)

    def _outside(self, packet: bytes) -> tuple[bytes, int, int]:
        """(IP header, where its protocol stands, where ESP starts)."""
        encap, at = self.association.encap is not None, 0
        header, proto_at, is_udp = b"", 0, encap
        if not self.association.bare:
            upper = ip.upper_layer(packet)
            header, proto_at, is_udp = packet[: upper.at], upper.proto_at, upper.proto == Proto.UDP
            at = upper.at + 8 if is_udp else upper.at
            if upper.proto not in (Proto.ESP, Proto.UDP):
                raise Drop(Counter.IN_HDR_ERROR, f"protocol {upper.proto} is not ESP")
        if len(packet) < at + 8:
            raise Drop(Counter.IN_HDR_ERROR, "ESP header cut short")
        if packet[at : at + 4] != self._spi:
            raise Drop(Counter.IN_NO_STATES, f"SPI 0x{packet[at : at + 4].hex()} is another SA's")
        if is_udp != encap:
            raise Drop(Counter.IN_STATE_MISMATCH, "UDP encapsulation: packet and SA differ")
        return header, proto_at, at

    def _decrypt(self, packet: bytes, at: int, number: int) -> bytes:
        transform = self.transform
        start, body = at + 8, at + 8 + transform.iv_size
        rest = packet[body:]
        if len(rest) < max(1, transform.icv_size):
            raise Drop(Counter.IN_STATE_PROTO_ERROR, "no room for IV and ICV")
        esn = self.association.esn
        aad = self._spi + number.to_bytes(8, "big") if esn else packet[at:start]
        try:
            return transform.decrypt(transform.salt + packet[start:body], rest, aad)
        except transform.failures:
            self._run.window.forged += 1
            raise Drop(Counter.IN_STATE_PROTO_ERROR, "ICV is wrong") from None
        except ValueError as error:
            raise Drop(Counter.IN_STATE_PROTO_ERROR, str(error)) from None
