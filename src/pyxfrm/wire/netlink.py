"""Netlink framing: which messages a datagram holds, and what NLMSG_ERROR and NLMSG_DONE say.

A datagram is a run of messages, each padded to 4 bytes. Reading stops, as in the kernel (net/netlink/af_netlink.c:
netlink_rcv_skb), at the first message whose length is under 16 or over what is left; those bytes are the leftover.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from pyxfrm.abi.netlink import (
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLMSGERR_ATTR_MISS_TYPE,
    NLMSGERR_ATTR_MSG,
    NLMSGERR_ATTR_OFFS,
    NlMsgErr,
    NlMsgHdr,
)
from pyxfrm.errors import MalformedError
from pyxfrm.wire.attrs import Attr, read_run
from pyxfrm.wire.codec import codec

__all__ = [
    "DoneBody",
    "ErrorBody",
    "HEADER_SIZE",
    "decode_done",
    "decode_error",
    "frames",
    "leftover",
]

HEADER_SIZE = 16
_LENGTH = struct.Struct("=I").unpack_from
_DONE = struct.Struct("=i")
_ERROR = codec(NlMsgErr)


def frames(datagram: bytes) -> Iterator[tuple[int, int]]:
    """(start, end) of each message; ``end`` excludes its padding."""
    start, size = 0, len(datagram)
    while size - start >= HEADER_SIZE:
        length = _LENGTH(datagram, start)[0]
        if length < HEADER_SIZE or length > size - start:
            return
        yield start, start + length
        start += (length + 3) & ~3


def leftover(datagram: bytes) -> bytes:
    """The bytes after the last whole message and its padding."""
    end = 0
    for _, last in frames(datagram):
        end = (last + 3) & ~3
    return datagram[end:]


class ErrorBody(NamedTuple):
    """An NLMSG_ERROR after its header.

    ``error``    0 for an ACK, else a negative errno
    ``request``  header of the message answered
    ``echo``     the rest of that message (with its padding), empty if NLM_F_CAPPED
    ``attrs``    NLMSGERR_ATTR_*, present if NLM_F_ACK_TLVS; ``rest``: bytes that are none
    """

    error: int
    request: NlMsgHdr
    echo: bytes
    attrs: tuple[Attr, ...]
    rest: bytes = b""

    def _find(self, number: int) -> bytes | None:
        return next((a.payload for a in self.attrs if a.number == number), None)

    @property
    def text(self) -> str:
        """The extended-ACK text, "" where there is none."""
        return (self._find(NLMSGERR_ATTR_MSG) or b"").rstrip(b"\0").decode("utf-8", "replace")

    def _u32(self, number: int) -> int | None:
        payload = self._find(number)
        return None if payload is None or len(payload) < 4 else int(_LENGTH(payload)[0])

    @property
    def offset(self) -> int | None:
        """Offset in the request of the attribute at fault, in bytes."""
        return self._u32(NLMSGERR_ATTR_OFFS)

    @property
    def missing(self) -> int | None:
        """Number of the attribute that was missing (NLMSGERR_ATTR_MISS_TYPE)."""
        return self._u32(NLMSGERR_ATTR_MISS_TYPE)

    def __repr__(self) -> str:  # the echoed request may hold a key
        return f"ErrorBody({self.error}, {self.text!r}, echo=<{len(self.echo)} bytes>)"

    def encode(self) -> bytes:
        """The body back as bytes."""
        head = _ERROR.encode(NlMsgErr(self.error, self.request))
        return head + self.echo + b"".join([a.encode() for a in self.attrs]) + self.rest


class DoneBody(NamedTuple):
    """An NLMSG_DONE after its header: the dump's result, and extended-ACK attributes if any."""

    error: int
    attrs: tuple[Attr, ...]
    rest: bytes = b""

    def __repr__(self) -> str:
        return f"DoneBody({self.error}, {len(self.attrs)} attributes)"

    def encode(self) -> bytes:
        """The body back as bytes."""
        return _DONE.pack(self.error) + b"".join([a.encode() for a in self.attrs]) + self.rest


def decode_error(flags: int, body: bytes) -> ErrorBody:
    """The body of an NLMSG_ERROR; ``flags`` of its header tell what it carries."""
    head = _ERROR.decode(body)
    start = _ERROR.size
    if not flags & NLM_F_CAPPED:
        start += (max(head.msg.nlmsg_len, HEADER_SIZE) + 3 & ~3) - HEADER_SIZE
    start = min(start, len(body))
    echo = body[_ERROR.size : start]
    if not flags & NLM_F_ACK_TLVS:
        return ErrorBody(head.error, head.msg, echo, (), body[start:])
    return ErrorBody(head.error, head.msg, echo, *read_run(body, start, len(body)))


def decode_done(flags: int, body: bytes) -> DoneBody:
    """The body of an NLMSG_DONE."""
    if len(body) < _DONE.size:
        raise MalformedError(f"NLMSG_DONE: needs 4 bytes, has {len(body)}")
    error = _DONE.unpack_from(body)[0]
    if not flags & NLM_F_ACK_TLVS:
        return DoneBody(error, (), body[_DONE.size :])
    return DoneBody(error, *read_run(body, _DONE.size, len(body)))
