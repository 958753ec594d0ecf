"""Command lines made of the grammar: every keyword of iproute2's commands, with values that are good, odd or bad, in any order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from pyxfrm.cli.grammar import GROUPS, VALUES, VERBS, Group, Keyword

KEY = "0x000102030405060708090a0b0c0d0e0f10111213"

GOOD: dict[str, tuple[str, ...]] = {
    "ADDR": ("192.0.2.1", "198.51.100.1", "192.0.2.1", "2001:db8::1", "10.1", "192.0.2.0/24"),
    "OADDR": ("0.0.0.0", "192.0.2.9", "::"),
    "NETWORK": ("10.1.0.0/16", "10.2.0.0/16", "0.0.0.0/0", "2001:db8::/32", "10.1.2.3", "10/8"),
    "SPI": ("1", "2", "0x100", "0xffffffff", "0"),
    "ALGO-NAME": ("'cbc(aes)'", "'hmac(sha256)'", "'rfc4106(gcm(aes))'", "deflate", "nonsense"),
    "ALGO-KEYMAT": (KEY, "0x", "secret", "''", "0x0g", KEY[:34]),
    "BITS": ("96", "128", "0"),
    "SIZE": ("0", "32", "33", "64", "4096", "4097"),
    "DEV": ("lo", "nonsense"),
    "PROTO": ("tcp", "udp", "6", "icmp", "gre", "255", "any", "nonsense", "58", "135"),
    "CTX": ("a:b:c",),
    "GRE-KEY": ("5", "1.2.3.4"),
    "SECONDS": ("9000", "0", "0x10000"),
    "COUNT": ("0", "5000", "18446744073709551615"),
    "BITS4": ("0", "8", "32", "33"),
    "BITS6": ("0", "64", "128", "129"),
}  # fmt: skip
NUMBERS = ("0", "1", "5", "0x10", "010", "65535", "4294967295", "4294967296", "-1", "x")
# No device here can offload; what nokeys hides is compared elsewhere; a CPU that does not exist is refused by one of the two alone.
LEFT_OUT = {"offload", "nokeys", "pcpu-num"}
VERBS_MADE = [
    ("state", verb) for verb in ("add", "update", "allocspi", "delete", "get", "list", "flush")
] + [
    ("policy", verb)
    for verb in ("add", "update", "delete", "get", "list", "set", "setdefault", "flush")
]


def value(random: Random, name: str) -> str:
    row = VALUES[name]
    if name in GOOD:
        return random.choice(GOOD[name][:2]) if random.random() < 0.6 else random.choice(GOOD[name])
    if row.words:
        return random.choice(list(row.words)) if random.random() < 0.95 else "nonsense"
    return random.choice(NUMBERS[:4]) if random.random() < 0.8 else random.choice(NUMBERS)


def keyword(random: Random, row: Keyword) -> list[str]:
    words = [row.word, *(value(random, name) for name in row.values)]
    for more in row.more:
        if random.random() < 0.5:
            words += keyword(random, more)
    for group in filter(None, (row.run, row.one)):
        count = 1 if row.one else random.randrange(1, 5)
        for inner in random.sample(GROUPS[group], min(count, len(GROUPS[group]))):
            words += keyword(random, inner)
    if row.many:
        words += random.sample(list(VALUES[row.many].words), random.randrange(1, 3))
    return words


def group(random: Random, row: Group) -> list[str]:
    rows = list(GROUPS[row.name])
    if row.name == "ID":  # mostly whole, or little of what follows would be looked at
        if random.random() < 0.85:
            return random.choice(IDS).split()
    elif row.name == "ALGO":
        if random.random() < 0.7:
            return random.choice(ALGOS).split()
    elif row.name in ("SELECTOR", "POLICY") and random.random() < 0.5:
        return ["src", "10.1.0.0/16", "dst", "10.2.0.0/16"]
    random.shuffle(rows)
    chosen = rows[: random.randrange(1, 4)]
    return [word for each in chosen for word in keyword(random, each)]


IDS = (
    "src 192.0.2.1 dst 198.51.100.1 proto esp spi 1",
    "src 192.0.2.1 dst 198.51.100.1 proto esp spi 2",
    "src 2001:db8::1 dst 2001:db8::2 proto esp spi 3",
    "src 192.0.2.1 dst 198.51.100.1 proto ah spi 4",
    "src 192.0.2.1 dst 198.51.100.1 proto comp spi 5",
    "dst 198.51.100.1 proto esp spi 1",
    "src 2001:db8::1 dst 2001:db8::2 proto hao",
)
ALGOS = (
    f"aead 'rfc4106(gcm(aes))' {KEY} 128",
    f"enc 'cbc(aes)' {KEY[:34]}",
    f"enc 'cbc(aes)' {KEY[:34]} auth-trunc 'hmac(sha256)' {KEY} 128",
    "auth 'hmac(sha1)' secret",
    "comp deflate",
)


MINMAX = ["min", "7", "max", "7"]


def line(random: Random, name: str, verb: str) -> str:
    """A command line; what must be there mostly is, the rest sometimes, repeated rarely."""
    parts: list[list[str]] = []
    for row in VERBS[name][verb].words:
        if isinstance(row, Keyword) and row.word in LEFT_OUT:
            continue
        often = 0.95 if row.need or isinstance(row, Group) else 0.15
        while random.random() < often:
            parts.append(group(random, row) if isinstance(row, Group) else keyword(random, row))
            often = 0.03
    if random.random() < 0.5:
        random.shuffle(parts)
    if verb == "allocspi":  # or the kernel chooses one at random
        parts = [part for part in parts if part[0] not in ("min", "max")] + [MINMAX]
    words = [name, verb, *(word for part in parts for word in part)]
    if random.random() < 0.03:
        words.insert(
            random.randrange(2, len(words) + 1), random.choice(("nonsense", "mode", "")) or "''"
        )
    made = " ".join(words)
    # Of a mark whose bits that count are 0 iproute2 says nothing when it deletes, and hits a policy without a mark.
    return (
        re.sub(r"mark \S+ mask \S+", "mark 5 mask 0xf", made) if verb in ("get", "delete") else made
    )


def cases(seed: int, count: int) -> Iterator[list[str]]:
    """Cases of eight lines: mostly additions first, then anything."""
    random = Random(seed)
    for _ in range(count):
        first = [random.choice((("state", "add"), ("policy", "add"))) for _ in range(4)]
        then = [random.choice(VERBS_MADE) for _ in range(4)]
        yield [line(random, *each) for each in (*first, *then)]
