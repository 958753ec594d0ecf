"""Bytes to values: what an XFRM shows, taken as it is.

A kernel may hold what nobody would ask for. So nothing is checked here but lengths: values are built with
:func:`pyxfrm.model.checks.as_seen`, and whatever decodes becomes a value. Unknown attributes are passed over (the message itself keeps them).
"""

from __future__ import annotations

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi import xfrm as c
from pyxfrm.model import (
    NO_KEY,
    NO_LIMITS,
    Action,
    Address,
    AddressMove,
    Algorithm,
    AlgorithmKind,
    Counters,
    Direction,
    Encap,
    EncapKind,
    ExtraFlag,
    Family,
    Iptfs,
    Key,
    KmAddress,
    Limits,
    Mark,
    Mode,
    Network,
    Offload,
    OffloadFlag,
    Policy,
    PolicyFlag,
    PolicyType,
    Port,
    Proto,
    Refusals,
    ReplayState,
    Sa,
    SaDir,
    SaId,
    SecurityContext,
    Selector,
    Share,
    StateFlag,
    Template,
)
from pyxfrm.model.checks import as_seen
from pyxfrm.wire.attrs import decode_payload, spans
from pyxfrm.wire.lookup import Attributes

__all__ = [
    "address",
    "algorithms",
    "counters",
    "encap",
    "family",
    "km_address",
    "limits",
    "mark",
    "migrations",
    "offload",
    "policy",
    "refusals",
    "replay",
    "sa",
    "sa_id",
    "selector",
    "set_mark",
    "template",
]


# -- parts -------------------------------------------------------------------------------------------

_FAMILIES = {int(f): f for f in Family}
_PROTOS = {int(p): p for p in Proto}
_ANY_PORT = Port(0, 0)


def family(number: int) -> Family:
    """An address family."""
    return _FAMILIES.get(number) or Family(number)


def _proto(number: int) -> Proto:
    return _PROTOS.get(number) or Proto(number)


def address(kind: Family, raw: bytes) -> Address:
    """An address of 16 bytes, of that family."""
    return as_seen(Address, kind, raw[:4] if kind is Family.INET else raw)


def mark(value: s.MarkVM | None) -> Mark | None:
    """A mark, {0, 0} included."""
    return None if value is None else as_seen(Mark, value.v, value.m)


def set_mark(attrs: Attributes) -> Mark | None:
    """XFRMA_SET_MARK and its mask, all ones if that is absent."""
    value = attrs.get(m.XFRMA_SET_MARK)
    if value is None:
        return None
    mask = attrs.get(m.XFRMA_SET_MARK_MASK)
    return as_seen(Mark, value, 0xFFFFFFFF if mask is None else mask)


def _port(value: int, mask: int) -> Port:
    return as_seen(Port, value, mask) if value or mask else _ANY_PORT


def selector(sel: s.Selector) -> Selector:
    """A selector, of the family it says."""
    kind = family(sel.family)
    return as_seen(
        Selector,
        as_seen(Network, address(kind, sel.saddr), sel.prefixlen_s),
        as_seen(Network, address(kind, sel.daddr), sel.prefixlen_d),
        sel.proto,
        _port(sel.sport, sel.sport_mask),
        _port(sel.dport, sel.dport_mask),
        sel.ifindex,
        sel.user,
    )


_NO_LIMITS = s.LifetimeCfg(*(c.XFRM_INF,) * 4, *(0,) * 4)


def limits(value: s.LifetimeCfg) -> Limits:
    """Limits."""
    if value == _NO_LIMITS:
        return NO_LIMITS
    counts = [None if n == c.XFRM_INF else n for n in value[:4]]
    return as_seen(Limits, *counts, *[n or None for n in value[4:]])


def counters(value: s.LifetimeCur) -> Counters:
    """Counters."""
    return as_seen(Counters, value[0], value[1], value[2], value[3])


def refusals(value: s.Stats) -> Refusals:
    """Packets that an SA refused."""
    return Refusals(value.replay_window, value.replay, value.integrity_failed)


def encap(value: s.EncapTmpl | None, kind: Family) -> Encap | None:
    """An encapsulation; its original address is of family ``kind``."""
    if value is None:
        return None
    oa = address(kind, value.encap_oa) if any(value.encap_oa) else None
    return as_seen(Encap, value.encap_sport, value.encap_dport, EncapKind(value.encap_type), oa)


