"""Ciphers and their ICVs, by the kernel's algorithm names: one shape for all of them.

A :class:`Transform` is the keys of one SA made ready, once, and used for every packet of it (also
after the SA has moved: see ``Sealer.move``). Whatever the algorithm, it has the shape of an AEAD:

    encrypt(nonce, plain, aad) -> explicit IV (some), ciphertext, ICV
    decrypt(nonce, rest, aad)  -> plain

``aad`` is SPI and sequence number: 8 bytes, with ESN 12 (SPI, high half, low half; RFC 4106 §5).
``nonce`` is the ``salt`` of the key followed by the 8-byte IV. Where ``writes_iv`` is set, the
transform derives the IV from the nonce by itself and puts it in front of the ciphertext.

==============================  ===========================  =========================================
rfc4106(gcm(aes))               RFC 4106                     key 16, 24, 32 + salt 4; ICV 8, 12, 16
rfc4309(ccm(aes))               RFC 4309                     key 16, 24, 32 + salt 3; ICV 8, 12, 16
rfc4543(gcm(aes))               RFC 4543, GMAC               key 16, 24, 32 + salt 4; ICV 16
rfc7539esp(chacha20,poly1305)   RFC 7634                     key 32 + salt 4; ICV 16
cbc(aes)                        RFC 3602, with a MAC         key 16, 24, 32
rfc3686(ctr(aes))               RFC 3686, with a MAC         key 16, 24, 32 + nonce 4
ecb(cipher_null)                RFC 2410, with a MAC         no key
==============================  ===========================  =========================================

With a separate MAC the ICV covers SPI, low half, IV and ciphertext, and after them the high half
of an ESN (RFC 4303 §2.2.1; crypto/authencesn.c).

**The CBC IV** must not be predictable (RFC 3602 §3). It is the counter encrypted under the same
key, the first method of NIST SP 800-38A Appendix C; so it needs no randomness, and it repeats only
if the counter does, which :mod:`pyxfrm.esp.sequence` excludes.

**Truncated GCM tags**: the library verifies whole tags only. Encrypting the ciphertext again gives
the plaintext (the keystream depends on the nonce alone), encrypting that gives the whole tag, and
its first bytes are compared. Two calls, still four times faster than setting up a streaming
cipher for each packet. Nothing is given out before the tag was found right.
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from typing import NamedTuple

from pyxfrm.errors import UsageError
from pyxfrm.esp.association import Algorithm, Association
from pyxfrm.esp.auth import Mac, make_mac

__all__ = ["Cipher", "Transform", "make_transform"]

Cipher = Callable[[bytes, bytes, bytes], bytes]


class Transform:
    """The keys of one ESP SA, ready for packets.

    ``iv_size``   bytes of explicit IV on the wire: 8, 16 or 0
    ``writes_iv`` ``encrypt`` writes the IV itself
    ``block``     payload and trailer together are a multiple of this: 4 or 16
    ``icv_size``  bytes of ICV
    ``failures``  what ``decrypt`` raises where the ICV is wrong: an exception class of the
                  cryptography package. ValueError: lengths that cannot be
    """

    __slots__ = (
        "block",
        "decrypt",
        "encrypt",
        "failures",
        "icv_size",
        "iv_size",
        "name",
        "salt",
        "writes_iv",
    )

    def __init__(self, name: str, salt: bytes, sizes: _Sizes, encrypt: Cipher, decrypt: Cipher):
        from cryptography.exceptions import InvalidTag

        self.name = name
        self.salt = salt
        self.iv_size, self.block, self.icv_size = sizes
        self.writes_iv = self.iv_size == 16
        self.encrypt = encrypt
        self.decrypt = decrypt
        self.failures = InvalidTag

    def __repr__(self) -> str:
        return f"Transform({self.name!r}, ICV {self.icv_size * 8} bits)"


class _Sizes(NamedTuple):
    iv: int
    block: int
    icv: int


def make_transform(sa: Association) -> Transform:
    """The transform of an ESP SA. Raises UsageError: names, keys or ICVs that Linux refuses too."""
    if sa.aead is not None:
        return _make_aead(sa.aead)
    if sa.crypt is None:
        raise UsageError("ESP: AEAD or CRYPT must be provided")
    mac = make_mac(sa.auth) if sa.auth is not None else make_mac(Algorithm("digest_null"))
    name = _CRYPT_ALIASES.get(sa.crypt.name, sa.crypt.name)
    if name not in _CRYPTS:
        known = ", ".join(sorted(_CRYPTS))
        raise UsageError(f"encryption algorithm {sa.crypt.name!r} is not one of {known}")
    return _CRYPTS[name](sa.crypt.key, mac)


def _split(name: str, key: bytes, salt: int, sizes: tuple[int, ...] = (16, 24, 32)) -> bytes:
    """The key without its salt, of a possible size."""
    if len(key) - salt not in sizes:
        told = ", ".join(str(size + salt) for size in sizes)
        raise UsageError(f"{name}: a key of {len(key)} bytes (with its salt); it has {told}")
    return key[: len(key) - salt]


# AEADs


def _make_aead(algorithm: Algorithm) -> Transform:
    name, key, bits = algorithm.name, algorithm.key, algorithm.icv_bits
    if name not in _AEADS:
        known = ", ".join(sorted(_AEADS))
        raise UsageError(f"AEAD algorithm {name!r} is not one of {known}")
    make, icvs = _AEADS[name]
    if bits not in icvs:
        told = ", ".join(str(icv) for icv in icvs)
        raise UsageError(f"{name}: an ICV of {bits} bits; it has {told}")
    return make(name, key, bits // 8)


def _gcm(name: str, key: bytes, icv: int) -> Transform:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher = AESGCM(_split(name, key, 4))
    sizes = _Sizes(8, 4, icv)
    if icv == 16:
        return Transform(name, key[-4:], sizes, cipher.encrypt, cipher.decrypt)
    cut = slice(None, icv - 16)

    def encrypt(nonce: bytes, plain: bytes, aad: bytes) -> bytes:
        return cipher.encrypt(nonce, plain, aad)[cut]

    def decrypt(nonce: bytes, rest: bytes, aad: bytes) -> bytes:
        plain = cipher.encrypt(nonce, rest[:-icv], aad)[:-16]
        _verify(encrypt(nonce, plain, aad)[-icv:], rest[-icv:])
        return plain

    return Transform(name, key[-4:], sizes, encrypt, decrypt)


def _ccm(name: str, key: bytes, icv: int) -> Transform:
    from cryptography.hazmat.primitives.ciphers.aead import AESCCM

    cipher = AESCCM(_split(name, key, 3), icv)
    return Transform(name, key[-3:], _Sizes(8, 4, icv), cipher.encrypt, cipher.decrypt)


def _chacha(name: str, key: bytes, icv: int) -> Transform:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    cipher = ChaCha20Poly1305(_split(name, key, 4, (32,)))
    return Transform(name, key[-4:], _Sizes(8, 4, icv), cipher.encrypt, cipher.decrypt)


def _gmac(name: str, key: bytes, icv: int) -> Transform:
    """GCM of nothing: header, IV and plaintext are all additional data (RFC 4543 §3.2)."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    tag = AESGCM(_split(name, key, 4)).encrypt

    def encrypt(nonce: bytes, plain: bytes, aad: bytes) -> bytes:
        return plain + tag(nonce, b"", aad + nonce[4:] + plain)

    def decrypt(nonce: bytes, rest: bytes, aad: bytes) -> bytes:
        plain = rest[:-icv]
        _verify(tag(nonce, b"", aad + nonce[4:] + plain), rest[-icv:])
        return plain

    return Transform(name, key[-4:], _Sizes(8, 4, icv), encrypt, decrypt)


