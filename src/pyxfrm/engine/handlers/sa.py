"""SAs: NEWSA, UPDSA, DELSA, GETSA (one and dump), ALLOCSPI, FLUSHSA.

Sources: net/xfrm/xfrm_user.c: xfrm_add_sa, xfrm_del_sa, xfrm_get_sa, xfrm_dump_sa, xfrm_alloc_userspi, xfrm_flush_sa;
net/xfrm/xfrm_state.c: xfrm_alloc_spi, xfrm_state_flush, xfrm_state_walk.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from errno import EINVAL, EMSGSIZE, ENOENT, EPERM, ESRCH
from functools import partial

from pyxfrm.abi import messages as m
from pyxfrm.abi.structs import AddressFilter, UserSaId, UserSaInfo, UserSpiInfo
from pyxfrm.abi.xfrm import (
    AF_INET,
    AF_INET6,
    IPPROTO_AH,
    IPPROTO_COMP,
    IPPROTO_ESP,
    IPSEC_PROTO_ANY,
)
from pyxfrm.engine import larval, notify
from pyxfrm.engine.dispatch import parse_attributes
from pyxfrm.engine.refusal import Refusal
from pyxfrm.engine.replies import FIRST_DATAGRAM, Step, message
from pyxfrm.engine.request import Request
from pyxfrm.engine.sa import NAMED_BY_SPI, NO_PCPU, Sa, State, key_of, same_address
from pyxfrm.engine.sa_build import build_sa
from pyxfrm.engine.sa_encode import sa_attributes, sa_info
from pyxfrm.engine.sa_install import add_sa, delete_sa, update_sa
from pyxfrm.engine.sa_verify import verify_new_sa
from pyxfrm.wire.codec import codec

__all__ = ["alloc_spi", "del_sa", "dump_sa", "flush_sa", "get_sa", "new_sa"]

_info = codec(UserSaInfo).decode
_id = codec(UserSaId).decode
_spi_info = codec(UserSpiInfo).decode
_filter = codec(AddressFilter).decode
_pair = struct.Struct("=II").unpack_from
_u32 = struct.Struct("=I").unpack_from
_be32 = struct.Struct(">I").pack

_NO_MARK = (0, 0)
_NO_SPI = bytes(4)


def request_mark(request: Request) -> tuple[int, int]:
    """XFRMA_MARK of a request as (value, mask); (0, 0) where there is none."""
    raw = request.attrs.get(m.XFRMA_MARK)
    return _pair(raw) if raw else _NO_MARK


def proto_matches(proto: int, wanted: int) -> bool:
    """Whether an SA's protocol is among those wanted: 0 any, 255 those that have an SPI."""
    return wanted in (0, proto) or (wanted == IPSEC_PROTO_ANY and proto in NAMED_BY_SPI)


def new_sa(request: Request) -> None:
    """NEWSA and UPDSA."""
    info = _info(request.data, request.body)
    verify_new_sa(request, info)
    sa = build_sa(request, info)
    engine = request.engine
    if request.type == m.XFRM_MSG_NEWSA:
        add_sa(engine, sa)
    else:
        update_sa(engine, sa)
    if sa.state == State.VOID:
        sa.state = State.VALID
    notify.sa_changed(engine, request.type, sa, request.seq, request.pid)


def _find(request: Request) -> Sa:
    """The SA that struct xfrm_usersa_id and the attributes name."""
    data, body = request.data, request.body
    who = _id(data, body)
    sadb = request.engine.sadb
    if who.proto in NAMED_BY_SPI:
        key = key_of(who.daddr, data[body + 16 : body + 20], who.family, who.proto)
        sa = sadb.lookup(key, request_mark(request))
    else:
        saddr = request.attrs.get(m.XFRMA_SRCADDR)
        if saddr is None:
            raise Refusal(EINVAL)
        mark = request_mark(request)
        sa = sadb.lookup_addresses(who.daddr, saddr[:16], who.proto, who.family, mark)
    if sa is None:
        raise Refusal(ESRCH)
    return sa


def del_sa(request: Request) -> None:
    """DELSA."""
    sa = _find(request)
    if sa.tunnel_users:
        raise Refusal(EPERM, "SA is in use by tunnels")
    delete_sa(request.engine, sa)
    notify.sa_changed(request.engine, request.type, sa, request.seq, request.pid)


def get_sa(request: Request) -> None:
    """GETSA of one SA."""
    _reply(request, _find(request))


def _reply(request: Request, sa: Sa) -> None:
    payload = _dump_one(sa, request, 16)
    if 16 + len(payload) > FIRST_DATAGRAM:
        raise Refusal(EMSGSIZE)
    made = message(m.XFRM_MSG_NEWSA, 0, request.seq, request.port.portid, payload)
    request.engine.answer(request.port, made)


