"""The SA database against a slow and obvious oracle: hash chains as the kernel keeps them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi.structs import LifetimeCfg, Selector
from pyxfrm.engine.hashing import dst_hash
from pyxfrm.engine.sa import NO_PCPU, Sa, State, Traits, key_of
from pyxfrm.engine.sadb import Sadb

LIMITS = LifetimeCfg(0, 0, 0, 0, 0, 0, 0, 0)
ANY = Selector(bytes(16), bytes(16), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def sa_of(host: int, spi: int, mark: tuple[int, int], reqid: int = 0, flags: int = 0) -> Sa:
    daddr = bytes((192, 0, 2, host)) + bytes(12)
    saddr = bytes((192, 0, 2, 200)) + bytes(12)
    sa = Sa(Traits(1, 0, 0, LIMITS), daddr, spi.to_bytes(4, "big"), 50, 2, saddr, reqid, ANY)
    sa.mark = mark
    sa.state = State.VALID
    if flags:
        sa.offload = (1, flags)
    return sa


class Chains:
    """The kernel's two tables that matter here, each bucket a list with its front first."""

    def __init__(self) -> None:
        self.size = 8
        self.everything: list[Sa] = []
        self.by_dst: dict[int, list[Sa]] = {}
        self.by_spi: dict[bytes, list[Sa]] = {}

    def bucket(self, sa: Sa) -> int:
        return dst_hash(sa.daddr, sa.saddr, sa.reqid, sa.family) % self.size

    @staticmethod
    def put(chain: list[Sa], sa: Sa) -> None:
        if sa.offload:
            chain.insert(0, sa)
        else:
            chain.insert(sum(1 for other in chain if other.offload), sa)

    def insert(self, sa: Sa) -> None:
        self.everything.insert(0, sa)
        chain = self.by_dst.setdefault(self.bucket(sa), [])
        self.put(chain, sa)
        met_another = chain[-1] is not sa
        self.put(self.by_spi.setdefault(sa.key, []), sa)
        if met_another and len(self.everything) > self.size - 1:
            self.grow()

    def grow(self) -> None:
        old = self.by_dst
        self.by_dst, self.by_spi = {}, {}
        buckets = self.size
        self.size *= 2
        for i in reversed(range(buckets)):
            for sa in old.get(i, []):
                self.put(self.by_dst.setdefault(self.bucket(sa), []), sa)
                self.put(self.by_spi.setdefault(sa.key, []), sa)

    def remove(self, sa: Sa) -> None:
        self.everything.remove(sa)
        self.by_dst[self.bucket(sa)].remove(sa)
        self.by_spi[sa.key].remove(sa)

    def between(self, like: Sa) -> list[Sa]:
        chain = self.by_dst.get(self.bucket(like), [])
        return [sa for sa in chain if (sa.daddr, sa.reqid) == (like.daddr, like.reqid)]

    def lookup(self, key: bytes, value: int) -> Sa | None:
        for sa in self.by_spi.get(key, []):
            if value & sa.mark[1] == sa.mark[0]:
                return sa
        return None


MARKS = [(0, 0), (1, 1), (1, 0xFF), (2, 2), (0, 0xFF)]


@given(seed=st.integers(0, 1 << 32), hardware=st.booleans(), reqids=st.sampled_from([1, 2, 40]))
def test_lookups_and_dumps_are_those_of_the_kernels_chains(
    seed: int, hardware: bool, reqids: int
) -> None:
    rng = random.Random(seed)
    sadb, oracle = Sadb(), Chains()
    for _ in range(80):
        if oracle.everything and rng.random() < 0.25:
            gone = rng.choice(oracle.everything)
            oracle.remove(gone)
            assert sadb.remove(gone)
            assert not sadb.remove(gone)
        else:
            sa = sa_of(
                rng.randrange(2),
                rng.randrange(1, 4),
                rng.choice(MARKS),
                rng.randrange(reqids),
                4 if hardware and rng.random() < 0.3 else 0,
            )
            sadb.insert(sa)
            oracle.insert(sa)
            sadb.settle()
        assert sadb.buckets == oracle.size
        assert list(sadb) == oracle.everything
        for host in range(2):
            for spi in range(1, 4):
                key = key_of(bytes((192, 0, 2, host)) + bytes(12), spi.to_bytes(4, "big"), 2, 50)
                for value in range(4):
                    assert sadb.lookup(key, (value, 0xFFFFFFFF)) is oracle.lookup(key, value)
            for reqid in range(min(reqids, 3)):
                like = sa_of(host, 1, (0, 0), reqid)
                found = sadb.between(like.daddr, like.saddr, 2, reqid)
                assert list(found) == oracle.between(like)


