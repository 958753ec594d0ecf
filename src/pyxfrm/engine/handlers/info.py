"""What the tables hold: GETSADINFO, GETSPDINFO, NEWSPDINFO; and SETDEFAULT, GETDEFAULT.

Sources: net/xfrm/xfrm_user.c: build_sadinfo, build_spdinfo, xfrm_set_spdinfo, xfrm_set_default, xfrm_get_default.
"""

from __future__ import annotations

import struct
from errno import EINVAL
from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi.xfrm import (
    AF_INET,
    AF_INET6,
    XFRM_POLICY_FWD,
    XFRM_POLICY_IN,
    XFRM_POLICY_OUT,
    XFRM_USERPOLICY_ACCEPT,
    XFRM_USERPOLICY_BLOCK,
)
from pyxfrm.engine import notify_policy, sadb, spd
from pyxfrm.engine.policy_encode import defaults_info
from pyxfrm.engine.refusal import Refusal
from pyxfrm.engine.replies import attr, attr_u32, message

if TYPE_CHECKING:
    from pyxfrm.engine.request import Request

__all__ = ["get_default", "get_sad_info", "get_spd_info", "set_default", "set_spd_info"]

_two = struct.Struct("=II").pack
_six = struct.Struct("=IIIIII").pack
_DEFAULTS = (XFRM_USERPOLICY_BLOCK, XFRM_USERPOLICY_ACCEPT)
_THRESHOLDS = (
    (m.XFRMA_SPD_IPV4_HTHRESH, AF_INET, 32, "Invalid hash threshold (must be <= 32 for IPv4)"),
    (m.XFRMA_SPD_IPV6_HTHRESH, AF_INET6, 128, "Invalid hash threshold (must be <= 128 for IPv6)"),
)


def _reply(request: Request, kind: int, payload: bytes) -> None:
    made = message(kind, 0, request.seq, request.port.portid, payload)
    request.engine.answer(request.port, made)


def _flags(request: Request) -> bytes:
    """The word that opens these messages; it is given back and means nothing."""
    return request.data[request.body : request.body + 4]


def get_sad_info(request: Request) -> None:
    """GETSADINFO: number of SAs, buckets now and at most."""
    table = request.engine.sadb
    payload = (
        _flags(request)
        + attr_u32(m.XFRMA_SAD_CNT, len(table))
        + attr(m.XFRMA_SAD_HINFO, _two(table.buckets, sadb.MAX_BUCKETS))
    )
    _reply(request, m.XFRM_MSG_NEWSADINFO, payload)


def get_spd_info(request: Request) -> None:
    """GETSPDINFO: policies by direction, and of sockets, buckets (less one) now and at most, thresholds."""
    table = request.engine.spd
    counts = (
        table.counts[XFRM_POLICY_IN],
        table.counts[XFRM_POLICY_OUT],
        table.counts[XFRM_POLICY_FWD],
    )
    payload = (
        _flags(request)
        + attr(m.XFRMA_SPD_INFO, _six(*counts, *table.socket_counts))
        + attr(m.XFRMA_SPD_HINFO, _two(table.buckets - 1, spd.MAX_BUCKETS))
    )
    for number, family, _, _ in _THRESHOLDS:
        payload += attr(number, bytes(table.thresholds[family]))
    _reply(request, m.XFRM_MSG_NEWSPDINFO, payload)


def set_spd_info(request: Request) -> None:
    """NEWSPDINFO: from which prefix lengths on policies are hashed."""
    wanted = {}
    for number, family, most, text in _THRESHOLDS:
        raw = request.attrs.get(number)
        if raw is not None:
            local, remote = raw[0], raw[1]
            if local > most or remote > most:
                raise Refusal(EINVAL, text)
            wanted[family] = (local, remote)
    if wanted:
        request.engine.spd.set_thresholds(wanted)


def set_default(request: Request) -> None:
    """SETDEFAULT: what happens to packets without a policy; any value but block and accept leaves it as it is."""
    spd_ = request.engine.spd
    asked = request.data[request.body : request.body + 3]
    for direction, value in zip(
        (XFRM_POLICY_IN, XFRM_POLICY_FWD, XFRM_POLICY_OUT), asked, strict=True
    ):
        if value in _DEFAULTS:
            spd_.defaults[direction] = value
    notify_policy.default_changed(request.engine)


def get_default(request: Request) -> None:
    """GETDEFAULT."""
    _reply(request, m.XFRM_MSG_GETDEFAULT, defaults_info(request.engine.spd.defaults))