_AEADS: dict[str, tuple[Callable[[str, bytes, int], Transform], tuple[int, ...]]] = {
    "rfc4106(gcm(aes))": (_gcm, (64, 96, 128)),
    "rfc4309(ccm(aes))": (_ccm, (64, 96, 128)),
    "rfc4543(gcm(aes))": (_gmac, (128,)),
    "rfc7539esp(chacha20,poly1305)": (_chacha, (128,)),
}


# a cipher and a MAC


def _verify(right: bytes, received: bytes) -> None:
    if not compare_digest(right, received):
        from cryptography.exceptions import InvalidTag

        raise InvalidTag


def _with_mac(mac: Mac) -> tuple[Callable[[bytes, bytes], bytes], Cipher]:
    """(append the ICV, check and cut it) for ``IV and ciphertext``.

    ``aad`` of 12 bytes means ESN: its middle is the high half, which goes to the end.
    """
    size, code = mac.size, mac.mac

    def covered(body: bytes, aad: bytes) -> bytes:
        return aad + body if len(aad) == 8 else aad[:4] + aad[8:] + body + aad[4:8]

    def append(body: bytes, aad: bytes) -> bytes:
        return body + code(covered(body, aad))

    def check(iv: bytes, rest: bytes, aad: bytes) -> bytes:
        end = len(rest) - size
        _verify(code(covered(iv + rest[:end], aad)), rest[end:])
        return rest[:end]

    return append, check


