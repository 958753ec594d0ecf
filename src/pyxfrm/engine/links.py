"""A device that goes takes along what it carries.

When a device that can offload is brought down, or any device is removed, the SAs and policies that were given to it are deleted, and nobody is
told: user space finds out when it looks for them. Sources: net/xfrm/xfrm_device.c: xfrm_dev_down, xfrm_dev_unregister;
net/xfrm/xfrm_state.c: xfrm_dev_state_flush; net/xfrm/xfrm_policy.c: xfrm_dev_policy_flush.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxfrm.engine.lifetime import delete_sa
from pyxfrm.engine.policy_install import remove_policy
from pyxfrm.errors import UsageError

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine

__all__ = ["bring_down", "remove_device"]


def bring_down(engine: Engine, ifindex: int) -> None:
    """A device goes down; :attr:`~pyxfrm.engine.devices.Device.up` tells it from now on."""
    device = engine.devices.get(ifindex)
    if device is None:
        raise UsageError(f"device {ifindex} does not exist: add it first")
    device.up = False
    if device.crypto or device.packet:
        _flush(engine, ifindex)


def remove_device(engine: Engine, ifindex: int) -> None:
    """A device is no more."""
    engine.devices.remove(ifindex)
    _flush(engine, ifindex)


def _flush(engine: Engine, ifindex: int) -> None:
    for sa in [one for one in engine.sadb if one.offload and one.offload[0] == ifindex]:
        if not sa.tunnel_users:
            delete_sa(engine, sa)
    for policy in [one for one in engine.spd if one.offload and one.offload[0] == ifindex]:
        remove_policy(engine, policy)
    engine.spd.prune()
