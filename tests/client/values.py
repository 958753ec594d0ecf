"""Hypothesis strategies for values: everything that can be built and sent."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from pyxfrm.abi.xfrm import XFRM_MAX_DEPTH
from pyxfrm.model import (
    HOST_TO_HOST,
    INHERIT,
    REMOVE,
    Action,
    Address,
    AddressMove,
    Algorithm,
    AlgorithmKind,
    Counters,
    Direction,
    Encap,
    EncapKind,
    ExtraFlag,
    Family,
    Iptfs,
    Key,
    KmAddress,
    Limits,
    Mark,
    Migration,
    Mode,
    Network,
    Offload,
    OffloadFlag,
    Policy,
    PolicyFlag,
    PolicyId,
    PolicyMigration,
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
)

U8, U16, U32, U64 = (st.integers(0, 2**n - 1) for n in (8, 16, 32, 64))
LIMIT = st.none() | st.integers(1, 2**64 - 2)

families = st.sampled_from([Family.INET, Family.INET6])


def addresses(family: Family) -> st.SearchStrategy[Address]:
    size = 4 if family is Family.INET else 16
    return st.binary(min_size=size, max_size=size).map(lambda b: Address(family, b))


def networks(family: Family) -> st.SearchStrategy[Network]:
    return st.builds(Network, addresses(family), st.integers(0, family.bits))


@st.composite
def marks(draw: st.DrawFn) -> Mark:
    mask = draw(U32)
    return Mark(draw(U32) & mask, mask)


@st.composite
def ports(draw: st.DrawFn) -> Port:
    mask = draw(U16)
    return Port(draw(U16) & mask, mask)


@st.composite
def selectors(draw: st.DrawFn, *, any_family: bool = False) -> Selector:
    family = draw(families | st.just(Family.UNSPEC) if any_family else families)
    return Selector(
        draw(networks(family)),
        draw(networks(family)),
        draw(U8),
        draw(ports()),
        draw(ports()),
        draw(st.integers(0, 2**31 - 1)),
        draw(U32),
    )


limits = st.builds(Limits, *[LIMIT] * 8)
counters = st.builds(Counters, *[U64] * 4)
offloads = st.builds(Offload, st.integers(0, 2**31 - 1), st.integers(0, 7).map(OffloadFlag))
contexts = st.builds(SecurityContext, st.binary(max_size=40), U8, U8)
kinds = st.sampled_from(EncapKind)


@st.composite
def encaps(draw: st.DrawFn, family: Family) -> Encap:
    return Encap(draw(U16), draw(U16), draw(kinds), draw(st.none() | addresses(family)))


@st.composite
def replays(draw: st.DrawFn) -> ReplayState:
    if draw(st.booleans()):
        return ReplayState(draw(st.integers(0, 32)), draw(U32), draw(U32), draw(U32))
    words = draw(st.integers(0, 128))
    return ReplayState(
        draw(st.integers(0, 32 * words)),
        draw(U64),
        draw(U64),
        draw(st.integers(0, 2 ** (32 * words) - 1)),
        draw(st.booleans()),
        words,
    )


names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=63)


@st.composite
def keys(draw: st.DrawFn) -> Key:
    data = draw(st.binary(max_size=64))
    return Key(data, max(8 * len(data) - draw(st.integers(0, 7)), 0))


def algorithm(kind: AlgorithmKind) -> st.SearchStrategy[Algorithm]:
    if kind is AlgorithmKind.COMP:
        return names.map(Algorithm.comp)
    bits = {AlgorithmKind.AEAD: U16, AlgorithmKind.AUTH: st.none() | U16}.get(kind, st.none())
    return st.builds(Algorithm, st.just(kind), names, keys(), bits)


@st.composite
def algorithm_sets(draw: st.DrawFn) -> tuple[Algorithm, ...]:
    if draw(st.booleans()):
        return (draw(algorithm(AlgorithmKind.AEAD)),)
    chosen = [AlgorithmKind.CRYPT, AlgorithmKind.AUTH, AlgorithmKind.COMP]
    return tuple(draw(algorithm(k)) for k in chosen if draw(st.booleans()))


iptfs = st.builds(
    Iptfs,
    st.none() | U32,
    st.none() | U16,
    st.booleans(),
    st.none() | U32,
    st.none() | U32,
    st.none() | U32,
).filter(lambda value: value != Iptfs())

protos = st.sampled_from([Proto.ESP, Proto.AH, Proto.COMP])


@st.composite
def sa_ids(draw: st.DrawFn, family: Family) -> SaId:
    return SaId(draw(addresses(family)), draw(protos), draw(U32), draw(st.none() | marks()))


@st.composite
def sas(draw: st.DrawFn) -> Sa:
    family = draw(families)
    name = draw(sa_ids(family))
    return Sa(
        name,
        draw(addresses(family)),
        draw(st.sampled_from(Mode)),
        draw(algorithm_sets()),
        draw(replays()),
        draw(U32),
        draw(selectors(any_family=True)),
        draw(limits),
        StateFlag(draw(st.integers(0, 127))),
        ExtraFlag(draw(st.integers(0, 3))),
        draw(st.none() | st.sampled_from(SaDir)),
        draw(U32),
        draw(st.none() | marks()),
        draw(st.none() | encaps(family)),
        draw(U32),
        draw(U32),
        draw(st.none() | offloads),
        draw(U32),
        draw(st.none() | U32),
        draw(st.none() | iptfs),
        draw(st.none() | contexts),
        draw(st.none() | addresses(family)),
        draw(st.none() | counters),
        draw(U32),
        draw(st.none() | U32),
        draw(st.none() | U32),
    )


@st.composite
def templates(draw: st.DrawFn) -> Template:
    family = draw(families)
    return Template(
        draw(addresses(family)),
        draw(addresses(family)),
        draw(protos),
        draw(st.sampled_from(Mode)),
        draw(U32),
        draw(U32),
        draw(st.booleans()),
        draw(st.sampled_from(Share)),
        draw(U32),
        draw(U32),
        draw(U32),
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return Policy(
        draw(st.sampled_from(Direction)),
        draw(selectors()),
        draw(st.sampled_from(Action)),
        draw(U32),
        tuple(draw(st.lists(templates(), max_size=XFRM_MAX_DEPTH))),
        draw(st.none() | marks()),
        draw(U32),
        draw(U32),
        draw(st.sampled_from(PolicyType)),
        PolicyFlag(draw(st.integers(0, 7))),
        draw(st.sampled_from(Share)),
        draw(limits),
        draw(st.none() | contexts),
        draw(st.none() | offloads),
    )


@st.composite
def policy_ids(draw: st.DrawFn) -> PolicyId:
    by_selector = draw(st.booleans())
    return PolicyId(
        draw(st.sampled_from(Direction)),
        draw(selectors()) if by_selector else None,
        0 if by_selector else draw(st.integers(1, 2**32 - 1)),
        draw(st.none() | marks()),
        draw(U32),
        draw(st.sampled_from(PolicyType)),
        draw(st.none() | contexts),
    )


def choices(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from([INHERIT, REMOVE]) | values


@st.composite
def migrations(draw: st.DrawFn) -> Migration:
    old, new = draw(families), draw(families)
    name = draw(sa_ids(old).filter(lambda n: n.spi != 0))
    encap = draw(choices(encaps(new)))
    numbers = st.sampled_from([INHERIT, REMOVE]) if encap is REMOVE else choices(U32)
    return Migration(
        name,
        draw(addresses(new)),
        draw(addresses(new)),
        draw(U32),
        draw(st.one_of(st.just(HOST_TO_HOST), selectors(any_family=True))),
        draw(choices(marks())),
        encap,
        draw(choices(offloads)),
        draw(choices(marks())),
        draw(numbers),
        draw(numbers),
    )


@st.composite
def moves(draw: st.DrawFn) -> AddressMove:
    old, new = draw(families), draw(families)
    return AddressMove(
        draw(addresses(old)),
        draw(addresses(old)),
        draw(addresses(new)),
        draw(addresses(new)),
        draw(protos),
        draw(st.sampled_from(Mode)),
        draw(U32),
    )


@st.composite
def policy_migrations(draw: st.DrawFn) -> PolicyMigration:
    family = draw(families)
    ends = tuple(draw(st.lists(moves(), min_size=1, max_size=XFRM_MAX_DEPTH)))
    return PolicyMigration(
        draw(selectors()),
        draw(st.sampled_from(Direction)),
        ends,
        draw(st.sampled_from(PolicyType)),
        draw(st.none() | encaps(ends[0].new_daddr.family)),
        draw(st.none() | st.builds(KmAddress, addresses(family), addresses(family))),
        draw(U32),
        draw(st.none() | offloads),
    )
