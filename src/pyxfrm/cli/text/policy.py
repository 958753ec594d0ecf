"""One policy as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi import xfrm as c
from pyxfrm.cli.text import parts
from pyxfrm.cli.text.attributes import SHARES, attributes
from pyxfrm.wire.codec import codec
from pyxfrm.wire.lookup import Attributes
from pyxfrm.wire.netlink import HEADER_SIZE

if TYPE_CHECKING:
    from pyxfrm.cli.text.form import Form

__all__ = ["ACTIONS", "DIRECTIONS", "POLICY_FLAGS", "TYPES", "info_text", "policy"]

DIRECTIONS = {c.XFRM_POLICY_IN: "in", c.XFRM_POLICY_OUT: "out", c.XFRM_POLICY_FWD: "fwd"}
ACTIONS = {c.XFRM_POLICY_ALLOW: "allow", c.XFRM_POLICY_BLOCK: "block"}
TYPES = {c.XFRM_POLICY_TYPE_MAIN: "main", c.XFRM_POLICY_TYPE_SUB: "sub"}
POLICY_FLAGS = {c.XFRM_POLICY_LOCALOK: "localok", c.XFRM_POLICY_ICMP: "icmp"}


def policy(form: Form, message: bytes) -> str:
    """A NEWPOLICY or UPDPOLICY message: a record."""
    made = codec(s.UserPolicyInfo)
    info = made.decode(message, HEADER_SIZE)
    return info_text(form, info, Attributes(message, HEADER_SIZE + made.size)) + form.end


def info_text(form: Form, info: s.UserPolicyInfo, attrs: Attributes, lead: str = "\t") -> str:
    """The lines of a policy, without the record's end; all but the first behind ``lead``."""
    family = info.sel.family
    text = parts.selector(form, info.sel, family) + parts.security(form, attrs)
    text += lead + _second_line(form, info, attrs)
    if form.stats:
        text += parts.limits(form, info.lft, lead=lead)
        text += parts.lifetime(form, info.curlft, lead=lead)
    return text + attributes(form, attrs, family, lead, of_policy=True)


def _second_line(form: Form, info: s.UserPolicyInfo, attrs: Attributes) -> str:
    text = _direction(info)
    if form.stats or info.action != c.XFRM_POLICY_ALLOW:
        text += f"action {ACTIONS.get(info.action) or info.action} "
    if form.stats:
        text += f"index {info.index} "
    text += f"priority {info.priority} "
    kind: s.UserPolicyType | None = attrs.get(m.XFRMA_POLICY_TYPE)
    if kind is not None:
        text += f"ptype {TYPES.get(kind.type) or kind.type} "
    if form.stats:
        text += f"share {SHARES.get(info.share) or info.share} "
    if form.stats or info.flags:
        text += f"flag {parts.flag_words(info.flags, POLICY_FLAGS)}"
    if form.stats:
        text += f" (0x{parts.mask8(info.flags)})"
    return text + form.eol


def _direction(info: s.UserPolicyInfo) -> str:
    if info.dir >= c.XFRM_POLICY_MAX:
        way = info.dir - c.XFRM_POLICY_MAX
        return f"socket {DIRECTIONS.get(way) or way} "
    return f"dir {DIRECTIONS.get(info.dir) or info.dir} "
