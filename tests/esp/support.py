"""SAs and packets for the tests of this room."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any, TypeVar

from pyxfrm.abi import xfrm as abi
from pyxfrm.esp import Algorithm, Association, Counter, Drop, Encap, Mode, Proto
from pyxfrm.esp.ip import checksum

A4, B4 = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
A6, B6 = bytes.fromhex("20010db8" + "00" * 11 + "01"), bytes.fromhex("20010db8" + "00" * 11 + "02")
IN_A4, IN_B4 = bytes((192, 168, 1, 1)), bytes((192, 168, 2, 2))
IN_A6, IN_B6 = bytes.fromhex("fd" + "00" * 14 + "01"), bytes.fromhex("fd" + "00" * 14 + "02")
SPI = 0x4D2


def key(size: int, name: str = "") -> bytes:
    """A fixed key of any size."""
    stream = b"".join(hashlib.sha256(f"{name}{i}".encode()).digest() for i in range(size // 32 + 1))
    return stream[:size]


def aead(name: str, size: int, bits: int) -> dict[str, Algorithm]:
    return {"aead": Algorithm(name, key(size), bits)}


def pair(crypt: str, size: int, auth: str, auth_size: int, bits: int = 0) -> dict[str, Algorithm]:
    return {
        "crypt": Algorithm(crypt, key(size)),
        "auth": Algorithm(auth, key(auth_size, "auth"), bits),
    }


# every transform the room has, at least one key size and ICV of each kind
ALGORITHMS: dict[str, dict[str, Algorithm]] = {
    "gcm128": aead("rfc4106(gcm(aes))", 20, 128),
    "gcm256-96": aead("rfc4106(gcm(aes))", 36, 96),
    "gcm192-64": aead("rfc4106(gcm(aes))", 28, 64),
    "ccm128": aead("rfc4309(ccm(aes))", 19, 128),
    "ccm192-96": aead("rfc4309(ccm(aes))", 27, 96),
    "ccm256-64": aead("rfc4309(ccm(aes))", 35, 64),
    "gmac128": aead("rfc4543(gcm(aes))", 20, 128),
    "gmac256": aead("rfc4543(gcm(aes))", 36, 128),
    "chacha": aead("rfc7539esp(chacha20,poly1305)", 36, 128),
    "cbc128-sha1": pair("cbc(aes)", 16, "hmac(sha1)", 20),
    "cbc256-sha256": pair("cbc(aes)", 32, "hmac(sha256)", 32, 128),
    "cbc128-sha256-96": pair("cbc(aes)", 16, "hmac(sha256)", 32),
    "cbc256-sha384": pair("cbc(aes)", 32, "hmac(sha384)", 48),
    "cbc256-sha512": pair("cbc(aes)", 32, "hmac(sha512)", 64),
    "cbc128-md5": pair("cbc(aes)", 16, "hmac(md5)", 16),
    "cbc128-xcbc": pair("cbc(aes)", 16, "xcbc(aes)", 16),
    "cbc128-cmac": pair("cbc(aes)", 16, "cmac(aes)", 16),
    "ctr128-sha256": pair("rfc3686(ctr(aes))", 20, "hmac(sha256)", 32, 128),
    "ctr256-sha1": pair("rfc3686(ctr(aes))", 36, "hmac(sha1)", 20),
    "null-sha1": pair("ecb(cipher_null)", 0, "hmac(sha1)", 20),
    "null-sha512": pair("ecb(cipher_null)", 0, "hmac(sha512)", 64),
}

OUTSIDE = {4: (A4, B4), 6: (A6, B6)}
INSIDE = {4: (IN_A4, IN_B4), 6: (IN_A6, IN_B6)}


def esp_sa(
    algorithm: str = "gcm128",
    mode: Mode = Mode.TUNNEL,
    outer: int = 4,
    inner: int = 4,
    **more: object,
) -> Association:
    """An ESP SA; ``more`` are fields of Association."""
    saddr, daddr = OUTSIDE[outer]
    beet = INSIDE[inner] if mode is Mode.BEET else None
    sa = Association(spi=SPI, saddr=saddr, daddr=daddr, mode=mode, inner=beet)
    return replace(sa, **{**ALGORITHMS[algorithm], **more})  # type: ignore[arg-type]


def ah_sa(
    auth: str = "hmac(sha256)", bits: int = 128, *, size: int = 32, **more: object
) -> Association:
    """An AH SA; ``more`` are fields of Association."""
    sa = replace(esp_sa(), proto=Proto.AH, aead=None, auth=Algorithm(auth, key(size), bits))
    return replace(sa, **more)  # type: ignore[arg-type]


# (mode, outer family, inner family)
SHAPES = [
    *((Mode.TUNNEL, outer, inner) for outer, inner in product((4, 6), (4, 6))),
    *((Mode.TRANSPORT, family, family) for family in (4, 6)),
    *((Mode.BEET, outer, inner) for outer, inner in product((4, 6), (4, 6))),
]
ENCAPS = [None, Encap(4500, 4500)]


def shapes_of(sa_flags: int = 0) -> list[Association]:
    """Every mode, family and encapsulation with one algorithm."""
    return [
        esp_sa("gcm128", mode, outer, inner, encap=encap, flags=sa_flags)
        for (mode, outer, inner), encap in product(SHAPES, ENCAPS)
    ]


def ipv4(
    payload: bytes,
    proto: int = Proto.UDP,
    *,
    tos: int = 0,
    ident: int = 0,
    frag: int = 0x4000,
    ttl: int = 64,
    options: bytes = b"",
    addresses: tuple[bytes, bytes] = INSIDE[4],
) -> bytes:
    """An IPv4 packet with a right checksum."""
    length = 20 + len(options) + len(payload)
    start = bytes((0x45 + len(options) // 4, tos)) + length.to_bytes(2, "big")
    start += ident.to_bytes(2, "big") + frag.to_bytes(2, "big") + bytes((ttl, proto))
    end = b"".join(addresses) + options
    return start + checksum(start + b"\0\0" + end).to_bytes(2, "big") + end + payload


def ipv6(
    payload: bytes,
    proto: int = Proto.UDP,
    *,
    tos: int = 0,
    flow: int = 0,
    hops: int = 64,
    addresses: tuple[bytes, bytes] = INSIDE[6],
) -> bytes:
    first = (6 << 28 | tos << 20 | flow).to_bytes(4, "big")
    return (
        first
        + len(payload).to_bytes(2, "big")
        + bytes((proto, hops))
        + b"".join(addresses)
        + payload
    )


def inner_packet(sa: Association, inner: int, payload: bytes, **fields: int) -> bytes:
    """A packet that the SA may carry."""
    addresses = OUTSIDE[inner] if sa.mode is Mode.TRANSPORT else INSIDE[inner]
    if inner == 4:
        return ipv4(payload, addresses=addresses, **fields)  # type: ignore[arg-type]
    return ipv6(payload, addresses=addresses, **fields)


T = TypeVar("T")


def outcome(call: Callable[..., T], *arguments: object) -> T | Counter:
    """What a call gives, or the counter it moves."""
    try:
        return call(*arguments)
    except Drop as drop:
        return drop.counter


ESN = abi.XFRM_STATE_ESN


def case_sa(case: dict[str, Any]) -> Association:
    """The SA that a JSON object asks for; what it does not name is plain ESP with AES-GCM."""
    mode, outer, inner = Mode(case.get("mode", Mode.TUNNEL)), case.get("outer", 4), case["inner"]
    more: dict[str, Any] = {
        name: case[name] for name in ("flags", "extra_flags", "tfcpad") if name in case
    }
    if case.get("encap"):
        more["encap"] = Encap(4500, 4501)
    proto = case.get("proto", Proto.ESP)
    if proto == Proto.AH:
        auth, bits, size = case["auth"]
        more |= {"proto": Proto.AH, "aead": None, "auth": Algorithm(auth, key(size), bits)}
    elif proto == Proto.COMP:
        more |= {"proto": Proto.COMP, "aead": None, "comp": Algorithm("deflate")}
    return esp_sa(case.get("algorithm", "gcm128"), mode, outer, inner, **more)
