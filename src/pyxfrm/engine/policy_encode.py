"""A policy as bytes: the structure and attributes of NEWPOLICY, UPDPOLICY, DELPOLICY and POLEXPIRE.

The order of attributes is the kernel's (net/xfrm/xfrm_user.c: dump_one_policy, xfrm_notify_policy). Notifications of a change do not tell the
security context; dumps and POLEXPIRE do.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi.structs import LifetimeCfg, UserTmpl
from pyxfrm.abi.xfrm import (
    XFRM_OFFLOAD_INBOUND,
    XFRM_OFFLOAD_PACKET,
    XFRM_POLICY_FWD,
    XFRM_POLICY_IN,
    XFRM_POLICY_OUT,
)
from pyxfrm.engine.replies import attr, attr_u32
from pyxfrm.engine.sa_encode import mark_attribute, offload_attribute, sec_ctx_attribute
from pyxfrm.wire.codec import codec

if TYPE_CHECKING:
    from pyxfrm.engine.policy import Policy
    from pyxfrm.engine.security import SecCtx

__all__ = ["defaults_info", "policy_attributes", "policy_id", "policy_info", "type_attribute"]

_limits = codec(LifetimeCfg).encode
_template = codec(UserTmpl).encode
_info = struct.Struct("=56s64sQQQQIIBBBxxxxx").pack
_id = struct.Struct("=56sIBxxx").pack
_type = struct.Struct("=HHB5xxx").pack


def policy_info(policy: Policy) -> bytes:
    """struct xfrm_userpolicy_info (168 bytes); ``share`` is not kept."""
    return _info(
        policy.raw_sel,
        _limits(policy.lft),
        policy.bytes,
        policy.packets,
        policy.add_time,
        policy.use_time,
        policy.priority,
        policy.index,
        policy.dir,
        policy.action,
        policy.flags,
    )


def policy_id(policy: Policy, *, by_index: bool) -> bytes:
    """struct xfrm_userpolicy_id (64 bytes): the index or the selector, as it was asked for."""
    if by_index:
        return _id(bytes(56), policy.index, policy.dir)
    return _id(policy.raw_sel, 0, policy.dir)


def type_attribute(kind: int) -> bytes:
    """XFRMA_POLICY_TYPE."""
    return _type(10, m.XFRMA_POLICY_TYPE, kind)


def policy_attributes(policy: Policy, sec_ctx: SecCtx | None = None) -> bytes:
    """All attributes of a policy; ``sec_ctx``: the security context that is shown among them."""
    made = b""
    if policy.templates:
        made = attr(m.XFRMA_TMPL, b"".join([_template(one) for one in policy.templates]))
    if sec_ctx is not None:
        made += sec_ctx_attribute(sec_ctx)
    made += type_attribute(policy.type) + mark_attribute(policy.mark)
    if policy.if_id:
        made += attr_u32(m.XFRMA_IF_ID, policy.if_id)
    if policy.offload is not None:
        inbound = XFRM_OFFLOAD_INBOUND if policy.dir == XFRM_POLICY_IN else 0
        made += offload_attribute((policy.offload[0], inbound | XFRM_OFFLOAD_PACKET))
    return made


def defaults_info(defaults: list[int]) -> bytes:
    """struct xfrm_userpolicy_default (3 bytes) and the byte that pads the message."""
    return bytes(
        (defaults[XFRM_POLICY_IN], defaults[XFRM_POLICY_FWD], defaults[XFRM_POLICY_OUT], 0)
    )
