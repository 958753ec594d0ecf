"""Values to bytes: what follows the netlink header of each request.

Nothing is decided here. What a value does not say is not sent, what it says is sent as it stands: a mark of {0, 0} is an attribute of
zeros, ``INHERIT`` is no attribute, ``REMOVE`` is the value that the kernel takes for "none".

Each structure is packed from its fields at once (:class:`pyxfrm.wire.codec.Codec`), those inside it as their bytes: a batch of ten thousand
policies spends most of its time here. So everything here gives bytes, and addresses are handed on as the 4 or 16 they are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi import xfrm as c
from pyxfrm.model import (
    HOST_TO_HOST,
    INHERIT,
    NO_LIMITS,
    REMOVE,
    AddressMove,
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
_NO_COUNTERS = bytes(32)
_NO_STATS = bytes(12)
_NO_SELECTOR = bytes(56)
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")

# What messages in great numbers are made of.
_SELECTOR = codec(s.Selector)
_ID = codec(s.Id)
_SA_INFO = codec(s.UserSaInfo)
_SA_ID = codec(s.UserSaId)
_TEMPLATE = codec(s.UserTmpl)
_POLICY_INFO = codec(s.UserPolicyInfo)
_POLICY_ID = codec(s.UserPolicyId)


def payload(body: bytes, attrs: Attrs = (), space: Space = m.ATTRIBUTES) -> bytes:
    """A structure (or nothing) and attributes, each padded to 4 bytes."""
    parts = [body]
    size = len(body)
    for number, value in attrs:
        data = value if type(value) is bytes else encode_payload(number, value, space)
        if size % 4:
            parts.append(_PADDING[size % 4])
        size = len(data)
        parts += (_ATTR(4 + size, number), data)
    if len(parts) == 1:
        return body
    parts.append(_PADDING[size % 4])
    return b"".join(parts)


# -- parts -------------------------------------------------------------------------------------------


def mark(value: Mark) -> bytes:
    """A mark as it stands."""
    return codec(s.MarkVM).pack(value.value, value.mask)


def selector(sel: Selector) -> bytes:
    """A selector; its family is its networks'."""
    daddr, saddr, dport, sport = sel.daddr, sel.saddr, sel.dport, sel.sport
    target = daddr.address
    return _SELECTOR.pack(
        target.packed,
        saddr.address.packed,
        dport.value,
        dport.mask,
        sport.value,
        sport.mask,
        target.family,
        daddr.prefix,
        saddr.prefix,
        sel.proto,
        sel.ifindex,
        sel.user,
    )


_NO_LIMITS = codec(s.LifetimeCfg).pack(*(c.XFRM_INF,) * 4, *(0,) * 4)


def limits(value: Limits) -> bytes:
    """Limits: none is XFRM_INF for bytes and packets, 0 for seconds."""
    if value is NO_LIMITS:
        return _NO_LIMITS
    counts = (value.soft_bytes, value.hard_bytes, value.soft_packets, value.hard_packets)
    times = (value.soft_add, value.hard_add, value.soft_use, value.hard_use)
    return codec(s.LifetimeCfg).pack(
        *[c.XFRM_INF if n is None else n for n in counts], *[n or 0 for n in times]
    )


def lifetime(value: Counters) -> bytes:
    """Counters."""
    return codec(s.LifetimeCur).pack(value.bytes, value.packets, value.added, value.used)


def encap(value: Encap) -> bytes:
    """An encapsulation."""
    oa = value.oa.packed if value.oa else b""
    return codec(s.EncapTmpl).pack(value.kind, value.sport, value.dport, oa)


def offload(value: Offload) -> bytes:
    """A device to carry it."""
    return codec(s.UserOffload).pack(value.ifindex, value.flags)


def _context(value: SecurityContext) -> bytes:
    size = len(value.text)
    return codec(s.UserSecCtx).pack(
        8 + size, m.XFRMA_SEC_CTX, value.alg, value.doi, size, value.text
    )


def replay(state: ReplayState) -> tuple[int, bytes]:
    """Sequence numbers, in the form that the state has: attribute number and value."""
    if state.words is None:
        short = codec(s.ReplayState).pack(state.oseq, state.seq, state.bitmap)
        return m.XFRMA_REPLAY_VAL, short
    low = 0xFFFFFFFF
    return m.XFRMA_REPLAY_ESN_VAL, codec(s.ReplayStateEsn).pack(
        state.words,
        state.oseq & low,
        state.seq & low,
        state.oseq >> 32,
        state.seq >> 32,
        state.window,
        b"".join([struct.pack("=I", state.bitmap >> 32 * i & low) for i in range(state.words)]),
    )


def address_filter(saddr: Network, daddr: Network) -> bytes:
    """Which SAs a dump is to give."""
    return codec(s.AddressFilter).pack(
        saddr.address.packed, daddr.address.packed, daddr.family, saddr.prefix, daddr.prefix
    )


# -- SAs ---------------------------------------------------------------------------------------------


def usersa_id(name: SaId) -> bytes:
    """An SA's name, without its mark."""
    daddr = name.daddr
    return _SA_ID.pack(daddr.packed, name.spi, daddr.family, name.proto)


def sa_id(name: SaId) -> bytes:
    """A lookup: DELSA, GETSA."""
    attrs: list[tuple[int, Any]] = []
    if name.mark is not None:
        attrs.append((m.XFRMA_MARK, mark(name.mark)))
    if name.saddr is not None:
        attrs.append((m.XFRMA_SRCADDR, name.saddr.raw))
    return payload(usersa_id(name), attrs)