def _dump_one(sa: Sa, request: Request, at: int) -> bytes:
    if sa.state == State.DEAD:
        return b""
    info = sa_info(sa)
    return info + sa_attributes(sa, at + len(info), request.engine.profile)


def dump_sa(request: Request) -> Iterator[Step]:
    """GETSA with a dump flag: newest first, those that a protocol and an address filter admit."""
    parse_attributes(request, 0)
    attrs = request.attrs
    wanted = attrs[m.XFRMA_PROTO][0] if m.XFRMA_PROTO in attrs else 0
    raw = attrs.get(m.XFRMA_ADDRESS_FILTER)
    admit = _filter(raw) if raw else None
    if admit and (admit.splen > 128 or admit.dplen > 128):
        raise Refusal(EINVAL)
    return _steps(request, wanted, admit)


def _steps(request: Request, wanted: int, admit: AddressFilter | None) -> Iterator[Step]:
    for sa in list(request.engine.sadb):
        if proto_matches(sa.proto, wanted) and (admit is None or _admits(admit, sa)):
            yield Step(m.XFRM_MSG_NEWSA, partial(_dump_one, sa, request))


def _admits(admit: AddressFilter, sa: Sa) -> bool:
    if admit.family in (AF_INET, AF_INET6) and admit.family != sa.family:
        return False
    return _prefix_equal(sa.saddr, admit.saddr, admit.splen) and _prefix_equal(
        sa.daddr, admit.daddr, admit.dplen
    )


def _prefix_equal(one: bytes, other: bytes, bits: int) -> bool:
    shift = 128 - bits
    return int.from_bytes(one, "big") >> shift == int.from_bytes(other, "big") >> shift


def flush_sa(request: Request) -> None:
    """FLUSHSA: all of a protocol; an empty table is no error and no event."""
    engine = request.engine
    wanted = request.data[request.body]
    doomed = [sa for sa in engine.sadb if proto_matches(sa.proto, wanted) and not sa.tunnel_users]
    done = [delete_sa(engine, sa) for sa in doomed]
    if any(done):
        notify.sas_flushed(engine, wanted, request.seq, request.pid)


def alloc_spi(request: Request) -> None:
    """ALLOCSPI: give the larval SA that waits (or a new one) an SPI of the range, and show it."""
    asked = _spi_info(request.data, request.body)
    info = asked.info
    _verify_range(info.id.proto, asked.min, asked.max)
    engine = request.engine
    mark = request_mark(request)
    attrs = request.attrs
    pcpu_num = NO_PCPU
    if m.XFRMA_SA_PCPU in attrs:
        pcpu_num = _u32(attrs[m.XFRMA_SA_PCPU])[0]
        if pcpu_num >= engine.profile.cpus:
            raise Refusal(EINVAL, "pCPU number too big")
    sa = engine.sadb.by_seq(info.seq, mark, pcpu_num) if info.seq else None
    if sa is None or not same_address(sa.daddr, info.id.daddr, info.family):
        if_id = _u32(attrs[m.XFRMA_IF_ID])[0] if m.XFRMA_IF_ID in attrs else 0
        sa = larval.find_or_make(
            engine,
            daddr=info.id.daddr,
            saddr=info.saddr,
            family=info.family,
            proto=info.id.proto,
            mode=info.mode,
            reqid=info.reqid,
            mark=mark,
            if_id=if_id,
            pcpu_num=pcpu_num,
        )
    if sa.spi == _NO_SPI:
        engine.sadb.set_spi(sa, _choose(request, sa.proto, asked.min, asked.max))
    if m.XFRMA_SA_DIR in attrs:
        sa.traits = sa.traits._replace(dir=attrs[m.XFRMA_SA_DIR][0])
    _reply(request, sa)


def _verify_range(proto: int, low: int, high: int) -> None:
    if proto not in (IPPROTO_AH, IPPROTO_ESP, IPPROTO_COMP):
        raise Refusal(EINVAL, "Invalid protocol, must be one of AH, ESP, IPCOMP")
    if proto == IPPROTO_COMP and high >= 0x10000:
        raise Refusal(EINVAL, "IPCOMP SPI must be <= 65535")
    if low > high:
        raise Refusal(EINVAL, "Invalid SPI range: min > max")


def _choose(request: Request, proto: int, low: int, high: int) -> bytes:
    sadb = request.engine.sadb
    # The kernel counts in 32 bits: the full range is one of no size.
    tries = 1 if low == high else (high - low + 1) & 0xFFFFFFFF
    for _ in range(tries):
        number = low if low == high else request.engine.chance.spi(low, high)
        spi = _be32(number)
        if number and not sadb.spi_taken(spi, proto):
            return spi
    raise Refusal(ENOENT, "No SPI available in the requested range")
