"""Giving an SA to a device, and taking it back.

A request names a device by number. Where there is none, or it cannot offload anything, the SA is handled in software without a word, unless
packet offload was asked for: then the request is refused.

Source: net/xfrm/xfrm_device.c: xfrm_dev_state_add; net/xfrm/xfrm_state.c: xfrm_dev_state_delete.
"""

from __future__ import annotations

import struct
from errno import EINVAL, EOPNOTSUPP
from typing import TYPE_CHECKING

from pyxfrm.abi.xfrm import (
    IPPROTO_ESP,
    XFRM_OFFLOAD_INBOUND,
    XFRM_OFFLOAD_IPV6,
    XFRM_OFFLOAD_PACKET,
    XFRM_SA_DIR_IN,
    XFRM_SA_DIR_OUT,
    XFRM_STATE_ESN,
)
from pyxfrm.engine.refusal import Refusal

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.sa import Sa

__all__ = ["add_offload", "drop_offload"]

_offload = struct.Struct("=iB3x").unpack_from
_KNOWN = XFRM_OFFLOAD_IPV6 | XFRM_OFFLOAD_INBOUND | XFRM_OFFLOAD_PACKET
_NO_TYPE = "Type doesn't support offload"


def add_offload(engine: Engine, sa: Sa, raw: bytes, *, cloned: bool = False) -> None:
    """Offload ``sa`` as struct xfrm_user_offload (8 bytes) asks.

    ``cloned``: the SA is a clone made by a migration; whether its type can be offloaded was perhaps never noted
    (a fault of shipped kernels: the profile's ``clone_offload_type``).
    """
    profile = engine.profile
    ifindex, flags = _offload(raw)
    typed = sa.proto == IPPROTO_ESP and (profile.clone_offload_type or not cloned)
    if profile.offload_type_first and not typed:
        raise Refusal(EINVAL, _NO_TYPE)
    _check_request(engine, sa, flags)
    packet = bool(flags & XFRM_OFFLOAD_PACKET)
    device = engine.devices.get(ifindex)
    if device is None or not (device.crypto or device.packet):
        if packet:
            raise Refusal(EINVAL)
        return
    if not packet and sa.traits.flags & XFRM_STATE_ESN and not device.esn:
        raise Refusal(EINVAL, "Device doesn't support offload with ESN")
    if not typed:
        raise Refusal(EINVAL, _NO_TYPE)
    errno = device.refuses
    if not (device.packet if packet else device.crypto):
        errno = errno or EINVAL
    if errno == EOPNOTSUPP and not packet:
        return  # the driver says that it cannot: in software, then
    if errno:
        raise Refusal(errno, "Device failed to offload this state")
    sa.offload = (ifindex, flags & ~XFRM_OFFLOAD_IPV6)
    device.states.add(sa)


def _check_request(engine: Engine, sa: Sa, flags: int) -> None:
    if flags & ~_KNOWN:
        raise Refusal(EINVAL, "Unrecognized flags in offload request")
    inbound = flags & XFRM_OFFLOAD_INBOUND
    if sa.traits.dir == (XFRM_SA_DIR_OUT if inbound else XFRM_SA_DIR_IN):
        raise Refusal(EINVAL, "Mismatched SA and offload direction")
    if inbound and sa.traits.if_id and not engine.profile.offload_if_id:
        raise Refusal(EINVAL, "XFRM if_id is not supported in RX path")
    if sa.traits.tfcpad:
        raise Refusal(EINVAL, "TFC padding can't be offloaded")


def drop_offload(engine: Engine, sa: Sa) -> None:
    """Take an SA from its device; what it says of its offload stays."""
    if sa.offload is None:
        return
    device = engine.devices.get(sa.offload[0])
    if device is not None:
        device.states.discard(sa)