def sa_info(value: Sa) -> bytes:
    """The structure of an SA."""
    window = value.replay.window if value.replay.words is None else 0
    name, daddr = value.id, value.id.daddr
    return _SA_INFO.pack(
        selector(value.sel),
        _ID.pack(daddr.packed, name.spi, name.proto),
        value.saddr.packed,
        limits(value.limits),
        _NO_COUNTERS,
        _NO_STATS,
        value.acquire_seq,
        value.reqid,
        daddr.family,
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


_PLAIN = {
    AlgorithmKind.CRYPT: m.XFRMA_ALG_CRYPT,
    AlgorithmKind.AUTH: m.XFRMA_ALG_AUTH,
    AlgorithmKind.COMP: m.XFRMA_ALG_COMP,
}


def _algorithm(value: Algorithm) -> tuple[int, bytes]:
    name = value.name.encode("ascii")
    bits, key = value.key.bits, value.key.reveal()
    if value.kind is AlgorithmKind.AEAD:
        return m.XFRMA_ALG_AEAD, codec(s.AlgoAead).pack(name, bits, value.bits or 0, key)
    if value.kind is AlgorithmKind.AUTH and value.bits is not None:
        return m.XFRMA_ALG_AUTH_TRUNC, codec(s.AlgoAuth).pack(name, bits, value.bits, key)
    return _PLAIN[value.kind], codec(s.Algo).pack(name, bits, key)


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


def template(value: Template) -> bytes:
    """A template."""
    daddr = value.daddr
    return _TEMPLATE.pack(
        _ID.pack(daddr.packed, value.spi, value.proto),
        daddr.family,
        value.saddr.packed,
        value.reqid,
        value.mode,
        value.share,
        value.optional,
        value.aalgos,
        value.ealgos,
        value.calgos,
    )


def policy_info(value: Policy) -> bytes:
    """The structure of a policy."""
    return _POLICY_INFO.pack(
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


def policy_attrs(value: Policy) -> list[tuple[int, Any]]:
    """The attributes of a policy."""
    attrs: list[tuple[int, Any]] = []
    if value.templates:
        attrs.append((m.XFRMA_TMPL, b"".join([template(one) for one in value.templates])))
    attrs += _which_policy(value.type, value.mark, value.if_id, value.context)
    if value.offload is not None:
        attrs.append((m.XFRMA_OFFLOAD_DEV, offload(value.offload)))
    return attrs


_MAIN = PolicyType.MAIN


def _which_policy(
    kind: PolicyType, key: Mark | None, if_id: int, context: SecurityContext | None
) -> Sequence[tuple[int, Any]]:
    if kind is _MAIN and key is None and context is None and not if_id:
        return ()
    attrs: list[tuple[int, Any]] = []
    if context is not None:
        attrs.append((m.XFRMA_SEC_CTX, _context(context)))
    if kind != _MAIN:
        attrs.append((m.XFRMA_POLICY_TYPE, codec(s.UserPolicyType).pack(kind, 0, 0)))
    if key is not None:
        attrs.append((m.XFRMA_MARK, mark(key)))
    if if_id:
        attrs.append((m.XFRMA_IF_ID, if_id))
    return attrs


def policy_id(name: PolicyId) -> bytes:
    """A lookup: DELPOLICY, GETPOLICY."""
    sel = _NO_SELECTOR if name.sel is None else selector(name.sel)
    return payload(
        _POLICY_ID.pack(sel, name.index, name.dir),
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
    body = codec(s.UserMigrateState).pack(
        usersa_id(move.sa),
        move.new_daddr.packed,
        move.new_saddr.packed,
        mark(move.sa.mark) if move.sa.mark else bytes(8),
        sel,
        move.reqid,
        flags,
        move.new_daddr.family,
        0,
    )
    return payload(body, _migration_attrs(move))


def _migration_attrs(move: Migration) -> Iterator[tuple[int, Any]]:
    if move.mark is REMOVE:
        yield m.XFRMA_MARK, bytes(8)
    elif move.mark is not INHERIT:
        yield m.XFRMA_MARK, mark(move.mark)
    if move.encap is REMOVE:
        yield m.XFRMA_ENCAP, bytes(24)
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
    body = _POLICY_ID.pack(selector(move.sel), 0, move.dir)
    return payload(body, _policy_migration_attrs(move))


def _policy_migration_attrs(move: PolicyMigration) -> Iterator[tuple[int, Any]]:
    if move.km_address is not None:
        local, remote = move.km_address.local, move.km_address.remote
        yield (
            m.XFRMA_KMADDRESS,
            codec(s.KmAddress).pack(local.packed, remote.packed, 0, local.family),
        )
    if move.encap is not None:
        yield m.XFRMA_ENCAP, encap(move.encap)
    yield from _which_policy(move.type, None, move.if_id, None)
    yield m.XFRMA_MIGRATE, b"".join([_template_move(one) for one in move.moves])
    if move.offload is not None:
        yield m.XFRMA_OFFLOAD_DEV, offload(move.offload)


def _template_move(one: AddressMove) -> bytes:
    return codec(s.UserMigrate).pack(
        one.old_daddr.packed,
        one.old_saddr.packed,
        one.new_daddr.packed,
        one.new_saddr.packed,
        one.proto,
        one.mode,
        0,
        one.reqid,
        one.old_daddr.family,
        one.new_daddr.family,
    )
