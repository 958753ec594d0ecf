"""Netlink messages made by hand, for tests: not with the code that they test."""

from __future__ import annotations

import struct

NLMSG_ERROR, NLMSG_DONE = 2, 3
NEWSA, DELSA, GETSA, FLUSHSA, GETSADINFO, NEWSADINFO = 0x10, 0x11, 0x12, 0x1C, 0x23, 0x22
REQUEST, MULTI, ACK, DUMP = 1, 2, 4, 0x300


def message(kind: int, flags: int, seq: int, pid: int, body: bytes = b"") -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, seq, pid) + body


def attr(number: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), number) + payload + bytes(-len(payload) % 4)


def error(number: int, request: bytes, *, text: str = "", offset: int | None = None) -> bytes:
    """An NLMSG_ERROR with the request's header alone (NLM_F_CAPPED) and extended-ACK attributes."""
    _, _, _, seq, pid = struct.unpack_from("=IHHII", request)
    flags = 0x100
    attrs = b""
    if text:
        attrs += attr(1, text.encode() + b"\0")
    if offset is not None:
        attrs += attr(2, struct.pack("=I", offset))
    if attrs:
        flags |= 0x200
    return message(NLMSG_ERROR, flags, seq, pid, struct.pack("=i", number) + request[:16] + attrs)


def ack(request: bytes, *, text: str = "") -> bytes:
    return error(0, request, text=text)


def flush(seq: int, pid: int = 0, proto: int = 50) -> bytes:
    return message(FLUSHSA, REQUEST | ACK, seq, pid, bytes((proto,)))


def sad_info(seq: int, pid: int = 0) -> bytes:
    return message(GETSADINFO, REQUEST | ACK, seq, pid, bytes(4))


def new_sa(seq: int, pid: int, spi: int) -> bytes:
    """NEWSA of an IPv4 ESP SA that neither encrypts nor authenticates."""
    sel = bytes(56)
    ident = bytes((198, 51, 100, 1)) + bytes(12) + spi.to_bytes(4, "big") + bytes((50, 0, 0, 0))
    saddr = bytes((192, 0, 2, 1)) + bytes(12)
    lft = b"\xff" * 32 + bytes(32)
    tail = bytes(32 + 12 + 8) + (2).to_bytes(2, "little") + bytes((1, 0, 0)) + bytes(7)
    auth = attr(1, b"digest_null".ljust(64, b"\0") + bytes(4))
    crypt = attr(2, b"ecb(cipher_null)".ljust(64, b"\0") + bytes(4))
    return message(0x10, 5, seq, pid, sel + ident + saddr + lft + tail + auth + crypt)


def new_policy(seq: int, pid: int, number: int) -> bytes:
    """NEWPOLICY out, from anywhere to 10.0.0.<number>, without templates."""
    sel = bytes((10, 0, 0, number)) + bytes(12 + 16 + 8) + bytes((2, 0, 32, 0)) + bytes(12)
    lft = b"\xff" * 32 + bytes(32)
    rest = bytes(32) + bytes(8) + bytes((1, 0, 0, 0)) + bytes(4)
    return message(0x13, 5, seq, pid, sel + lft + rest)
