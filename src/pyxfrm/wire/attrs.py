"""Attributes: a run of (length, type, payload), and what their payloads mean.

Reading a run is total: it takes attributes while a whole one is left and keeps what cannot be read as the rest,
as the kernel does (lib/nlattr.c: __nla_parse). Padding is kept with each attribute, so that a run is written back as it was.

Lengths and types are in host byte order; every attribute starts at a multiple of 4 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pyxfrm.abi.messages import ATTRIBUTES, Array, Flag, Int, Payload, Raw
from pyxfrm.abi.netlink import NLA_TYPE_MASK
from pyxfrm.errors import MalformedError, UsageError
from pyxfrm.wire.codec import codec

__all__ = [
    "Attr",
    "decode_payload",
    "encode_payload",
    "join",
    "make",
    "payload_size",
    "read_run",
    "spans",
]

_HEADER = struct.Struct("=HH")
_INTS = {size: struct.Struct("=" + code) for size, code in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))}

Space = Mapping[int, tuple[str, Payload]]


class Attr(NamedTuple):
    """One attribute as it is on the wire.

    ``type`` is the 16 bits as sent, NLA_F_NESTED and NLA_F_NET_BYTEORDER included; ``pad`` the bytes after the
    payload up to the next multiple of 4 (fewer where the run ends first).
    """

    type: int
    payload: bytes
    pad: bytes = b""

    @property
    def number(self) -> int:
        """The type without its flag bits."""
        return self.type & NLA_TYPE_MASK

    def encode(self) -> bytes:
        """Header, payload and padding."""
        try:
            return _HEADER.pack(4 + len(self.payload), self.type) + self.payload + self.pad
        except struct.error:
            raise UsageError(
                f"attribute {self.type}: {len(self.payload)} bytes do not fit"
            ) from None

    def __repr__(self) -> str:  # a payload may be a key
        name = ATTRIBUTES.get(self.number, (str(self.number), None))[0]
        return f"Attr({name}, <{len(self.payload)} bytes>)"


def make(number: int, payload: bytes) -> Attr:
    """An attribute padded to 4 bytes with zeros."""
    return Attr(number, payload, bytes(-len(payload) % 4))


def spans(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(offset, type, payload start, payload end) of each whole attribute of ``data[start:end]``."""
    unpack = _HEADER.unpack_from
    while end - start >= 4:
        length, number = unpack(data, start)
        if length < 4 or length > end - start:
            return
        yield start, number, start + 4, start + length
        start += (length + 3) & ~3


def read_run(data: bytes, start: int, end: int) -> tuple[tuple[Attr, ...], bytes]:
    """The attributes of ``data[start:end]`` and the bytes that are no attribute."""
    found = []
    for _, number, first, last in spans(data, start, end):
        start = min(last + (first - last) % 4, end)
        found.append(Attr(number, data[first:last], data[last:start]))
    return tuple(found), data[start:end]


def join(attrs: Iterable[Attr]) -> bytes:
    """The run back as bytes."""
    return b"".join([attr.encode() for attr in attrs])


def decode_payload(number: int, payload: bytes, space: Space = ATTRIBUTES) -> Any:
    """What a payload means: a structure, a tuple of structures, an int, or (if unknown) the bytes.

    Bytes beyond the declared size are not looked at. Raises :class:`MalformedError` if it is too short.
    """
    name, kind = space.get(number & NLA_TYPE_MASK, ("", None))
    if kind is None:
        return payload
    try:
        return _decode_kind(kind, payload)
    except (MalformedError, struct.error) as why:
        raise MalformedError(f"{name}: {len(payload)} bytes are too few") from why


def _decode_kind(kind: Payload, payload: bytes) -> Any:
    if isinstance(kind, Int):
        return _INTS[kind.size].unpack_from(payload)[0]
    if isinstance(kind, Raw):
        if len(payload) < kind.size:
            raise MalformedError("too short")
        return payload[: kind.size]
    if isinstance(kind, Flag):
        return True
    if isinstance(kind, Array):
        one = codec(kind.of)
        whole = payload_size(kind, payload)
        return tuple([one.decode(payload, at) for at in range(0, whole, one.size)])
    return codec(kind).decode(payload)


def payload_size(kind: Payload, payload: bytes) -> int:
    """How many bytes of a payload of that kind mean something; what follows is not looked at."""
    if isinstance(kind, Int | Raw):
        return kind.size
    if isinstance(kind, Flag):
        return 0
    one = codec(kind.of if isinstance(kind, Array) else kind)
    if isinstance(kind, Array):
        return len(payload) // one.size * one.size
    return len(payload) if one.tail else one.size


def encode_payload(number: int, value: Any, space: Space = ATTRIBUTES) -> bytes:
    """The payload for a value of the kind that :func:`decode_payload` gives; bytes go as they are."""
    if isinstance(value, bytes):
        return value
    name, kind = space.get(number, (str(number), None))
    if isinstance(kind, Int):
        try:
            return _INTS[kind.size].pack(value)
        except struct.error as why:
            raise UsageError(f"{name}: {value!r}: {why}") from None
    if isinstance(kind, Flag):
        return b""
    if isinstance(kind, Array):
        return b"".join([codec(kind.of).encode(one) for one in value])
    if isinstance(kind, type) and isinstance(value, kind):
        return codec(kind).encode(value)
    raise UsageError(f"{name}: cannot carry a {type(value).__name__}")