def test_newest_hides_the_more_exact_one() -> None:
    sadb = Sadb()
    exact, broad = sa_of(1, 7, (1, 1)), sa_of(1, 7, (0, 0))
    sadb.insert(exact)
    assert sadb.lookup(exact.key, (1, 1)) is exact
    sadb.insert(broad)
    assert sadb.lookup(exact.key, (1, 1)) is broad


def test_exact_marks_find_the_one_that_was_named() -> None:
    sadb = Sadb(exact_marks=True)
    exact, broad = sa_of(1, 7, (1, 1)), sa_of(1, 7, (0, 0))
    sadb.insert(exact)
    sadb.insert(broad)
    assert sadb.lookup(exact.key, (1, 1)) is exact
    assert sadb.lookup(exact.key, (0, 0)) is broad
    assert sadb.lookup(exact.key, (1, 3)) is None


def test_bits_outside_the_mask_are_dropped_at_insertion() -> None:
    sadb = Sadb()
    sa = sa_of(1, 7, (0x0F, 0x03))
    sadb.insert(sa)
    assert sa.mark == (3, 3)


@pytest.mark.parametrize("count", [9, 40])
def test_growth_turns_an_established_order_round(count: int) -> None:
    """The SA that is found for a shared key changes although nobody touched either."""
    sadb = Sadb()
    older, newer = sa_of(1, 7, (0, 0)), sa_of(1, 7, (0, 0))
    sadb.insert(older)
    sadb.insert(newer)
    assert sadb.lookup(older.key, (0, 0)) is newer
    for spi in range(100, 100 + count):
        sadb.insert(sa_of(1, spi, (0, 0)))
        sadb.settle()
        if sadb.buckets == 16:
            break
    assert sadb.lookup(older.key, (0, 0)) is older


# -- what is kept apart is what a walk over everything finds -------------------------------------------

ENDS = [bytes((192, 0, 2, host)) + bytes(12) for host in (1, 2)]
HERE = bytes((192, 0, 2, 200)) + bytes(12)


def larval_of(rng: random.Random, kind: int) -> Sa:
    """One that waits for keys: with or without an SPI, a number and a mark, some of them unfindable."""
    traits = Traits(rng.randrange(2), 0, 0, LIMITS, seq=rng.choice((0, 7)))
    spi = rng.choice((bytes(4), bytes((0, 0, 0, 9))))
    sa = Sa(traits, rng.choice(ENDS), spi, kind, 2, HERE, rng.randrange(2), ANY)
    sa.mark = rng.choice([*MARKS, (4, 3)])
    sa.state = State.ACQ
    return sa


def any_sa(rng: random.Random) -> Sa:
    kind = rng.choice((50, 4, 60))
    if rng.random() < 0.4:
        return larval_of(rng, kind)
    traits = Traits(rng.randrange(2), 0, 0, LIMITS, seq=rng.choice((0, 7)))
    spi = bytes((0, 0, 0, rng.randrange(3)))
    sa = Sa(traits, rng.choice(ENDS), spi, kind, 2, HERE, rng.randrange(2), ANY)
    sa.mark = rng.choice(MARKS)
    sa.state = State.VALID
    if rng.random() < 0.2:
        sa.offload = (1, 4)
    return sa


