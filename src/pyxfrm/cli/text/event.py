"""What ``monitor`` prints of one message.

The old MIGRATE and MIGRATE_STATE are unknown to iproute2 7.3 (``Unknown message: ...``); they have a text of their own here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi import xfrm as c
from pyxfrm.abi.netlink import NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP
from pyxfrm.cli.text import parts
from pyxfrm.cli.text import policy as policy_text
from pyxfrm.cli.text import state as state_text
from pyxfrm.cli.text.attributes import attributes
from pyxfrm.cli.text.form import protocol_name
from pyxfrm.errors import MalformedError
from pyxfrm.wire.attrs import decode_payload, spans
from pyxfrm.wire.codec import codec
from pyxfrm.wire.lookup import Attributes
from pyxfrm.wire.netlink import HEADER_SIZE

if TYPE_CHECKING:
    from pyxfrm.cli.text.form import Form

__all__ = ["defaults", "event"]

_SILENT = (NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE)
_HEADER = struct.Struct("=IHH").unpack_from
_DEFAULTS = {
    c.XFRM_USERPOLICY_UNSPEC: "unspec",
    c.XFRM_USERPOLICY_BLOCK: "block",
    c.XFRM_USERPOLICY_ACCEPT: "accept",
}
_CAUSES = {
    c.XFRM_AE_CR: " replay update ",
    c.XFRM_AE_CE: " timer expired ",
    c.XFRM_AE_CU: " policy updated ",
}


def event(form: Form, message: bytes) -> str:
    """The text of an event; of what does not decode, a line that says so."""
    kind = _HEADER(message)[1]
    if kind in _SILENT:
        return ""
    reader = _READERS.get(kind)
    try:
        if reader is not None:
            return reader(form, message)
    except MalformedError:
        pass
    flags = _HEADER(message)[2]
    return f"Unknown message: {len(message):08d} {kind:#010x} {flags:#010x}\n"


def defaults(body: s.UserPolicyDefault) -> str:
    """What becomes of packets that no policy matches."""
    rows = (("in", body.in_), ("fwd", body.fwd), ("out", body.out))
    lines = [f" {name + ':':<4} {_DEFAULTS.get(value, 'unknown')}\n" for name, value in rows]
    return "Default policies:\n" + "".join(lines)


def _inside(message: bytes, body: int, number: int) -> int:
    for _, kind, at, _ in spans(message, HEADER_SIZE + body, len(message)):
        if kind == number:
            return at
    raise MalformedError("a deletion without its object", HEADER_SIZE + body)


def _sa(form: Form, message: bytes) -> str:
    return state_text.state(form, message)


def _sa_updated(form: Form, message: bytes) -> str:
    return f"Updated {state_text.state(form, message)}"


def _sa_deleted(form: Form, message: bytes) -> str:
    body = codec(s.UserSaId).size
    info = codec(s.UserSaInfo).decode(message, _inside(message, body, m.XFRMA_SA))
    attrs = Attributes(message, HEADER_SIZE + body)
    return f"Deleted {state_text.info_text(form, info, attrs)}{form.end}"


def _sa_expired(form: Form, message: bytes) -> str:
    made = codec(s.UserExpire)
    body = made.decode(message, HEADER_SIZE)
    attrs = Attributes(message, HEADER_SIZE + made.size)
    text = state_text.info_text(form, body.state, attrs)
    return f"Expired {text}\thard {body.hard}{form.eol}{form.end}"


def _sas_flushed(form: Form, message: bytes) -> str:
    proto = codec(s.UserSaFlush).decode(message, HEADER_SIZE).proto
    return f"Flushed state proto {parts.PROTOS.get(proto) or proto}{form.eol}{form.end}"


def _policy(form: Form, message: bytes) -> str:
    return policy_text.policy(form, message)


def _policy_updated(form: Form, message: bytes) -> str:
    return f"Updated {policy_text.policy(form, message)}"


def _policy_deleted(form: Form, message: bytes) -> str:
    body = codec(s.UserPolicyId).size
    info = codec(s.UserPolicyInfo).decode(message, _inside(message, body, m.XFRMA_POLICY))
    attrs = Attributes(message, HEADER_SIZE + body)
    return f"Deleted {policy_text.info_text(form, info, attrs)}{form.end}"


def _policy_expired(form: Form, message: bytes) -> str:
    made = codec(s.UserPolExpire)
    body = made.decode(message, HEADER_SIZE)
    attrs = Attributes(message, HEADER_SIZE + made.size)
    text = policy_text.info_text(form, body.pol, attrs)
    return f"Expired {text}\thard {body.hard}{form.eol}{form.end}"


def _policies_flushed(form: Form, message: bytes) -> str:
    kind: s.UserPolicyType | None = Attributes(message, HEADER_SIZE).get(m.XFRMA_POLICY_TYPE)
    text = "" if kind is None else f"ptype {policy_text.TYPES.get(kind.type) or kind.type} "
    return f"Flushed policy {text}{form.eol}{form.end}"


def _defaults_changed(_: Form, message: bytes) -> str:
    return defaults(codec(s.UserPolicyDefault).decode(message, HEADER_SIZE))


def _acquire(form: Form, message: bytes) -> str:
    made = codec(s.UserAcquire)
    body = made.decode(message, HEADER_SIZE)
    attrs = Attributes(message, HEADER_SIZE + made.size)
    family = body.sel.family or body.policy.sel.family
    text = f"acquire proto {parts.protocol(body.id.proto)} "
    if form.stats or body.id.spi:
        text += f"spi {body.id.spi:#010x}" + (f"({body.id.spi}) " if form.stats else " ")
    text += form.eol + parts.selector(form, body.sel, family, lead="  sel ")
    text += f"  policy {policy_text.info_text(form, body.policy, attrs, '    ' + chr(9))}"
    if form.stats:
        text += f"  seq 0x{body.seq:08d} enc-mask {body.ealgos:08x} "
        text += f"auth-mask {body.aalgos:08x} comp-mask {body.calgos:08x}"
    return text + form.eol + form.end


def _who(ident: s.UserSaId, reqid: int) -> str:
    address = parts.address(ident.family, ident.daddr)
    proto = protocol_name(ident.proto)
    return f"dst {address}  reqid {reqid:#x} protocol {proto}  SPI {ident.spi:#x}"


def _aevent(_: Form, message: bytes) -> str:
    body = codec(s.AeventId).decode(message, HEADER_SIZE)
    causes = "".join(text for bit, text in _CAUSES.items() if body.flags & bit)
    saddr = parts.address(body.sa_id.family, body.saddr)
    who = _who(body.sa_id, body.reqid)
    return f"Async event  ({body.flags:#x}) {causes}\n\tsrc {saddr} {who}\n"


def _mapping(_: Form, message: bytes) -> str:
    body = codec(s.UserMapping).decode(message, HEADER_SIZE)
    family = body.id.family
    old, new = parts.address(family, body.old_saddr), parts.address(family, body.new_saddr)
    text = f"Mapping change {old}:{body.old_sport} -> {new}:{body.new_sport}"
    return f"{text}\n\t{_who(body.id, body.reqid)}\n"


def _report(form: Form, message: bytes) -> str:
    made = codec(s.UserReport)
    body = made.decode(message, HEADER_SIZE)
    attrs = Attributes(message, HEADER_SIZE + made.size)
    text = f"report proto {parts.protocol(body.proto)} {form.eol}"
    text += parts.selector(form, body.sel, body.sel.family, lead="  sel ")
    return text + attributes(form, attrs, body.sel.family, "  ") + form.end


def _migrate_state(form: Form, message: bytes) -> str:
    made = codec(s.UserMigrateState)
    body = made.decode(message, HEADER_SIZE)
    attrs = Attributes(message, HEADER_SIZE + made.size)
    ident = body.id
    text = f"Moved dst {parts.address(ident.family, ident.daddr)} "
    text += f"proto {parts.protocol(ident.proto)} spi {ident.spi:#010x} "
    if any(body.old_mark):
        text += parts.mark(body.old_mark)
    family = body.new_family
    ends = (
        f"src {parts.address(family, body.new_saddr)} dst {parts.address(family, body.new_daddr)}"
    )
    text += f"{form.eol}\tto {ends} reqid {body.new_reqid}{form.eol}"
    encap: s.EncapTmpl | None = attrs.get(m.XFRMA_ENCAP)
    if encap is not None and encap.encap_type == 0:
        text += f"\tencap none{form.eol}"
        attrs = _Without(attrs, m.XFRMA_ENCAP)
    text += attributes(form, attrs, family)
    return text + parts.selector(form, body.new_sel, family, lead="\tsel ") + form.end


class _Without(Attributes):
    """The same attributes but one."""

    __slots__ = ("_attrs", "_number")

    def __init__(self, attrs: Attributes, number: int) -> None:
        self._attrs = attrs
        self._number = number

    def __contains__(self, number: int) -> bool:
        return number != self._number and number in self._attrs

    def get(self, number: int) -> object:
        return None if number == self._number else self._attrs.get(number)


def _migrate(form: Form, message: bytes) -> str:
    made = codec(s.UserPolicyId)
    body = made.decode(message, HEADER_SIZE)
    text = f"Moved policy dir {policy_text.DIRECTIONS.get(body.dir) or body.dir} "
    text += parts.selector(form, body.sel, body.sel.family)
    for _, kind, at, end in spans(message, HEADER_SIZE + made.size, len(message)):
        if kind == m.XFRMA_MIGRATE:
            for one in decode_payload(kind, message[at:end]):
                text += _one_move(form, one)
    attrs = Attributes(message, HEADER_SIZE + made.size)
    return text + attributes(form, attrs, body.sel.family) + form.end


def _one_move(form: Form, one: s.UserMigrate) -> str:
    old = f"src {parts.address(one.old_family, one.old_saddr)} "
    old += f"dst {parts.address(one.old_family, one.old_daddr)}"
    new = f"src {parts.address(one.new_family, one.new_saddr)} "
    new += f"dst {parts.address(one.new_family, one.new_daddr)}"
    kind = f"proto {parts.protocol(one.proto)} reqid {one.reqid} "
    kind += f"mode {parts.MODES.get(one.mode) or one.mode}"
    return f"\t{old} {kind}{form.eol}\tto {new}{form.eol}"


_READERS: dict[int, Callable[[Form, bytes], str]] = {
    m.XFRM_MSG_NEWSA: _sa,
    m.XFRM_MSG_UPDSA: _sa_updated,
    m.XFRM_MSG_DELSA: _sa_deleted,
    m.XFRM_MSG_EXPIRE: _sa_expired,
    m.XFRM_MSG_FLUSHSA: _sas_flushed,
    m.XFRM_MSG_NEWPOLICY: _policy,
    m.XFRM_MSG_UPDPOLICY: _policy_updated,
    m.XFRM_MSG_DELPOLICY: _policy_deleted,
    m.XFRM_MSG_POLEXPIRE: _policy_expired,
    m.XFRM_MSG_FLUSHPOLICY: _policies_flushed,
    m.XFRM_MSG_GETDEFAULT: _defaults_changed,
    m.XFRM_MSG_ACQUIRE: _acquire,
    m.XFRM_MSG_NEWAE: _aevent,
    m.XFRM_MSG_MAPPING: _mapping,
    m.XFRM_MSG_REPORT: _report,
    m.XFRM_MSG_MIGRATE_STATE: _migrate_state,
    m.XFRM_MSG_MIGRATE: _migrate,
}
