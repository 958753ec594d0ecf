"""What a key manager or a stand-by node says about SAs in use: NEWAE, GETAE, EXPIRE, ACQUIRE.

NEWAE writes sequence numbers, counters and thresholds into an SA and tells the others; GETAE reads them. EXPIRE and ACQUIRE from user space
are for key managers to talk to each other through the kernel: the first tells of an end (and makes it, if it is a hard one), the second is passed on, once
a template, with a sequence number of the kernel's own; no larval SA comes of it.

Sources: net/xfrm/xfrm_user.c: xfrm_new_ae, xfrm_get_ae, xfrm_update_ae_params, xfrm_replay_verify_len, xfrm_add_sa_expire, xfrm_add_acquire.
"""

from __future__ import annotations

import struct
from errno import EINVAL, ENOENT, ESRCH
from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_REPLACE
from pyxfrm.abi.structs import (
    AeventId,
    LifetimeCfg,
    LifetimeCur,
    ReplayState,
    ReplayStateEsn,
    UserAcquire,
    UserExpire,
)
from pyxfrm.abi.xfrm import XFRM_AE_CU
from pyxfrm.engine import notify, notify_events
from pyxfrm.engine.handlers.policy import build_policy
from pyxfrm.engine.handlers.sa import request_mark
from pyxfrm.engine.refusal import Refusal
from pyxfrm.engine.sa import NO_PCPU, Sa, State, Traits, key_of
from pyxfrm.engine.sa_install import delete_sa
from pyxfrm.wire.codec import codec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxfrm.engine.request import Request

__all__ = ["get_ae", "new_acquire", "new_ae", "new_expire"]

_aevent_id = codec(AeventId).decode
_expire = codec(UserExpire).decode
_acquire = codec(UserAcquire).decode
_POLICY_AT = codec(UserAcquire).offset("policy")
_SPI_AT = 72  # of struct xfrm_usersa_info
_esn = codec(ReplayStateEsn).decode
_replay = codec(ReplayState).decode
_lifetime = codec(LifetimeCur).decode
_u32 = struct.Struct("=I").unpack_from

_NO_LIMITS = LifetimeCfg(0, 0, 0, 0, 0, 0, 0, 0)
_ESN_HEAD = 24  # struct xfrm_replay_state_esn without its bitmap
_SOMETHING_TO_SET = (
    m.XFRMA_LTIME_VAL,
    m.XFRMA_REPLAY_VAL,
    m.XFRMA_REPLAY_ESN_VAL,
    m.XFRMA_ETIMER_THRESH,
    m.XFRMA_REPLAY_THRESH,
)
_NOT_VALID = "SA must be in VALID state"


# -- NEWAE, GETAE --------------------------------------------------------------------------------


def _find(request: Request, event: AeventId) -> Sa:
    who = event.sa_id
    spi = request.data[request.body + 16 : request.body + 20]
    key = key_of(who.daddr, spi, who.family, who.proto)
    sa = request.engine.sadb.lookup(key, request_mark(request))
    if sa is None:
        raise Refusal(ESRCH)
    return sa


def get_ae(request: Request) -> None:
    """GETAE: the flags of the request say which thresholds are shown too."""
    event = _aevent_id(request.data, request.body)
    sa = _find(request, event)
    made = notify_events.aevent(request.engine, sa, event.flags, request.seq, request.pid)
    request.engine.answer(request.port, made)


def new_ae(request: Request) -> None:
    """NEWAE: set what its attributes say."""
    attrs = request.attrs
    if not any(number in attrs for number in _SOMETHING_TO_SET):
        raise Refusal(EINVAL, "Missing required attribute for AE")
    if not request.flags & NLM_F_REPLACE:
        raise Refusal(EINVAL, "NLM_F_REPLACE flag is required")
    sa = _find(request, _aevent_id(request.data, request.body))
    if sa.state != State.VALID:
        raise Refusal(EINVAL, _NOT_VALID)
    if sa.esn is not None and m.XFRMA_REPLAY_ESN_VAL in attrs:
        _verify_esn(sa.esn, attrs[m.XFRMA_REPLAY_ESN_VAL])
    _set_parameters(sa, attrs)
    notify_events.told_aevent(request.engine, sa, XFRM_AE_CU, request.seq, request.pid)


