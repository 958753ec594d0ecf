"""The SA database: the kernel's lookup rules, and its order.

An SA is found by destination, SPI, protocol and family, and then by mark. Several SAs may share the first four; the kernel looks through them in
the order of a hash chain and takes the first whose mark admits the key: ``key & sa.mark.m == sa.mark.v``. So an SA with a broad mask
may hide a more exact one: a fault of shipped kernels that a profile may switch off (``exact_marks``), and then the one with
exactly this (v, m) is taken.

**Order of a chain.** A new SA goes to its front: newest first. When the table grows, every SA is taken out, from the last old bucket (by addresses and
reqid) to the first, each from front to back, and put at the front of its new chains. So two SAs of one bucket swap places, and one of a lower
bucket comes to stand before one of a higher. That is kept as one number, ``rank``: higher is nearer to
the front, in every chain there is. SAs with packet offload stay in front of all others.

**When a table grows**: once there are more SAs than buckets, at the next one whose bucket is not empty. It
doubles, after the datagram that caused it has been handled.

Dumps have an order of their own that never changes: newest first.

Sources: net/xfrm/xfrm_state.c: __xfrm_state_lookup, __xfrm_state_insert, xfrm_hash_grow_check, xfrm_hash_resize, xfrm_hash_transfer,
xfrm_state_walk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pyxfrm.abi.xfrm import AF_INET, AF_INET6
from pyxfrm.engine.chains import Index, MarkIndex, ReqidIndex, packet_offload
from pyxfrm.engine.hashing import dst_hash
from pyxfrm.engine.sa import NAMED_BY_SPI, Sa, State

__all__ = ["MAX_BUCKETS", "Sadb"]

MAX_BUCKETS = 1 << 20

Mark = tuple[int, int]
_Ends = tuple[bytes, int, int]  # addresses, family, protocol
_Larval = tuple[bytes, int, int, int, int, int]  # addresses, family, protocol, mode, reqid, CPU

_NO_SPI = bytes(4)


class Sadb:
    """All SAs of a namespace.

    ``touched``  SAs that came, went or got other ports since somebody emptied this list; None: nobody wants to know

    Insertion, removal and every search are cheap, however many SAs share a key, addresses, reqid or number: what is looked for together is kept
    together (:mod:`pyxfrm.engine.chains`).
    """

    def __init__(self, *, exact_marks: bool = False) -> None:
        self.exact_marks = exact_marks
        self.buckets = 8
        self._all: dict[int, Sa] = {}
        self._by_key: MarkIndex[bytes] = MarkIndex()
        self._by_addresses: ReqidIndex[bytes] = ReqidIndex()
        self._without_spi: MarkIndex[_Ends] = MarkIndex()
        self._by_seq: Index[int] = Index()
        self._waiting: MarkIndex[_Larval] = MarkIndex()
        self._spis: dict[tuple[bytes, int], int] = {}
        self._serial = 0
        self._occupied: Counter[tuple[int, bool]] | None = None
        self._must_grow = False
        self.touched: list[Sa] | None = None

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Sa]:
        """Every SA, newest first, as a dump shows them."""
        return reversed(self._all.values())

    # -- finding ---------------------------------------------------------------------------------

    def lookup(self, key: bytes, mark: Mark) -> Sa | None:
        """The SA the kernel takes for a key (:func:`~pyxfrm.engine.sa.key_of`) and a mark (v, m).

        By mask where the profile has no exact marks; then only ``v & m`` of the mark counts.
        """
        value = mark[0] & mark[1]
        if self.exact_marks:
            return self._by_key.exactly(key, (value, mark[1]))
        return self._by_key.admitting(key, value)

    def lookup_by_mask(self, key: bytes, mark: Mark) -> Sa | None:
        """The SA for a key and the value of a mark, whatever the profile: what packets and the kernel's own lookups use."""
        return self._by_key.admitting(key, mark[0] & mark[1])

    def between(
        self, daddr: bytes, saddr: bytes, family: int, reqid: int | None = None
    ) -> Iterator[Sa]:
        """Every SA from ``saddr`` to ``daddr``, or those of a reqid, in the chain's order."""
        addresses = _addresses(daddr, saddr, family)
        if reqid is None:
            return self._by_addresses.walk(addresses)
        return self._by_addresses.of(addresses, reqid)

    def lookup_addresses(
        self, daddr: bytes, saddr: bytes, proto: int, family: int, mark: Mark
    ) -> Sa | None:
        """The SA of a protocol without SPIs, by its addresses."""
        ends = _addresses(daddr, saddr, family), family, proto
        value = mark[0] & mark[1]
        if self.exact_marks:
            return self._without_spi.exactly(ends, (value, mark[1]))
        return self._without_spi.admitting(ends, value)

    def spi_taken(self, spi: bytes, proto: int) -> bool:
        """Whether any SA of the protocol has this SPI, at whatever address."""
        return (spi, proto) in self._spis

    def by_seq(self, seq: int, mark: Mark, pcpu_num: int) -> Sa | None:
        """The larval SA that the ACQUIRE of that number made."""
        value = mark[0] & mark[1]
        for sa in self._by_seq.walk(seq):
            if (
                value & sa.mark[1] == sa.mark[0]
                and sa.state == State.ACQ
                and sa.traits.pcpu_num == pcpu_num
            ):
                return sa
        return None

    def larval(
        self,
        daddr: bytes,
        saddr: bytes,
        family: int,
        proto: int,
        mode: int,
        reqid: int,
        pcpu_num: int,
        mark: Mark,
    ) -> Sa | None:
        """The SA without keys or SPI that waits for this one (__find_acq_core)."""
        if not self._waiting.held:
            return None
        addresses = _addresses(daddr, saddr, family)
        named = addresses, family, proto, mode, reqid, pcpu_num
        return self._waiting.admitting(named, mark[0] & mark[1])

    # -- changing ----------------------------------------------------------------------------------

    def insert(self, sa: Sa) -> None:
        """Put an SA in front of all others.

        Value bits outside its mask are dropped from its mark; a larval SA keeps them, and no lookup finds it by its mark.
        """
        value, mask = sa.mark
        if value & ~mask and sa.state != State.ACQ:
            sa.mark = (value & mask, mask)
        self._serial = sa.serial = sa.rank = sa.place = self._serial + 1
        if self.touched is not None:
            self.touched.append(sa)
        self._all[sa.serial] = sa
        self._by_addresses.put(_addresses(sa.daddr, sa.saddr, sa.family), sa)
        if sa.spi != _NO_SPI:
            self._index_spi(sa)
        if sa.proto not in NAMED_BY_SPI and sa.family in (AF_INET, AF_INET6):
            self._without_spi.put(_ends(sa), sa)
        if sa.state == State.ACQ:
            self._index_larval(sa)
        if self._occupied is not None or len(self._all) >= self.buckets:
            self._check_growth(sa)

    def _index_larval(self, sa: Sa) -> None:
        if sa.traits.seq:
            self._by_seq.put(sa.traits.seq, sa)
        if sa.spi == _NO_SPI and sa.family in (AF_INET, AF_INET6):
            self._waiting.put(_larval(sa), sa)

    def _index_spi(self, sa: Sa) -> None:
        # Addresses of an unknown family equal nothing: such an SA can be made, but never found.
        if sa.family in (AF_INET, AF_INET6):
            self._by_key.put(sa.key, sa)
        named = (sa.spi, sa.proto)
        self._spis[named] = self._spis.get(named, 0) + 1

    def set_spi(self, sa: Sa, spi: bytes) -> None:
        """Give a larval SA its SPI: it waits for no keys by its addresses any more, and is the first by that SPI."""
        if sa.family in (AF_INET, AF_INET6):
            self._waiting.take(_larval(sa), sa)
        self._serial = sa.place = self._serial + 1
        sa.spi = spi
        sa.key = sa.key[:16] + spi + sa.key[20:]
        self._index_spi(sa)

    def _forget_spi(self, named: tuple[bytes, int]) -> None:
        left = self._spis[named] - 1
        if left:
            self._spis[named] = left
        else:
            del self._spis[named]

    def remove(self, sa: Sa) -> bool:
        """Take an SA out and mark it dead; False if it was dead already."""
        if sa.state == State.DEAD:
            return False
        if sa.state == State.ACQ:
            self._forget_larval(sa)
        sa.state = State.DEAD
        if self.touched is not None:
            self.touched.append(sa)
        del self._all[sa.serial]
        self._by_addresses.take(_addresses(sa.daddr, sa.saddr, sa.family), sa)
        if sa.spi != _NO_SPI:
            if sa.family in (AF_INET, AF_INET6):
                self._by_key.take(sa.key, sa)
            self._forget_spi((sa.spi, sa.proto))
        if sa.proto not in NAMED_BY_SPI and sa.family in (AF_INET, AF_INET6):
            self._without_spi.take(_ends(sa), sa)
        if self._occupied is not None:
            self._occupied[self._slot(sa)] -= 1
        return True

    def _forget_larval(self, sa: Sa) -> None:
        if sa.traits.seq:
            self._by_seq.take(sa.traits.seq, sa)
        if sa.spi == _NO_SPI and sa.family in (AF_INET, AF_INET6):
            self._waiting.take(_larval(sa), sa)

    # -- order -------------------------------------------------------------------------------------

    def _bucket(self, sa: Sa) -> int:
        return dst_hash(sa.daddr, sa.saddr, sa.reqid, sa.family) & (self.buckets - 1)

    def _check_growth(self, sa: Sa) -> None:
        """As many SAs as buckets: note whether this one has another behind it in its chain.

        Buckets are counted only from then on. Those with packet offload stand in front: the others do not see them.
        """
        slot = self._slot(sa)
        if self._occupied is None:
            self._occupied = Counter(map(self._slot, self._all.values()))
        else:
            self._occupied[slot] += 1
        behind = self._occupied[slot] - 1
        if slot[1]:
            behind += self._occupied[slot[0], False]
        if behind and len(self._all) >= self.buckets and self.buckets < MAX_BUCKETS:
            self._must_grow = True

    def _slot(self, sa: Sa) -> tuple[int, bool]:
        return self._bucket(sa), packet_offload(sa)

    def settle(self) -> None:
        """Grow if it was due; called when a datagram has been handled."""
        if self._must_grow:
            self._must_grow = False
            self._grow()

    def resize(self, buckets: int) -> None:
        """Let the table have that many buckets: the kernel grows it in the background, and may be late."""
        while self.buckets < buckets:
            self._grow()
        if self.buckets > buckets:
            self.buckets = buckets
            self._occupied = None

    def _grow(self) -> None:
        order = sorted(self._all.values(), key=lambda sa: (-self._bucket(sa), -sa.rank))
        for rank, sa in enumerate(order, self._serial + 1 - len(order)):
            sa.rank = sa.place = rank
        self.buckets *= 2
        self._occupied = None
        for index in (
            self._by_key,
            self._by_addresses,
            self._without_spi,
            self._by_seq,
            self._waiting,
        ):
            index.sort()


def _addresses(daddr: bytes, saddr: bytes, family: int) -> bytes:
    if family == AF_INET:
        return daddr[:4] + saddr[:4]
    return daddr + saddr


def _ends(sa: Sa) -> _Ends:
    return _addresses(sa.daddr, sa.saddr, sa.family), sa.family, sa.proto


def _larval(sa: Sa) -> _Larval:
    traits = sa.traits
    addresses = _addresses(sa.daddr, sa.saddr, sa.family)
    return addresses, sa.family, sa.proto, traits.mode, sa.reqid, traits.pcpu_num
