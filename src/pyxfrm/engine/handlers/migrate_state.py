"""MIGRATE_STATE: move one SA, named by SPI, destination, protocol, family and mark.

The checks come in the kernel's order, each with its text (net/xfrm/xfrm_user.c: xfrm_do_migrate_state). What is asked for and
what is inherited is settled first; then the clone is made and checked; then, with nothing left to fail but the
insertion, the old SA stops and the new one takes over its sequence numbers.
"""

from __future__ import annotations

import struct
from errno import EEXIST, EINVAL, ENOPROTOOPT, ESRCH
from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi.structs import UserMigrateState
from pyxfrm.abi.xfrm import (
    AF_INET,
    AF_INET6,
    UDP_ENCAP_ESPINUDP,
    XFRM_MIGRATE_STATE_CLEAR_OFFLOAD,
    XFRM_MIGRATE_STATE_KNOWN_FLAGS,
    XFRM_MIGRATE_STATE_UPDATE_H2H_SEL,
    XFRM_SA_DIR_OUT,
    XFRMNLGRP_MIGRATE,
)
from pyxfrm.engine.migrate import Move, clone, hand_over
from pyxfrm.engine.offload import add_offload
from pyxfrm.engine.refusal import Refusal
from pyxfrm.engine.replies import attr, attr_u8, attr_u32, message
from pyxfrm.engine.sa import State, key_of, same_address
from pyxfrm.engine.sa_build import init_state
from pyxfrm.engine.sa_encode import selector_bytes, smark_attributes
from pyxfrm.engine.sa_install import add_sa, delete_sa, discard, insert_sa
from pyxfrm.engine.sa_verify import verify_family, verify_selector
from pyxfrm.wire.codec import codec

if TYPE_CHECKING:
    from pyxfrm.engine.request import Request
    from pyxfrm.engine.sa import Sa

__all__ = ["create", "migrate_state"]

_decode = codec(UserMigrateState).decode
_u16 = struct.Struct("=H").unpack_from
_u32 = struct.Struct("=I").unpack_from
_pair = struct.Struct("=II").unpack_from
_SEL_AT = codec(UserMigrateState).offset("new_sel")
_SEL_END = codec(UserMigrateState).offset("new_reqid")
_SIZE = codec(UserMigrateState).size


def migrate_state(request: Request) -> None:
    """XFRM_MSG_MIGRATE_STATE."""
    if not request.engine.profile.migrate:
        raise Refusal(ENOPROTOOPT, "XFRM_MSG_MIGRATE_STATE is not supported")
    um = _decode(request.data, request.body)
    _check_form(um)
    old = _find(request, um)
    move, encap = _settle(request, um, old)
    offload = _offload(request, um, old)
    engine = request.engine
    moved = not (
        um.new_family == um.id.family and same_address(move.daddr, um.id.daddr, move.family)
    )
    if moved or engine.profile.exact_marks:
        met = engine.sadb.lookup(key_of(move.daddr, old.spi, move.family, old.proto), move.mark)
        if met is not None and met is not old:
            raise Refusal(EEXIST, "New SA tuple already occupied")
    try:
        new = create(request, old, move, offload)
    except Refusal as no:
        weak = request.text or "State migration clone failed"
        raise Refusal(EINVAL, no.text or weak) from no
    if old.state != State.VALID:
        discard(engine, new)
        raise Refusal(ESRCH, "State already deleted")
    delete_sa(engine, old)
    hand_over(engine, new, old)
    if moved:
        try:
            add_sa(engine, new)
        except Refusal as no:
            # The old SA is gone and must not come back: its sequence numbers may be in use.
            raise Refusal(EEXIST, "Failed to add migrated state") from no
    else:
        insert_sa(engine, new)
    if not engine.multicast(XFRMNLGRP_MIGRATE, _event(request, um, new, encap, offload)):
        request.text = "Failed to send migration notification"


def _check_form(um: UserMigrateState) -> None:
    if not um.id.spi:
        raise Refusal(EINVAL, "Invalid SPI 0x0")
    if um.reserved:
        raise Refusal(EINVAL, "Reserved field must be zero")
    unknown = um.flags & ~XFRM_MIGRATE_STATE_KNOWN_FLAGS
    if unknown:
        raise Refusal(EINVAL, f"Unknown flags: 0x{unknown:x}")
    if um.new_family not in (AF_INET, AF_INET6):
        verify_family(um.new_family)
    if not um.flags & XFRM_MIGRATE_STATE_UPDATE_H2H_SEL:
        verify_selector(um.new_sel.family, um.new_sel)


def _find(request: Request, um: UserMigrateState) -> Sa:
    data, body = request.data, request.body
    key = key_of(um.id.daddr, data[body + 16 : body + 20], um.id.family, um.id.proto)
    old = request.engine.sadb.lookup(key, um.old_mark)
    if old is None:
        raise Refusal(ESRCH, "Can not find state")
    if um.flags & XFRM_MIGRATE_STATE_UPDATE_H2H_SEL:
        sel, family = old.sel, old.family
        host = 128 if family == AF_INET6 else 32
        if (
            not sel.prefixlen_s == sel.prefixlen_d == host
            or not same_address(sel.daddr, old.daddr, family)
            or not same_address(sel.saddr, old.saddr, family)
        ):
            raise Refusal(EINVAL, "SA selector is not a single-host match for SA addresses")
    return old


