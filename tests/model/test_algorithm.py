"""Keys: compared, fingerprinted, never shown."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.errors import UsageError
from pyxfrm.model import Algorithm, AlgorithmKind, Key

KEY = b"0123456789abcdef" + b"salt"


def test_a_key_is_in_no_text() -> None:
    algorithm = Algorithm.aes_gcm(KEY)
    for text in (repr(algorithm), str(algorithm), repr(algorithm.key), f"{algorithm.key}"):
        assert "0123456789" not in text
        assert KEY.hex() not in text
        assert "160-bit key hidden" in text
    error = ValueError(algorithm, algorithm.key)
    assert "0123456789" not in "".join(traceback.format_exception(error))


def test_a_key_is_not_pickled_but_copied() -> None:
    algorithm = Algorithm.aes_gcm(KEY)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(algorithm)
    assert copy.deepcopy(algorithm) == algorithm
    assert copy.copy(algorithm.key) is algorithm.key
    assert not hasattr(algorithm.key, "__dict__")


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_equality_is_that_of_the_bytes(a: bytes, b: bytes) -> None:
    assert (Key(a) == Key(b)) == (a == b)
    assert Key(a).reveal() == a
    if a == b:
        assert hash(Key(a)) == hash(Key(b))
    if any(a) and any(b):
        assert Key(a).matches(Key(b)) is (a == b)
        secret = b"shared by two gateways"
        assert (Key(a).fingerprint(secret) == Key(b).fingerprint(secret)) == (a == b)


def test_zeros_are_unreadable_never_equal() -> None:
    hidden = Key(bytes(20))
    assert hidden.unreadable
    assert hidden.matches(Key(bytes(20))) is None
    assert hidden.matches(Key(KEY)) is None
    assert not Key(b"").unreadable
    assert Key(b"").matches(Key(b"")) is True


def test_fingerprints_depend_on_the_secret() -> None:
    key = Key(KEY)
    assert key.fingerprint(b"s" * 16) != key.fingerprint(b"t" * 16)
    assert key.fingerprint(b"s" * 16) != Key(KEY + b"\0").fingerprint(b"s" * 16)
    with pytest.raises(UsageError, match="16 bytes or more"):
        key.fingerprint(b"short")


def test_what_makes_no_sense_is_refused() -> None:
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: Algorithm.crypt("", b"k"), "1 to 63"),
        (lambda: Algorithm.crypt("x" * 64, b"k"), "1 to 63"),
        (lambda: Algorithm.crypt("sm\u00f6r", b"k"), "1 to 63"),
        (lambda: Algorithm.aes_gcm(bytes(16)), "20, 28 or 36"),
        (lambda: Algorithm.aes_cbc(bytes(20)), "16, 24 or 32"),
        (lambda: Algorithm.chacha20_poly1305(bytes(32)), "36"),
        (lambda: Algorithm.hmac_sha256(bytes(20)), "32"),
        (lambda: Algorithm(AlgorithmKind.AEAD, "gcm", Key(b"k")), "length in bits"),
        (lambda: Algorithm(AlgorithmKind.CRYPT, "cbc(aes)", Key(b"k"), 128), "length in bits"),
        (lambda: Algorithm(AlgorithmKind.COMP, "deflate", Key(b"k")), "no key"),
        (lambda: Algorithm.auth("hmac(sha1)", b"k", -1), "-1"),
        (lambda: Key(b"abc", 8), "3 bytes"),
        (lambda: Key("abc"), "must be bytes"),  # type: ignore[arg-type]
    ]
    for make, why in cases:
        with pytest.raises(UsageError, match=why):
            make()
    assert Key(b"abc", 20).bits == 20
