"""The only place that builds ACK, error, extended ACK, DONE and multi-part dumps.

Sources: net/netlink/af_netlink.c: netlink_ack, netlink_dump, netlink_dump_done; net/netlink/policy.c.

A dump is sent in datagrams. The first is made when the request is handled, before anybody reads, and holds what a page holds; the next ones
are made one a read, as large as the reader's buffer asks for (32 KiB at most), as long as the receive queue is not
over half full. What changes between two reads shows in the later ones.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from errno import EBUSY, ENOBUFS
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.abi import netlink as nl
from pyxfrm.engine.refusal import Refusal

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.port import Port
    from pyxfrm.engine.request import Request

__all__ = [
    "Broken",
    "Dump",
    "FIRST_DATAGRAM",
    "attr",
    "attr_u16",
    "attr_u32",
    "attr_u8",
    "continue_dump",
    "error",
    "message",
    "start_dump",
]

_HEADER = struct.Struct("=IHHII")
_header = _HEADER.pack
_ack = struct.Struct("=IHHIIi").pack
_ATTR = struct.Struct("=HH").pack
_U8_ATTR = struct.Struct("=HHBxxx").pack
_U16_ATTR = struct.Struct("=HHHxx").pack
_U32_ATTR = struct.Struct("=HHI").pack
_U64_ATTR = struct.Struct("=HHQ").pack
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")

# <linux/netlink.h>, enum netlink_attribute_type and enum netlink_policy_type_attr
_TYPE_BY_SIZE = {1: 2, 2: 3, 4: 4, 8: 5}
_TYPE_FLAG = 1
_POLICY_TYPE = 1
_POLICY_MIN_VALUE_U = 4
_POLICY_MAX_VALUE_U = 5
_POLICY_PAD = 11

_PAGE = 4096
_SHARED_INFO = 320  # sizeof(struct skb_shared_info), rounded: what a page loses to it
FIRST_DATAGRAM = _PAGE - _SHARED_INFO
LARGEST_DATAGRAM = 32768 - _SHARED_INFO


def message(kind: int, flags: int, seq: int, pid: int, payload: bytes) -> bytes:
    """A message with its header; ``payload`` is the structure and its attributes, already padded."""
    return _header(16 + len(payload), kind, flags, seq, pid) + payload


def attr(number: int, payload: bytes) -> bytes:
    """One attribute, padded to 4 bytes."""
    size = len(payload)
    return _ATTR(4 + size, number) + payload + _PADDING[size & 3]


def attr_u8(number: int, value: int) -> bytes:
    """An attribute of one byte."""
    return _U8_ATTR(5, number, value)


def attr_u16(number: int, value: int) -> bytes:
    """An attribute of two bytes."""
    return _U16_ATTR(6, number, value)


def attr_u32(number: int, value: int) -> bytes:
    """An attribute of four bytes."""
    return _U32_ATTR(8, number, value)


def attr_u64(number: int, value: int) -> bytes:
    """An attribute of eight bytes."""
    return _U64_ATTR(12, number, value)


class Broken(NamedTuple):
    """The rule of an attribute that was refused: what NLMSGERR_ATTR_POLICY tells of it.

    ``size`` in bytes; ``integer``, ``flag``: what it should have been; ``limits``: least and greatest value
    """

    size: int
    integer: bool
    flag: bool
    limits: tuple[int, int] | None


def _validation_policy(rule: Broken, at: int, align: bool) -> bytes:
    """NLMSGERR_ATTR_POLICY at offset ``at`` of its datagram; empty for a rule that is a plain minimum length."""
    if rule.flag:
        inner = attr_u32(_POLICY_TYPE, _TYPE_FLAG)
    elif rule.integer:
        low, high = rule.limits or (0, (1 << 8 * rule.size) - 1)
        inner = b""
        for number, value in ((_POLICY_MIN_VALUE_U, low), (_POLICY_MAX_VALUE_U, high)):
            if align and (at + 4 + len(inner)) % 8 == 0:
                inner += attr(_POLICY_PAD, b"")
            inner += attr_u64(number, value)
        inner += attr_u32(_POLICY_TYPE, _TYPE_BY_SIZE[rule.size])
    else:
        return b""
    return attr(nl.NLMSGERR_ATTR_POLICY | nl.NLA_F_NESTED, inner)


def error(request: Request, errno: int) -> bytes:
    """NLMSG_ERROR for a request: an ACK if ``errno`` is 0. A warning's text goes out with an ACK too."""
    port = request.port
    start = request.start
    echo = request.data[start : start + 16]
    if errno == 0 and (request.text is None or not port.ext_ack):
        return _ack(36, nl.NLMSG_ERROR, nl.NLM_F_CAPPED, request.seq, port.portid, 0) + echo
    flags = 0
    if errno and not port.cap_ack:
        body = request.data[start + 16 : request.end]
        echo += body + _PADDING[len(body) & 3]
    else:
        flags = nl.NLM_F_CAPPED
    tlvs = _extended(request, errno, 20 + len(echo)) if port.ext_ack else b""
    if tlvs:
        flags |= nl.NLM_F_ACK_TLVS
    size = 20 + len(echo) + len(tlvs)
    return _ack(size, nl.NLMSG_ERROR, flags, request.seq, port.portid, -errno) + echo + tlvs


