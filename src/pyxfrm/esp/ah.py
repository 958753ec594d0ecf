"""AH: the whole packet authenticated, nothing encrypted (RFC 4302; net/ipv4/ah4.c, net/ipv6/ah6.c).

    IP header | next header, length, reserved | SPI | number | ICV, padding | payload

The ICV covers the payload, the AH header with the ICV as zeros, the IP header as the receiver will
see it, and with ESN, at the end, the high half of the number. Fields that routers may change count
as zero (RFC 4302 §3.3.3.1, Appendix A):

IPv4   DS field, flags and offset, TTL, checksum; options, but for security (RFC 1108), CIPSO,
       router alert and SDB. A source route also puts its last address into the destination
IPv6   traffic class, flow label, hop limit; in hop-by-hop and destination options those with the
       "may change" bit. A routing header stands as it will arrive: all segments used up; a home
       address option is swapped with the source

In BEET mode with IPv4 inside Linux itself sends packets that nobody can read: it makes room for a
pseudo header which AH never reserved, over the first 8 bytes of the payload (ah_init_state against
xfrm4_beet_encap_add; seen on 7.2.7). Here that works, and Linux reads what is sent.

The AH header is a multiple of 8 bytes; of 4 for IPv4 with the flag ALIGN4. Padding behind the ICV
is zeros here, whatever it is when it comes in.
"""

from __future__ import annotations

from hmac import compare_digest

from pyxfrm.abi import xfrm as abi
from pyxfrm.errors import UsageError
from pyxfrm.esp import ip
from pyxfrm.esp.ahead import Record
from pyxfrm.esp.association import Association, Proto
from pyxfrm.esp.auth import Mac, make_mac
from pyxfrm.esp.base import Inbound, Outbound, same_sa
from pyxfrm.esp.drop import Counter, Drop
from pyxfrm.esp.framing import Idents
from pyxfrm.esp.inorder import InOrder
from pyxfrm.esp.replay import Window, make_window
from pyxfrm.esp.sequence import Sequence

__all__ = ["AhOpener", "AhSealer", "immutable"]

_FIXED = 12  # AH header without its ICV
_KEPT_OPTIONS = {130, 133, 134, 148, 149}  # SEC, extended security, CIPSO, router alert, SDB
_SOURCE_ROUTES = {131, 137}  # loose, strict
_HOME_ADDRESS = 0xC9
_MAY_CHANGE = 0x20


