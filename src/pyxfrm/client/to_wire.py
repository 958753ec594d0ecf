"""Values to bytes: what follows the netlink header of each request.

Nothing is decided here. What a value does not say is not sent, what it says is sent as it stands: a mark of {0, 0} is an attribute of
zeros, ``INHERIT`` is no attribute, ``REMOVE`` is the value that the kernel takes for "none".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi import xfrm as c
from pyxfrm.model import (
    HOST_TO_HOST,
    INHERIT,
    NO_LIMITS,
    REMOVE,
    Algorithm,
    AlgorithmKind,
    Counters,
    Encap,
    Iptfs,
    Limits,
    Mark,
    Migration,
    Network,
    Offload,
    Policy,
    PolicyId,
    PolicyMigration,
    PolicyType,
    ReplayState,
    Sa,
    SaId,
    SecurityContext,
    Selector,
    Template,
)
from pyxfrm.wire.attrs import encode_payload
from pyxfrm.wire.codec import codec

__all__ = [
    "address_filter",
    "encap",
    "lifetime",
    "limits",
    "mark",
    "migration",
    "offload",
    "payload",
    "policy",
    "policy_attrs",
    "policy_id",
    "policy_info",
    "policy_migration",
    "replay",
    "sa",
    "sa_id",
    "sa_info",
    "selector",
    "template",
    "usersa_id",
]

Attrs = Iterable[tuple[int, Any]]
Space = Mapping[int, tuple[str, m.Payload]]

_ATTR = struct.Struct("=HH").pack
_ZERO_ADDRESS = bytes(16)
_NO_COUNTERS = s.LifetimeCur(0, 0, 0, 0)
_NO_STATS = s.Stats(0, 0, 0)
_NO_SELECTOR = codec(s.Selector).decode(bytes(56))
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


def payload(body: Any, attrs: Attrs = (), space: Space = m.ATTRIBUTES) -> bytes:
    """A structure (or none, or bytes) and attributes, each padded to 4 bytes."""
    if body is None:
        parts = []
    else:
        raw = body if isinstance(body, bytes) else codec(type(body)).encode(body)
        parts = [raw, _PADDING[len(raw) % 4]]
    empty = True
    for number, value in attrs:
        data = value if type(value) is bytes else encode_payload(number, value, space)
        parts.append(_ATTR(4 + len(data), number) + data + _PADDING[len(data) % 4])
        empty = False
    if empty and parts:
        del parts[1:]
    return b"".join(parts)


# -- parts -------------------------------------------------------------------------------------------


def mark(value: Mark) -> s.MarkVM:
    """A mark as it stands."""
    return s.MarkVM(value.value, value.mask)


def selector(sel: Selector) -> s.Selector:
    """A selector; its family is its networks'."""
    return s.Selector(
        sel.daddr.address.raw,
        sel.saddr.address.raw,
        sel.dport.value,
        sel.dport.mask,
        sel.sport.value,
        sel.sport.mask,
        sel.daddr.address.family,
        sel.daddr.prefix,
        sel.saddr.prefix,
        sel.proto,
        sel.ifindex,
        sel.user,
    )


_NO_LIMITS = s.LifetimeCfg(*(c.XFRM_INF,) * 4, *(0,) * 4)


def limits(value: Limits) -> s.LifetimeCfg:
    """Limits: none is XFRM_INF for bytes and packets, 0 for seconds."""
    if value is NO_LIMITS:
        return _NO_LIMITS
    counts = (value.soft_bytes, value.hard_bytes, value.soft_packets, value.hard_packets)
    times = (value.soft_add, value.hard_add, value.soft_use, value.hard_use)
    return s.LifetimeCfg(
        *[c.XFRM_INF if n is None else n for n in counts], *[n or 0 for n in times]
    )


def lifetime(value: Counters) -> s.LifetimeCur:
    """Counters."""
    return s.LifetimeCur(value.bytes, value.packets, value.added, value.used)


