"""Picks the parts of a message: mostly sensible, from small sets, so that messages meet what earlier ones made.

Limits in seconds are far away: a sequence has the same answer however long it takes.
"""

from __future__ import annotations

import random
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi import xfrm as x

__all__ = ["Attrs", "Picker"]


def _v4(last: int) -> bytes:
    return bytes((192, 0, 2, last)) + bytes(12)


def _v6(last: int) -> bytes:
    return bytes.fromhex("20010db8") + bytes(11) + bytes((last,))


V4 = (_v4(1), _v4(2), _v4(3))
V6 = (_v6(1), _v6(2), _v6(3))
ZERO = bytes(16)
SPIS = (0x100, 0x101, 0x102, 0x10000)
REQIDS = (0, 1, 2)
MARKS = ((0, 0), (1, 1), (1, 0xFF), (0, 0xFF), (5, 3), (1, 0xFFFFFFFF))
MODES = (0, 1, 1, 1, 2, 3, 4, 5, 6)
FLAGS = (0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 0x20 | 0x80)
FAR = 1_000_000

Attrs = list[tuple[int, Any]]


class Picker:
    """Random parts from one source of chance."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def family(self) -> int:
        """Mostly IPv4."""
        return x.AF_INET if self.rng.random() < 0.7 else x.AF_INET6

    def address(self, family: int) -> bytes:
        """One of few."""
        if self.rng.random() < 0.03:
            return ZERO
        return self.rng.choice(V4 if family == x.AF_INET else V6)

    def spi(self) -> int:
        """One of few."""
        return self.rng.choice(SPIS) if self.rng.random() < 0.96 else 0

    def proto(self) -> int:
        """Mostly ESP."""
        return self.rng.choices((50, 51, 108, 60, 43, 4, 0, 255), (70, 10, 8, 3, 1, 1, 1, 1))[0]

    def selector(self, family: int) -> s.Selector:
        """Any, a host pair, or a network."""
        rng = self.rng
        kind = rng.randrange(4)
        if kind == 0:
            return s.Selector(ZERO, ZERO, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        if kind == 1:
            return s.Selector(ZERO, ZERO, 0, 0, 0, 0, family, 0, 0, 0, 0, 0)
        host = 32 if family == x.AF_INET else 128
        bits = host if kind == 2 else rng.choice((8, 24, host, host + 1))
        port = rng.choice((0, 0, 500))
        return s.Selector(
            self.address(family),
            self.address(family),
            port,
            0xFFFF if port else 0,
            0,
            0,
            family,
            bits,
            bits,
            rng.choice((0, 0, 17)),
            0,
            0,
        )

    def limits(self) -> s.LifetimeCfg:
        """None, or far away."""
        if self.rng.random() < 0.6:
            return s.LifetimeCfg(*(x.XFRM_INF,) * 4, 0, 0, 0, 0)
        return s.LifetimeCfg(1 << 40, 1 << 41, 1 << 30, 1 << 31, FAR, FAR + 5, FAR, FAR + 5)

    def mark(self) -> Attrs:
        """XFRMA_MARK, sometimes."""
        if self.rng.random() < 0.7:
            return []
        return [(m.XFRMA_MARK, s.MarkVM(*self.rng.choice(MARKS)))]

    def some(self, share: float, *attrs: tuple[int, Any]) -> Attrs:
        """These attributes in a share of cases."""
        return list(attrs) if self.rng.random() < share else []

    def u32(self, number: int, share: float, *values: int) -> Attrs:
        """A 32-bit attribute in a share of cases."""
        return self.some(share, (number, self.rng.choice(values)))

    def encap(self, share: float) -> Attrs:
        """XFRMA_ENCAP in a share of cases."""
        kind = self.rng.choice((2, 2, 2, 2, 0, 1, 7))
        sport = self.rng.choice((4500, 4501))
        return self.some(share, (m.XFRMA_ENCAP, s.EncapTmpl(kind, sport, 4500, ZERO)))

    def sa_id(self) -> s.UserSaId:
        """Names an SA that may be there."""
        family = self.family()
        return s.UserSaId(self.address(family), self.spi(), family, self.proto())

    def algorithms(self, proto: int) -> Attrs:
        """Mostly what the protocol wants."""
        rng = self.rng
        if rng.random() < 0.05:
            proto = rng.choice((50, 51, 108))
        if proto == x.IPPROTO_AH:
            return self._auth()
        if proto == x.IPPROTO_COMP:
            return [(m.XFRMA_ALG_COMP, s.Algo(_name(rng.choice(("deflate", "deflate", "lzs"))), 0))]
        if proto != x.IPPROTO_ESP:
            return []
        if rng.random() < 0.6:
            name, bits, icv = rng.choice(_AEADS)
            return [(m.XFRMA_ALG_AEAD, s.AlgoAead(_name(name), bits, icv, bytes(range(bits // 8))))]
        name, bits = rng.choice(_CIPHERS)
        crypt = (m.XFRMA_ALG_CRYPT, s.Algo(_name(name), bits, bytes(range(bits // 8))))
        return [crypt, *(self._auth() if rng.random() < 0.9 else [])]

    def _auth(self) -> Attrs:
        rng = self.rng
        name, bits = rng.choice(_HASHES)
        key = bytes(range(bits // 8))
        if rng.random() < 0.5:
            return [(m.XFRMA_ALG_AUTH, s.Algo(_name(name), bits, key))]
        trunc = rng.choice((96, 128, 128, 0, 256, 600))
        return [(m.XFRMA_ALG_AUTH_TRUNC, s.AlgoAuth(_name(name), bits, trunc, key))]

    def replay(self) -> Attrs:
        """XFRMA_REPLAY_VAL or _ESN_VAL, sometimes."""
        rng = self.rng
        pick = rng.random()
        if pick < 0.75:
            return []
        if pick < 0.85:
            return [(m.XFRMA_REPLAY_VAL, s.ReplayState(rng.choice((0, 9)), rng.choice((0, 7)), 0))]
        words = rng.choice((0, 1, 4, 129))
        window = rng.choice((0, 32 * words, 32, 32 * words + 1))
        esn = s.ReplayStateEsn(
            words,
            rng.choice((0, 0, 5, 0xFFFFFFFF)),
            rng.choice((0, 0, 5, 0xFFFFFFFF)),
            rng.choice((0, 0, 1, 0xFFFFFFFF)),
            rng.choice((0, 0, 1, 0xFFFFFFFF)),
            window,
            bytes(4 * words) if rng.random() < 0.8 else b"",
        )
        return [(m.XFRMA_REPLAY_ESN_VAL, esn)]

    def templates(self, family: int) -> Attrs:
        """XFRMA_TMPL with one or two templates, mostly."""
        rng = self.rng
        if rng.random() < 0.1:
            return []
        made = tuple(
            self._template(family) for _ in range(rng.choices((1, 2, 6, 7), (80, 15, 3, 2))[0])
        )
        return [(m.XFRMA_TMPL, made)]

    def _template(self, family: int) -> s.UserTmpl:
        rng = self.rng
        outer = family if rng.random() < 0.8 else self.family()
        mode = rng.choice(MODES)
        return s.UserTmpl(
            s.Id(self.address(outer), rng.choice((0, 0, 0x100)), self.proto()),
            rng.choices((outer, 0, 7), (90, 8, 2))[0],
            self.address(outer),
            rng.choice(REQIDS),
            mode,
            rng.choice((0, 0, 0, 1, 4)),
            rng.choice((0, 0, 0, 1)),
            0xFFFFFFFF,
            0xFFFFFFFF,
            0xFFFFFFFF,
        )


_AEADS = (
    ("rfc4106(gcm(aes))", 160, 128),
    ("rfc4106(gcm(aes))", 288, 64),
    ("rfc4106(gcm(aes))", 160, 96),
    ("rfc4106(gcm(aes))", 152, 128),
    ("rfc4106(gcm(aes))", 160, 120),
    ("rfc7539esp(chacha20,poly1305)", 288, 128),
    ("rfc4309(ccm(aes))", 152, 128),
    ("rfc4543(gcm(aes))", 160, 128),
    ("nonsense(aes)", 160, 128),
)
_CIPHERS = (
    ("cbc(aes)", 128),
    ("cbc(aes)", 256),
    ("aes", 128),
    ("cbc(aes)", 120),
    ("rfc3686(ctr(aes))", 160),
    ("ecb(cipher_null)", 0),
    ("cbc(des3_ede)", 192),
    ("unknown", 128),
)
_HASHES = (
    ("hmac(sha256)", 256),
    ("hmac(sha1)", 160),
    ("sha1", 160),
    ("hmac(sha512)", 512),
    ("hmac(sha384)", 384),
    ("hmac(md5)", 128),
    ("digest_null", 0),
    ("nohash", 128),
)


def _name(text: str) -> bytes:
    return text.encode().ljust(64, b"\0")