def _settle(request: Request, um: UserMigrateState, old: Sa) -> tuple[Move, bytes | None]:
    """What is asked for and what is inherited; and the encapsulation as the notification tells it."""
    attrs = request.attrs
    encap = told = old.encap
    mark: tuple[int, int] = um.old_mark
    smark = old.smark
    mapping_maxage, nat_keepalive = old.mapping_maxage, old.nat_keepalive
    if request.engine.profile.exact_marks:
        mark = old.mark
    if attrs:
        encap, told = _encap(attrs, old)
        if m.XFRMA_MTIMER_THRESH in attrs:
            mapping_maxage = _mapping_maxage(attrs[m.XFRMA_MTIMER_THRESH], encap, old)
        if m.XFRMA_NAT_KEEPALIVE_INTERVAL in attrs:
            nat_keepalive = _nat_keepalive(attrs[m.XFRMA_NAT_KEEPALIVE_INTERVAL], encap)
        if m.XFRMA_MARK in attrs:
            mark = _pair(attrs[m.XFRMA_MARK])
        if m.XFRMA_SET_MARK in attrs:
            smark = _smark(attrs)
    sel = um.new_sel
    if um.flags & XFRM_MIGRATE_STATE_UPDATE_H2H_SEL:
        host = 128 if um.new_family == AF_INET6 else 32
        sel = old.sel._replace(
            family=um.new_family,
            prefixlen_d=host,
            prefixlen_s=host,
            daddr=um.new_daddr,
            saddr=um.new_saddr,
        )
    move = Move(
        um.new_daddr,
        um.new_saddr,
        um.new_family,
        um.new_reqid,
        sel,
        encap,
        mark,
        smark,
        mapping_maxage,
        nat_keepalive,
    )
    return move, told


def _encap(attrs: dict[int, bytes], old: Sa) -> tuple[bytes | None, bytes | None]:
    raw = attrs.get(m.XFRMA_ENCAP)
    if raw is None:
        return old.encap, old.encap
    kind = _u16(raw)[0]
    if kind == 0:
        return None, raw[:24]
    if kind != UDP_ENCAP_ESPINUDP:
        raise Refusal(EINVAL, "Unsupported encapsulation type")
    return raw[:24], raw[:24]


def _mapping_maxage(raw: bytes, encap: bytes | None, old: Sa) -> int:
    if encap is None:
        raise Refusal(EINVAL, "MTIMER_THRESH requires encapsulation")
    if old.traits.dir == XFRM_SA_DIR_OUT:
        raise Refusal(EINVAL, "MTIMER_THRESH should not be set on output SA")
    return int(_u32(raw)[0])


def _nat_keepalive(raw: bytes, encap: bytes | None) -> int:
    interval = int(_u32(raw)[0])
    if interval and encap is None:
        raise Refusal(EINVAL, "NAT_KEEPALIVE_INTERVAL requires encapsulation")
    return interval


def _smark(attrs: dict[int, bytes]) -> tuple[int, int]:
    mask = attrs.get(m.XFRMA_SET_MARK_MASK)
    return _u32(attrs[m.XFRMA_SET_MARK])[0], _u32(mask)[0] if mask else 0xFFFFFFFF


def _offload(request: Request, um: UserMigrateState, old: Sa) -> bytes | None:
    """struct xfrm_user_offload of the new SA: asked for, inherited, or none."""
    raw = request.attrs.get(m.XFRMA_OFFLOAD_DEV)
    if raw is not None:
        return raw[:8]
    if old.offload is None or um.flags & XFRM_MIGRATE_STATE_CLEAR_OFFLOAD:
        return None
    return struct.pack("=iB3x", *old.offload)


def create(request: Request, old: Sa, move: Move, offload: bytes | None) -> Sa:
    """The clone, checked as a new SA is and given to its device; not installed yet.

    ``offload`` is struct xfrm_user_offload, or None. A refusal has the reason's own text; if it has none, one that was there before.
    """
    engine = request.engine
    new = clone(old, move)
    try:
        init_state(engine, new)
    except Refusal as no:
        weak = request.text or "Failed to initialize migrated state"
        raise Refusal(no.errno, no.text or weak) from no
    if offload is not None:
        try:
            add_offload(engine, new, offload, cloned=True)
        except Refusal:
            discard(engine, new)
            raise
    return new


def _event(
    request: Request, um: UserMigrateState, new: Sa, encap: bytes | None, offload: bytes | None
) -> bytes:
    """The notification: the request's structure with the new SA's selector, then what applies."""
    start = request.body
    data = request.data
    payload = data[start : start + _SIZE]
    if new.sel is not um.new_sel:
        payload = payload[:_SEL_AT] + selector_bytes(new.sel) + payload[_SEL_END:]
    if encap is not None:
        payload += attr(m.XFRMA_ENCAP, encap)
    if offload is not None:
        payload += attr(m.XFRMA_OFFLOAD_DEV, offload)
    mark = request.attrs.get(m.XFRMA_MARK)
    if mark is not None:
        payload += attr(m.XFRMA_MARK, mark[:8])
    payload += smark_attributes(new.smark)
    if new.mapping_maxage:
        payload += attr_u32(m.XFRMA_MTIMER_THRESH, new.mapping_maxage)
    if new.nat_keepalive:
        payload += attr_u32(m.XFRMA_NAT_KEEPALIVE_INTERVAL, new.nat_keepalive)
    if new.traits.dir:
        payload += attr_u8(m.XFRMA_SA_DIR, new.traits.dir)
    return message(m.XFRM_MSG_MIGRATE_STATE, 0, request.seq, request.pid, payload)
