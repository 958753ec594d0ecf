"""SAs and policies of every kind, from a seed: what a kernel is filled with before two programs print it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import TypeVar

from pyxfrm.model import (
    NO_LIMITS,
    Action,
    Algorithm,
    Counters,
    Direction,
    Encap,
    ExtraFlag,
    Family,
    Limits,
    Mark,
    Mode,
    Network,
    Policy,
    PolicyFlag,
    PolicyType,
    Port,
    Proto,
    ReplayState,
    Sa,
    SaDir,
    SaId,
    SecurityContext,
    Selector,
    Share,
    StateFlag,
    Template,
    ip,
    network,
)

T = TypeVar("T")

GCM = (Algorithm.aes_gcm(bytes(range(20))),)
ENDS = (
    (ip("192.0.2.1"), ip("198.51.100.1")),
    (ip("2001:db8::1"), ip("2001:db8::2")),
    (ip("0.0.0.0"), ip("255.255.255.255")),
)
ALGORITHMS = (
    GCM,
    (Algorithm.aead("rfc4106(gcm(aes))", bytes(36), 64),),
    (Algorithm.aes_cbc(bytes(range(16))), Algorithm.hmac_sha256(bytes(range(32)))),
    (Algorithm.crypt("cbc(des3_ede)", bytes(range(24))), Algorithm.auth("hmac(md5)", b"\1\x23")),
    (Algorithm.crypt("ecb(cipher_null)", b""), Algorithm.auth("digest_null", b"")),
)
MARKS = (None, Mark(1, 0xFF), Mark(5), Mark(0, 0), Mark(0, 0xF0))
LIMITS = (
    NO_LIMITS,
    Limits(hard_add=3600, soft_add=3000),
    Limits(1, 2, 3, 4, 50_000, 60_000, 70_000, 80_000),
    Limits(hard_bytes=2**63, soft_packets=0, hard_use=2**40),
)
REPLAYS = (
    ReplayState(0),
    ReplayState(32, 5, 6, 0xFFFF0000),
    ReplayState.of(64),
    replace(ReplayState.of(128, esn=True), oseq=2**33 + 5, seq=2**40 + 1, bitmap=0xDEADBEEF << 64),
    replace(ReplayState.of(2048), seq=9, bitmap=(1 << 2048) - 5),
)
PORTS = (Port(0, 0), Port(0), Port(500), Port(0x100, 0xFF00))
PROTOS = (0, 1, 6, 17, 33, 47, 58, 99, 132, 135, 255)


def some(random: Random, *choices: T) -> T:
    """One of them; the first as often as all others together."""
    return choices[0] if random.random() < 0.5 else random.choice(choices)


def selector(random: Random, family: Family) -> Selector:
    v4 = ("0.0.0.0/0", "10.1.0.0/16", "10.2.3.4", "10.1.2.3/7")
    v6 = ("::/0", "2001:db8::/32", "2001:db8::5")
    texts = v4 if family is Family.INET else v6
    either = [Network.any(family), *map(network, texts)]
    return Selector(
        random.choice(either),
        random.choice(either),
        random.choice(PROTOS),
        random.choice(PORTS),
        random.choice(PORTS),
        some(random, 0, 1),
        some(random, 0, 77),
    )


def sa(random: Random, spi: int) -> Sa:
    saddr, daddr = random.choice(ENDS)
    way = some(random, None, SaDir.IN, SaDir.OUT)
    context = some(random, None, SecurityContext(b"a:b:c\0"))
    made = Sa(
        SaId(daddr, Proto.ESP, spi, random.choice(MARKS)),
        saddr,
        random.choice((Mode.TUNNEL, Mode.TRANSPORT, Mode.BEET)),
        random.choice(ALGORITHMS),
        random.choice(REPLAYS[:1] if way is SaDir.OUT else REPLAYS),
        some(random, 0, 7, 0xFFFFFFFF),
        some(random, Selector.any(Family.UNSPEC), selector(random, daddr.family)),
        random.choice(LIMITS),
        StateFlag(some(random, 0, 1, 0x7F, 0x22) & ~(0x1A if way is SaDir.OUT else 4)),
        ExtraFlag(0 if way is SaDir.IN else some(random, 0, 1, 3)),
        way,
        some(random, 0, 42),
        some(random, None, Mark(5), Mark(0x10, 0xF0)),
        some(random, None, Encap(4500, 4501), Encap(1, 65535, oa=ip("192.0.2.99"))),
        context=context,
        acquire_seq=some(random, 0, 9, 0x01020304),
    )
    if made.limits is NO_LIMITS and random.random() < 0.5:  # else it would expire at once
        counted = Counters(10**12, 10**6, 1_700_000_000, 1_700_000_100)
        made = replace(made, counters=counted)
    if made.encap is not None and daddr.family is not Family.INET:
        made = replace(made, encap=Encap(4500, 4500))
    if made.mode is Mode.TUNNEL and random.random() < 0.2:
        made = replace(made, tfc_pad=100)
    return replace(made, cpu=0) if way and random.random() < 0.3 else made


def template(random: Random) -> Template:
    saddr, daddr = random.choice(ENDS)
    return Template(
        saddr,
        daddr,
        random.choice((Proto.ESP, Proto.AH, Proto.COMP)),
        Mode.TUNNEL,
        some(random, 0, 7),
        some(random, 0, 0x1234),
        False,
        some(random, Share.ANY, *Share),
        some(random, 0xFFFFFFFF, 5),
    )


def policy(random: Random, priority: int) -> Policy:
    family = random.choice((Family.INET, Family.INET6))
    return Policy(
        random.choice(tuple(Direction)),
        selector(random, family),
        some(random, Action.ALLOW, Action.BLOCK),
        priority,
        tuple(template(random) for _ in range(random.randrange(4))),
        random.choice(MARKS),
        some(random, 0, 42),
        type=some(random, PolicyType.MAIN, PolicyType.SUB),
        flags=PolicyFlag(some(random, 0, 1, 3)),
        limits=random.choice(LIMITS),
        context=some(random, None, SecurityContext(b"a:b:c\0")),
    )


def sas(seed: int, count: int) -> Iterator[Sa]:
    random = Random(seed)
    for i in range(count):
        yield sa(random, 0x1000 + i)
    yield replace(sa(random, 0x100), id=SaId(ENDS[0][1], Proto.COMP, 0x100), saddr=ENDS[0][0])
    hao = Sa(SaId(ENDS[1][1], Proto.HAO), ENDS[1][0], Mode.RO, (), ReplayState(0))
    yield replace(hao, care_of=ip("2001:db8::3"))


def policies(seed: int, count: int) -> Iterator[Policy]:
    random = Random(seed)
    for i in range(count):
        yield policy(random, i)
