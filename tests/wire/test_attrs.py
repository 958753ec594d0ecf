"""Attributes: any run comes back, any payload means something or is too short."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi.messages import ATTRIBUTES, SAD_ATTRIBUTES, SPD_ATTRIBUTES, XFRMA_TMPL
from pyxfrm.abi.structs import MarkVM
from pyxfrm.errors import MalformedError, UsageError
from pyxfrm.wire.attrs import (
    Attr,
    Space,
    decode_payload,
    encode_payload,
    join,
    make,
    payload_size,
    read_run,
    spans,
)
from tests.wire.bytes_of import attributes, payloads

SPACES = {"xfrm": ATTRIBUTES, "sad": SAD_ATTRIBUTES, "spd": SPD_ATTRIBUTES}


@given(st.binary(max_size=9), st.lists(attributes(), max_size=6), st.binary(max_size=9))
def test_any_run_comes_back(before: bytes, some: list[bytes], after: bytes) -> None:
    data = before + b"".join(some) + after
    attrs, rest = read_run(data, len(before), len(data))
    assert join(attrs) + rest == data[len(before) :]
    assert len(attrs) >= len(some)


@given(st.binary(max_size=120), st.integers(0, 50))
def test_spans_stay_inside_and_move_on(data: bytes, start: int) -> None:
    last = start
    for at, _, first, end in spans(data, start, len(data)):
        assert last <= at
        assert at + 4 == first <= end <= len(data)
        last = end


@given(st.data(), st.sampled_from(sorted(SPACES)))
def test_any_payload_means_something_or_is_too_short(data: st.DataObject, space: str) -> None:
    rows: Space = SPACES[space]
    number = data.draw(st.one_of(st.sampled_from(sorted(rows)), st.integers(0, 0xFFFF)))
    payload = data.draw(payloads(number))
    try:
        value = decode_payload(number, payload, rows)
    except MalformedError:
        return
    if number in rows:
        used = payload_size(rows[number][1], payload)
        assert encode_payload(number, value, rows) == payload[:used]


@pytest.mark.parametrize("number", sorted(ATTRIBUTES))
def test_every_payload_too_short_by_a_byte_is_refused(number: int) -> None:
    name, kind = ATTRIBUTES[number]
    size = payload_size(kind, b"")
    if size:
        with pytest.raises(MalformedError, match=name):
            decode_payload(number, bytes(size - 1))


def test_a_list_takes_whole_entries_only() -> None:
    assert decode_payload(XFRMA_TMPL, b"") == ()
    assert len(decode_payload(XFRMA_TMPL, bytes(64 * 2 + 5))) == 2


def test_a_value_of_the_wrong_kind_is_refused_by_name() -> None:
    for number, value in ((31, -1), (31, 1 << 32), (31, "1"), (21, 5), (4, MarkVM(1, 2)), (999, 5)):
        with pytest.raises(UsageError, match=ATTRIBUTES.get(number, (str(number),))[0]):
            encode_payload(number, value)


def test_a_payload_too_long_for_its_length_field_is_refused() -> None:
    with pytest.raises(UsageError, match="65532 bytes do not fit"):
        make(1, bytes(65532)).encode()


def test_flag_bits_of_the_type_stay() -> None:
    raw = struct.pack("=HHI", 8, 0x8000 | 31, 7)
    ((attr,), rest) = read_run(raw, 0, 8)
    assert (attr.type, attr.number, rest) == (0x801F, 31, b"")
    assert decode_payload(attr.type, attr.payload) == 7
    assert attr.encode() == raw


def test_repr_of_an_attribute_shows_no_payload() -> None:
    assert repr(Attr(18, b"SECRET")) == "Attr(XFRMA_ALG_AEAD, <6 bytes>)"