def offload(value: s.UserOffload | None) -> Offload | None:
    """The device that carries it."""
    return None if value is None else as_seen(Offload, value.ifindex, OffloadFlag(value.flags))


def _context(value: s.UserSecCtx | None) -> SecurityContext | None:
    if value is None:
        return None
    return as_seen(SecurityContext, value.ctx_str[: value.ctx_len], value.ctx_doi, value.ctx_alg)


def replay(attrs: Attributes, window: int = 0, *, esn: bool = False) -> ReplayState:
    """Sequence numbers, in either form; ``window`` is the short form's."""
    long: s.ReplayStateEsn | None = attrs.get(m.XFRMA_REPLAY_ESN_VAL)
    if long is not None:
        return as_seen(
            ReplayState,
            long.replay_window,
            long.oseq_hi << 32 | long.oseq,
            long.seq_hi << 32 | long.seq,
            _bitmap(long),
            esn,
            long.bmp_len,
        )
    short: s.ReplayState | None = attrs.get(m.XFRMA_REPLAY_VAL)
    if short is None:
        return as_seen(ReplayState, window, 0, 0, 0, esn, None)
    return as_seen(ReplayState, window, short.oseq, short.seq, short.bitmap, esn, None)


def _bitmap(value: s.ReplayStateEsn) -> int:
    words = memoryview(value.bmp[: min(len(value.bmp) & ~3, 4 * value.bmp_len)]).cast("I")
    bits = 0
    for word in reversed(words):
        bits = bits << 32 | word
    return bits


# -- SAs -----------------------------------------------------------------------------------------------

_KINDS = (
    (m.XFRMA_ALG_AEAD, AlgorithmKind.AEAD),
    (m.XFRMA_ALG_CRYPT, AlgorithmKind.CRYPT),
    (m.XFRMA_ALG_AUTH_TRUNC, AlgorithmKind.AUTH),
    (m.XFRMA_ALG_AUTH, AlgorithmKind.AUTH),
    (m.XFRMA_ALG_COMP, AlgorithmKind.COMP),
)


def algorithms(attrs: Attributes) -> tuple[Algorithm, ...]:
    """The algorithms. A kernel shows integrity twice, with and without its truncation: once here."""
    found = []
    for number, kind in _KINDS:
        if number == m.XFRMA_ALG_AUTH and m.XFRMA_ALG_AUTH_TRUNC in attrs:
            continue
        value = attrs.get(number)
        if value is not None:
            found.append(_algorithm(kind, value))
    return tuple(found)


