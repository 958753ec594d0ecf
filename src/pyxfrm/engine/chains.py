"""Hash chains: the SAs that share a key, in the order in which they are looked through.

Most keys have one SA, and then the SA itself stands in the index; only where there are more does a dictionary by serial number, whose last entry is
the front of the chain. So the common case costs no allocation, and removal is cheap however many SAs share a key.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from pyxfrm.abi.xfrm import XFRM_OFFLOAD_PACKET
from pyxfrm.engine.sa import Sa

__all__ = ["Chain", "Index", "packet_offload", "sort"]

Chain = dict[int, Sa]
Key = TypeVar("Key", bound=Hashable)

_NOBODY: tuple[Sa, ...] = ()


class Index(Generic[Key]):
    """Chains by key."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: dict[Key, Sa | Chain] = {}

    def put(self, key: Key, sa: Sa) -> None:
        """Put an SA to the front of its chain."""
        held = self.held.setdefault(key, sa)
        if held is sa:
            return
        if type(held) is dict:
            held[sa.serial] = sa
        elif isinstance(held, Sa):
            self.held[key] = {held.serial: held, sa.serial: sa}

    def take(self, key: Key, sa: Sa) -> None:
        """Take an SA out of its chain."""
        held = self.held[key]
        if held is sa:
            del self.held[key]
        elif type(held) is dict:
            del held[sa.serial]
            if not held:
                del self.held[key]

    def walk(self, key: Key) -> Iterator[Sa]:
        """The chain from its front."""
        held = self.held.get(key)
        if held is None:
            return iter(_NOBODY)
        return reversed(held.values()) if isinstance(held, dict) else iter((held,))

    def sort(self, key: Key) -> None:
        """Put one chain into the order of ranks, SAs with packet offload in front."""
        held = self.held.get(key)
        if isinstance(held, dict):
            sort(held)

    def sort_all(self) -> None:
        """Put every chain into that order."""
        for held in self.held.values():
            if isinstance(held, dict):
                sort(held)


def packet_offload(sa: Sa) -> bool:
    """Whether a device does the whole SA: such SAs stand in front of all others."""
    return sa.offload is not None and bool(sa.offload[1] & XFRM_OFFLOAD_PACKET)


def sort(chain: Chain) -> None:
    """Put a chain into the order of ranks, SAs with packet offload in front."""
    if len(chain) > 1:
        order = sorted(chain.values(), key=lambda sa: (packet_offload(sa), sa.rank))
        chain.clear()
        chain.update((sa.serial, sa) for sa in order)
