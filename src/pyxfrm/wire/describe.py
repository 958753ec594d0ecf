"""A message as text, a line a field, for people: replay's differences, the tracer, error reports.

Keys are shown as their length only. Nothing here fails: what does not decode is shown as bytes, and where those bytes could be
a key, as their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from pyxfrm.abi.messages import ATTRIBUTES, MESSAGES, Array, Payload
from pyxfrm.errors import MalformedError
from pyxfrm.wire import messages
from pyxfrm.wire.attrs import Attr, decode_payload
from pyxfrm.wire.codec import codec
from pyxfrm.wire.messages import Message
from pyxfrm.wire.netlink import DoneBody, ErrorBody

__all__ = ["describe", "difference", "lines", "summary"]


def describe(data: bytes) -> str:
    """One message, field by field, one line each."""
    return "\n".join(f"{name} = {value}" for name, value in lines(data))


def lines(data: bytes) -> list[tuple[str, str]]:
    """(dotted field name, value) of everything in a message."""
    try:
        message = messages.decode(data)
    except MalformedError as why:
        return [("malformed", str(why)), ("length", str(len(data)))]
    return list(_message(message))


def summary(data: bytes) -> str:
    """One message in one short line: its name, its length, its error."""
    try:
        message = messages.decode(data)
    except MalformedError as why:
        return f"malformed: {why}"
    if isinstance(message.body, ErrorBody):
        body = message.body
        text = f" {body.text!r}" if body.text else ""
        return f"NLMSG_ERROR {body.error}{text} to {messages.message_name(body.request.nlmsg_type)}"
    return f"{message.name}, {len(data)} bytes"


def difference(expected: bytes, got: bytes) -> Iterator[tuple[str, str, str]]:
    """(field, expected, got) of each field in which two messages differ; "" where one lacks it."""
    for left, right in zip_longest(lines(expected), lines(got)):
        if left == right:
            continue
        if left and right and left[0] == right[0]:
            yield left[0], left[1], right[1]
            continue
        if left:
            yield left[0], left[1], ""
        if right:
            yield right[0], "", right[1]


def _message(message: Message) -> Iterator[tuple[str, str]]:
    yield from _fields("header", message.header)
    body = message.body
    row = MESSAGES.get(message.header.nlmsg_type)
    space = row.space if row else ATTRIBUTES
    if isinstance(body, ErrorBody | DoneBody):
        yield from _control(body)
    elif isinstance(body, int):
        yield "flags", str(body)
    elif body is not None:
        yield from _fields(codec(type(body)).name, body)
    if any(message.gap):
        yield "gap", message.gap.hex()
    for attr in message.attrs:
        yield from _attr(attr, space)
    if message.rest:
        yield "rest", f"{len(message.rest)} bytes"


def _control(body: ErrorBody | DoneBody) -> Iterator[tuple[str, str]]:
    yield "error", str(body.error)
    if isinstance(body, ErrorBody):
        yield from _fields("request", body.request)
        if body.echo:
            yield "echo", f"{len(body.echo)} bytes"
        if body.text:
            yield "extack", body.text
        if body.offset is not None:
            yield "offset", str(body.offset)
        if body.missing is not None:
            yield "missing", str(body.missing)
    for attr in body.attrs:
        yield f"NLMSGERR_ATTR {attr.number}", attr.payload.hex()
    if body.rest:
        yield "rest", f"{len(body.rest)} bytes"


def _fields(name: str, value: Any) -> Iterator[tuple[str, str]]:
    made = codec(type(value))
    for field, item in zip(value._fields, value, strict=True):
        path = f"{name}.{field}"
        if field == made.secret:
            yield path, f"<{len(item)} bytes hidden>"
        elif isinstance(item, tuple):
            yield from _fields(path, item)
        elif isinstance(item, bytes):
            if field != "pad" or any(item):
                yield path, item.hex()
        else:
            yield path, str(item)


def _attr(attr: Attr, space: dict[int, tuple[str, Payload]]) -> Iterator[tuple[str, str]]:
    name, kind = space.get(attr.number, (f"attribute {attr.number}", None))
    if attr.type != attr.number:
        yield f"{name}.type", hex(attr.type)
    try:
        value = decode_payload(attr.number, attr.payload, space)
    except MalformedError:
        yield name, f"<{len(attr.payload)} bytes, too short>"
        return
    if isinstance(kind, Array):
        for i, one in enumerate(value):
            yield from _fields(f"{name}[{i}]", one)
    elif isinstance(value, tuple):
        yield from _fields(name, value)
    elif isinstance(value, bytes):
        # An attribute that nobody has named yet may be a key.
        yield name, value.hex() if kind else f"<{len(value)} bytes>"
    else:
        yield name, str(value)
    if any(attr.pad):
        yield f"{name}.pad", attr.pad.hex()
