"""One declaration gives size, decode, encode and text; every structure, every byte."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi import netlink, structs
from pyxfrm.abi.ctypes import C_STRUCTS
from pyxfrm.errors import MalformedError, UsageError
from pyxfrm.wire.codec import codec, show

EVERY = sorted(C_STRUCTS, key=lambda cls: C_STRUCTS[cls].c_name)
assert netlink.NlMsgHdr in EVERY

each = pytest.mark.parametrize("cls", EVERY, ids=lambda cls: C_STRUCTS[cls].c_name)


@each
@given(data=st.data())
def test_any_bytes_of_the_right_size_come_back(cls: type[Any], data: st.DataObject) -> None:
    made = codec(cls)
    tail = data.draw(st.binary(max_size=40)) if made.tail else b""
    raw = data.draw(st.binary(min_size=made.size, max_size=made.size)) + tail
    value = made.decode(raw)
    assert made.encode(value) == raw
    before = data.draw(st.binary(max_size=9))
    assert made.decode(before + raw, len(before)) == value


@each
@given(data=st.data())
def test_packing_fields_is_encoding_the_value(cls: type[Any], data: st.DataObject) -> None:
    made = codec(cls)
    tail = data.draw(st.binary(max_size=40)) if made.tail else b""
    raw = data.draw(st.binary(min_size=made.size, max_size=made.size)) + tail
    value = without_padding(made.decode(raw))
    fields = [
        codec(type(field)).encode(field) if isinstance(field, tuple) else field
        for name, field in zip(value._fields, value, strict=True)
        if name != "pad"
    ]
    assert made.pack(*fields) == made.encode(value)


def without_padding(value: Any) -> Any:
    inside = {n: without_padding(f) for n, f in value._asdict().items() if isinstance(f, tuple)}
    if "pad" in value._fields:
        inside["pad"] = bytes(len(value.pad))
    return value._replace(**inside)


def test_zeros_fill_up_what_is_packed() -> None:
    packed = codec(structs.Id).pack(b"\x0a\x00\x00\x01", 0x1234, 50)
    assert packed == bytes.fromhex("0a000001" + "00" * 12 + "00001234" + "32000000")


@pytest.mark.parametrize(
    ("cls", "field", "wrong"),
    [(structs.Id, "spi", 1 << 32), (structs.Id, "proto", 300), (structs.Id, "daddr", 7)],
)
def test_a_field_that_cannot_be_packed_is_named(cls: type[Any], field: str, wrong: Any) -> None:
    fields = {"daddr": bytes(16), "spi": 1, "proto": 50, field: wrong}
    with pytest.raises(UsageError, match=field):
        codec(cls).pack(*fields.values())


@each
def test_every_truncation_is_refused(cls: type[Any]) -> None:
    made = codec(cls)
    for size in range(made.size):
        with pytest.raises(MalformedError, match=made.name):
            made.decode(bytes(size))


@each
def test_a_field_that_does_not_fit_is_named(cls: type[Any]) -> None:
    made = codec(cls)
    value = made.decode(bytes(made.size))
    for name in value._fields:
        field = getattr(value, name)
        if name != made.tail and not isinstance(field, tuple):
            wrong = b"short" * 9 if isinstance(field, bytes) else 1 << 64
            with pytest.raises(UsageError, match=name):
                made.encode(value._replace(**{name: wrong}))


@pytest.mark.parametrize("cls", [structs.Algo, structs.AlgoAuth, structs.AlgoAead])
def test_keys_are_in_no_text(cls: type[Any]) -> None:
    made = codec(cls)
    value = made.decode(bytes(made.size) + b"SECRET")
    assert value.alg_key == b"SECRET"
    for text in (repr(value), str(value), show(value)):
        assert "SECRET" not in text
        assert b"SECRET".hex() not in text
        assert "6 bytes hidden" in text