def encap(value: Encap) -> s.EncapTmpl:
    """An encapsulation."""
    oa = value.oa.raw if value.oa else _ZERO_ADDRESS
    return s.EncapTmpl(value.kind, value.sport, value.dport, oa)


def offload(value: Offload) -> s.UserOffload:
    """A device to carry it."""
    return s.UserOffload(value.ifindex, value.flags)


def _context(value: SecurityContext) -> s.UserSecCtx:
    length = len(value.text)
    return s.UserSecCtx(8 + length, m.XFRMA_SEC_CTX, value.alg, value.doi, length, value.text)


def replay(state: ReplayState) -> tuple[int, Any]:
    """Sequence numbers, in the form that the state has: attribute number and value."""
    if state.words is None:
        return m.XFRMA_REPLAY_VAL, s.ReplayState(state.oseq, state.seq, state.bitmap)
    low = 0xFFFFFFFF
    return m.XFRMA_REPLAY_ESN_VAL, s.ReplayStateEsn(
        state.words,
        state.oseq & low,
        state.seq & low,
        state.oseq >> 32,
        state.seq >> 32,
        state.window,
        b"".join([struct.pack("=I", state.bitmap >> 32 * i & low) for i in range(state.words)]),
    )


def address_filter(saddr: Network, daddr: Network) -> s.AddressFilter:
    """Which SAs a dump is to give."""
    return s.AddressFilter(
        saddr.address.raw, daddr.address.raw, daddr.family, saddr.prefix, daddr.prefix
    )


# -- SAs ---------------------------------------------------------------------------------------------


def usersa_id(name: SaId) -> s.UserSaId:
    """An SA's name, without its mark."""
    return s.UserSaId(name.daddr.raw, name.spi, name.daddr.family, name.proto)


def sa_id(name: SaId) -> bytes:
    """A lookup: DELSA, GETSA."""
    attrs: list[tuple[int, Any]] = []
    if name.mark is not None:
        attrs.append((m.XFRMA_MARK, mark(name.mark)))
    if name.saddr is not None:
        attrs.append((m.XFRMA_SRCADDR, name.saddr.raw))
    return payload(usersa_id(name), attrs)


def sa_info(value: Sa) -> s.UserSaInfo:
    """The structure of an SA."""
    window = value.replay.window if value.replay.words is None else 0
    return s.UserSaInfo(
        selector(value.sel),
        s.Id(value.id.daddr.raw, value.id.spi, value.id.proto),
        value.saddr.raw,
        limits(value.limits),
        _NO_COUNTERS,
        _NO_STATS,
        value.acquire_seq,
        value.reqid,
        value.id.daddr.family,
        value.mode,
        window,
        value.flags | (c.XFRM_STATE_ESN if value.replay.esn else 0),
    )


def sa(value: Sa) -> bytes:
    """NEWSA, UPDSA."""
    return payload(sa_info(value), _sa_attrs(value))


def _sa_attrs(value: Sa) -> Iterator[tuple[int, Any]]:
    for one in value.algorithms:
        yield _algorithm(one)
    if value.encap is not None:
        yield m.XFRMA_ENCAP, encap(value.encap)
    if value.id.mark is not None:
        yield m.XFRMA_MARK, mark(value.id.mark)
    yield from _set_mark(value.set_mark)
    state = value.replay
    if state.words is not None or state.oseq or state.seq or state.bitmap:
        yield replay(state)
    for number, word in (
        (m.XFRMA_SA_EXTRA_FLAGS, value.extra_flags),
        (m.XFRMA_IF_ID, value.if_id),
        (m.XFRMA_SA_DIR, value.dir or 0),
        (m.XFRMA_MTIMER_THRESH, value.mapping_threshold),
        (m.XFRMA_NAT_KEEPALIVE_INTERVAL, value.nat_keepalive),
        (m.XFRMA_TFCPAD, value.tfc_pad),
    ):
        if word:
            yield number, word
    yield from _rare_sa_attrs(value)


