"""Policies: NEWPOLICY, UPDPOLICY, DELPOLICY, GETPOLICY (one and dump), FLUSHPOLICY, POLEXPIRE.

Sources: net/xfrm/xfrm_user.c: xfrm_add_policy, xfrm_get_policy, xfrm_dump_policy, xfrm_flush_policy, xfrm_add_pol_expire.
"""

from __future__ import annotations

import struct
from errno import EEXIST, EMSGSIZE, ENOENT
from functools import partial
from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi.structs import UserPolicyId, UserPolicyInfo
from pyxfrm.engine import notify_policy
from pyxfrm.engine.policy import Policy
from pyxfrm.engine.policy_encode import policy_attributes, policy_info
from pyxfrm.engine.policy_install import add_policy_offload, insert_policy, remove_policy
from pyxfrm.engine.policy_verify import (
    verified_templates,
    verified_type,
    verify_direction,
    verify_policy,
)
from pyxfrm.engine.refusal import Refusal
from pyxfrm.engine.replies import FIRST_DATAGRAM, Step, message
from pyxfrm.engine.security import label_of, security_context, verify_sec_ctx
from pyxfrm.wire.codec import codec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxfrm.engine.request import Request

__all__ = [
    "build_policy",
    "dump_policy",
    "flush_policy",
    "get_policy",
    "new_policy",
    "policy_expire",
]

_info = codec(UserPolicyInfo).decode
_id = codec(UserPolicyId).decode
_pair = struct.Struct("=II").unpack_from
_u32 = struct.Struct("=I").unpack_from
_SELECTOR = 56
_HARD_AT = codec(UserPolicyInfo).size


def new_policy(request: Request) -> None:
    """NEWPOLICY and UPDPOLICY."""
    policy = build_policy(request, _info(request.data, request.body))
    engine = request.engine
    if request.type == m.XFRM_MSG_NEWPOLICY and engine.spd.find(policy.identity) is not None:
        raise Refusal(EEXIST)
    insert_policy(engine, policy)
    notify_policy.policy_changed(engine, request.type, policy, request.seq, request.pid)


def build_policy(request: Request, info: UserPolicyInfo, at: int = -1) -> Policy:
    """The policy that a request's structure and attributes describe, not yet put in.

    ``at``: where the structure begins in ``request.data``, if not at the body.
    """
    at = request.body if at < 0 else at
    verify_policy(info)
    verify_sec_ctx(request.attrs)
    policy = Policy(info.dir, info.sel, request.data[at : at + _SELECTOR], info.lft)
    policy.priority = info.priority
    policy.index = info.index
    policy.action = info.action
    policy.flags = info.flags
    policy.type = verified_type(request)
    attrs = request.attrs
    if attrs:
        policy.templates = verified_templates(request, info.sel.family, info.dir)
        policy.sec_ctx = security_context(attrs, request.engine.profile)
        value, mask = _mark(request)
        policy.mark = (value & mask, mask)
        policy.if_id = _if_id(request)
        if m.XFRMA_OFFLOAD_DEV in attrs:
            add_policy_offload(request.engine, policy, attrs[m.XFRMA_OFFLOAD_DEV])
    return policy


def _mark(request: Request) -> tuple[int, int]:
    raw = request.attrs.get(m.XFRMA_MARK)
    return _pair(raw) if raw else (0, 0)


def _if_id(request: Request) -> int:
    raw = request.attrs.get(m.XFRMA_IF_ID)
    return int(_u32(raw)[0]) if raw else 0


def get_policy(request: Request) -> None:
    """GETPOLICY and DELPOLICY of one policy."""
    asked = _id(request.data, request.body)
    policy = _find(request, asked.index, asked.dir)
    if request.type == m.XFRM_MSG_GETPOLICY:
        payload = _dump_one(policy, 0)
        if 16 + len(payload) > FIRST_DATAGRAM:
            raise Refusal(EMSGSIZE)
        made = message(m.XFRM_MSG_NEWPOLICY, 0, request.seq, request.port.portid, payload)
        request.engine.answer(request.port, made)
        return
    by_index = bool(asked.index)
    remove_policy(request.engine, policy, prune=not by_index)
    notify_policy.policy_deleted(
        request.engine, policy, request.seq, request.pid, by_index=by_index
    )


def _find(request: Request, index: int, direction: int) -> Policy:
    """The policy of that index or of the selector that opens the request, and of the type, mark and if_id of its attributes.

    Value and mask must both be equal to what the policy keeps, which has no value bits outside its mask.
    """
    kind = verified_type(request)
    verify_direction(direction)
    if_id, mark = _if_id(request), _mark(request)
    spd = request.engine.spd
    if index:
        found = spd.by_index(index)
        if found is not None and (found.dir, found.type, found.if_id, found.mark) != (
            direction,
            kind,
            if_id,
            mark,
        ):
            found = None
    else:
        verify_sec_ctx(request.attrs)
        label = label_of(security_context(request.attrs, request.engine.profile))
        raw = request.data[request.body : request.body + _SELECTOR]
        found = spd.find((direction, kind, raw, mark, if_id, label))
    if found is None:
        raise Refusal(ENOENT)
    return found


def dump_policy(request: Request) -> Iterator[Step]:
    """GETPOLICY with a dump flag: all of them, newest first; attributes are not looked at."""
    for policy in list(request.engine.spd):
        yield Step(m.XFRM_MSG_NEWPOLICY, partial(_dump_one, policy))


def _dump_one(policy: Policy, _: int) -> bytes:
    if policy.dead:
        return b""
    return policy_info(policy) + policy_attributes(policy, policy.sec_ctx)


def flush_policy(request: Request) -> None:
    """FLUSHPOLICY of a type; nothing to flush is neither an error nor an event."""
    kind = verified_type(request)
    engine = request.engine
    doomed = [policy for policy in engine.spd if policy.type == kind]
    if not doomed:
        return
    for policy in doomed:
        remove_policy(engine, policy)
    engine.spd.prune()
    notify_policy.policies_flushed(engine, kind, request.seq, request.pid)


def policy_expire(request: Request) -> None:
    """POLEXPIRE from user space: a limit was reached; a hard one ends the policy."""
    asked = _info(request.data, request.body)
    policy = _find(request, asked.index, asked.dir)
    hard = bool(request.data[request.body + _HARD_AT])
    if hard:
        remove_policy(request.engine, policy)
    notify_policy.policy_expired(request.engine, policy, hard=hard, pid=request.pid)
