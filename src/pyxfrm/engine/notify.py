"""Who hears of a change: one function an event, each to the group that Linux sends it to.

A notification repeats the sequence number and port of the request that caused it (its ``seq`` and ``pid``), and goes out before that
request's ACK. Sources: net/xfrm/xfrm_user.c: xfrm_notify_sa, xfrm_notify_sa_flush.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi.xfrm import XFRMNLGRP_EXPIRE, XFRMNLGRP_SA
from pyxfrm.engine.replies import attr, attr_u32, message
from pyxfrm.engine.sa_encode import (
    direction_attributes,
    mark_attribute,
    sa_attributes,
    sa_id,
    sa_info,
)

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.sa import Sa

__all__ = ["sa_changed", "sa_expired", "sas_flushed"]

_HARD = b"\1" + bytes(7)
_SOFT = bytes(8)


def sa_changed(engine: Engine, kind: int, sa: Sa, seq: int, pid: int) -> None:
    """NEWSA, UPDSA or DELSA to XFRMNLGRP_SA."""
    if not engine.listens(XFRMNLGRP_SA):
        return
    payload = sa_info(sa)
    if kind == m.XFRM_MSG_DELSA:
        payload = sa_id(sa) + attr(m.XFRMA_SA, payload)
    payload += sa_attributes(sa, 16 + len(payload), engine.profile)
    engine.multicast(XFRMNLGRP_SA, message(kind, 0, seq, pid, payload))


def sa_expired(engine: Engine, sa: Sa, *, hard: bool, pid: int = 0) -> None:
    """EXPIRE to XFRMNLGRP_EXPIRE; its sequence number is 0, and ``pid`` too unless a request caused it."""
    if not engine.listens(XFRMNLGRP_EXPIRE):
        return
    traits = sa.traits
    payload = sa_info(sa) + (_HARD if hard else _SOFT) + mark_attribute(sa.mark)
    if traits.if_id:
        payload += attr_u32(m.XFRMA_IF_ID, traits.if_id)
    payload += direction_attributes(sa)
    engine.multicast(XFRMNLGRP_EXPIRE, message(m.XFRM_MSG_EXPIRE, 0, 0, pid, payload))


def sas_flushed(engine: Engine, proto: int, seq: int, pid: int) -> None:
    """FLUSHSA to XFRMNLGRP_SA."""
    payload = bytes((proto, 0, 0, 0))
    engine.multicast(XFRMNLGRP_SA, message(m.XFRM_MSG_FLUSHSA, 0, seq, pid, payload))
