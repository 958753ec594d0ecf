"""Algorithms by the kernel's names, and keys that do not show.

A :class:`Key` is in no ``repr``, ``str``, traceback or pickle. :meth:`Key.reveal` is the one way to its bytes. Two gateways compare keys
by :meth:`Key.fingerprint`, keyed with a secret that both know, so that the fingerprint alone tells nothing.

A kernel under lockdown shows zeros instead of a key (net/xfrm/xfrm_user.c: copy_to_user_aead): such a key is
:attr:`Key.unreadable`, and :meth:`Key.matches` then answers None, never True.

>>> sa_key = Algorithm.aes_gcm(bytes(range(20)))
>>> sa_key
Algorithm.aead('rfc4106(gcm(aes))', <160-bit key hidden>, 128)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NoReturn

from pyxfrm.errors import UsageError
from pyxfrm.model.checks import U16, uint

__all__ = ["Algorithm", "AlgorithmKind", "Key", "NO_KEY"]


class Key:
    """Key bytes, with AEAD salts included as the kernel has them; ``bits``: 8 a byte unless told."""

    __slots__ = ("_data", "bits")

    def __init__(self, data: bytes, bits: int | None = None) -> None:
        if not isinstance(data, bytes):
            raise UsageError(f"key: must be bytes, not {type(data).__name__}")
        bits = 8 * len(data) if bits is None else bits
        if (bits + 7) // 8 != len(data):
            raise UsageError(f"key: {len(data)} bytes are not a key of {bits} bits")
        self._data: Final = data
        self.bits: Final = bits

    def reveal(self) -> bytes:
        """The key itself. Take care where it goes."""
        return self._data

    @property
    def unreadable(self) -> bool:
        """There are bytes and all are zero: what a locked-down kernel shows instead of the key."""
        return self.bits > 0 and not any(self._data)

    def matches(self, other: Key) -> bool | None:
        """Whether both are the same key; None where one of them cannot be read."""
        if self.unreadable or other.unreadable:
            return None
        return self == other

    def fingerprint(self, secret: bytes) -> str:
        """32 hex digits of HMAC-SHA-256 over the key, keyed with ``secret`` (16 bytes or more)."""
        import hmac

        if len(secret) < 16:
            raise UsageError("fingerprint: the secret must have 16 bytes or more")
        message = b"pyxfrm key fingerprint\0" + self.bits.to_bytes(4, "big") + self._data
        return hmac.digest(secret, message, "sha256")[:16].hex()

    def __eq__(self, other: object) -> bool:
        import hmac

        if not isinstance(other, Key):
            return NotImplemented
        return self.bits == other.bits and hmac.compare_digest(self._data, other._data)

    def __hash__(self) -> int:
        return hash((Key, self.bits))

    def __repr__(self) -> str:
        return f"<{self.bits}-bit key hidden>"

    def __copy__(self) -> Key:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Key:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled; store it where keys belong, by reveal()")


NO_KEY = Key(b"")


class AlgorithmKind(Enum):
    """What an algorithm is for."""

    AEAD = "aead"
    CRYPT = "enc"
    AUTH = "auth"
    COMP = "comp"


@dataclass(frozen=True, slots=True, repr=False)
class Algorithm:
    """One algorithm of an SA.

    ``name``  as the kernel calls it, e.g. ``rfc4106(gcm(aes))``, ``cbc(aes)``, ``hmac(sha256)``, ``deflate``
    ``bits``  of an AEAD: its ICV's length; of integrity: the length it is truncated to, None for the
              kernel's default; None else
    """

    kind: AlgorithmKind
    name: str
    key: Key = NO_KEY
    bits: int | None = None

    def __post_init__(self) -> None:
        if not (0 < len(self.name) < 64 and self.name.isascii() and self.name.isprintable()):
            raise UsageError(f"algorithm name {self.name!r}: 1 to 63 printable ASCII characters")
        uint(f"key of {self.name}, bits", self.key.bits, U16)
        if self.bits is not None:
            uint(f"{self.name}: length in bits", self.bits, U16)
        if (self.bits is None) != (self.kind in (AlgorithmKind.CRYPT, AlgorithmKind.COMP)) and (
            self.kind is not AlgorithmKind.AUTH
        ):
            raise UsageError(f"algorithm {self.name}: only AEAD and AUTH have a length in bits")
        if self.kind is AlgorithmKind.COMP and self.key.bits:
            raise UsageError(f"algorithm {self.name}: compression has no key")

    @classmethod
    def aead(cls, name: str, key: bytes, icv_bits: int) -> Algorithm:
        """Combined mode. ``key`` ends with the salt (4 bytes for GCM: RFC 4106 §8.1)."""
        return cls(AlgorithmKind.AEAD, name, Key(key), icv_bits)

    @classmethod
    def crypt(cls, name: str, key: bytes) -> Algorithm:
        """Encryption alone."""
        return cls(AlgorithmKind.CRYPT, name, Key(key))

    @classmethod
    def auth(cls, name: str, key: bytes, trunc_bits: int | None = None) -> Algorithm:
        """Integrity alone."""
        return cls(AlgorithmKind.AUTH, name, Key(key), trunc_bits)

    @classmethod
    def comp(cls, name: str) -> Algorithm:
        """Compression (IPComp)."""
        return cls(AlgorithmKind.COMP, name)

    @classmethod
    def aes_gcm(cls, key: bytes, icv_bits: int = 128) -> Algorithm:
        """AES-GCM of RFC 4106: 16, 24 or 32 bytes of key and 4 of salt."""
        if len(key) not in (20, 28, 36):
            raise UsageError(f"AES-GCM: the key and salt have 20, 28 or 36 bytes, not {len(key)}")
        return cls.aead("rfc4106(gcm(aes))", key, icv_bits)

    @classmethod
    def chacha20_poly1305(cls, key: bytes) -> Algorithm:
        """ChaCha20-Poly1305 of RFC 7634: 32 bytes of key and 4 of salt."""
        if len(key) != 36:
            raise UsageError(f"ChaCha20-Poly1305: the key and salt have 36 bytes, not {len(key)}")
        return cls.aead("rfc7539esp(chacha20,poly1305)", key, 128)

    @classmethod
    def aes_cbc(cls, key: bytes) -> Algorithm:
        """AES-CBC of RFC 3602: 16, 24 or 32 bytes."""
        if len(key) not in (16, 24, 32):
            raise UsageError(f"AES-CBC: the key has 16, 24 or 32 bytes, not {len(key)}")
        return cls.crypt("cbc(aes)", key)

    @classmethod
    def hmac_sha256(cls, key: bytes) -> Algorithm:
        """HMAC-SHA-256-128 of RFC 4868: 32 bytes."""
        if len(key) != 32:
            raise UsageError(f"HMAC-SHA-256-128: the key has 32 bytes, not {len(key)}")
        return cls.auth("hmac(sha256)", key, 128)

    def __repr__(self) -> str:
        maker = {"enc": "crypt"}.get(self.kind.value, self.kind.value)
        bits = "" if self.bits is None else f", {self.bits}"
        key = "" if self.kind is AlgorithmKind.COMP else f", {self.key!r}"
        return f"Algorithm.{maker}({self.name!r}{key}{bits})"
