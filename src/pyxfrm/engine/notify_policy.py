"""Who hears of a change to a policy: one function an event, each to the group that Linux sends it to.

As with SAs, the sequence number and port of the cause are repeated and the ACK comes after. A policy that ran into a hard
limit is gone before POLEXPIRE tells it; no DELPOLICY follows. Sources: net/xfrm/xfrm_user.c: xfrm_notify_policy,
xfrm_notify_policy_flush, xfrm_exp_policy_notify, xfrm_notify_userpolicy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi.xfrm import XFRMNLGRP_EXPIRE, XFRMNLGRP_POLICY
from pyxfrm.engine.policy_encode import (
    defaults_info,
    policy_attributes,
    policy_id,
    policy_info,
    type_attribute,
)
from pyxfrm.engine.replies import attr, message

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.policy import Policy

__all__ = [
    "default_changed",
    "policies_flushed",
    "policy_changed",
    "policy_deleted",
    "policy_expired",
]


def policy_changed(engine: Engine, kind: int, policy: Policy, seq: int, pid: int) -> None:
    """NEWPOLICY or UPDPOLICY to XFRMNLGRP_POLICY."""
    if engine.listens(XFRMNLGRP_POLICY):
        payload = policy_info(policy) + policy_attributes(policy)
        engine.multicast(XFRMNLGRP_POLICY, message(kind, 0, seq, pid, payload))


def policy_deleted(engine: Engine, policy: Policy, seq: int, pid: int, *, by_index: bool) -> None:
    """DELPOLICY to XFRMNLGRP_POLICY; ``by_index``: it was asked for by its index."""
    if engine.listens(XFRMNLGRP_POLICY):
        payload = (
            policy_id(policy, by_index=by_index)
            + attr(m.XFRMA_POLICY, policy_info(policy))
            + policy_attributes(policy)
        )
        engine.multicast(XFRMNLGRP_POLICY, message(m.XFRM_MSG_DELPOLICY, 0, seq, pid, payload))


def policies_flushed(engine: Engine, kind: int, seq: int, pid: int) -> None:
    """FLUSHPOLICY of a policy type to XFRMNLGRP_POLICY."""
    made = message(m.XFRM_MSG_FLUSHPOLICY, 0, seq, pid, type_attribute(kind))
    engine.multicast(XFRMNLGRP_POLICY, made)


def policy_expired(engine: Engine, policy: Policy, *, hard: bool, pid: int) -> None:
    """POLEXPIRE to XFRMNLGRP_EXPIRE; ``pid`` is 0 if it was the engine's own timer."""
    if engine.listens(XFRMNLGRP_EXPIRE):
        payload = policy_info(policy) + bytes((hard, 0, 0, 0, 0, 0, 0, 0))
        payload += policy_attributes(policy, policy.sec_ctx)
        engine.multicast(XFRMNLGRP_EXPIRE, message(m.XFRM_MSG_POLEXPIRE, 0, 0, pid, payload))


def default_changed(engine: Engine) -> None:
    """GETDEFAULT to XFRMNLGRP_POLICY; it names no cause."""
    made = message(m.XFRM_MSG_GETDEFAULT, 0, 0, 0, defaults_info(engine.spd.defaults))
    engine.multicast(XFRMNLGRP_POLICY, made)
