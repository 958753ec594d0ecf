"""Message authentication codes, by the kernel's algorithm names.

HMAC with SHA-1, SHA-2 and MD5 (RFC 2404, RFC 4868, RFC 2403), AES-XCBC-MAC (RFC 3566) and AES-CMAC
(RFC 4494). ``icv_bits`` cuts the result; 0 takes Linux's own default (net/xfrm/xfrm_algo.c), which
for SHA-256 is 96 bits and not the 128 bits of RFC 4868: an SA made with plain XFRMA_ALG_AUTH has
that, while IKE daemons send XFRMA_ALG_AUTH_TRUNC.

Keys are expanded once per SA; each packet copies the keyed state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pyxfrm.errors import UsageError
from pyxfrm.esp.association import Algorithm

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

__all__ = ["AUTH_NAMES", "Mac", "make_mac"]

# kernel name -> (hash of the cryptography package, "" for AES, full bits, Linux's default bits)
_ALGORITHMS = {
    "digest_null": ("", 0, 0),
    "hmac(md5)": ("MD5", 128, 96),
    "hmac(sha1)": ("SHA1", 160, 96),
    "hmac(sha256)": ("SHA256", 256, 96),
    "hmac(sha384)": ("SHA384", 384, 192),
    "hmac(sha512)": ("SHA512", 512, 256),
    "xcbc(aes)": ("", 128, 96),
    "cmac(aes)": ("", 128, 96),
}
# the second names that Linux takes for the same algorithms
_ALIASES = {"md5": "hmac(md5)", "sha1": "hmac(sha1)", "sha256": "hmac(sha256)"}

AUTH_NAMES = frozenset(_ALGORITHMS)


class Mac:
    """One keyed MAC: ``mac(data)`` is ``size`` bytes; ``full_size`` is its uncut length."""

    __slots__ = ("full_size", "mac", "name", "size")

    def __init__(self, name: str, size: int, full_size: int, mac: Callable[[bytes], bytes]) -> None:
        self.name = name
        self.size = size
        self.full_size = full_size
        self.mac = mac

    def __repr__(self) -> str:
        return f"Mac({self.name!r}, {self.size * 8} bits)"


def make_mac(algorithm: Algorithm) -> Mac:
    """The keyed MAC of an SA. Raises UsageError: name unknown, key or truncation impossible."""
    name = _ALIASES.get(algorithm.name, algorithm.name)
    if name not in _ALGORITHMS:
        known = ", ".join(sorted(_ALGORITHMS))
        raise UsageError(f"authentication algorithm {algorithm.name!r} is not one of {known}")
    hash_name, full_bits, default_bits = _ALGORITHMS[name]
    bits = algorithm.icv_bits or default_bits
    if bits % 8 or bits > full_bits:
        raise UsageError(f"{name}: an ICV of {bits} bits; whole bytes up to {full_bits} bits")
    size = bits // 8
    if name == "digest_null":
        return Mac(name, 0, 0, lambda _: b"")
    if name.startswith("hmac"):
        mac = _hmac(hash_name, algorithm.key, size)
    else:
        if len(algorithm.key) != 16:
            raise UsageError(f"{name}: a key of {len(algorithm.key)} bytes; it has 16")
        mac = (_cmac if name == "cmac(aes)" else _xcbc)(algorithm.key, size)
    return Mac(name, size, full_bits // 8, mac)


def _hmac(hash_name: str, key: bytes, size: int) -> Callable[[bytes], bytes]:
    from cryptography.hazmat.primitives import hashes, hmac

    digest: HashAlgorithm = getattr(hashes, hash_name)()
    keyed = hmac.HMAC(key, digest).copy

    def mac(data: bytes) -> bytes:
        state = keyed()
        state.update(data)
        return state.finalize()[:size]

    return mac


def _cmac(key: bytes, size: int) -> Callable[[bytes], bytes]:
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.cmac import CMAC

    keyed = CMAC(AES(key)).copy

    def mac(data: bytes) -> bytes:
        state = keyed()
        state.update(data)
        return state.finalize()[:size]

    return mac


def _xcbc(key: bytes, size: int) -> Callable[[bytes], bytes]:
    """RFC 3566 §4: CBC-MAC under a derived key, the last block masked by one of two others."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

    derive = Cipher(AES(key), ECB()).encryptor()  # noqa: S305 (one block: key derivation)
    key1, key2, key3 = (derive.update(bytes((number,)) * 16) for number in (1, 2, 3))
    cipher = Cipher(AES(key1), CBC(bytes(16)))

    def mac(data: bytes) -> bytes:
        start = max(0, len(data) - 1) // 16 * 16
        last, mask = data[start:], key2
        if len(last) < 16:
            last, mask = (last + b"\x80").ljust(16, b"\0"), key3
        masked = int.from_bytes(last, "big") ^ int.from_bytes(mask, "big")
        message = data[:start] + masked.to_bytes(16, "big")
        return cipher.encryptor().update(message)[-16:][:size]

    return mac
