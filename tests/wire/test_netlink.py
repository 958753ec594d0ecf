"""Framing: every datagram is cut inside its bounds, and every answer comes back as it was."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi.netlink import NLM_F_ACK_TLVS, NLM_F_CAPPED, NlMsgHdr
from pyxfrm.errors import MalformedError
from pyxfrm.wire.netlink import decode_done, decode_error, frames, leftover
from tests.wire.bytes_of import datagrams


@given(datagrams())
def test_frames_follow_each_other_inside_the_datagram(datagram: bytes) -> None:
    at = 0
    for start, end in frames(datagram):
        assert start == at
        assert start + 16 <= end <= len(datagram)
        assert struct.unpack_from("=I", datagram, start)[0] == end - start
        at = (end + 3) & ~3
    assert leftover(datagram) == datagram[at:]


@given(st.lists(st.binary(max_size=30), max_size=5), st.binary(max_size=15))
def test_messages_put_together_are_taken_apart(bodies: list[bytes], tail: bytes) -> None:
    datagram = b""
    spans = []
    for body in bodies:
        spans.append((len(datagram), len(datagram) + 16 + len(body)))
        datagram += struct.pack("=I12x", 16 + len(body)) + body + bytes(-len(body) % 4)
    assert list(frames(datagram + tail)) == spans
    assert leftover(datagram + tail) == tail


@pytest.mark.parametrize("length", [0, 1, 15, 33, 0xFFFFFFFF])
def test_a_length_that_lies_ends_the_run(length: int) -> None:
    datagram = struct.pack("=I12x", 16) + struct.pack("=I12x", length)
    assert list(frames(datagram)) == [(0, 16)]
    assert leftover(datagram) == datagram[16:]


@given(st.integers(0, 0xFFFF), st.binary(max_size=120))
def test_any_answer_decodes_or_is_malformed(flags: int, body: bytes) -> None:
    for decode, least in ((decode_error, 20), (decode_done, 4)):
        if len(body) < least:
            with pytest.raises(MalformedError):
                decode(flags, body)
        else:
            made = decode(flags, body)
            assert made.encode() == body
            repr(made)


def test_an_extended_ack_is_found_behind_the_echo() -> None:
    request = NlMsgHdr(18, 0x29, 5, 7, 8)
    head = struct.pack("=iIHHII", -22, *request)
    tlvs = struct.pack("=HH4s", 8, 1, b"bad\0") + struct.pack("=HHI", 8, 2, 40)
    tlvs += struct.pack("=HHI", 8, 5, 17)
    body = decode_error(NLM_F_ACK_TLVS, head + b"xy\0\0" + tlvs)
    assert (body.error, body.request, body.echo) == (-22, request, b"xy\0\0")
    assert (body.text, body.offset, body.missing) == ("bad", 40, 17)
    capped = decode_error(NLM_F_ACK_TLVS | NLM_F_CAPPED, head + tlvs)
    assert (capped.echo, capped.attrs) == (b"", body.attrs)
    plain = decode_error(NLM_F_CAPPED, head)
    assert (plain.text, plain.offset, plain.missing) == ("", None, None)


def test_repr_of_an_answer_shows_no_echo() -> None:
    head = struct.pack("=iIHHII", -22, 22, 0x10, 5, 7, 8)
    assert "SECRET" not in repr(decode_error(0, head + b"SECRET\0\0"))