def _extended(request: Request, errno: int, at: int) -> bytes:
    """The attributes of an extended ACK, which begin at offset ``at`` of their datagram."""
    tlvs = b""
    if request.text is not None:
        tlvs = attr(nl.NLMSGERR_ATTR_MSG, request.text.encode() + b"\0")
    if errno:
        if request.fault >= 0:
            tlvs += attr_u32(nl.NLMSGERR_ATTR_OFFS, request.fault)
        if request.broken is not None:
            align = request.engine.profile.align_u64
            tlvs += _validation_policy(request.broken, at + len(tlvs), align)
    return tlvs


class Step(NamedTuple):
    """One message of a dump, without its header.

    ``payload(at)`` makes it for an offset in the datagram, for padding may depend on that; nothing if what it would show is gone by then.
    """

    kind: int
    payload: Callable[[int], bytes]


class Dump:
    """A dump under way on a port.

    ``begin`` looks at the request when the first datagram is made, and gives the messages one after another. One that
    does not fit waits for the next datagram; one that does not fit into an empty datagram ends the dump, and nobody says so.
    ``fail`` is the errno with which ``begin`` refused: it ends the dump at once.
    """

    __slots__ = ("begin", "fail", "parts", "pending", "pid", "request", "seq")

    def __init__(self, request: Request, begin: Callable[[Request], Iterator[Step]]) -> None:
        self.request = request
        self.begin = begin
        self.seq = request.seq
        self.pid = request.port.portid
        self.parts: Iterator[Step] | None = None
        self.pending: Step | None = None
        self.fail = 0

    def _begun(self) -> Iterator[Step]:
        try:
            return self.begin(self.request)
        except Refusal as no:
            self.fail = no.errno
            if no.text is not None:
                self.request.text = no.text
            return iter(())

    def fill(self, room: int) -> bytes:
        """The next datagram of at most ``room`` bytes; empty if there is none."""
        if self.parts is None:
            self.parts = self._begun()
        made: list[bytes] = []
        used = 0
        while True:
            step = self.pending or next(self.parts, None)
            self.pending = None
            if step is None:
                return b"".join(made)
            payload = step.payload(used + 16)
            if not payload:
                continue
            size = 16 + ((len(payload) + 3) & ~3)
            if used + size > room:
                self.pending = step
                return b"".join(made)
            made.append(message(step.kind, nl.NLM_F_MULTI, self.seq, self.pid, payload))
            used += size


def start_dump(request: Request, begin: Callable[[Request], Iterator[Step]]) -> None:
    """Begin a dump on the request's port and send its first datagram; one at a time a port."""
    port = request.port
    if port.dump is not None:
        raise Refusal(EBUSY)
    port.dump = Dump(request, begin)
    if not continue_dump(request.engine, port):
        raise Refusal(ENOBUFS)


def continue_dump(engine: Engine, port: Port) -> bool:
    """Send the next datagram of the dump on a port, with DONE if it is the last; False if the port has no room for one."""
    dump = port.dump
    if dump is None:
        return True
    room = max(FIRST_DATAGRAM, port.max_read)
    if not port.has_room(room):
        return False
    chunk = dump.fill(room)
    # The kernel calls a dump once more after its last message: an empty answer is what ends it.
    if chunk:
        dump.request.text = None  # a warning goes out with a DONE of the same call, or never
    else:
        chunk = _done(dump, port, room)
        port.dump = None
    engine.dumped(port, chunk, room)
    return True


def _done(dump: Dump, port: Port, room: int) -> bytes:
    flags = nl.NLM_F_MULTI
    tlvs = _extended(dump.request, dump.fail, 20) if port.ext_ack else b""
    if tlvs:
        flags |= nl.NLM_F_ACK_TLVS
        if 20 + len(tlvs) > room:
            tlvs = b""
    return (
        _header(20 + len(tlvs), nl.NLMSG_DONE, flags, dump.seq, dump.pid)
        + struct.pack("=i", -dump.fail)
        + tlvs
    )
