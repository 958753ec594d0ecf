"""Picks the parts of a message: mostly sensible, from small sets, so that messages meet what earlier ones made.

Limits in seconds are far away: a sequence has the same answer however long it takes.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
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
AMOUNTS = (0, 1, 10, 20, 1 << 40, 1 << 63, x.XFRM_INF - 1, x.XFRM_INF)  # bytes or packets
PORTS = (0, 5, 500, 0x0800)
PORT_MASKS = (0, 0xFF, 0xFF00, 0xFFFF)
TIMES = (0, 1_700_000_000, 1_700_000_001, 1 << 40)
PREFIXES = (0, 1, 8, 24, 31, 32, 64, 128)
PROTOCOLS = (0, 0, 1, 6, 17, 47, 58, 99, 132, 135, 136, 255)

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
        made = s.Selector(
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
        return self._odd_selector(made) if rng.random() < 0.3 else made

    def _odd_selector(self, made: s.Selector) -> s.Selector:
        """With all that a selector may have: ports and masks, an interface, a user, bits where C has padding."""
        rng = self.rng
        return made._replace(
            dport=rng.choice(PORTS),
            dport_mask=rng.choice(PORT_MASKS),
            sport=rng.choice(PORTS),
            sport_mask=rng.choice(PORT_MASKS),
            prefixlen_d=rng.choice(PREFIXES),
            prefixlen_s=rng.choice(PREFIXES),
            proto=rng.choice(PROTOCOLS),
            ifindex=rng.choice((0, 0, 1, 2, -1)),
            user=rng.choice((0, 0, 1000)),
            pad=bytes(3) if rng.random() < 0.9 else rng.randbytes(3),
        )

    def limits(self) -> s.LifetimeCfg:
        """None, or far away."""
        pick = self.rng.random()
        if pick < 0.5:
            return s.LifetimeCfg(*(x.XFRM_INF,) * 4, 0, 0, 0, 0)
        if pick < 0.8:
            return s.LifetimeCfg(1 << 40, 1 << 41, 1 << 30, 1 << 31, FAR, FAR + 5, FAR, FAR + 5)
        amounts = [self.rng.choice(AMOUNTS) for _ in range(4)]
        return s.LifetimeCfg(*amounts, *[self.rng.choice((0, FAR, FAR + 5)) for _ in range(4)])

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
        oa = self.rng.choice((ZERO, ZERO, V4[0], bytes(range(16))))
        pad = bytes(2) if self.rng.random() < 0.9 else b"\1\2"
        return self.some(share, (m.XFRMA_ENCAP, s.EncapTmpl(kind, sport, 4500, oa, pad)))

    def stray(self) -> Attrs:
        """Any attribute, as it would make sense in some message."""
        number = self.rng.randrange(1, m.XFRMA_MAX + 1)
        made = _STRAYS.get(number)
        if made is not None:
            return made(self)
        return [(number, struct.pack("=I", self.rng.choice((0, 1, 2, 5, 100, 0xFFFFFFFF))))]

    def context(self) -> Attrs:
        """XFRMA_SEC_CTX."""
        text = self.rng.choice(
            (b"ctx", b"kernel", b"kernel\0", b"unlabeled", b"", b"a\0b", b"x" * 300)
        )
        return [(m.XFRMA_SEC_CTX, s.UserSecCtx(8 + len(text), 8, 1, 1, len(text), text))]

    def counters(self) -> Attrs:
        """XFRMA_LTIME_VAL."""
        rng = self.rng
        cur = s.LifetimeCur(
            rng.choice(AMOUNTS[:6]), rng.choice(AMOUNTS[:5]), rng.choice(TIMES), rng.choice(TIMES)
        )
        return [(m.XFRMA_LTIME_VAL, cur)]

    def offload(self) -> Attrs:
        """XFRMA_OFFLOAD_DEV."""
        rng = self.rng
        pad = bytes(3) if rng.random() < 0.9 else b"abc"
        device = s.UserOffload(rng.choice((1, 2, 0, 99, -1)), rng.choice((0, 1, 2, 4, 6, 8)), pad)
        return [(m.XFRMA_OFFLOAD_DEV, device)]

    def filter(self) -> Attrs:
        """XFRMA_ADDRESS_FILTER."""
        rng = self.rng
        family = self.family()
        bits = (0, 1, 8, 32, 33, 128)
        admit = s.AddressFilter(
            self.address(family),
            self.address(family),
            rng.choice((0, family, 7)),
            rng.choice(bits),
            rng.choice(bits),
        )
        return [(m.XFRMA_ADDRESS_FILTER, admit)]

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


# Attributes that are more than an integer; the others are integers, or taken for such.
_STRAYS: dict[int, Callable[[Picker], Attrs]] = {
    m.XFRMA_ALG_AUTH: lambda g: g.algorithms(x.IPPROTO_AH),
    m.XFRMA_ALG_AUTH_TRUNC: lambda g: g.algorithms(x.IPPROTO_AH),
    m.XFRMA_ALG_CRYPT: lambda g: g.algorithms(x.IPPROTO_ESP),
    m.XFRMA_ALG_AEAD: lambda g: g.algorithms(x.IPPROTO_ESP),
    m.XFRMA_ALG_COMP: lambda g: g.algorithms(x.IPPROTO_COMP),
    m.XFRMA_ENCAP: lambda g: g.encap(1.0),
    m.XFRMA_TMPL: lambda g: g.templates(g.family()),
    m.XFRMA_SA: lambda _: [(m.XFRMA_SA, bytes(224))],
    m.XFRMA_POLICY: lambda _: [(m.XFRMA_POLICY, bytes(168))],
    m.XFRMA_SEC_CTX: Picker.context,
    m.XFRMA_LTIME_VAL: Picker.counters,
    m.XFRMA_REPLAY_VAL: Picker.replay,
    m.XFRMA_REPLAY_ESN_VAL: Picker.replay,
    m.XFRMA_SRCADDR: lambda g: [(m.XFRMA_SRCADDR, g.address(g.family()))],
    m.XFRMA_COADDR: lambda g: [(m.XFRMA_COADDR, g.address(g.family()))],
    m.XFRMA_LASTUSED: lambda _: [(m.XFRMA_LASTUSED, bytes(8))],
    m.XFRMA_POLICY_TYPE: lambda g: [
        (m.XFRMA_POLICY_TYPE, s.UserPolicyType(g.rng.choice((0, 1)), 0, 0))
    ],
    m.XFRMA_MIGRATE: lambda _: [
        (m.XFRMA_MIGRATE, (s.UserMigrate(V4[0], V4[1], V4[1], V4[2], 50, 1, 3, 0, 2, 2),))
    ],
    m.XFRMA_KMADDRESS: lambda _: [(m.XFRMA_KMADDRESS, s.KmAddress(V4[0], V6[1], 5, 7, b"ab"))],
    m.XFRMA_MARK: lambda g: [(m.XFRMA_MARK, s.MarkVM(*g.rng.choice(MARKS)))],
    m.XFRMA_PROTO: lambda g: [(m.XFRMA_PROTO, g.proto())],
    m.XFRMA_ADDRESS_FILTER: Picker.filter,
    m.XFRMA_OFFLOAD_DEV: Picker.offload,
    m.XFRMA_PAD: lambda _: [(m.XFRMA_PAD, b"")],
    m.XFRMA_SA_DIR: lambda g: [(m.XFRMA_SA_DIR, g.rng.choice((1, 2)))],
    m.XFRMA_IPTFS_REORDER_WINDOW: lambda g: [(m.XFRMA_IPTFS_REORDER_WINDOW, g.rng.choice((0, 3)))],
    m.XFRMA_IPTFS_DONT_FRAG: lambda _: [(m.XFRMA_IPTFS_DONT_FRAG, b"")],
}
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
