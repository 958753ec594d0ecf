"""Events that tell of an SA in use: NEWAE, MAPPING, ACQUIRE, REPORT; one function an event, each to the group that Linux sends it to.

None of them is the answer to a request (but for a NEWAE that a NEWAE caused): sequence number and port are 0.

Sources: net/xfrm/xfrm_user.c: build_aevent, build_mapping, build_acquire, build_report.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi.structs import UserPolicyInfo
from pyxfrm.abi.xfrm import (
    XFRM_AE_ETHR,
    XFRM_AE_RTHR,
    XFRM_POLICY_OUT,
    XFRMNLGRP_ACQUIRE,
    XFRMNLGRP_AEVENTS,
    XFRMNLGRP_MAPPING,
    XFRMNLGRP_REPORT,
)
from pyxfrm.engine.policy_encode import policy_attributes, policy_info
from pyxfrm.engine.replies import attr, attr_u32, message
from pyxfrm.engine.sa_encode import (
    direction_attributes,
    lifetime_now,
    mark_attribute,
    replay_attribute,
    sa_id,
    selector_bytes,
)
from pyxfrm.wire.codec import codec

if TYPE_CHECKING:
    from pyxfrm.abi.structs import Selector
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.policy import Policy
    from pyxfrm.engine.sa import Sa

__all__ = ["acquired", "aevent", "mapped", "reported", "told_aevent"]

_pair = struct.Struct("=II").pack
_id = struct.Struct("=16s4sB3s").pack
_algorithms = struct.Struct("=IIII").pack
_report = struct.Struct("=B3x").pack

_DIR_AT = codec(UserPolicyInfo).offset("dir")
_U32 = 0xFFFFFFFF


def aevent(engine: Engine, sa: Sa, flags: int, seq: int, pid: int) -> bytes:
    """NEWAE: replay state and counters of an SA; ``flags`` says why, and which thresholds are shown too.

    The expiry timer is kept in ticks and shown in tenths of a second, in 32-bit arithmetic.
    """
    traits = sa.traits
    payload = sa_id(sa) + sa.saddr + _pair(flags, sa.reqid) + replay_attribute(sa)
    if engine.profile.align_u64 and (16 + len(payload)) % 8 == 0:
        payload += attr(m.XFRMA_PAD, b"")
    payload += attr(m.XFRMA_LTIME_VAL, lifetime_now(sa))
    if flags & XFRM_AE_RTHR:
        payload += attr_u32(m.XFRMA_REPLAY_THRESH, traits.maxdiff)
    if flags & XFRM_AE_ETHR:
        tenths = (traits.maxage * 10 & _U32) // engine.profile.hz
        payload += attr_u32(m.XFRMA_ETIMER_THRESH, tenths)
    payload += mark_attribute(sa.mark)
    if traits.if_id:
        payload += attr_u32(m.XFRMA_IF_ID, traits.if_id)
    payload += direction_attributes(sa)
    return message(m.XFRM_MSG_NEWAE, 0, seq, pid, payload)


def told_aevent(engine: Engine, sa: Sa, flags: int, seq: int = 0, pid: int = 0) -> None:
    """NEWAE to XFRMNLGRP_AEVENTS."""
    if engine.listens(XFRMNLGRP_AEVENTS):
        engine.multicast(XFRMNLGRP_AEVENTS, aevent(engine, sa, flags, seq, pid))


def mapped(engine: Engine, sa: Sa, saddr: bytes, sport: int) -> bool:
    """MAPPING to XFRMNLGRP_MAPPING: packets of an encapsulated SA come from another address or port."""
    encap = sa.encap or bytes(24)
    payload = (
        sa_id(sa)
        + sa.reqid.to_bytes(4, "little")
        + sa.saddr
        + saddr
        + encap[2:4]
        + sport.to_bytes(2, "big")
    )
    return engine.multicast(XFRMNLGRP_MAPPING, message(m.XFRM_MSG_MAPPING, 0, 0, 0, payload))


def acquired(
    engine: Engine, sa: Sa, policy: Policy, algorithms: tuple[int, int, int], seq: int
) -> bool:
    """ACQUIRE to XFRMNLGRP_ACQUIRE: a key manager is asked for an SA like ``sa``.

    ``algorithms``  bit masks of what the template takes: integrity, encryption, compression
    """
    info = policy_info(policy)
    payload = (
        _id(sa.daddr, sa.spi, sa.proto, sa.traits.id_pad)
        + sa.saddr
        + selector_bytes(sa.sel)
        + info[:_DIR_AT]
        + bytes((XFRM_POLICY_OUT,))
        + info[_DIR_AT + 1 :]
        + _algorithms(*algorithms, seq)
        + policy_attributes(policy, sa.traits.sec_ctx)
        + direction_attributes(sa)
    )
    return engine.multicast(XFRMNLGRP_ACQUIRE, message(m.XFRM_MSG_ACQUIRE, 0, 0, 0, payload))


def reported(engine: Engine, proto: int, sel: Selector, address: bytes | None) -> bool:
    """REPORT to XFRMNLGRP_REPORT: a packet whose Mobile IPv6 header no SA wanted."""
    payload = _report(proto) + selector_bytes(sel)
    if address is not None:
        payload += attr(m.XFRMA_COADDR, address)
    return engine.multicast(XFRMNLGRP_REPORT, message(m.XFRM_MSG_REPORT, 0, 0, 0, payload))
