"""Whole XFRM messages: header, the structure that opens it, attributes, and whatever else was there.

Unknown message types and malformed ends are kept as bytes in ``rest``; only a known message too short for its structure
does not decode. So a message that decodes is written back byte for byte.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pyxfrm.abi.messages import (
    ATTRIBUTES,
    MESSAGES,
    Int,
    MessageRow,
)
from pyxfrm.abi.netlink import (
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_NOOP,
    NLMSG_OVERRUN,
    NlMsgHdr,
)
from pyxfrm.errors import MalformedError
from pyxfrm.wire import netlink
from pyxfrm.wire.attrs import Attr, decode_payload, encode_payload, make, read_run
from pyxfrm.wire.codec import codec
from pyxfrm.wire.dialogue import is_dump
from pyxfrm.wire.netlink import HEADER_SIZE, DoneBody, ErrorBody

__all__ = ["Message", "attr_name", "build", "decode", "decode_all", "message_name"]

_HEADER = codec(NlMsgHdr)
_U32 = struct.Struct("=I")
_CONTROL = {
    NLMSG_NOOP: "NLMSG_NOOP",
    NLMSG_ERROR: "NLMSG_ERROR",
    NLMSG_DONE: "NLMSG_DONE",
    NLMSG_OVERRUN: "NLMSG_OVERRUN",
}


def message_name(number: int) -> str:
    """``XFRM_MSG_NEWSA``, ``NLMSG_ERROR`` and the like; ``type 77`` where nobody has named it yet."""
    row = MESSAGES.get(number)
    return row.name if row else _CONTROL.get(number, f"type {number}")


def attr_name(number: int, message: int = 0) -> str:
    """``XFRMA_ENCAP`` and the like, in the attribute space of that message."""
    row = MESSAGES.get(message)
    return (row.space if row else ATTRIBUTES).get(number, (f"attribute {number}",))[0]


class Message(NamedTuple):
    """One netlink message.

    ``body``   the structure that opens it, an int for the info messages, ErrorBody, DoneBody, or None
    ``attrs``  its attributes, in order, unknown ones included
    ``rest``   bytes after them that are no attribute
    ``gap``    padding between the structure and the attributes
    """

    header: NlMsgHdr
    body: Any
    attrs: tuple[Attr, ...] = ()
    rest: bytes = b""
    gap: bytes = b""

    @property
    def name(self) -> str:
        """The message's name in C."""
        return message_name(self.header.nlmsg_type)

    def payload(self, number: int) -> bytes | None:
        """Raw payload of an attribute; the last one counts if it is repeated, as in the kernel."""
        found = None
        for attr in self.attrs:
            if attr.number == number:
                found = attr.payload
        return found

    def get(self, number: int) -> Any:
        """Decoded payload of an attribute, None if it is absent."""
        raw = self.payload(number)
        if raw is None:
            return None
        row = MESSAGES.get(self.header.nlmsg_type)
        return decode_payload(number, raw, row.space if row else ATTRIBUTES)

    def __repr__(self) -> str:  # an echoed request or what is left over may hold a key
        head = f"{self.name}, seq {self.header.nlmsg_seq}, {self.header.nlmsg_len} bytes"
        return f"Message({head}, body={self.body!r}, attrs={self.attrs!r})"

    def encode(self) -> bytes:
        """Back to bytes; the header goes out as it stands, its length included."""
        attrs = b"".join([a.encode() for a in self.attrs])
        return _HEADER.encode(self.header) + _encode_body(self.body) + self.gap + attrs + self.rest


def _encode_body(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, int):
        return _U32.pack(body)
    if isinstance(body, ErrorBody | DoneBody):
        return body.encode()
    return codec(type(body)).encode(body)


def decode(data: bytes, start: int = 0, end: int | None = None) -> Message:
    """The message ``data[start:end]``, whatever length its header claims (see :func:`decode_all`)."""
    end = len(data) if end is None else min(end, len(data))
    if end - start < HEADER_SIZE:
        raise MalformedError(f"netlink header: needs 16 bytes, has {end - start}", start)
    header = _HEADER.decode(data, start)
    first = start + HEADER_SIZE
    number = header.nlmsg_type
    if number == NLMSG_ERROR:
        return Message(header, netlink.decode_error(header.nlmsg_flags, data[first:end]))
    if number == NLMSG_DONE:
        return Message(header, netlink.decode_done(header.nlmsg_flags, data[first:end]))
    row = MESSAGES.get(number)
    if row is None:
        return Message(header, None, (), data[first:end])
    if is_dump(header):
        return Message(header, None, *read_run(data, first, end))
    return _decode_known(row, header, data, first, end)


def _decode_known(row: MessageRow, header: NlMsgHdr, data: bytes, first: int, end: int) -> Message:
    if row.body is None:
        return Message(header, None, *read_run(data, first, end))
    size = row.body.size if isinstance(row.body, Int) else codec(row.body).size
    if end - first < size:
        raise MalformedError(f"{row.name}: needs {size} bytes, has {end - first}", first)
    if isinstance(row.body, Int):
        body: Any = _U32.unpack_from(data, first)[0]
    else:
        body = codec(row.body).decode(data, first)
    at = min(first + (size + 3 & ~3), end)
    return Message(header, body, *read_run(data, at, end), data[first + size : at])


def decode_all(datagram: bytes) -> Iterator[Message]:
    """Every whole message of a datagram; bytes after the last are :func:`pyxfrm.wire.netlink.leftover`.

    Raises :class:`MalformedError` at the first one that does not decode.
    """
    for start, end in netlink.frames(datagram):
        yield decode(datagram, start, end)


def build(
    number: int,
    flags: int,
    body: Any = None,
    attrs: Iterable[tuple[int, Any] | Attr] = (),
    *,
    seq: int = 0,
    pid: int = 0,
) -> Message:
    """A message with its length worked out. ``attrs``: pairs of number and value (or payload bytes)."""
    row = MESSAGES.get(number)
    space = row.space if row else ATTRIBUTES
    made = tuple(
        [a if isinstance(a, Attr) else make(a[0], encode_payload(a[0], a[1], space)) for a in attrs]
    )
    raw = _encode_body(body)
    gap = bytes(-len(raw) % 4) if made else b""
    size = HEADER_SIZE + len(raw) + len(gap) + sum(4 + len(a.payload) + len(a.pad) for a in made)
    return Message(NlMsgHdr(size, number, flags, seq, pid), body, made, b"", gap)
