"""Whole messages: any bytes decode or are malformed, and what decodes is written back unchanged."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi.messages import ATTRIBUTES, MESSAGES
from pyxfrm.abi.netlink import NLM_F_DUMP, NLM_F_MATCH, NLM_F_REQUEST, NLM_F_ROOT
from pyxfrm.abi.structs import MarkVM, UserSaFlush, UserSaId
from pyxfrm.errors import MalformedError, UsageError
from pyxfrm.wire.attrs import decode_payload, encode_payload
from pyxfrm.wire.messages import attr_name, build, decode, decode_all, message_name
from pyxfrm.wire.netlink import frames
from tests.wire import bytes_of


@given(bytes_of.messages(), st.binary(max_size=7), st.binary(max_size=7))
def test_any_bytes_decode_to_a_value_that_encodes_to_them(
    raw: bytes, before: bytes, after: bytes
) -> None:
    try:
        made = decode(raw)
    except MalformedError:
        return
    assert made.encode() == raw
    inside = decode(before + raw + after, len(before), len(before) + len(raw))
    assert inside == made
    repr(made)


@given(bytes_of.datagrams())
def test_any_datagram_decodes_message_by_message(datagram: bytes) -> None:
    spans = list(frames(datagram))
    try:
        found = [one.encode() for one in decode_all(datagram)]
    except MalformedError:
        return
    assert found == [datagram[start:end] for start, end in spans]


@given(st.binary(max_size=60))
def test_an_end_beyond_the_buffer_is_cut(raw: bytes) -> None:
    for number in MESSAGES:
        head = struct.pack("=IHHII", 16, number, 0, 0, 0)
        try:
            made = decode(head + raw, 0, 10_000)
        except MalformedError:
            continue
        assert made.encode() == head + raw


@given(st.integers(0, 0xFFFF), st.binary(max_size=40))
def test_a_message_nobody_has_named_keeps_its_bytes(number: int, body: bytes) -> None:
    if number in MESSAGES or number in (2, 3):
        return
    raw = struct.pack("=IHHII", 16 + len(body), number, 1, 2, 3) + body
    made = decode(raw)
    assert (made.body, made.attrs, made.rest) == (None, (), body)


@pytest.mark.parametrize("flags", [NLM_F_DUMP, NLM_F_ROOT, NLM_F_MATCH])
@pytest.mark.parametrize("number", [m.XFRM_MSG_GETSA, m.XFRM_MSG_GETPOLICY])
def test_a_dump_request_has_attributes_at_once(number: int, flags: int) -> None:
    made = build(number, NLM_F_REQUEST | flags, None, [(m.XFRMA_PROTO, 50)])
    again = decode(made.encode())
    assert (again.body, again.get(m.XFRMA_PROTO)) == (None, 50)


def test_the_last_of_repeated_attributes_counts() -> None:
    sa = UserSaId(bytes(16), 1, 2, 50)
    made = build(m.XFRM_MSG_GETSA, 1, sa, [(m.XFRMA_IF_ID, 1), (m.XFRMA_IF_ID, 2)])
    assert decode(made.encode()).get(m.XFRMA_IF_ID) == 2
    assert made.get(m.XFRMA_MARK) is None


def test_a_message_built_is_the_bytes_that_c_would_send() -> None:
    sa = UserSaId(bytes([192, 0, 2, 1]) + bytes(12), 0x01020304, 2, 50)
    made = build(m.XFRM_MSG_DELSA, 5, sa, [(m.XFRMA_MARK, MarkVM(1, 0xFF))], seq=7, pid=9)
    assert made.encode() == (
        struct.pack("=IHHII", 16 + 24 + 12, 0x11, 5, 7, 9)
        + bytes([192, 0, 2, 1]) + bytes(12) + b"\1\2\3\4" + struct.pack("=HBx", 2, 50)
        + struct.pack("=HHII", 12, 21, 1, 0xFF)
    )  # fmt: skip
    odd = build(m.XFRM_MSG_FLUSHSA, 5, UserSaFlush(50), [(m.XFRMA_IF_ID, 1)])
    assert len(odd.encode()) == odd.header.nlmsg_len == 16 + 4 + 8
    assert decode(odd.encode()) == odd


@pytest.mark.parametrize("number", sorted(MESSAGES))
def test_every_message_too_short_for_its_structure_is_malformed(number: int) -> None:
    for size in range(bytes_of.body_size(number)):
        raw = struct.pack("=IHHII", 16 + size, number, 0, 0, 0) + bytes(size)
        with pytest.raises(MalformedError, match=message_name(number)):
            decode(raw)


def test_names() -> None:
    assert message_name(0x29) == "XFRM_MSG_MIGRATE_STATE"
    assert message_name(2) == "NLMSG_ERROR"
    assert message_name(77) == "type 77"
    assert attr_name(4) == "XFRMA_ENCAP"
    assert attr_name(1, m.XFRM_MSG_NEWSPDINFO) == "XFRMA_SPD_INFO"
    assert attr_name(99) == "attribute 99"


@pytest.mark.parametrize("number", sorted(ATTRIBUTES))
def test_every_attribute_is_read_through_its_message(number: int) -> None:
    payload = bytes(400)
    made = build(
        m.XFRM_MSG_NEWSA, 0, decode(bytes_of.blank(m.XFRM_MSG_NEWSA)).body, [(number, payload)]
    )
    value = decode(made.encode()).get(number)
    assert value == decode_payload(number, payload)
    assert payload.startswith(encode_payload(number, value))


def test_a_body_that_is_no_structure_is_the_callers_mistake() -> None:
    with pytest.raises(UsageError, match="str: not a structure"):
        build(0x10, 0, "SA")
