"""Network devices of a namespace, as far as XFRM asks about them: names for offload to land on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyxfrm.errors import UsageError

if TYPE_CHECKING:
    from pyxfrm.engine.sa import Sa

__all__ = ["Device", "Devices"]


@dataclass(slots=True)
class Device:
    """A device.

    ``ifindex``  its number, from 1
    ``crypto``   offers crypto offload (NETIF_F_HW_ESP)
    ``packet``   offers packet offload too
    ``esn``      can offload SAs with ESN
    ``refuses``  errno with which its driver refuses every SA and policy, 0: it takes them
    ``up``       administratively up
    ``states``   the SAs it carries
    """

    ifindex: int
    name: str
    crypto: bool = False
    packet: bool = False
    esn: bool = True
    refuses: int = 0
    up: bool = True
    states: set[Sa] = field(default_factory=set)


class Devices:
    """The devices, by ifindex."""

    def __init__(self) -> None:
        self._by_index: dict[int, Device] = {1: Device(1, "lo")}

    def __iter__(self) -> Iterator[Device]:
        return iter(self._by_index.values())

    def __len__(self) -> int:
        return len(self._by_index)

    def add(self, device: Device) -> Device:
        """Register a device; one with the same ifindex is replaced."""
        self._by_index[device.ifindex] = device
        return device

    def get(self, ifindex: int) -> Device | None:
        """The device of that number, None if there is none."""
        return self._by_index.get(ifindex)

    def remove(self, ifindex: int) -> None:
        """Forget a device; what it carried is not its business (:mod:`pyxfrm.engine.links`)."""
        if self._by_index.pop(ifindex, None) is None:
            raise UsageError(f"device {ifindex} does not exist: add it first")
