"""A message as text, a line a field, for people: replay's differences, the tracer, error reports.

Keys are shown as their length only, and so is whatever may hold one: attributes nobody has named yet, echoed requests, bytes
that are no attribute. Nothing here fails: what does not decode is shown as its length.

Inside, a line carries the raw value beside its text, so that two keys of one length still count as different.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from pyxfrm.abi.messages import ATTRIBUTES, MESSAGES, Array, Payload
from pyxfrm.abi.netlink import (
    NLMSGERR_ATTR_COOKIE,
    NLMSGERR_ATTR_MISS_NEST,
    NLMSGERR_ATTR_MISS_TYPE,
    NLMSGERR_ATTR_MSG,
    NLMSGERR_ATTR_OFFS,
    NLMSGERR_ATTR_POLICY,
)
from pyxfrm.errors import MalformedError
from pyxfrm.wire import messages
from pyxfrm.wire.attrs import Attr, decode_payload, payload_size
from pyxfrm.wire.codec import codec
from pyxfrm.wire.messages import Message
from pyxfrm.wire.names import error_text, family_of, number_text, plain_address
from pyxfrm.wire.netlink import DoneBody, ErrorBody

__all__ = ["describe", "difference", "lines", "summary"]

_CONTROL_ATTRS = {
    NLMSGERR_ATTR_MSG: "NLMSGERR_ATTR_MSG",
    NLMSGERR_ATTR_OFFS: "NLMSGERR_ATTR_OFFS",
    NLMSGERR_ATTR_COOKIE: "NLMSGERR_ATTR_COOKIE",
    NLMSGERR_ATTR_POLICY: "NLMSGERR_ATTR_POLICY",
    NLMSGERR_ATTR_MISS_TYPE: "NLMSGERR_ATTR_MISS_TYPE",
    NLMSGERR_ATTR_MISS_NEST: "NLMSGERR_ATTR_MISS_NEST",
}


class _Line(NamedTuple):
    """One field: dotted name, what is shown of it, what it is."""

    name: str
    text: str
    raw: Any


def describe(data: bytes) -> str:
    """One message, field by field, one line each; nothing for no bytes."""
    return "\n".join(f"{name} = {text}" for name, text in lines(data))


def lines(data: bytes) -> list[tuple[str, str]]:
    """(dotted field name, value) of everything in a message."""
    return [(line.name, line.text) for line in _lines(data)]


def summary(data: bytes) -> str:
    """One message in one short line: its name, its length, its error."""
    try:
        message = messages.decode(data)
    except MalformedError as why:
        return f"malformed: {why}"
    if isinstance(message.body, ErrorBody):
        body = message.body
        text = f" {body.text!r}" if body.text else ""
        error = error_text(body.error)
        return f"NLMSG_ERROR {error}{text} to {messages.message_name(body.request.nlmsg_type)}"
    return f"{message.name}, {len(data)} bytes"


def difference(expected: bytes, got: bytes) -> Iterator[tuple[str, str, str]]:
    """(field, expected, got) of each field in which two messages differ; "" where one lacks it, or is not there at all (no bytes).

    Yields at least one line if the bytes differ, and none if they do not.
    """
    if expected == got:
        return
    left, right = _lines(expected), _lines(got)
    found = False
    names = [line.name for line in left], [line.name for line in right]
    for tag, i, i_end, j, j_end in SequenceMatcher(None, *names).get_opcodes():
        if tag == "equal":
            changed = [
                (a.name, a.text, b.text if a.text != b.text else f"{b.text}, not the same")
                for a, b in zip(left[i:i_end], right[j:j_end], strict=True)
                if a.raw != b.raw
            ]
        else:
            changed = [(a.name, a.text, "") for a in left[i:i_end]]
            changed += [(b.name, "", b.text) for b in right[j:j_end]]
        found = found or bool(changed)
        yield from changed
    if not found:
        pairs = enumerate(zip(expected, got, strict=False))
        at = next((i for i, (a, b) in pairs if a != b), min(len(expected), len(got)))
        yield f"byte {at}", f"{len(expected)} bytes", f"{len(got)} bytes, not the same"


def _lines(data: bytes) -> list[_Line]:
    if not data:
        return []
    try:
        message = messages.decode(data)
    except MalformedError as why:
        return [_Line("malformed", str(why), data)]
    return list(_message(message))


def _message(message: Message) -> Iterator[_Line]:
    yield from _fields("header", message.header)
    body = message.body
    row = MESSAGES.get(message.header.nlmsg_type)
    space = row.space if row else ATTRIBUTES
    if isinstance(body, ErrorBody | DoneBody):
        yield from _control(body)
    elif isinstance(body, int):
        yield _Line("flags", str(body), body)
    elif body is not None:
        yield from _fields(codec(type(body)).name, body)
    if any(message.gap):
        yield _Line("gap", message.gap.hex(), message.gap)
    for attr in message.attrs:
        yield from _attr(attr, space)
    yield from _hidden("rest", message.rest)


def _control(body: ErrorBody | DoneBody) -> Iterator[_Line]:
    yield _Line("error", error_text(body.error), body.error)
    if isinstance(body, ErrorBody):
        yield from _fields("request", body.request)
        yield from _hidden("echo", body.echo)
    for attr in body.attrs:
        name = _CONTROL_ATTRS.get(attr.number, f"NLMSGERR_ATTR {attr.number}")
        yield _Line(name, _control_text(attr), attr)
    yield from _hidden("rest", body.rest)


def _control_text(attr: Attr) -> str:
    """What an NLMSGERR_ATTR says; offsets and attribute numbers are integers of 4 bytes."""
    payload = attr.payload
    if attr.number == NLMSGERR_ATTR_MSG:
        return repr(payload.rstrip(b"\0").decode("utf-8", "replace"))
    if len(payload) == 4:
        return str(int.from_bytes(payload, sys.byteorder))
    return f"<{len(payload)} bytes>"


def _hidden(name: str, data: bytes) -> Iterator[_Line]:
    if data:
        yield _Line(name, f"<{len(data)} bytes>", data)


def _fields(name: str, value: Any, family: int = 0) -> Iterator[_Line]:
    """The fields of a structure; ``family``: of the one around it."""
    made = codec(type(value))
    for field, item in zip(value._fields, value, strict=True):
        path = f"{name}.{field}"
        if field == made.secret:
            yield _Line(path, f"<{len(item)} bytes hidden>", item)
        elif isinstance(item, tuple):
            yield from _fields(path, item, family_of(value, field, family))
        elif isinstance(item, bytes):
            if field != "pad" or any(item):
                text = _bytes_text(field, item, family_of(value, field, family))
                yield _Line(path, text, item)
        else:
            yield _Line(path, number_text(field, item, value), item)


def _bytes_text(field: str, item: bytes, family: int) -> str:
    """Names of algorithms and labels as text, addresses of a known family as such, everything else as hexadecimal digits."""
    if field.endswith("addr") and (address := plain_address(item, family)):
        return address
    if field in ("alg_name", "ctx_str"):
        text = item.rstrip(b"\0").decode("ascii", "replace")
        if text.isascii() and text.isprintable():
            return repr(text)
    return item.hex()


def _attr(attr: Attr, space: dict[int, tuple[str, Payload]]) -> Iterator[_Line]:
    name, kind = space.get(attr.number, (f"attribute {attr.number}", None))
    if attr.type != attr.number:
        yield _Line(f"{name}.type", hex(attr.type), attr.type)
    try:
        value = decode_payload(attr.number, attr.payload, space)
    except MalformedError:
        yield _Line(name, f"<{len(attr.payload)} bytes, too short>", attr)
        return
    if kind is None:  # an attribute that nobody has named yet may be a key
        yield _Line(name, f"<{len(value)} bytes>", attr)
        return
    if isinstance(kind, Array):
        yield _Line(name, f"{len(value)} entries", len(value))
        for i, one in enumerate(value):
            yield from _fields(f"{name}[{i}]", one)
    elif isinstance(value, tuple):
        yield from _fields(name, value)
    else:
        yield _Line(name, value.hex() if isinstance(value, bytes) else str(value), value)
    yield from _hidden(f"{name}.extra", attr.payload[payload_size(kind, attr.payload) :])
    if any(attr.pad):
        yield _Line(f"{name}.pad", attr.pad.hex(), attr.pad)
