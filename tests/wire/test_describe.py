"""Text for people: it never fails, never shows a key, and always finds a difference where there is one."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi.structs import Algo, AlgoAead, AlgoAuth, UserSaFlush, UserSaInfo
from pyxfrm.wire.attrs import make, read_run
from pyxfrm.wire.describe import describe, difference, lines, summary
from pyxfrm.wire.messages import build, decode
from tests.wire import bytes_of

BLANK: UserSaInfo = decode(bytes_of.blank(m.XFRM_MSG_NEWSA)).body
KEY = b"KeY+" * 5
ALGORITHMS = (
    (m.XFRMA_ALG_AUTH, Algo(b"x".ljust(64, b"\0"), 160, KEY)),
    (m.XFRMA_ALG_CRYPT, Algo(b"x".ljust(64, b"\0"), 8, KEY)),
    (m.XFRMA_ALG_AUTH_TRUNC, AlgoAuth(b"x".ljust(64, b"\0"), 0, 96, KEY)),
    (m.XFRMA_ALG_AEAD, AlgoAead(b"x".ljust(64, b"\0"), 999, 128, KEY)),
)


@given(bytes_of.messages())
def test_any_bytes_can_be_told(raw: bytes) -> None:
    text = describe(raw)
    assert bool(text) == bool(raw)
    assert len(text.splitlines()) == len(lines(raw))
    assert "\n" not in summary(raw)
    assert "\x1b" not in text + summary(raw)


@given(bytes_of.messages(), bytes_of.messages())
def test_a_difference_is_told_exactly_if_there_is_one(left: bytes, right: bytes) -> None:
    assert list(difference(left, left)) == []
    assert bool(list(difference(left, right))) == (left != right)


@given(st.data(), bytes_of.messages().filter(lambda raw: len(raw) > 16))
def test_one_changed_byte_is_told(data: st.DataObject, raw: bytes) -> None:
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = bytearray(raw)
    changed[at] ^= data.draw(st.integers(1, 255))
    assert list(difference(raw, bytes(changed)))


def test_only_what_differs_is_told() -> None:
    left = build(m.XFRM_MSG_NEWSA, 0, BLANK, [(m.XFRMA_IF_ID, 1), (m.XFRMA_TFCPAD, 5)])
    right = build(m.XFRM_MSG_NEWSA, 0, BLANK._replace(reqid=7), [(m.XFRMA_TFCPAD, 5)])
    assert list(difference(left.encode(), right.encode())) == [
        ("header.nlmsg_len", "256", "248"),
        ("xfrm_usersa_info.reqid", "0", "7"),
        ("XFRMA_IF_ID", "1", ""),
    ]


@given(st.sampled_from(ALGORITHMS), st.integers(0, 20), st.lists(bytes_of.attributes(), max_size=2))
def test_no_key_is_shown(row: tuple[int, object], keep: int, more: list[bytes]) -> None:
    other, _ = read_run(b"".join(more), 0, sum(map(len, more)))
    number, value = row
    made = build(m.XFRM_MSG_NEWSA, 0, BLANK, [(number, value), *other]).encode()
    noise = b"".join(more)
    raw = made[: len(made) - keep]
    other_key = raw.replace(KEY, KEY[::-1])
    error = bytes(20) + raw
    echo = struct.pack("=IHHII", 16 + len(error), 2, 0, 0, 0) + error
    texts = [describe(raw), summary(raw), describe(echo), repr(decode(raw)), repr(decode(echo))]
    texts += [str(list(difference(raw, other_key)))]
    for text in texts:
        for key in (KEY, KEY[::-1]):
            for part in (key[:8], key[4:12]):
                if part not in noise:
                    assert part.decode() not in text
                    assert part.hex() not in text


def test_hidden_keys_that_differ_are_told_apart() -> None:
    left, right = (
        build(m.XFRM_MSG_NEWSA, 0, BLANK, [(m.XFRMA_ALG_AEAD, AlgoAead(bytes(64), 32, 128, key))])
        for key in (b"1234", b"5678")
    )
    ((field, one, two),) = difference(left.encode(), right.encode())
    assert field == "XFRMA_ALG_AEAD.alg_key"
    assert (one, two) == ("<4 bytes hidden>", "<4 bytes hidden>, not the same")


def test_an_attribute_nobody_has_named_is_shown_as_its_length() -> None:
    raw = build(m.XFRM_MSG_FLUSHSA, 0, UserSaFlush(50), [make(900, b"SECRETSECRET")]).encode()
    assert ("attribute 900", "<12 bytes>") in lines(raw)


def test_names_are_readable() -> None:
    name = b"rfc4106(gcm(aes))".ljust(64, b"\0")
    attr = (m.XFRMA_ALG_AEAD, AlgoAead(name, 0, 128, b""))
    raw = build(m.XFRM_MSG_NEWSA, 0, BLANK, [attr]).encode()
    assert ("XFRMA_ALG_AEAD.alg_name", "'rfc4106(gcm(aes))'") in lines(raw)
