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
from collections.abc import Iterable, Iterator

from pyxfrm.abi.xfrm import AF_INET, AF_INET6
from pyxfrm.engine.chains import Chain, Index, packet_offload, sort
from pyxfrm.engine.hashing import dst_hash
from pyxfrm.engine.sa import Sa, State

__all__ = ["MAX_BUCKETS", "Sadb"]

MAX_BUCKETS = 1 << 20

Mark = tuple[int, int]

_NO_SPI = bytes(4)


class Sadb:
    """All SAs of a namespace.

    ``touched``  SAs that came, went or got other ports since somebody emptied this list; None: nobody wants to know

    Insertion, removal and a walk from the front of a chain are all cheap, however many SAs share a key.
    """

    def __init__(self, *, exact_marks: bool = False) -> None:
        self.exact_marks = exact_marks
        self.buckets = 8
        self._all: Chain = {}
        self._by_key: Index[bytes] = Index()
        self._by_addresses: Index[bytes] = Index()
        self._by_seq: Index[int] = Index()
        self._spis: dict[tuple[bytes, int], int] = {}
        self._larval: Chain = {}
        self._serial = 0
        self._occupied: Counter[tuple[int, bool]] | None = None
        self._must_grow = False
        self._in_hardware = 0
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
        held = self._by_key.held.get(key)
        if held is None:
            return None
        if type(held) is Sa and not self.exact_marks:
            return held if mark[0] & mark[1] & held.mark[1] == held.mark[0] else None
        return self._first(self._by_key.walk(key), mark)

    def _first(self, chain: Iterable[Sa], mark: Mark) -> Sa | None:
        value = mark[0] & mark[1]
        if self.exact_marks:
            wanted = (value, mark[1])
            return next((sa for sa in chain if sa.mark == wanted), None)
        for sa in chain:
            if value & sa.mark[1] == sa.mark[0]:
                return sa
        return None

    def lookup_by_mask(self, key: bytes, mark: Mark) -> Sa | None:
        """The SA for a key and the value of a mark, whatever the profile: what packets and the kernel's own lookups use."""
        value = mark[0] & mark[1]
        for sa in self._by_key.walk(key):
            if value & sa.mark[1] == sa.mark[0]:
                return sa
        return None

    def between(self, daddr: bytes, saddr: bytes, family: int) -> Iterator[Sa]:
        """Every SA from ``saddr`` to ``daddr``, in the chain's order."""
        return self._by_addresses.walk(_addresses(daddr, saddr, family))

    def lookup_addresses(
        self, daddr: bytes, saddr: bytes, proto: int, family: int, mark: Mark
    ) -> Sa | None:
        """The SA of a protocol without SPIs, by its addresses."""
        chain = self.between(daddr, saddr, family)
        return self._first((sa for sa in chain if sa.proto == proto), mark)

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
        if not self._larval:
            return None
        value = mark[0] & mark[1]
        wanted = _addresses(daddr, saddr, family)
        for sa in reversed(self._larval.values()):
            if (
                sa.spi == _NO_SPI
                and sa.family == family
                and family in (AF_INET, AF_INET6)
                and sa.proto == proto
                and sa.reqid == reqid
                and sa.traits.mode == mode
                and sa.traits.pcpu_num == pcpu_num
                and value & sa.mark[1] == sa.mark[0]
                and _addresses(sa.daddr, sa.saddr, family) == wanted
            ):
                return sa
        return None

    # -- changing ----------------------------------------------------------------------------------

    def insert(self, sa: Sa) -> None:
        """Put an SA in front of all others.

        Value bits outside its mask are dropped from its mark; a larval SA keeps them, and no lookup finds it by its mark.
        """
        value, mask = sa.mark
        if value & ~mask and sa.state != State.ACQ:
            sa.mark = (value & mask, mask)
        self._serial = sa.serial = sa.rank = self._serial + 1
        if self.touched is not None:
            self.touched.append(sa)
        self._all[sa.serial] = sa
        self._by_addresses.put(_addresses(sa.daddr, sa.saddr, sa.family), sa)
        if sa.spi != _NO_SPI:
            self._index_spi(sa)
        if sa.traits.seq:
            self._by_seq.put(sa.traits.seq, sa)
        if sa.state == State.ACQ:
            self._larval[sa.serial] = sa
        if packet_offload(sa):
            self._in_hardware += 1
        if self._in_hardware:
            self._reorder(sa)
        if self._occupied is not None or len(self._all) >= self.buckets:
            self._check_growth(sa)

    def _index_spi(self, sa: Sa) -> None:
        # Addresses of an unknown family equal nothing: such an SA can be made, but never found.
        if sa.family in (AF_INET, AF_INET6):
            self._by_key.put(sa.key, sa)
        named = (sa.spi, sa.proto)
        self._spis[named] = self._spis.get(named, 0) + 1

    def set_spi(self, sa: Sa, spi: bytes) -> None:
        """Give a larval SA its SPI."""
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
        sa.state = State.DEAD
        if self.touched is not None:
            self.touched.append(sa)
        serial = sa.serial
        del self._all[serial]
        self._larval.pop(serial, None)
        self._by_addresses.take(_addresses(sa.daddr, sa.saddr, sa.family), sa)
        if sa.spi != _NO_SPI:
            if sa.family in (AF_INET, AF_INET6):
                self._by_key.take(sa.key, sa)
            self._forget_spi((sa.spi, sa.proto))
        if sa.traits.seq:
            self._by_seq.take(sa.traits.seq, sa)
        if self._occupied is not None:
            self._occupied[self._slot(sa)] -= 1
        if packet_offload(sa):
            self._in_hardware -= 1
        return True

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
            sa.rank = rank
        self.buckets *= 2
        self._occupied = None
        self._by_key.sort_all()
        self._by_addresses.sort_all()
        self._by_seq.sort_all()
        sort(self._larval)

    def _reorder(self, sa: Sa) -> None:
        """SAs with packet offload stay in front, in every chain that this one joined."""
        self._by_addresses.sort(_addresses(sa.daddr, sa.saddr, sa.family))
        self._by_key.sort(sa.key)
        self._by_seq.sort(sa.traits.seq)


def _addresses(daddr: bytes, saddr: bytes, family: int) -> bytes:
    if family == AF_INET:
        return daddr[:4] + saddr[:4]
    return daddr + saddr
