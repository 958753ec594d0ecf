"""The algorithms of IPsec as the kernel knows them: names, ICV lengths, and the keys that its crypto takes.

Two things decide about an algorithm of a new SA. XFRM has a list of names (net/xfrm/xfrm_algo.c), some with an older alias, and asks the crypto
API whether it is built in: if either says no, the answer is ENOSYS with a text. Then the SA's type gives the keys to the crypto API, which
knows their lengths. The tables here hold both: what a row says of key lengths is what the implementations of crypto/ accept.

Lengths of ICVs are in bits, of keys and IVs in bytes; a key is given with what belongs to it (the salt of GCM, the nonce of RFC 3686).
"""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyxfrm.abi.profiles import Profile

__all__ = [
    "AEADS",
    "AUTHS",
    "Aead",
    "Auth",
    "CIPHERS",
    "COMPS",
    "Cipher",
    "Comp",
    "find_aead",
    "find_auth",
    "find_cipher",
    "find_comp",
]


class Aead(NamedTuple):
    """A combined-mode algorithm with one ICV length; ``number`` is its SADB_X_EALG_*."""

    name: str
    number: int
    icv: int
    keys: Container[int]
    iv: int = 8


class Auth(NamedTuple):
    """An integrity algorithm: its own ICV length and the one used where none is asked for; ``number`` is its SADB_X_AALG_*."""

    name: str
    alias: str
    number: int
    default: int
    full: int
    keys: Container[int]


class Cipher(NamedTuple):
    """An encryption algorithm; ``number`` is its SADB_X_EALG_*."""

    name: str
    alias: str
    number: int
    keys: Container[int]
    iv: int


class Comp(NamedTuple):
    """A compression algorithm; ``number`` is its SADB_X_CALG_*."""

    name: str
    number: int


_ANY_KEY = range(1 << 30)
_AES = frozenset((16, 24, 32))
_GCM = frozenset((20, 28, 36))
_CCM = frozenset((19, 27, 35))


AEADS = (
    Aead("rfc4106(gcm(aes))", 18, 64, _GCM),
    Aead("rfc4106(gcm(aes))", 19, 96, _GCM),
    Aead("rfc4106(gcm(aes))", 20, 128, _GCM),
    Aead("rfc4309(ccm(aes))", 14, 64, _CCM),
    Aead("rfc4309(ccm(aes))", 15, 96, _CCM),
    Aead("rfc4309(ccm(aes))", 16, 128, _CCM),
    Aead("rfc4543(gcm(aes))", 23, 128, _GCM),
    Aead("rfc7539esp(chacha20,poly1305)", 0, 128, frozenset((36,))),
)

AUTHS = (
    Auth("digest_null", "", 251, 0, 0, _ANY_KEY),
    Auth("hmac(md5)", "md5", 2, 96, 128, _ANY_KEY),
    Auth("hmac(sha1)", "sha1", 3, 96, 160, _ANY_KEY),
    Auth("hmac(sha256)", "sha256", 5, 96, 256, _ANY_KEY),
    Auth("hmac(sha384)", "", 6, 192, 384, _ANY_KEY),
    Auth("hmac(sha512)", "", 7, 256, 512, _ANY_KEY),
    Auth("hmac(rmd160)", "rmd160", 8, 96, 160, _ANY_KEY),
    Auth("xcbc(aes)", "", 9, 96, 128, frozenset((16,))),
    Auth("cmac(aes)", "", 0, 96, 128, _AES),
    Auth("hmac(sm3)", "sm3", 10, 256, 256, _ANY_KEY),
)

CIPHERS = (
    Cipher("ecb(cipher_null)", "cipher_null", 11, frozenset((0,)), 0),
    Cipher("cbc(des)", "des", 2, frozenset((8,)), 8),
    Cipher("cbc(des3_ede)", "des3_ede", 3, frozenset((24,)), 8),
    Cipher("cbc(cast5)", "cast5", 6, range(5, 17), 8),
    Cipher("cbc(blowfish)", "blowfish", 7, range(4, 57), 8),
    Cipher("cbc(aes)", "aes", 12, _AES, 16),
    Cipher("cbc(serpent)", "serpent", 252, range(33), 16),
    Cipher("cbc(camellia)", "camellia", 22, _AES, 16),
    Cipher("cbc(twofish)", "twofish", 253, _AES, 16),
    Cipher("rfc3686(ctr(aes))", "", 13, _GCM, 8),
    Cipher("cbc(sm4)", "sm4", 24, frozenset((16,)), 16),
)

# LZS and LZJH have rows in the kernel's list too, but no kernel ever had their code.
COMPS = (Comp("deflate", 2),)


_AEADS = {(row.name.encode(), row.icv): row for row in AEADS}
_AUTHS = {name.encode(): row for row in AUTHS for name in (row.name, row.alias) if name}
_CIPHERS = {name.encode(): row for row in CIPHERS for name in (row.name, row.alias) if name}
_COMPS = {row.name.encode(): row for row in COMPS}


@lru_cache(maxsize=256)
def _text(name: bytes) -> bytes:
    """The bytes of a char[64] before its NUL; the kernel puts one into the last byte."""
    return name[:63].partition(b"\0")[0]


def find_aead(name: bytes, icv: int, profile: Profile) -> Aead | None:
    """The row of a name (64 bytes) and an ICV length in bits, None if the kernel lacks it."""
    row = _AEADS.get((_text(name), icv))
    return None if row is None or row.name in profile.missing_algorithms else row


def find_auth(name: bytes, profile: Profile) -> Auth | None:
    """The row of a name or alias (64 bytes), None if the kernel lacks it."""
    row = _AUTHS.get(_text(name))
    if row is None or row.name in profile.missing_algorithms:
        return None
    return row._replace(keys=profile.xcbc_keys) if row.name == "xcbc(aes)" else row


def find_cipher(name: bytes, profile: Profile) -> Cipher | None:
    """The row of a name or alias (64 bytes), None if the kernel lacks it."""
    row = _CIPHERS.get(_text(name))
    return None if row is None or row.name in profile.missing_algorithms else row


def find_comp(name: bytes, profile: Profile) -> Comp | None:
    """The row of a name (64 bytes), None if the kernel lacks it."""
    row = _COMPS.get(_text(name))
    return None if row is None or row.name in profile.missing_algorithms else row
