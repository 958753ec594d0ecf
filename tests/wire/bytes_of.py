"""Hypothesis strategies for bytes an XFRM socket may see: well-formed, odd, and plain noise."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

from pyxfrm.abi.messages import ATTRIBUTES, MESSAGES, Array, Flag, Int, Raw
from pyxfrm.abi.netlink import (
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLMSG_DONE,
    NLMSG_ERROR,
)
from pyxfrm.wire.codec import codec

__all__ = [
    "attributes",
    "blank",
    "body_size",
    "datagrams",
    "headers",
    "messages",
    "mutations",
    "payloads",
]

U32 = st.integers(0, 0xFFFFFFFF)


def _size(number: int) -> int:
    """Declared size of an attribute's payload."""
    kind = ATTRIBUTES[number][1] if number in ATTRIBUTES else Flag()
    if isinstance(kind, Int | Raw):
        return kind.size
    if isinstance(kind, Flag):
        return 0
    return codec(kind.of if isinstance(kind, Array) else kind).size


def payloads(number: int) -> st.SearchStrategy[bytes]:
    """Mostly as long as declared; else shorter, longer, or for lists several times as long."""
    size = _size(number)
    whole = st.binary(min_size=size, max_size=size)
    longer = st.builds(bytes.__add__, whole, st.binary(max_size=9))
    repeated = st.builds(bytes.__mul__, whole, st.integers(0, 3))
    return st.one_of(whole, longer, repeated, st.binary(max_size=size + 5))


@st.composite
def attributes(draw: st.DrawFn) -> bytes:
    """One attribute with its padding, named or not, padding zero or not."""
    number = draw(st.one_of(st.sampled_from(sorted(ATTRIBUTES)), st.integers(0, 0xFFFF)))
    payload = draw(payloads(number))
    pad = draw(st.binary(min_size=3, max_size=3))[: -len(payload) % 4]
    return struct.pack("=HH", 4 + len(payload), number) + payload + pad


def headers(size: int, number: int, flags: int = 0) -> st.SearchStrategy[bytes]:
    """A header that tells the truth about the size."""
    return st.builds(
        lambda seq, pid: struct.pack("=IHHII", size, number, flags, seq, pid), U32, U32
    )


def body_size(number: int) -> int:
    """Bytes of the structure that opens a message."""
    row = MESSAGES.get(number)
    if row is None or row.body is None:
        return 0
    return row.body.size if isinstance(row.body, Int) else codec(row.body).size


def blank(number: int) -> bytes:
    """A message whose structure is all zeros."""
    size = body_size(number)
    return struct.pack("=IHHII", 16 + size, number, 0, 0, 0) + bytes(size)


@st.composite
def xfrm_messages(draw: st.DrawFn) -> bytes:
    number = draw(st.one_of(st.sampled_from(sorted(MESSAGES)), st.integers(0, 0xFFFF)))
    size = body_size(number)
    body = draw(st.binary(min_size=size, max_size=size)) + draw(
        st.binary(min_size=-size % 4, max_size=-size % 4)
    )
    run = b"".join(draw(st.lists(attributes(), max_size=5))) + draw(st.binary(max_size=5))
    flags = draw(st.integers(0, 0xFFFF))
    return draw(headers(16 + len(body + run), number, flags)) + body + run


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """NLMSG_ERROR and NLMSG_DONE, with and without echo and extended ACK."""
    flags = draw(st.integers(0, 3)) * NLM_F_CAPPED | draw(st.booleans()) * NLM_F_ACK_TLVS
    number = draw(st.sampled_from([NLMSG_DONE, NLMSG_ERROR]))
    body = struct.pack("=i", draw(st.integers(-4096, 0)))
    if number == NLMSG_ERROR:
        request = draw(xfrm_messages())
        body += request if draw(st.booleans()) else request[:16]
    body += b"".join(draw(st.lists(attributes(), max_size=3))) + draw(st.binary(max_size=5))
    return draw(headers(16 + len(body), number, flags)) + body


@st.composite
def mutations(draw: st.DrawFn, source: st.SearchStrategy[bytes]) -> bytes:
    """What ``source`` makes, with some bytes changed, taken out or put in."""
    raw = bytearray(draw(source))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(raw)


def messages() -> st.SearchStrategy[bytes]:
    """One message: sound, spoilt, or noise."""
    sound = st.one_of(xfrm_messages(), answers())
    return st.one_of(sound, mutations(sound), st.binary(max_size=300))


def datagrams() -> st.SearchStrategy[bytes]:
    """Some messages, each padded to 4 bytes, and perhaps noise behind them."""
    padded = messages().map(lambda raw: raw + bytes(-len(raw) % 4))
    return st.builds(
        lambda some, tail: b"".join(some) + tail,
        st.lists(padded, max_size=4),
        st.binary(max_size=20),
    )