def check_searches(sadb: Sadb, by_age: list[Sa], exact: bool) -> None:
    """``by_age``: newest first; the table never grows here, so that is the order of all chains, but for offloaded SAs."""
    order = sorted(by_age, key=lambda sa: sa.offload is None)
    for daddr in ENDS:
        there = [sa for sa in order if sa.daddr == daddr]
        assert list(sadb.between(daddr, HERE, 2)) == there
        for reqid in range(3):
            wanted = [sa for sa in there if sa.reqid == reqid]
            assert list(sadb.between(daddr, HERE, 2, reqid)) == wanted
        for kind in (4, 60):
            bare = [sa for sa in there if sa.proto == kind]
            for mark in MARKS:
                met = [sa for sa in bare if sa.mark == mark] if exact else _admit(bare, mark)
                found = sadb.lookup_addresses(daddr, HERE, kind, 2, mark)
                assert found is next(iter(met), None)
                assert sadb.lookup_addresses(daddr, HERE, kind, 7, mark) is None
        for mark in MARKS:
            for mode, reqid in ((0, 0), (0, 1), (1, 0), (1, 1)):
                waiting = [
                    sa
                    for sa in _admit(there, mark)
                    if sa.state == State.ACQ
                    and (sa.spi, sa.proto, sa.traits.mode, sa.reqid) == (bytes(4), 50, mode, reqid)
                ]
                found = sadb.larval(daddr, HERE, 2, 50, mode, reqid, NO_PCPU, mark)
                assert found is next(iter(waiting), None)
    for mark in MARKS:
        numbered = [sa for sa in _admit(order, mark) if sa.traits.seq and sa.state == State.ACQ]
        assert sadb.by_seq(7, mark, NO_PCPU) is next(iter(numbered), None)


def _admit(sas: list[Sa], mark: tuple[int, int]) -> list[Sa]:
    return [sa for sa in sas if mark[0] & mark[1] & sa.mark[1] == sa.mark[0]]


@given(seed=st.integers(0, 1 << 32), exact=st.booleans())
def test_every_search_finds_what_a_walk_over_all_sas_finds(seed: int, exact: bool) -> None:
    rng = random.Random(seed)
    sadb, by_age = Sadb(exact_marks=exact), list[Sa]()
    sadb.resize(1 << 20)
    for _ in range(40):
        if by_age and rng.random() < 0.3:
            sadb.remove(by_age.pop(rng.randrange(len(by_age))))
        else:
            by_age.insert(0, any_sa(rng))
            sadb.insert(by_age[0])
        check_searches(sadb, by_age, exact)


def test_one_that_gets_its_spi_late_is_the_first_to_be_found_by_it() -> None:
    sadb = Sadb()
    larval, newer = sa_of(1, 0, (1, 1)), sa_of(1, 7, (0, 0))
    larval.state = State.ACQ
    sadb.insert(larval)
    sadb.insert(newer)
    sadb.set_spi(larval, newer.spi)
    assert sadb.lookup(newer.key, (1, 1)) is larval
    assert sadb.lookup(newer.key, (0, 0)) is newer
    assert sadb.larval(larval.daddr, larval.saddr, 2, 50, 1, 0, NO_PCPU, (1, 1)) is None
    sadb.remove(larval)
    assert sadb.lookup(newer.key, (1, 1)) is newer


def test_growth_puts_one_with_a_late_spi_back_among_its_own_age() -> None:
    """As every chain then: by the order of the chains by addresses, turned round."""
    sadb = Sadb()
    larval, newer = sa_of(1, 0, (0, 0)), sa_of(1, 7, (0, 0))
    larval.state = State.ACQ
    sadb.insert(larval)
    sadb.insert(newer)
    sadb.set_spi(larval, newer.spi)
    assert sadb.lookup(newer.key, (0, 0)) is larval
    for buckets, first in ((16, larval), (32, newer)):
        sadb.resize(buckets)
        assert sadb.lookup(newer.key, (0, 0)) is first
