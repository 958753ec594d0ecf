"""The table of algorithms against what Linux 7.2.7 and 6.12 said to 2,500 NEWSAs with every name, alias and key length."""

from __future__ import annotations

import pytest

from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2
from pyxfrm.engine.algorithms import (
    AEADS,
    AUTHS,
    CIPHERS,
    find_aead,
    find_auth,
    find_cipher,
    find_comp,
)


def name(text: str) -> bytes:
    return text.encode().ljust(64, b"\0")


def test_every_row_is_found_by_name_and_alias() -> None:
    everything = LINUX_7_2._replace(missing_algorithms=frozenset())
    for aead in AEADS:
        assert find_aead(name(aead.name), aead.icv, everything) is aead
        assert find_aead(name(aead.name), aead.icv + 1, everything) is None
    for auth in AUTHS:
        for text in filter(None, (auth.name, auth.alias)):
            found = find_auth(name(text), everything)
            assert found is not None
            assert found.name == auth.name
    for cipher in CIPHERS:
        for text in filter(None, (cipher.name, cipher.alias)):
            assert find_cipher(name(text), everything) is cipher


def test_names_end_at_their_nul_or_at_63_bytes() -> None:
    assert find_cipher(b"aes\0junk".ljust(64, b"\0"), LINUX_7_2) is not None
    assert find_cipher(b"aes".ljust(64, b"x"), LINUX_7_2) is None
    assert find_comp(name("deflate"), LINUX_7_2) is not None
    assert find_comp(b"deflate".ljust(64, b"e"), LINUX_7_2) is None


@pytest.mark.parametrize("text", ["", "nope", "sha384", "gcm(aes)", "AES", "lzs", "lzjh"])
def test_names_that_no_kernel_has(text: str) -> None:
    for profile in (LINUX_7_2, LINUX_6_12):
        assert find_auth(name(text), profile) is None
        assert find_cipher(name(text), profile) is None
        assert find_comp(name(text), profile) is None
        assert find_aead(name(text), 128, profile) is None


def test_what_a_kernel_lacks_depends_on_it() -> None:
    for text in ("hmac(sm3)", "sm3"):
        assert find_auth(name(text), LINUX_7_2) is None
    assert find_cipher(name("cbc(sm4)"), LINUX_7_2) is None
    assert find_auth(name("hmac(rmd160)"), LINUX_7_2) is None
    assert find_auth(name("rmd160"), LINUX_6_12) is not None


# Key lengths in bytes that the kernel was seen to take, of 0 to 41 and some longer ones.
KEYS = {
    "ecb(cipher_null)": {0},
    "cbc(des)": {8},
    "cbc(des3_ede)": {24},
    "cbc(cast5)": set(range(5, 17)),
    "cbc(blowfish)": set(range(4, 57)),
    "cbc(aes)": {16, 24, 32},
    "cbc(serpent)": set(range(33)),
    "cbc(camellia)": {16, 24, 32},
    "cbc(twofish)": {16, 24, 32},
    "rfc3686(ctr(aes))": {20, 28, 36},
}


@pytest.mark.parametrize("text", KEYS)
def test_key_lengths_of_ciphers(text: str) -> None:
    row = find_cipher(name(text), LINUX_7_2)
    assert row is not None
    assert {size for size in range(80) if size in row.keys} == KEYS[text]


def test_key_lengths_of_combined_modes_hold_their_salt() -> None:
    sizes = {row.name: {size for size in range(80) if size in row.keys} for row in AEADS}
    assert sizes == {
        "rfc4106(gcm(aes))": {20, 28, 36},
        "rfc4309(ccm(aes))": {19, 27, 35},
        "rfc4543(gcm(aes))": {20, 28, 36},
        "rfc7539esp(chacha20,poly1305)": {36},
    }


def test_xcbc_takes_fewer_keys_since_it_is_a_library() -> None:
    new, old = find_auth(name("xcbc(aes)"), LINUX_7_2), find_auth(name("xcbc(aes)"), LINUX_6_12)
    assert new is not None
    assert old is not None
    assert [size for size in range(64) if size in new.keys] == [16]
    assert [size for size in range(64) if size in old.keys] == [16, 24, 32]


def test_a_default_is_never_longer_than_the_whole() -> None:
    assert all(row.default <= row.full for row in AUTHS)