def _cbc(key: bytes, mac: Mac) -> Transform:
    """One cipher context for all packets, so that no key is expanded again.

    CBC goes on from its last ciphertext block ``C``. Sealing: the counter xored with ``C`` put in
    front of the plaintext makes the first output block the encrypted counter, which is the IV, and
    the rest is chained to it. Opening: the received IV put in front of the ciphertext makes a
    first output block that means nothing and is cut off.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher as Blocks
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC

    blocks = Blocks(AES(_split("cbc(aes)", key, 0)), CBC(bytes(16)))
    forward, backward = blocks.encryptor().update, blocks.decryptor().update
    append, check = _with_mac(mac)
    last = 0

    def encrypt(nonce: bytes, plain: bytes, aad: bytes) -> bytes:
        nonlocal last
        counter = int.from_bytes(nonce, "big") ^ last
        body = forward(counter.to_bytes(16, "big") + plain)
        last = int.from_bytes(body[-16:], "big")
        return append(body, aad)

    def decrypt(iv: bytes, rest: bytes, aad: bytes) -> bytes:
        body = check(iv, rest, aad)
        if len(body) % 16:
            raise ValueError("ciphertext is no multiple of 16 bytes")
        return backward(iv + body)[16:]

    return Transform(f"cbc(aes) {mac.name}", b"", _Sizes(16, 16, mac.size), encrypt, decrypt)


def _ctr(key: bytes, mac: Mac) -> Transform:
    """Counter block: nonce of the key, IV, and a block number that starts at 1 (RFC 3686 §4)."""
    from cryptography.hazmat.primitives.ciphers import Cipher as Blocks
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    name, first = "rfc3686(ctr(aes))", b"\0\0\0\1"
    context = Blocks(AES(_split(name, key, 4)), CTR(bytes(16))).encryptor()
    start, crypt = context.reset_nonce, context.update
    append, check = _with_mac(mac)

    def encrypt(nonce: bytes, plain: bytes, aad: bytes) -> bytes:
        start(nonce + first)
        return append(nonce[4:] + crypt(plain), aad)[8:]

    def decrypt(nonce: bytes, rest: bytes, aad: bytes) -> bytes:
        body = check(nonce[4:], rest, aad)
        start(nonce + first)
        return crypt(body)

    return Transform(f"{name} {mac.name}", key[-4:], _Sizes(8, 4, mac.size), encrypt, decrypt)


def _null(key: bytes, mac: Mac) -> Transform:
    if key:
        raise UsageError(f"ecb(cipher_null): a key of {len(key)} bytes; it has none")
    append, check = _with_mac(mac)

    def encrypt(_nonce: bytes, plain: bytes, aad: bytes) -> bytes:
        return append(plain, aad)

    return Transform(f"ecb(cipher_null) {mac.name}", b"", _Sizes(0, 4, mac.size), encrypt, check)


_CRYPTS: dict[str, Callable[[bytes, Mac], Transform]] = {
    "cbc(aes)": _cbc,
    "rfc3686(ctr(aes))": _ctr,
    "ecb(cipher_null)": _null,
}
_CRYPT_ALIASES = {"aes": "cbc(aes)", "cipher_null": "ecb(cipher_null)"}
