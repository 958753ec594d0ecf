"""A policy's life: put in, replaced, taken out, and timed out.

**Time limits** are looked at one second after a policy was put in, and from then on when the nearest of them is due. Use is counted from
the first packet, or, if there was none, from the insertion. A soft limit that was passed is reported every 30 seconds; a hard one ends the policy.
The limits are 64-bit numbers in user space and signed in the kernel: one with the top bit set lies in the past, so XFRM_INF (which means "none" for
bytes and packets) ends the policy at the first look.

Sources: net/xfrm/xfrm_policy.c: xfrm_policy_insert, xfrm_policy_kill, xfrm_policy_timer; net/xfrm/xfrm_device.c: xfrm_dev_policy_add.
"""

from __future__ import annotations

import struct
from errno import EINVAL
from typing import TYPE_CHECKING

from pyxfrm.abi.xfrm import XFRM_OFFLOAD_PACKET
from pyxfrm.engine import notify_policy
from pyxfrm.engine.refusal import Refusal

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.policy import Policy

__all__ = ["add_policy_offload", "insert_policy", "remove_policy", "when_due"]

_offload = struct.Struct("=iB3x").unpack_from

_REPEAT = 30  # XFRM_KM_TIMEOUT, seconds


def insert_policy(engine: Engine, policy: Policy) -> None:
    """Put a policy in place of the one of the same identity, if any."""
    policy.add_time = int(engine.now)
    replaced = engine.spd.insert(policy)
    if replaced is not None:
        engine.timers.cancel(replaced, _look)
        if replaced.queue is not None:
            replaced.queue.hand_over(engine, policy)
    lft = policy.lft
    if any(lft[4:]):
        engine.timers.set(policy, _look, engine.now + 1, coarse=True)


def remove_policy(engine: Engine, policy: Policy, *, prune: bool = False) -> None:
    """Take a policy out for good; ``prune``: see :meth:`pyxfrm.engine.spd.Spd.remove`."""
    engine.spd.remove(policy, prune=prune)
    engine.timers.cancel(policy, _look)
    if policy.queue is not None:
        policy.queue.purge(engine)


def add_policy_offload(engine: Engine, policy: Policy, raw: bytes) -> None:
    """Offload a policy as struct xfrm_user_offload (8 bytes) asks: whole packets or nothing."""
    ifindex, flags = _offload(raw)
    if not flags or flags & ~XFRM_OFFLOAD_PACKET:
        raise Refusal(EINVAL, "Unrecognized flags in offload request")
    device = engine.devices.get(ifindex)
    if device is None:
        raise Refusal(EINVAL)
    if not device.packet:
        raise Refusal(EINVAL, "Policy offload is not supported")
    if device.refuses:
        raise Refusal(device.refuses, "Device failed to offload this policy")
    policy.offload = (ifindex, flags)


def when_due(policy: Policy, now: int) -> tuple[int | None, bool, bool]:
    """Seconds until the next look (None: never), whether a soft limit is passed, whether a hard one is."""
    soft_add, hard_add, soft_use, hard_use = policy.lft[4:]
    used = policy.use_time or policy.add_time
    waits = []
    for limit, since in ((hard_add, policy.add_time), (hard_use, used)):
        if limit:
            left = _signed(limit + since - now)
            if left <= 0:
                return None, False, True
            waits.append(left)
    warn = False
    for limit, since in ((soft_add, policy.add_time), (soft_use, used)):
        if limit:
            left = _signed(limit + since - now)
            if left <= 0:
                warn = True
                left = _REPEAT
            waits.append(left)
    return min(waits, default=None), warn, False


def _signed(value: int) -> int:
    """As a signed integer of 64 bits."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _look(engine: Engine, policy: Policy, now: float) -> None:
    wait, warn, ended = when_due(policy, int(now))
    if ended:
        remove_policy(engine, policy)
        notify_policy.policy_expired(engine, policy, hard=True, pid=0)
        return
    if warn:
        notify_policy.policy_expired(engine, policy, hard=False, pid=0)
    if wait is not None:
        engine.timers.set(policy, _look, now + wait, coarse=True)
