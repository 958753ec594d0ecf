"""Hash chains: the SAs that share a key, in the order in which they are looked through.

Most keys have one SA, and then the SA itself stands in the index; only where there are more does a :class:`Chain`. So the common case costs no
allocation, and nothing done to a chain takes longer because many SAs share its key: not putting one in, not taking one out, not a look at its front.

**Parts.** A search is seldom for the front of a whole chain. It is for the first SA of a reqid, or the first whose mark admits a packet's; so a chain can keep, beside
its own order, that of each of its parts, the SAs of equal reqid or equal mark. In one by marks the mask decides which value a packet's mark has for an SA:
the first is the foremost of the parts' fronts, one for each mask there is. Masks are few, even where SAs are many.

**Places.** SAs with packet offload stand before all others. Apart from that who came last is first: dictionaries keep that order, and ``Sa.place`` tells
which of two SAs from different parts came later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from itertools import chain
from typing import Generic, TypeVar

from pyxfrm.abi.xfrm import XFRM_OFFLOAD_PACKET
from pyxfrm.engine.sa import Sa

__all__ = ["Chain", "Index", "MarkIndex", "ReqidIndex", "packet_offload"]

Key = TypeVar("Key", bound=Hashable)

_NOBODY: tuple[Sa, ...] = ()


def packet_offload(sa: Sa) -> bool:
    """Whether a device does the whole SA: such SAs stand in front of all others."""
    return sa.offload is not None and bool(sa.offload[1] & XFRM_OFFLOAD_PACKET)


class Chain:
    """The SAs of one key, by serial number, the front last."""

    __slots__ = ("_hardware", "_plain")

    def __init__(self) -> None:
        self._plain: dict[int, Sa] = {}
        self._hardware: dict[int, Sa] = {}

    def __bool__(self) -> bool:
        return bool(self._plain or self._hardware)

    def __iter__(self) -> Iterator[Sa]:
        """From the front."""
        plain = reversed(self._plain.values())
        return chain(reversed(self._hardware.values()), plain) if self._hardware else plain

    def put(self, sa: Sa) -> None:
        """Put an SA to the front."""
        (self._plain if sa.offload is None else self._side(sa))[sa.serial] = sa

    def take(self, sa: Sa) -> None:
        """Take an SA out."""
        del (self._plain if sa.offload is None else self._side(sa))[sa.serial]

    def _side(self, sa: Sa) -> dict[int, Sa]:
        return self._hardware if packet_offload(sa) else self._plain

    def sort(self) -> None:
        """Put it into the order of ranks."""
        for some in (self._plain, self._hardware):
            order = sorted(some.values(), key=_rank)
            some.clear()
            some.update((sa.serial, sa) for sa in order)


def _rank(sa: Sa) -> int:
    return sa.rank


class Index(Generic[Key]):
    """Chains by key."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: dict[Key, Sa | Chain] = {}

    def chain(self) -> Chain:
        """An empty chain, as this index has them."""
        return Chain()

    def put(self, key: Key, sa: Sa) -> None:
        """Put an SA to the front of its chain."""
        held = self.held.setdefault(key, sa)
        if held is sa:
            return
        if isinstance(held, Sa):
            first, held = held, self.chain()
            held.put(first)
            self.held[key] = held
        held.put(sa)

    def take(self, key: Key, sa: Sa) -> None:
        """Take an SA out of its chain."""
        held = self.held[key]
        if isinstance(held, Chain):
            held.take(sa)
        if held is sa or not held:
            del self.held[key]

    def walk(self, key: Key) -> Iterator[Sa]:
        """The chain from its front."""
        held = self.held.get(key)
        return iter(_NOBODY) if held is None else iter((held,) if isinstance(held, Sa) else held)

    def sort(self) -> None:
        """Put every chain into the order of ranks."""
        for held in self.held.values():
            if isinstance(held, Chain):
                held.sort()


class _ByReqid(Chain):
    """A chain that also keeps the order of the SAs of each reqid, from when it is first asked for one."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        super().__init__()
        self._parts: Index[int] | None = None

    def put(self, sa: Sa) -> None:
        (self._plain if sa.offload is None else self._side(sa))[sa.serial] = sa
        if self._parts is not None:
            self._parts.put(sa.reqid, sa)

    def take(self, sa: Sa) -> None:
        del (self._plain if sa.offload is None else self._side(sa))[sa.serial]
        if self._parts is not None:
            self._parts.take(sa.reqid, sa)

    def sort(self) -> None:
        super().sort()
        self._parts = None

    def of(self, reqid: int) -> Iterator[Sa]:
        """The SAs with this reqid, from the front."""
        if self._parts is None:
            self._parts = Index()
            for some in (self._plain, self._hardware):
                for sa in some.values():
                    self._parts.put(sa.reqid, sa)
        return self._parts.walk(reqid)


class ReqidIndex(Index[Key]):
    """Chains by key, in which SAs may be looked for by reqid."""

    __slots__ = ()

    def chain(self) -> Chain:
        """An empty chain."""
        return _ByReqid()

    def of(self, key: Key, reqid: int) -> Iterator[Sa]:
        """The SAs of a chain with this reqid, from its front."""
        held = self.held.get(key)
        if isinstance(held, _ByReqid):
            return held.of(reqid)
        return iter((held,) if isinstance(held, Sa) and held.reqid == reqid else _NOBODY)


class _ByMark(Chain):
    """A chain that also keeps the order of the SAs of each mark, and how many have each mask."""

    __slots__ = ("masks", "parts")

    def __init__(self) -> None:
        super().__init__()
        self.parts: Index[tuple[int, int]] = Index()
        self.masks: Counter[int] = Counter()

    def put(self, sa: Sa) -> None:
        super().put(sa)
        self.parts.put(sa.mark, sa)
        self.masks[sa.mark[1]] += 1

    def take(self, sa: Sa) -> None:
        super().take(sa)
        self.parts.take(sa.mark, sa)
        self.masks[sa.mark[1]] -= 1
        if not self.masks[sa.mark[1]]:
            del self.masks[sa.mark[1]]

    def sort(self) -> None:
        super().sort()
        self.parts.sort()

    def admitting(self, value: int) -> Sa | None:
        """The foremost of the SAs whose masks make ``value`` their own."""
        best: Sa | None = None
        for mask in self.masks:
            one = next(self.parts.walk((value & mask, mask)), None)
            if one is not None and (best is None or _before(one, best)):
                best = one
        return best


def _before(one: Sa, other: Sa) -> bool:
    return (packet_offload(one), one.place) > (packet_offload(other), other.place)


class MarkIndex(Index[Key]):
    """Chains by key, in which SAs are looked for by mark (value, mask)."""

    __slots__ = ()

    def chain(self) -> Chain:
        """An empty chain."""
        return _ByMark()

    def admitting(self, key: Key, value: int) -> Sa | None:
        """The first SA of a chain whose mark admits ``value``: ``value & mask`` is its own value."""
        held = self.held.get(key)
        if isinstance(held, Sa):
            return held if value & held.mark[1] == held.mark[0] else None
        return held.admitting(value) if isinstance(held, _ByMark) else None

    def exactly(self, key: Key, mark: tuple[int, int]) -> Sa | None:
        """The first SA of a chain that has just this mark."""
        held = self.held.get(key)
        if isinstance(held, _ByMark):
            return next(held.parts.walk(mark), None)
        return held if isinstance(held, Sa) and held.mark == mark else None
