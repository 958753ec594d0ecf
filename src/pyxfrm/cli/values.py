"""How one word becomes a value, as iproute2 reads it.

Numbers are C's: decimal, ``0x`` hexadecimal, or octal behind a ``0``. An IPv4 address may end early (``10.1`` is 10.1.0.0). A key is ``0x`` and hexadecimal digits
(an odd number of them has a 0 in front), or else its own bytes.

Each reader gives a value or raises ValueError with what is wrong, without the word: the parser names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from socket import AF_INET, inet_pton
from typing import Any

from pyxfrm.cli.grammar import Value
from pyxfrm.cli.text.form import protocol_number
from pyxfrm.errors import UsageError
from pyxfrm.model import Address, Family, Key, Network, ip

__all__ = ["number", "reader"]

_NUMBER = re.compile(r"\s*\+?(?:0[xX](?P<hex>[0-9a-fA-F]+)|(?P<oct>0[0-7]*)|(?P<dec>[1-9][0-9]*))")
_QUAD = re.compile(r"\d{1,3}(?:\.\d{1,3}){0,3}")


def number(word: str, limit: int) -> int:
    """A number in 0..``limit``."""
    found = _NUMBER.fullmatch(word)
    if found is None:
        raise ValueError("is not a number")
    if found["hex"]:
        value = int(found["hex"], 16)
    else:
        value = int(found["oct"], 8) if found["oct"] else int(found["dec"])
    if value > limit:
        raise ValueError(f"is over {limit}")
    return value


def _unsigned(bits: int) -> Callable[[str], int]:
    return lambda word: number(word, (1 << bits) - 1)


def _swapped(word: str) -> int:
    """The number as iproute2 sends it: in network byte order, where the kernel has host order."""
    import sys

    return int.from_bytes(number(word, 0xFFFFFFFF).to_bytes(4, "big"), sys.byteorder)


def _address(word: str) -> Address:
    if ":" in word:
        try:
            return ip(word)
        except UsageError:
            raise ValueError("is not an address") from None
    try:
        return Address(Family.INET, inet_pton(AF_INET, word))
    except (OSError, ValueError):
        pass  # it ends early, or has zeros in front
    if not _QUAD.fullmatch(word):
        raise ValueError("is not an address")
    parts = [int(part) for part in word.split(".")]
    if max(parts) > 255:
        raise ValueError("is not an address")
    return Address(Family.INET, bytes(parts).ljust(4, b"\0"))


def _network(word: str) -> Network:
    head, slash, tail = word.partition("/")
    address = _address(head)
    if not slash:
        return Network.host(address)
    if "." in tail or ":" in tail:
        return Network(address, _mask_length(_address(tail), address))
    prefix = number(tail, 0xFFFFFFFF)
    if prefix > address.bits:
        raise ValueError(f"has a prefix length over {address.bits}")
    return Network(address, prefix)


def _mask_length(mask: Address, address: Address) -> int:
    bits = int.from_bytes(mask.packed, "big")
    length = bits.bit_count()
    if mask.family != address.family or bits != (1 << mask.bits) - (1 << mask.bits - length):
        raise ValueError("has no contiguous mask")
    return length


def _choice(words: dict[str, int]) -> Callable[[str], int]:
    def read(word: str) -> int:
        try:
            return words[word]
        except KeyError:
            raise ValueError(f"is none of {', '.join(words)}") from None

    return read


def _text(word: str) -> str:
    return word


def _key(word: str) -> Key:
    if not (word.startswith("0x") and len(word) > 2):
        return Key(word.encode("utf-8", "surrogateescape"))
    digits = word[2:]
    try:
        return Key(bytes.fromhex("0" * (len(digits) % 2) + digits))
    except ValueError:
        # The key itself must not come back on the screen.
        raise UsageError("a key of hexadecimal digits has something else in it") from None


def _device(word: str) -> int:
    import socket

    try:
        return socket.if_nametoindex(word)
    except (OSError, ValueError):
        raise ValueError("is no interface here") from None


def _protocol(word: str) -> int:
    if word == "any":
        return 0
    known = protocol_number(word)
    if known is not None:
        return known
    if not (word.isascii() and word.isdigit()):
        raise ValueError("is no protocol that /etc/protocols knows")
    if int(word) > 255:
        raise ValueError("is over 255")
    return int(word)


def _gre_key(word: str) -> int:
    if "." in word:
        return int.from_bytes(_address(word).packed, "big")
    return number(word, 0xFFFFFFFF)


def _bits(limit: int) -> Callable[[str], int]:
    return lambda word: number(word, limit)


def _decimal(word: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}", word):
        raise ValueError("is not a number")
    return float(word)


_READERS: dict[str, Callable[[str], Any]] = {
    "decimal": _decimal,
    "u16": _unsigned(16),
    "u32": _unsigned(32),
    "u64": _unsigned(64),
    "flag8": _unsigned(8),
    "flag32": _unsigned(32),
    "seq": _swapped,
    "address": _address,
    "host": _network,
    "network": _network,
    "text": _text,
    "key": _key,
    "device": _device,
    "protocol": _protocol,
    "grekey": _gre_key,
    "bits4": _bits(32),
    "bits6": _bits(128),
}


# A file of commands says the same again and again, so words are kept with their values.
# Not keys, which must not stay anywhere, nor what may change while a file is read.
_KEPT = frozenset(_READERS) - {"device", "key", "protocol", "text"}
_KEEPING = {kind: lru_cache(maxsize=512)(_READERS[kind]) for kind in _KEPT}


def reader(value: Value) -> Callable[[str], Any]:
    """What makes a value of a word. Its ValueError says what is wrong with the word."""
    if value.kind == "choice":
        return _choice(value.words)
    return _KEEPING.get(value.kind) or _READERS[value.kind]