def _rare_sa_attrs(value: Sa) -> Iterator[tuple[int, Any]]:
    if value.offload is not None:
        yield m.XFRMA_OFFLOAD_DEV, offload(value.offload)
    if value.context is not None:
        yield m.XFRMA_SEC_CTX, _context(value.context)
    if value.care_of is not None:
        yield m.XFRMA_COADDR, value.care_of.raw
    if value.counters is not None:
        yield m.XFRMA_LTIME_VAL, lifetime(value.counters)
    if value.iptfs is not None:
        yield from _iptfs(value.iptfs)
    for number, word in (
        (m.XFRMA_SA_PCPU, value.cpu),
        (m.XFRMA_REPLAY_THRESH, value.replay_notify),
        (m.XFRMA_ETIMER_THRESH, value.notify_timer),
    ):
        if word is not None:
            yield number, word


def _algorithm(value: Algorithm) -> tuple[int, Any]:
    name = value.name.encode("ascii").ljust(64, b"\0")
    bits, key = value.key.bits, value.key.reveal()
    if value.kind is AlgorithmKind.AEAD:
        return m.XFRMA_ALG_AEAD, s.AlgoAead(name, bits, value.bits or 0, key)
    if value.kind is AlgorithmKind.CRYPT:
        return m.XFRMA_ALG_CRYPT, s.Algo(name, bits, key)
    if value.kind is AlgorithmKind.COMP:
        return m.XFRMA_ALG_COMP, s.Algo(name, bits, key)
    if value.bits is None:
        return m.XFRMA_ALG_AUTH, s.Algo(name, bits, key)
    return m.XFRMA_ALG_AUTH_TRUNC, s.AlgoAuth(name, bits, value.bits, key)


def _set_mark(value: Mark | None) -> Iterator[tuple[int, Any]]:
    if value is not None:
        yield m.XFRMA_SET_MARK, value.value
        yield m.XFRMA_SET_MARK_MASK, value.mask


def _iptfs(value: Iptfs) -> Iterator[tuple[int, Any]]:
    for number, word in (
        (m.XFRMA_IPTFS_DROP_TIME, value.drop_time),
        (m.XFRMA_IPTFS_REORDER_WINDOW, value.reorder_window),
        (m.XFRMA_IPTFS_INIT_DELAY, value.init_delay),
        (m.XFRMA_IPTFS_MAX_QSIZE, value.max_queue),
        (m.XFRMA_IPTFS_PKT_SIZE, value.packet_size),
    ):
        if word is not None:
            yield number, word
    if value.dont_frag:
        yield m.XFRMA_IPTFS_DONT_FRAG, True


# -- policies ------------------------------------------------------------------------------------------


def template(value: Template) -> s.UserTmpl:
    """A template."""
    return s.UserTmpl(
        s.Id(value.daddr.raw, value.spi, value.proto),
        value.daddr.family,
        value.saddr.raw,
        value.reqid,
        value.mode,
        value.share,
        int(value.optional),
        value.aalgos,
        value.ealgos,
        value.calgos,
    )


def policy_info(value: Policy) -> s.UserPolicyInfo:
    """The structure of a policy."""
    return s.UserPolicyInfo(
        selector(value.sel),
        limits(value.limits),
        _NO_COUNTERS,
        value.priority,
        value.index,
        value.dir,
        value.action,
        value.flags,
        value.share,
    )


def policy(value: Policy) -> bytes:
    """NEWPOLICY, UPDPOLICY."""
    return payload(policy_info(value), policy_attrs(value))


def policy_attrs(value: Policy) -> Iterator[tuple[int, Any]]:
    """The attributes of a policy."""
    if value.templates:
        yield m.XFRMA_TMPL, tuple([template(one) for one in value.templates])
    yield from _which_policy(value.type, value.mark, value.if_id, value.context)
    if value.offload is not None:
        yield m.XFRMA_OFFLOAD_DEV, offload(value.offload)


