"""The hash of the kernel's SA and policy tables.

Answers depend on it in two places: how many buckets the info messages report, and, when a table grows, in which order SAs that
share a key are found afterwards. The functions are those of net/xfrm/xfrm_hash.h; ``jhash2`` is Bob Jenkins' lookup3 over
32-bit words in host order.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from pyxfrm.abi.xfrm import AF_INET, AF_INET6

__all__ = ["dst_hash", "jhash2"]

_M = 0xFFFFFFFF
_INIT = 0xDEADBEEF
_words4 = struct.Struct("=IIII").unpack
_host32 = struct.Struct("=I").unpack_from


def _rol(x: int, k: int) -> int:
    return ((x << k) | (x >> (32 - k))) & _M


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a = (a - c) & _M ^ _rol(c, 4)
    c = (c + b) & _M
    b = (b - a) & _M ^ _rol(a, 6)
    a = (a + c) & _M
    c = (c - b) & _M ^ _rol(b, 8)
    b = (b + a) & _M
    a = (a - c) & _M ^ _rol(c, 16)
    c = (c + b) & _M
    b = (b - a) & _M ^ _rol(a, 19)
    a = (a + c) & _M
    c = (c - b) & _M ^ _rol(b, 4)
    b = (b + a) & _M
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    c = ((c ^ b) - _rol(b, 14)) & _M
    a = ((a ^ c) - _rol(c, 11)) & _M
    b = ((b ^ a) - _rol(a, 25)) & _M
    c = ((c ^ b) - _rol(b, 16)) & _M
    a = ((a ^ c) - _rol(c, 4)) & _M
    b = ((b ^ a) - _rol(a, 14)) & _M
    return ((c ^ b) - _rol(b, 24)) & _M


def jhash2(words: tuple[int, ...], initval: int = 0) -> int:
    """Hash of 32-bit words."""
    a = b = c = (_INIT + (len(words) << 2) + initval) & _M
    at = 0
    while len(words) - at > 3:
        a, b, c = _mix((a + words[at]) & _M, (b + words[at + 1]) & _M, (c + words[at + 2]) & _M)
        at += 3
    rest = words[at:]
    if not rest:
        return c
    a, b, c = ((x + y) & _M for x, y in zip((a, b, c), (*rest, 0, 0), strict=False))
    return _final(a, b, c)


@lru_cache(maxsize=4096)
def _address6(address: bytes) -> int:
    return jhash2(_words4(address))


def dst_hash(daddr: bytes, saddr: bytes, reqid: int, family: int) -> int:
    """The hash of an SA by its addresses and reqid, before the table's mask (__xfrm_dst_hash)."""
    h = family ^ reqid
    if family == AF_INET:
        total = (_host32(daddr)[0] + _host32(saddr)[0]) & _M
        h ^= int.from_bytes(struct.pack("=I", total), "big")
    elif family == AF_INET6:
        h ^= _address6(daddr) ^ _address6(saddr)
    return h ^ (h >> 16)
