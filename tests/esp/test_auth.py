"""MACs against their RFCs' vectors."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.errors import UsageError
from pyxfrm.esp import Algorithm
from pyxfrm.esp.auth import AUTH_NAMES, make_mac

CMAC_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
CMAC_TEXT = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
XCBC_KEY = bytes(range(16))

# (origin, algorithm, key, data, full MAC)
VECTORS = [
    ("RFC 2202 §2 case 1", "hmac(md5)", b"\x0b" * 16, b"Hi There", "9294727a3638bb1c13f48ef8158bfc9d"),
    ("RFC 2202 §3 case 1", "hmac(sha1)", b"\x0b" * 20, b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
    ("RFC 2202 §3 case 2", "hmac(sha1)", b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
    ("RFC 4231 §4.2", "hmac(sha256)", b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    ("RFC 4231 §4.2", "hmac(sha384)", b"\x0b" * 20, b"Hi There", "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6"),
    ("RFC 4231 §4.2", "hmac(sha512)", b"\x0b" * 20, b"Hi There", "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"),
    ("RFC 4231 §4.3", "hmac(sha256)", b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    ("RFC 4231 §4.4", "hmac(sha256)", b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    ("RFC 4493 §4 ex. 1", "cmac(aes)", CMAC_KEY, b"", "bb1d6929e95937287fa37d129b756746"),
    ("RFC 4493 §4 ex. 2", "cmac(aes)", CMAC_KEY, CMAC_TEXT[:16], "070a16b46b4d4144f79bdd9dd04a287c"),
    ("RFC 4493 §4 ex. 3", "cmac(aes)", CMAC_KEY, CMAC_TEXT[:40], "dfa66747de9ae63030ca32611497c827"),
    ("RFC 4493 §4 ex. 4", "cmac(aes)", CMAC_KEY, CMAC_TEXT, "51f0bebf7e3b9d92fc49741779363cfe"),
    ("RFC 3566 §4.6 case 1", "xcbc(aes)", XCBC_KEY, b"", "75f0251d528ac01c4573dfd584d79f29"),
    ("RFC 3566 §4.6 case 2", "xcbc(aes)", XCBC_KEY, bytes(range(3)), "5b376580ae2f19afe7219ceef172756f"),
    ("RFC 3566 §4.6 case 3", "xcbc(aes)", XCBC_KEY, bytes(range(16)), "d2a246fa349b68a79998a4394ff7a263"),
    ("RFC 3566 §4.6 case 4", "xcbc(aes)", XCBC_KEY, bytes(range(20)), "47f51b4564966215b8985c63055ed308"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "key", "data", "wanted"), [v[1:] for v in VECTORS], ids=[v[0] for v in VECTORS]
)
def test_vectors(name: str, key: bytes, data: bytes, wanted: str) -> None:
    whole = make_mac(Algorithm(name, key, len(wanted) * 4))
    assert whole.mac(data).hex() == wanted
    assert whole.mac(data).hex() == wanted  # the keyed state was not used up
    assert make_mac(Algorithm(name, key, 96)).mac(data).hex() == wanted[:24]


def test_truncated_vector() -> None:
    """RFC 4231 §4.6: test with a truncation of output to 128 bits."""
    mac = make_mac(Algorithm("hmac(sha256)", b"\x0c" * 20, 128))
    assert mac.mac(b"Test With Truncation").hex() == "a3b6167473100ee06e0c796c2955552b"


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_hmac_like_the_standard_library(key: bytes, data: bytes) -> None:
    for name in ("md5", "sha1", "sha256", "sha384", "sha512"):
        mac = make_mac(Algorithm(f"hmac({name})", key))
        wanted = hmac.new(key, data, getattr(hashlib, name)).digest()
        assert mac.mac(data) == wanted[: mac.size]
        assert mac.full_size == len(wanted)


def test_default_truncation_is_linux_own() -> None:
    """net/xfrm/xfrm_algo.c: aalg_list, icv_truncbits."""
    bits = {name: make_mac(Algorithm(name, bytes(16))).size * 8 for name in AUTH_NAMES}
    assert bits == {
        "digest_null": 0,
        "hmac(md5)": 96,
        "hmac(sha1)": 96,
        "hmac(sha256)": 96,
        "hmac(sha384)": 192,
        "hmac(sha512)": 256,
        "xcbc(aes)": 96,
        "cmac(aes)": 96,
    }


def test_second_names() -> None:
    assert make_mac(Algorithm("sha256", b"k")).name == "hmac(sha256)"


@pytest.mark.parametrize(
    ("algorithm", "line"),
    [
        (Algorithm("hmac(sha3-256)", b"k"), "is not one of"),
        (Algorithm("hmac(sha1)", b"k", 168), "168 bits"),
        (Algorithm("hmac(sha1)", b"k", 95), "95 bits"),
        (Algorithm("cmac(aes)", bytes(24)), "24 bytes; it has 16"),
    ],
)
def test_what_cannot_be_is_refused(algorithm: Algorithm, line: str) -> None:
    with pytest.raises(UsageError, match=line):
        make_mac(algorithm)


def test_no_key_in_sight() -> None:
    algorithm = Algorithm("hmac(sha1)", b"secret-key-of-20-byt")
    shown = repr(algorithm) + repr(make_mac(algorithm))
    assert "secret" not in shown
