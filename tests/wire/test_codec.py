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