class AhSealer(Outbound):
    """Protects the packets of one outbound AH SA."""

    __slots__ = ("_ahead", "_size", "mac")

    def __init__(
        self,
        sa: Association,
        *,
        mac: Mac | None = None,
        sequence: Sequence | None = None,
        idents: Idents | None = None,
    ) -> None:
        super().__init__(sa, sequence or Sequence(esn=sa.esn, may_wrap=sa.may_wrap), idents)
        self.mac = mac or _mac(sa)
        self._size = _header_size(sa, self.mac.size)
        self._restart()

    def _restart(self) -> None:
        self._ahead = self.sequence.ahead(self._record)

    def _record(self, number: int, iv: int) -> Record:
        """Number as sent, and its high half with ESN."""
        del iv
        whole = number.to_bytes(8, "big")
        return whole[4:], whole[:4] if self.association.esn else b""

    def _seal(self, packet: bytes) -> bytes:
        parts = self.framing.wrap(packet, self.idents)
        total = len(parts.header) + self._size + len(parts.payload)
        header = ip.finish(parts.header, parts.proto_at, Proto.AH, total)
        try:
            covered = immutable(header, outbound=True)
        except ValueError as error:
            raise Drop(Counter.OUT_STATE_PROTO_ERROR, str(error)) from None
        try:
            seq, seq_hi = self._ahead.take()
        except StopIteration:
            raise Drop(Counter.OUT_STATE_SEQ_ERROR, "the sequence numbers are used up") from None
        fixed = bytes((parts.next_header, self._size // 4 - 2, 0, 0))
        fixed += self.association.spi.to_bytes(4, "big") + seq
        blank = fixed.ljust(self._size, b"\0")
        icv = self.mac.mac(covered + blank + parts.payload + seq_hi)
        return header + (fixed + icv).ljust(self._size, b"\0") + parts.payload

    def _header_length(self) -> int:
        return self._size + super()._header_length()

    def _successor(self, sa: Association) -> AhSealer:
        return AhSealer(sa, mac=self.mac, sequence=self.sequence, idents=self.idents)


class AhOpener(Inbound):
    """Checks the packets of one inbound AH SA. Default window: 32 packets."""

    __slots__ = ("mac",)

    def __init__(
        self,
        sa: Association,
        *,
        mac: Mac | None = None,
        window: Window | None = None,
        run: InOrder | None = None,
    ) -> None:
        super().__init__(sa, run or InOrder(sa.spi, window or make_window(32, esn=sa.esn)))
        self.mac = mac or _mac(sa)

    def at(self, sa: Association) -> AhOpener:  # noqa: D102
        same_sa(sa, self.association)
        return AhOpener(sa, mac=self.mac, run=self._run)

    def _open(self, packet: bytes) -> bytes:
        upper = ip.upper_layer(packet)
        at = upper.at
        if upper.proto != Proto.AH or len(packet) < at + _FIXED:
            raise Drop(Counter.IN_HDR_ERROR, "no whole AH header")
        if packet[at + 4 : at + 8] != self.association.spi.to_bytes(4, "big"):
            raise Drop(Counter.IN_NO_STATES, "the SPI is another SA's")
        window = self._run.settle()
        number = window.check(int.from_bytes(packet[at + 8 : at + 12], "big"))
        end = at + self._checked_size(packet, at)
        self._verify(packet, at, number)
        window.recheck(number)
        self._run.accept(number)
        return self._unwrap(packet[:at], upper.proto_at, packet[at], packet[end:])

    def _checked_size(self, packet: bytes, at: int) -> int:
        """Size of the AH header: that of the cut ICV or, as Linux allows, of the whole one."""
        size = (packet[at + 1] + 2) * 4
        sizes = [_header_size(self.association, icv) for icv in (self.mac.size, self.mac.full_size)]
        if size not in sizes or len(packet) < at + size:
            raise Drop(Counter.IN_STATE_PROTO_ERROR, f"AH header of {size} bytes")
        return size

    def _verify(self, packet: bytes, at: int, number: int) -> None:
        start, end = at + _FIXED, at + _FIXED + self.mac.size
        try:
            covered = immutable(packet[:at], outbound=False)
        except ValueError as error:
            raise Drop(Counter.IN_STATE_PROTO_ERROR, str(error)) from None
        seq_hi = number.to_bytes(8, "big")[:4] if self.association.esn else b""
        blank = packet[at:start] + bytes(self.mac.size)
        icv = self.mac.mac(covered + blank + packet[end:] + seq_hi)
        if not compare_digest(icv, packet[start:end]):
            self._run.window.forged += 1
            raise Drop(Counter.IN_STATE_PROTO_ERROR, "ICV is wrong")


def _mac(sa: Association) -> Mac:
    if sa.auth is None:
        raise UsageError("AH requires a state with an AUTH algorithm")
    return make_mac(sa.auth)


def _header_size(sa: Association, icv: int) -> int:
    align = 4 if sa.family == 4 and sa.flags & abi.XFRM_STATE_ALIGN4 else 8
    return -(-(_FIXED + icv) // align) * align


def immutable(header: bytes, *, outbound: bool) -> bytes:
    """The IP header, with its extension headers, as the ICV covers it.

    ``outbound``: an IPv4 source route and a home address still stand as they leave here.
    Raises ValueError where options or routing headers make no sense.
    """
    return _immutable4(header, outbound) if header[0] >> 4 == 4 else _immutable6(header, outbound)


def _immutable4(header: bytes, outbound: bool) -> bytes:
    covered = bytearray(header)
    covered[1] = covered[8] = 0
    covered[6:8] = covered[10:12] = b"\0\0"
    at = 20
    while at < len(header) and header[at] != 0:
        if header[at] == 1:
            at += 1
            continue
        size = header[at + 1] if at + 1 < len(header) else 0
        if size < 2 or at + size > len(header):
            raise ValueError("an IPv4 option leaves the header")
        if header[at] in _SOURCE_ROUTES:
            if size < 6:
                raise ValueError("a source route without an address")
            if outbound:
                covered[16:20] = header[at + size - 4 : at + size]
        if header[at] not in _KEPT_OPTIONS:
            covered[at : at + size] = bytes(size)
        at += size
    return bytes(covered)


def _immutable6(header: bytes, outbound: bool) -> bytes:
    covered = bytearray(header)
    covered[:4] = b"\x60\0\0\0"
    covered[7] = 0
    proto, at = header[6], 40
    while at < len(header) and proto in (Proto.HOPOPTS, Proto.DSTOPTS, Proto.ROUTING):
        end = at + (header[at + 1] + 1) * 8
        if proto == Proto.ROUTING:
            _arrived(covered, at)
        else:
            _clear_options(covered, at, end, outbound and proto == Proto.DSTOPTS)
        proto, at = header[at], end
    return bytes(covered)


def _clear_options(covered: bytearray, at: int, end: int, swap: bool) -> None:
    for kind, offset, size in ip.options(bytes(covered[at:end])):
        start = at + offset + 2
        if swap and kind == _HOME_ADDRESS and size == 18:
            covered[start : start + 16], covered[8:24] = (
                covered[8:24],
                covered[start : start + 16],
            )
        if kind & _MAY_CHANGE:
            covered[start : start + size - 2] = bytes(size - 2)


def _arrived(covered: bytearray, at: int) -> None:
    """A routing header as at the final destination: the addresses still to come move up.

    (net/ipv6/ah6.c: ipv6_rearrange_rthdr; it treats all types as type 0.)
    """
    left, total = covered[at + 3], covered[at + 1] // 2
    if left == 0:
        return
    if left > total:
        raise ValueError("a routing header with more segments left than it has")
    covered[at + 3] = 0
    start = at + 8 + (total - left) * 16
    last = at + 8 + total * 16
    waypoints = covered[24:40] + covered[start : last - 16]
    covered[24:40] = covered[last - 16 : last]
    covered[start:last] = waypoints
