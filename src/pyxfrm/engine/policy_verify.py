"""What a policy must look like to be taken, in the kernel's order and words.

Sources: net/xfrm/xfrm_user.c: verify_newpolicy_info, verify_policy_type, validate_tmpl.
"""

from __future__ import annotations

import struct
from errno import EINVAL
from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi.structs import UserTmpl
from pyxfrm.abi.xfrm import (
    AF_INET,
    AF_INET6,
    IPPROTO_AH,
    IPPROTO_COMP,
    IPPROTO_DSTOPTS,
    IPPROTO_ESP,
    IPPROTO_ROUTING,
    XFRM_MAX_DEPTH,
    XFRM_MODE_BEET,
    XFRM_MODE_IPTFS,
    XFRM_MODE_TUNNEL,
    XFRM_POLICY_BLOCK,
    XFRM_POLICY_MAX,
    XFRM_POLICY_OUT,
    XFRM_POLICY_TYPE_MAIN,
    XFRM_POLICY_TYPE_SUB,
    XFRM_SHARE_UNIQUE,
)
from pyxfrm.engine.refusal import Refusal
from pyxfrm.wire.codec import codec

if TYPE_CHECKING:
    from pyxfrm.abi.structs import UserPolicyInfo
    from pyxfrm.engine.request import Request

__all__ = [
    "TUNNEL_MODES",
    "verified_templates",
    "verified_type",
    "verify_direction",
    "verify_policy",
]

TUNNEL_MODES = (XFRM_MODE_TUNNEL, XFRM_MODE_BEET, XFRM_MODE_IPTFS)

_PROTOCOLS = (IPPROTO_AH, IPPROTO_ESP, IPPROTO_COMP, IPPROTO_ROUTING, IPPROTO_DSTOPTS)
_DIRECTION = 7  # the bits of an index that say it

_tmpl = codec(UserTmpl)
_FAMILY_AT = _tmpl.offset("family")
_u16 = struct.Struct("=H")


def verify_policy(info: UserPolicyInfo) -> None:
    """Whether struct xfrm_userpolicy_info makes sense."""
    if info.share > XFRM_SHARE_UNIQUE:
        raise Refusal(EINVAL, "Invalid policy share")
    if info.action > XFRM_POLICY_BLOCK:
        raise Refusal(EINVAL, "Invalid policy action")
    sel = info.sel
    longest = max(sel.prefixlen_d, sel.prefixlen_s)
    if sel.family == AF_INET:
        if longest > 32:
            raise Refusal(EINVAL, "Invalid prefix length in selector (must be <= 32 for IPv4)")
    elif sel.family == AF_INET6:
        if longest > 128:
            raise Refusal(EINVAL, "Invalid prefix length in selector (must be <= 128 for IPv6)")
    else:
        raise Refusal(EINVAL, "Invalid selector family")
    verify_direction(info.dir)
    if info.index and info.index & _DIRECTION != info.dir:
        raise Refusal(EINVAL, "Policy index doesn't match direction")


def verify_direction(direction: int) -> None:
    """In, out or forward."""
    if direction >= XFRM_POLICY_MAX:
        raise Refusal(EINVAL, "Invalid policy direction")


def verified_type(request: Request) -> int:
    """XFRMA_POLICY_TYPE of a request; main where there is none."""
    raw = request.attrs.get(m.XFRMA_POLICY_TYPE)
    kind = raw[0] if raw else XFRM_POLICY_TYPE_MAIN
    if kind > XFRM_POLICY_TYPE_SUB:
        raise Refusal(EINVAL, "Invalid policy type")
    return kind


def verified_templates(request: Request, family: int, direction: int) -> tuple[UserTmpl, ...]:
    """XFRMA_TMPL of a request.

    A template without a family gets the one of the selector; as the kernel writes it into the request itself, it shows in the
    echo of a refusal too. What C leaves as padding around the family and after ``optional`` is cleared.
    """
    raw = request.attrs.get(m.XFRMA_TMPL)
    if raw is None:
        return ()
    count = len(raw) // _tmpl.size
    if count > XFRM_MAX_DEPTH:
        raise Refusal(EINVAL, f"Template count must be <= XFRM_MAX_DEPTH ({XFRM_MAX_DEPTH})")
    mode_max = request.engine.profile.mode_max
    done = []
    before = family
    for at in range(0, count * _tmpl.size, _tmpl.size):
        one = _tmpl.decode(raw, at)
        if not one.family:
            one = one._replace(family=family)
            _fill_in(request, at + _FAMILY_AT, family)
        _verify_template(one, before, direction, mode_max)
        before = one.family
        done.append(one._replace(pad=bytes(3)))
    return tuple(done)


def _fill_in(request: Request, at: int, family: int) -> None:
    at += request.attribute_at(m.XFRMA_TMPL) + 4
    data = request.data
    request.data = data[:at] + _u16.pack(family) + data[at + 2 :]


def _verify_template(one: UserTmpl, before: int, direction: int, mode_max: int) -> None:
    if one.mode in TUNNEL_MODES and one.mode < mode_max:
        if one.optional and direction == XFRM_POLICY_OUT:
            raise Refusal(EINVAL, "Mode in optional template not allowed in outbound policy")
    elif one.family != before:
        raise Refusal(EINVAL, "Mode in template doesn't support a family change")
    if one.mode >= mode_max:
        raise Refusal(EINVAL, f"Mode in template must be < XFRM_MODE_MAX ({mode_max})")
    if one.family not in (AF_INET, AF_INET6):
        raise Refusal(EINVAL, "Invalid family in template")
    if one.id.proto not in _PROTOCOLS:
        raise Refusal(EINVAL, "Invalid XFRM protocol in template")
