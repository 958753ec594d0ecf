"""Devices that take SAs and policies off the kernel's hands, as far as a recording shows them.

Which devices there are, and what they can do, is no matter of netlink. It shows in what became of a request with XFRMA_OFFLOAD_DEV: the notification names
the device if it took the SA; some refusals come only from a device that could have.
"""

from __future__ import annotations

from collections import Counter

from pyxfrm.abi import messages as m
from pyxfrm.abi.xfrm import XFRM_OFFLOAD_PACKET
from pyxfrm.engine.core import Engine
from pyxfrm.engine.devices import Device
from pyxfrm.wire.messages import Message

__all__ = ["Hardware"]

_TAKEN = {
    m.XFRM_MSG_NEWSA,
    m.XFRM_MSG_UPDSA,
    m.XFRM_MSG_MIGRATE_STATE,
    m.XFRM_MSG_NEWPOLICY,
    m.XFRM_MSG_UPDPOLICY,
}
# What a refusal tells of the device (net/xfrm/xfrm_device.c: xfrm_dev_state_add, xfrm_dev_policy_add).
_REFUSALS: dict[str, dict[str, bool]] = {
    "Type doesn't support offload": {},
    "Device doesn't support offload with ESN": {"esn": False},
    "Device failed to offload this state": {"refuses": True},
    "Device failed to offload this policy": {"refuses": True},
}


class Hardware:
    """Makes known to an engine the devices that a recording shows."""

    def __init__(self, engine: Engine, counts: Counter[str]) -> None:
        self.engine = engine
        self.counts = counts

    def accepted(self, request: Message, event: Message) -> None:
        """A request went well, and this is the notification."""
        asked, taken = request.get(m.XFRMA_OFFLOAD_DEV), event.get(m.XFRMA_OFFLOAD_DEV)
        if asked is not None and taken is not None and event.header.nlmsg_type in _TAKEN:
            self._know(taken.ifindex, asked.flags, {"refuses": False})

    def refused(self, request: Message, text: str) -> None:
        """A request was refused, with this text."""
        facts = _REFUSALS.get(text)
        asked = request.get(m.XFRMA_OFFLOAD_DEV) if facts is not None else None
        if facts is not None and asked is not None:
            self._know(asked.ifindex, asked.flags, facts)

    def _know(self, ifindex: int, flags: int, facts: dict[str, bool]) -> None:
        device = self.engine.devices.get(ifindex)
        if device is None:
            device = self.engine.devices.add(Device(ifindex, f"device {ifindex}"))
        kind = "packet" if flags & XFRM_OFFLOAD_PACKET else "crypto"
        news = {
            name: value
            for name, value in {kind: True, **facts}.items()
            if getattr(device, name) != value
        }
        for name, value in news.items():
            setattr(device, name, value)
        self.counts["devices"] += bool(news)
