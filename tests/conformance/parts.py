"""Structures that cases put together: valid unless said otherwise, few words to change one thing."""

from __future__ import annotations

from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.xfrm import AF_INET, AF_INET6, XFRM_INF
from tests.conformance.talk import Attrs, Talk

__all__ = [
    "ANY",
    "ANY4",
    "ANY6",
    "CBC",
    "DEFLATE",
    "GCM",
    "IN",
    "NO_LIMITS",
    "OUT",
    "SHA1",
    "SHA256",
    "add_sa",
    "alg",
    "encap",
    "host",
    "mark",
    "move",
    "policy",
    "policy_id",
    "sa",
    "sa_id",
    "template",
    "v4",
    "v6",
]

ZERO = bytes(16)
NO_LIMITS = s.LifetimeCfg(*(XFRM_INF,) * 4, 0, 0, 0, 0)
NO_COUNTERS = s.LifetimeCur(0, 0, 0, 0)
ANY = s.Selector(ZERO, ZERO, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
ANY4 = ANY._replace(family=AF_INET)
ANY6 = ANY._replace(family=AF_INET6)


def v4(last: int, net: int = 2) -> bytes:
    """192.0.<net>.<last>"""
    return bytes((192, 0, net, last)) + bytes(12)


def v6(last: int) -> bytes:
    """2001:db8::<last>"""
    return bytes.fromhex("20010db8") + bytes(11) + bytes((last,))


def host(daddr: bytes, saddr: bytes, family: int = AF_INET) -> s.Selector:
    """The selector of two hosts."""
    bits = 32 if family == AF_INET else 128
    return s.Selector(daddr, saddr, 0, 0, 0, 0, family, bits, bits, 0, 0, 0)


def alg(name: str, bits: int, icv: int | None = None, *, trunc: int | None = None) -> Any:
    """An algorithm with a key of that many bits: AEAD with ``icv``, AUTH_TRUNC with ``trunc``."""
    key = bytes(number & 0xFF for number in range(1, (bits + 7) // 8 + 1))
    text = name.encode().ljust(64, b"\0")
    if icv is not None:
        return s.AlgoAead(text, bits, icv, key)
    if trunc is not None:
        return s.AlgoAuth(text, bits, trunc, key)
    return s.Algo(text, bits, key)


GCM = (m.XFRMA_ALG_AEAD, alg("rfc4106(gcm(aes))", 160, 128))
CBC = (m.XFRMA_ALG_CRYPT, alg("cbc(aes)", 128))
SHA1 = (m.XFRMA_ALG_AUTH, alg("hmac(sha1)", 160))
DEFLATE = (m.XFRMA_ALG_COMP, alg("deflate", 0))
IN = (m.XFRMA_SA_DIR, 1)
OUT = (m.XFRMA_SA_DIR, 2)
SHA256 = (m.XFRMA_ALG_AUTH_TRUNC, alg("hmac(sha256)", 256, trunc=128))


def mark(value: int, mask: int = 0xFFFFFFFF) -> tuple[int, Any]:
    """XFRMA_MARK."""
    return m.XFRMA_MARK, s.MarkVM(value, mask)


def encap(sport: int = 4500, dport: int = 4500, kind: int = 2) -> tuple[int, Any]:
    """XFRMA_ENCAP."""
    return m.XFRMA_ENCAP, s.EncapTmpl(kind, sport, dport, ZERO)


def sa(spi: int = 0x100, daddr: bytes = v4(1), saddr: bytes = v4(2), **more: Any) -> s.UserSaInfo:
    """An ESP tunnel SA; ``proto``, ``family``, ``mode``, ``reqid``, ``sel``, ``flags`` ... as wanted."""
    family = more.pop("family", AF_INET6 if daddr[:2] == b"\x20\x01" else AF_INET)
    info = s.UserSaInfo(
        more.pop("sel", ANY4 if family == AF_INET else ANY6),
        s.Id(daddr, spi, more.pop("proto", 50)),
        saddr,
        more.pop("lft", NO_LIMITS),
        NO_COUNTERS,
        s.Stats(0, 0, 0),
        0,
        0,
        family,
        1,
        0,
        0,
    )
    return info._replace(**more)


def sa_id(spi: int = 0x100, daddr: bytes = v4(1), proto: int = 50, family: int = 0) -> s.UserSaId:
    """Names what :func:`sa` makes."""
    family = family or (AF_INET6 if daddr[:2] == b"\x20\x01" else AF_INET)
    return s.UserSaId(daddr, spi, family, proto)


def add_sa(t: Talk, info: s.UserSaInfo | None = None, attrs: Attrs = ()) -> None:
    """NEWSA with AES-GCM."""
    t.accept(m.XFRM_MSG_NEWSA, info or sa(), [GCM, *attrs])


def move(
    spi: int = 0x100,
    old: bytes = v4(1),
    daddr: bytes = v4(11),
    saddr: bytes = v4(12),
    **more: Any,
) -> s.UserMigrateState:
    """MIGRATE_STATE of what :func:`sa` makes; ``family`` is the new one, ``mark`` the old one."""
    family = more.pop("family", AF_INET6 if daddr[:2] == b"\x20\x01" else AF_INET)
    value, mask = more.pop("mark", (0, 0))
    um = s.UserMigrateState(
        sa_id(spi, old, more.pop("proto", 50)),
        daddr,
        saddr,
        s.MarkVM(value, mask),
        more.pop("sel", ANY4),
        more.pop("reqid", 0),
        more.pop("flags", 0),
        family,
        more.pop("reserved", 0),
    )
    return um._replace(**more)


def template(daddr: bytes = v4(1), saddr: bytes = v4(2), **more: Any) -> s.UserTmpl:
    """An ESP tunnel template."""
    family = more.pop("family", AF_INET6 if daddr[:2] == b"\x20\x01" else AF_INET)
    full = 0xFFFFFFFF
    made = s.UserTmpl(
        s.Id(daddr, more.pop("spi", 0), more.pop("proto", 50)),
        family,
        saddr,
        0,
        1,
        0,
        0,
        full,
        full,
        full,
    )
    return made._replace(**more)


def policy(direction: int = 1, sel: s.Selector = ANY4, **more: Any) -> s.UserPolicyInfo:
    """A policy; dir 0 in, 1 out, 2 fwd."""
    info = s.UserPolicyInfo(sel, NO_LIMITS, NO_COUNTERS, 0, 0, direction, 0, 0, 0)
    return info._replace(**more)


def policy_id(direction: int = 1, sel: s.Selector = ANY4, index: int = 0) -> s.UserPolicyId:
    """Names what :func:`policy` makes."""
    return s.UserPolicyId(sel, index, direction)