def _algorithm(kind: AlgorithmKind, value: s.Algo | s.AlgoAuth | s.AlgoAead) -> Algorithm:
    name = value.alg_name.split(b"\0", 1)[0].decode("ascii", "backslashreplace")
    data = value.alg_key[: (value.alg_key_len + 7) // 8]
    whole = len(data) == (value.alg_key_len + 7) // 8
    key = Key(data, value.alg_key_len if whole else None) if data else NO_KEY
    if isinstance(value, s.AlgoAead):
        bits: int | None = value.alg_icv_len
    else:
        bits = value.alg_trunc_len if isinstance(value, s.AlgoAuth) else None
    return as_seen(Algorithm, kind, name, key, bits)


def sa_id(daddr: Address, proto: int, spi: int, attrs: Attributes, saddr: Address) -> SaId:
    """An SA's name, with the mark that the message has."""
    kind = _proto(proto)
    return as_seen(
        SaId,
        daddr,
        kind,
        spi,
        mark(attrs.get(m.XFRMA_MARK)),
        None if kind.by_spi else saddr,
    )


def _iptfs(attrs: Attributes) -> Iptfs | None:
    values = (
        attrs.get(m.XFRMA_IPTFS_DROP_TIME),
        attrs.get(m.XFRMA_IPTFS_REORDER_WINDOW),
        m.XFRMA_IPTFS_DONT_FRAG in attrs,
        attrs.get(m.XFRMA_IPTFS_INIT_DELAY),
        attrs.get(m.XFRMA_IPTFS_MAX_QSIZE),
        attrs.get(m.XFRMA_IPTFS_PKT_SIZE),
    )
    if all(v is None or v is False for v in values):
        return None
    return as_seen(Iptfs, *values)


def sa(info: s.UserSaInfo, attrs: Attributes) -> Sa:
    """One SA."""
    kind = family(info.family)
    saddr = address(kind, info.saddr)
    esn = bool(info.flags & c.XFRM_STATE_ESN)
    care_of = attrs.get(m.XFRMA_COADDR)
    curlft = attrs.get(m.XFRMA_LTIME_VAL)
    direction = attrs.get(m.XFRMA_SA_DIR)
    return as_seen(
        Sa,
        sa_id(address(kind, info.id.daddr), info.id.proto, info.id.spi, attrs, saddr),
        saddr,
        Mode(info.mode),
        algorithms(attrs),
        replay(attrs, info.replay_window, esn=esn),
        info.reqid,
        selector(info.sel),
        limits(info.lft),
        StateFlag(info.flags & ~c.XFRM_STATE_ESN),
        ExtraFlag(attrs.get(m.XFRMA_SA_EXTRA_FLAGS) or 0),
        None if direction is None else SaDir(direction),
        attrs.get(m.XFRMA_IF_ID) or 0,
        set_mark(attrs),
        encap(attrs.get(m.XFRMA_ENCAP), kind),
        attrs.get(m.XFRMA_MTIMER_THRESH) or 0,
        attrs.get(m.XFRMA_NAT_KEEPALIVE_INTERVAL) or 0,
        offload(attrs.get(m.XFRMA_OFFLOAD_DEV)),
        attrs.get(m.XFRMA_TFCPAD) or 0,
        attrs.get(m.XFRMA_SA_PCPU),
        _iptfs(attrs),
        _context(attrs.get(m.XFRMA_SEC_CTX)),
        None if care_of is None else address(kind, care_of),
        None if curlft is None else counters(curlft),
        info.seq,
        attrs.get(m.XFRMA_REPLAY_THRESH),
        attrs.get(m.XFRMA_ETIMER_THRESH),
    )


# -- policies -------------------------------------------------------------------------------------------


def template(value: s.UserTmpl) -> Template:
    """A template, of the family it says (0 in a request: the policy's)."""
    kind = family(value.family)
    return as_seen(
        Template,
        address(kind, value.saddr),
        address(kind, value.id.daddr),
        _proto(value.id.proto),
        Mode(value.mode),
        value.reqid,
        value.id.spi,
        bool(value.optional),
        Share(value.share),
        value.aalgos,
        value.ealgos,
        value.calgos,
    )


def policy(info: s.UserPolicyInfo, attrs: Attributes) -> Policy:
    """One policy."""
    kind: s.UserPolicyType | None = attrs.get(m.XFRMA_POLICY_TYPE)
    return as_seen(
        Policy,
        Direction(info.dir),
        selector(info.sel),
        Action(info.action),
        info.priority,
        tuple([template(one) for one in attrs.get(m.XFRMA_TMPL) or ()]),
        mark(attrs.get(m.XFRMA_MARK)),
        attrs.get(m.XFRMA_IF_ID) or 0,
        info.index,
        PolicyType(kind.type) if kind else PolicyType.MAIN,
        PolicyFlag(info.flags),
        Share(info.share),
        limits(info.lft),
        _context(attrs.get(m.XFRMA_SEC_CTX)),
        offload(attrs.get(m.XFRMA_OFFLOAD_DEV)),
    )


# -- moves ------------------------------------------------------------------------------------------------


def km_address(value: s.KmAddress | None) -> KmAddress | None:
    """Addresses for the key manager."""
    if value is None:
        return None
    kind = family(value.family)
    return as_seen(KmAddress, address(kind, value.local), address(kind, value.remote))


def migrations(data: bytes, start: int) -> tuple[AddressMove, ...]:
    """The moves of an old MIGRATE. A kernel's event has one attribute for each, a request one for all."""
    found: list[AddressMove] = []
    for _, number, at, end in spans(data, start, len(data)):
        if number == m.XFRMA_MIGRATE:
            found += [_move(one) for one in decode_payload(number, data[at:end])]
    return tuple(found)


def _move(one: s.UserMigrate) -> AddressMove:
    old, new = family(one.old_family), family(one.new_family)
    return as_seen(
        AddressMove,
        address(old, one.old_saddr),
        address(old, one.old_daddr),
        address(new, one.new_saddr),
        address(new, one.new_daddr),
        _proto(one.proto),
        Mode(one.mode),
        one.reqid,
    )