def _verify_esn(old: ReplayStateEsn, raw: bytes) -> None:
    """The new state must be as large as the old one, in C's 32-bit arithmetic."""
    new = _esn(raw)
    size = _ESN_HEAD + 4 * new.bmp_len & 0xFFFFFFFF
    if size < 1 << 31 and len(raw) < size:
        raise Refusal(EINVAL, "ESN attribute is too short")
    if size != _ESN_HEAD + 4 * old.bmp_len:
        raise Refusal(EINVAL, "New ESN size doesn't match the existing SA's ESN size")
    if new.bmp_len != old.bmp_len:
        raise Refusal(EINVAL, "New ESN bitmap size doesn't match the existing SA's ESN bitmap")
    if new.replay_window > 32 * new.bmp_len:
        raise Refusal(EINVAL, "ESN replay window is longer than the bitmap")


def _set_parameters(sa: Sa, attrs: Mapping[int, bytes]) -> None:
    """What is set counts as told. The mapping threshold is taken unseen, even where there is no encapsulation."""
    if sa.esn is not None and m.XFRMA_REPLAY_ESN_VAL in attrs:
        state = _esn(attrs[m.XFRMA_REPLAY_ESN_VAL])
        sa.esn = sa.told = state._replace(bmp=state.bmp[: 4 * state.bmp_len])
    if m.XFRMA_REPLAY_VAL in attrs:
        sa.replay = _replay(attrs[m.XFRMA_REPLAY_VAL])
        if sa.esn is None:
            sa.told = sa.replay
    if m.XFRMA_LTIME_VAL in attrs:
        sa.bytes, sa.packets, sa.add_time, sa.use_time = _lifetime(attrs[m.XFRMA_LTIME_VAL])
    if m.XFRMA_ETIMER_THRESH in attrs:
        sa.traits = sa.traits._replace(maxage=_u32(attrs[m.XFRMA_ETIMER_THRESH])[0])
    if m.XFRMA_REPLAY_THRESH in attrs:
        sa.traits = sa.traits._replace(maxdiff=_u32(attrs[m.XFRMA_REPLAY_THRESH])[0])
    if m.XFRMA_MTIMER_THRESH in attrs:
        sa.mapping_maxage = _u32(attrs[m.XFRMA_MTIMER_THRESH])[0]


# -- EXPIRE, ACQUIRE -------------------------------------------------------------------------------


def new_expire(request: Request) -> None:
    """EXPIRE: told to all; a hard one deletes the SA, even one that is in use by tunnels."""
    said = _expire(request.data, request.body)
    info = said.state
    spi = request.data[request.body + _SPI_AT : request.body + _SPI_AT + 4]
    key = key_of(info.id.daddr, spi, info.family, info.id.proto)
    engine = request.engine
    sa = engine.sadb.lookup(key, request_mark(request))
    if sa is None:
        raise Refusal(ENOENT)
    if sa.state != State.VALID:
        raise Refusal(EINVAL, _NOT_VALID)
    notify.sa_expired(engine, sa, hard=bool(said.hard), pid=request.pid)
    if said.hard:
        delete_sa(engine, sa)


def new_acquire(request: Request) -> None:
    """ACQUIRE: passed on, one event a template; that nobody hears it is no error.

    From each event on, the template that it is about asks for the algorithms that the request names.
    """
    said = _acquire(request.data, request.body)
    engine = request.engine
    pcpu_num = NO_PCPU
    if m.XFRMA_SA_PCPU in request.attrs:
        pcpu_num = _u32(request.attrs[m.XFRMA_SA_PCPU])[0]
        if pcpu_num >= engine.profile.cpus:
            raise Refusal(EINVAL, "pCPU number too big")
    policy = build_policy(request, said.policy, request.body + _POLICY_AT)
    policy.mark = request_mark(request)
    algorithms = (said.aalgos, said.ealgos, said.calgos)
    templates = list(policy.templates)
    for i, template in enumerate(templates):
        templates[i] = template._replace(aalgos=said.aalgos, ealgos=said.ealgos, calgos=said.calgos)
        policy.templates = tuple(templates)
        who = template.id
        traits = Traits(template.mode, 0, 0, _NO_LIMITS, pcpu_num=pcpu_num, id_pad=who.pad)
        spi = who.spi.to_bytes(4, "big")
        sa = Sa(
            traits,
            who.daddr,
            spi,
            who.proto,
            template.family,
            said.saddr,
            template.reqid,
            said.sel,
        )
        notify_events.acquired(engine, sa, policy, algorithms, engine.chance.acquire_seq())
