"""Attributes for SAs: one of each kind of algorithm, and what goes with it."""

from __future__ import annotations

from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from tests.engine.helpers import GCM, ZERO

Attr = tuple[int, Any]


def _name(text: str) -> bytes:
    return text.encode().ljust(64, b"\0")


def aead(name: str, key: int, icv: int) -> Attr:
    """XFRMA_ALG_AEAD: bytes of key, bits of ICV."""
    return m.XFRMA_ALG_AEAD, s.AlgoAead(_name(name), 8 * key, icv, bytes(key))


def auth(name: str, key: int) -> Attr:
    """XFRMA_ALG_AUTH: bytes of key."""
    return m.XFRMA_ALG_AUTH, s.Algo(_name(name), 8 * key, bytes(key))


def auth_trunc(name: str, key: int, bits: int) -> Attr:
    """XFRMA_ALG_AUTH_TRUNC: bytes of key, bits of ICV."""
    return m.XFRMA_ALG_AUTH_TRUNC, s.AlgoAuth(_name(name), 8 * key, bits, bytes(key))


def crypt(name: str, key: int) -> Attr:
    """XFRMA_ALG_CRYPT: bytes of key."""
    return m.XFRMA_ALG_CRYPT, s.Algo(_name(name), 8 * key, bytes(key))


def comp(name: str = "deflate") -> Attr:
    """XFRMA_ALG_COMP."""
    return m.XFRMA_ALG_COMP, s.Algo(_name(name), 0)


def encap(kind: int = 2, sport: int = 4500, dport: int = 4500) -> Attr:
    """XFRMA_ENCAP."""
    return m.XFRMA_ENCAP, s.EncapTmpl(kind, sport, dport, ZERO)


def esn(bmp_len: int = 4, window: int = 32, **more: Any) -> Attr:
    """XFRMA_REPLAY_ESN_VAL with a whole bitmap unless ``bmp`` is given."""
    state = s.ReplayStateEsn(bmp_len, 0, 0, 0, 0, window, bytes(4 * bmp_len))
    return m.XFRMA_REPLAY_ESN_VAL, state._replace(**more)


def sec_ctx(text: bytes, *, alg: int = 1, doi: int = 1, length: int | None = None) -> Attr:
    """XFRMA_SEC_CTX."""
    length = 8 + len(text) if length is None else length
    return m.XFRMA_SEC_CTX, s.UserSecCtx(length, m.XFRMA_SEC_CTX, alg, doi, len(text), text)


AEAD: Attr = (m.XFRMA_ALG_AEAD, GCM)
CRYPT = crypt("cbc(aes)", 16)
AUTH = auth("hmac(sha256)", 32)
IN: Attr = (m.XFRMA_SA_DIR, 1)
OUT: Attr = (m.XFRMA_SA_DIR, 2)