def _which_policy(
    kind: PolicyType, key: Mark | None, if_id: int, context: SecurityContext | None
) -> Iterator[tuple[int, Any]]:
    if context is not None:
        yield m.XFRMA_SEC_CTX, _context(context)
    if kind != PolicyType.MAIN:
        yield m.XFRMA_POLICY_TYPE, s.UserPolicyType(kind, 0, 0)
    if key is not None:
        yield m.XFRMA_MARK, mark(key)
    if if_id:
        yield m.XFRMA_IF_ID, if_id


def policy_id(name: PolicyId) -> bytes:
    """A lookup: DELPOLICY, GETPOLICY."""
    sel = _NO_SELECTOR if name.sel is None else selector(name.sel)
    return payload(
        s.UserPolicyId(sel, name.index, name.dir),
        _which_policy(name.type, name.mark, name.if_id, name.context),
    )


# -- moves -----------------------------------------------------------------------------------------------


def migration(move: Migration) -> bytes:
    """MIGRATE_STATE."""
    flags = c.XFRM_MIGRATE_STATE_CLEAR_OFFLOAD if move.offload is REMOVE else 0
    if move.sel is HOST_TO_HOST:
        flags |= c.XFRM_MIGRATE_STATE_UPDATE_H2H_SEL
        sel = _NO_SELECTOR
    else:
        sel = selector(move.sel)
    body = s.UserMigrateState(
        usersa_id(move.sa),
        move.new_daddr.raw,
        move.new_saddr.raw,
        mark(move.sa.mark) if move.sa.mark else s.MarkVM(0, 0),
        sel,
        move.reqid,
        flags,
        move.new_daddr.family,
        0,
    )
    return payload(body, _migration_attrs(move))


def _migration_attrs(move: Migration) -> Iterator[tuple[int, Any]]:
    if move.mark is REMOVE:
        yield m.XFRMA_MARK, s.MarkVM(0, 0)
    elif move.mark is not INHERIT:
        yield m.XFRMA_MARK, mark(move.mark)
    if move.encap is REMOVE:
        yield m.XFRMA_ENCAP, s.EncapTmpl(0, 0, 0, _ZERO_ADDRESS)
    elif move.encap is not INHERIT:
        yield m.XFRMA_ENCAP, encap(move.encap)
    if move.offload is not REMOVE and move.offload is not INHERIT:
        yield m.XFRMA_OFFLOAD_DEV, offload(move.offload)
    if move.set_mark is REMOVE:
        # Without the mask its default, all ones, would set the mark of packets to 0.
        yield m.XFRMA_SET_MARK, 0
        yield m.XFRMA_SET_MARK_MASK, 0
    elif move.set_mark is not INHERIT:
        yield from _set_mark(move.set_mark)
    for number, value in (
        (m.XFRMA_MTIMER_THRESH, move.mapping_threshold),
        (m.XFRMA_NAT_KEEPALIVE_INTERVAL, move.nat_keepalive),
    ):
        if value is not INHERIT:
            yield number, 0 if value is REMOVE else value


def policy_migration(move: PolicyMigration) -> bytes:
    """MIGRATE."""
    return payload(s.UserPolicyId(selector(move.sel), 0, move.dir), _policy_migration_attrs(move))


def _policy_migration_attrs(move: PolicyMigration) -> Iterator[tuple[int, Any]]:
    if move.km_address is not None:
        local, remote = move.km_address.local, move.km_address.remote
        yield m.XFRMA_KMADDRESS, s.KmAddress(local.raw, remote.raw, 0, local.family)
    if move.encap is not None:
        yield m.XFRMA_ENCAP, encap(move.encap)
    yield from _which_policy(move.type, None, move.if_id, None)
    yield (
        m.XFRMA_MIGRATE,
        tuple(
            [
                s.UserMigrate(
                    one.old_daddr.raw,
                    one.old_saddr.raw,
                    one.new_daddr.raw,
                    one.new_saddr.raw,
                    one.proto,
                    one.mode,
                    0,
                    one.reqid,
                    one.old_daddr.family,
                    one.new_daddr.family,
                )
                for one in move.moves
            ]
        ),
    )
    if move.offload is not None:
        yield m.XFRMA_OFFLOAD_DEV, offload(move.offload)
