"""The kernel's three tables, row for row: minimum length, attribute policy, handler.

A request passes them in this order (net/xfrm/xfrm_user.c: xfrm_user_rcv_msg; lib/nlattr.c: validate_nla):

1. an unknown type is EINVAL, before anything else; then CAP_NET_ADMIN is asked for, for GETs too;
2. GETSA and GETPOLICY with a dump flag become dumps;
3. the structure must be there (``Invalid header length``);
4. every attribute is held to its rule. Up to XFRMA_LASTUSED's successors the rule is old and liberal: an integer may be longer than its
   size; from XFRMA_SA_DIR on it is strict. Unknown attributes are ignored; bytes that are no attribute leave a warning;
5. attributes that some messages may not carry are refused;
6. the handler.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from errno import EINVAL, EPERM, ERANGE
from importlib import import_module
from typing import Any, NamedTuple

from pyxfrm.abi import messages as m
from pyxfrm.abi.messages import ATTRIBUTES, MESSAGES, SPD_ATTRIBUTES, Array, Flag, Int, Payload, Raw
from pyxfrm.abi.netlink import NLA_F_NESTED, NLM_F_DUMP
from pyxfrm.engine.refusal import Refusal
from pyxfrm.engine.replies import Broken, start_dump
from pyxfrm.engine.request import Request
from pyxfrm.wire.codec import codec

__all__ = ["Row", "Rule", "dispatch", "parse_attributes"]

Handler = Callable[[Request], Any]

_ATTR = struct.Struct("=HH").unpack_from
_STRICT_FROM = m.XFRMA_SA_DIR


class Rule(NamedTuple):
    """What an attribute's payload must be.

    ``size``     bytes at least
    ``integer``  it is an integer: a strict rule wants exactly ``size``
    ``flag``     it must be empty
    ``range``    least and greatest value, for integers that have one
    """

    size: int
    integer: bool = False
    flag: bool = False
    range: tuple[int, int] | None = None


def _rule(kind: Payload) -> Rule:
    if isinstance(kind, Int):
        return Rule(kind.size, integer=True)
    if isinstance(kind, Raw):
        return Rule(kind.size)
    if isinstance(kind, Flag):
        return Rule(0, flag=True)
    return Rule(codec(kind.of if isinstance(kind, Array) else kind).size)


XFRMA_RULES: dict[int, Rule] = {
    **{number: _rule(kind) for number, (_, kind) in ATTRIBUTES.items()},
    m.XFRMA_PAD: Rule(0),
    m.XFRMA_SA_DIR: Rule(1, integer=True, range=(1, 2)),
}
SPD_RULES: dict[int, Rule] = {
    number: Rule(0) if number < m.XFRMA_SPD_IPV4_HTHRESH else _rule(kind)
    for number, (_, kind) in SPD_ATTRIBUTES.items()
}
# Payload sizes that need no closer look: most attributes of most messages.
_EXACT = {n: r.size for n, r in XFRMA_RULES.items() if not r.range and not r.flag}


class Row(NamedTuple):
    """``size``: bytes of the structure; ``handler``: ``module:function`` in ``handlers``; ``dump``: likewise."""

    size: int
    handler: str = ""
    dump: str = ""
    rules: dict[int, Rule] = XFRMA_RULES


def _size(number: int) -> int:
    body = MESSAGES[number].body
    if body is None:
        return 0
    return body.size if isinstance(body, Int) else codec(body).size


TABLE: dict[int, Row] = {
    m.XFRM_MSG_NEWSA: Row(_size(m.XFRM_MSG_NEWSA), "sa:new_sa"),
    m.XFRM_MSG_DELSA: Row(_size(m.XFRM_MSG_DELSA), "sa:del_sa"),
    m.XFRM_MSG_GETSA: Row(_size(m.XFRM_MSG_GETSA), "sa:get_sa", "sa:dump_sa"),
    m.XFRM_MSG_NEWPOLICY: Row(_size(m.XFRM_MSG_NEWPOLICY), "policy:new_policy"),
    m.XFRM_MSG_DELPOLICY: Row(_size(m.XFRM_MSG_DELPOLICY), "policy:get_policy"),
    m.XFRM_MSG_GETPOLICY: Row(
        _size(m.XFRM_MSG_GETPOLICY), "policy:get_policy", "policy:dump_policy"
    ),
    m.XFRM_MSG_ALLOCSPI: Row(_size(m.XFRM_MSG_ALLOCSPI), "sa:alloc_spi"),
    m.XFRM_MSG_ACQUIRE: Row(_size(m.XFRM_MSG_ACQUIRE), "events:new_acquire"),
    m.XFRM_MSG_EXPIRE: Row(_size(m.XFRM_MSG_EXPIRE), "events:new_expire"),
    m.XFRM_MSG_UPDPOLICY: Row(_size(m.XFRM_MSG_UPDPOLICY), "policy:new_policy"),
    m.XFRM_MSG_UPDSA: Row(_size(m.XFRM_MSG_UPDSA), "sa:new_sa"),
    m.XFRM_MSG_POLEXPIRE: Row(_size(m.XFRM_MSG_POLEXPIRE), "policy:policy_expire"),
    m.XFRM_MSG_FLUSHSA: Row(_size(m.XFRM_MSG_FLUSHSA), "sa:flush_sa"),
    m.XFRM_MSG_FLUSHPOLICY: Row(0, "policy:flush_policy"),
    m.XFRM_MSG_NEWAE: Row(_size(m.XFRM_MSG_NEWAE), "events:new_ae"),
    m.XFRM_MSG_GETAE: Row(_size(m.XFRM_MSG_GETAE), "events:get_ae"),
    m.XFRM_MSG_REPORT: Row(_size(m.XFRM_MSG_REPORT)),
    m.XFRM_MSG_MIGRATE: Row(_size(m.XFRM_MSG_MIGRATE), "migrate:migrate"),
    m.XFRM_MSG_NEWSADINFO: Row(0),
    m.XFRM_MSG_GETSADINFO: Row(4, "info:get_sad_info"),
    m.XFRM_MSG_NEWSPDINFO: Row(4, "info:set_spd_info", rules=SPD_RULES),
    m.XFRM_MSG_GETSPDINFO: Row(4, "info:get_spd_info"),
    m.XFRM_MSG_MAPPING: Row(_size(m.XFRM_MSG_MAPPING)),
    m.XFRM_MSG_SETDEFAULT: Row(_size(m.XFRM_MSG_SETDEFAULT), "info:set_default"),
    m.XFRM_MSG_GETDEFAULT: Row(_size(m.XFRM_MSG_GETDEFAULT), "info:get_default"),
    m.XFRM_MSG_MIGRATE_STATE: Row(_size(m.XFRM_MSG_MIGRATE_STATE), "migrate_state:migrate_state"),
}

_HANDLERS: dict[str, Handler] = {}


def _handler(where: str) -> Handler:
    found = _HANDLERS.get(where)
    if found is None:
        module, name = where.split(":")
        found = getattr(import_module(f"pyxfrm.engine.handlers.{module}"), name)
        _HANDLERS[where] = found
    return found


# Messages that may carry these attributes (net/xfrm/xfrm_user.c: xfrm_reject_unused_attr).
_MAY_CARRY: dict[int, tuple[frozenset[int], str]] = {
    m.XFRMA_SA_DIR: (
        frozenset((m.XFRM_MSG_NEWSA, m.XFRM_MSG_UPDSA, m.XFRM_MSG_ALLOCSPI)),
        "Invalid attribute SA_DIR",
    ),
    m.XFRMA_SA_PCPU: (
        frozenset((m.XFRM_MSG_NEWSA, m.XFRM_MSG_UPDSA, m.XFRM_MSG_ALLOCSPI, m.XFRM_MSG_ACQUIRE)),
        "Invalid attribute SA_PCPU",
    ),
}
_MIGRATE_STATE_TAKES = frozenset(
    (
        m.XFRMA_MARK,
        m.XFRMA_ENCAP,
        m.XFRMA_OFFLOAD_DEV,
        m.XFRMA_SET_MARK,
        m.XFRMA_SET_MARK_MASK,
        m.XFRMA_MTIMER_THRESH,
        m.XFRMA_NAT_KEEPALIVE_INTERVAL,
    )
)


def dispatch(request: Request) -> bool:
    """Run a request; True if it became a dump, which is not acknowledged. Raises :class:`Refusal`."""
    kind = request.type
    profile = request.engine.profile
    if kind > profile.msg_max:
        raise Refusal(EINVAL)
    if not request.port.capable:
        raise Refusal(EPERM)
    row = TABLE[kind]
    if row.dump and request.flags & NLM_F_DUMP:
        start_dump(request, _handler(row.dump))
        return True
    parse_attributes(request, row.size, row.rules)
    if request.attrs and row.rules is XFRMA_RULES:
        _reject_unused(request, kind)
    if not row.handler:
        raise Refusal(EINVAL)
    (_HANDLERS.get(row.handler) or _handler(row.handler))(request)
    return False


def parse_attributes(request: Request, size: int, rules: dict[int, Rule] = XFRMA_RULES) -> None:
    """Check that a structure of ``size`` bytes is there, and read and check the attributes after it."""
    end = request.end
    if end - request.body < size:
        raise Refusal(EINVAL, "Invalid header length")
    at = request.attrs_at = request.body + ((size + 3) & ~3)
    if at >= end:
        return
    data = request.data
    attrs = request.attrs
    highest = request.engine.profile.attr_max if rules is XFRMA_RULES else max(rules)
    while end - at >= 4:
        length, kind = _ATTR(data, at)
        if length < 4 or length > end - at:
            break
        number = kind & 0x3FFF
        if 0 < number <= highest:
            if kind != number or _EXACT.get(number) != length - 4 or rules is not XFRMA_RULES:
                _validate(request, at, length - 4, kind, rules[number])
            attrs[number] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    if at < end:
        request.text = "bytes leftover after parsing attributes"


def _validate(request: Request, at: int, size: int, kind: int, rule: Rule) -> None:
    """One attribute against its rule; from XFRMA_SA_DIR on the rule is strict."""
    number = kind & 0x3FFF
    strict = number >= _STRICT_FROM
    fault = at - request.start
    if strict and rule.integer and size != rule.size:
        _refuse(request, fault, rule, EINVAL, "invalid attribute length")
    if strict and kind & NLA_F_NESTED:
        _refuse(request, fault, rule, EINVAL, "NLA_F_NESTED not expected")
    if size < rule.size or (rule.flag and size):
        _refuse(request, fault, rule, ERANGE, "Attribute failed policy validation")
    if rule.range:
        value = int.from_bytes(request.data[at + 4 : at + 4 + rule.size], "little")
        if not rule.range[0] <= value <= rule.range[1]:
            _refuse(request, fault, rule, ERANGE, "integer out of range")


def _refuse(request: Request, fault: int, rule: Rule, errno: int, text: str) -> None:
    request.fault = fault
    request.broken = Broken(rule.size, rule.integer, rule.flag, rule.range)
    raise Refusal(errno, text)


def _reject_unused(request: Request, kind: int) -> None:
    attrs = request.attrs
    if kind == m.XFRM_MSG_MIGRATE_STATE and attrs.keys() <= _MIGRATE_STATE_TAKES:
        return
    for number, (takers, text) in _MAY_CARRY.items():
        if number in attrs and kind not in takers:
            if number == m.XFRMA_SA_PCPU and not request.engine.profile.rejects_pcpu:
                continue
            raise Refusal(EINVAL, text)
    if kind == m.XFRM_MSG_MIGRATE_STATE:
        raise _first_unsupported(attrs)


def _first_unsupported(attrs: Iterable[int]) -> Refusal:
    number = min(set(attrs) - _MIGRATE_STATE_TAKES)
    return Refusal(EINVAL, "Unsupported attribute in XFRM_MSG_MIGRATE_STATE", attr=number)
