"""The parts of which the text of SAs, policies and events is made. Each gives whole lines, or words for within one."""

from __future__ import annotations

import sys
import time
from _socket import AF_INET as SOCKET_INET
from _socket import AF_INET6 as SOCKET_INET6
from _socket import inet_ntop
from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi import xfrm as c
from pyxfrm.cli.text.form import protocol_name

if TYPE_CHECKING:
    from pyxfrm.abi import structs as s
    from pyxfrm.cli.text.form import Form
    from pyxfrm.wire.lookup import Attributes

__all__ = [
    "MODES",
    "PROTOS",
    "address",
    "alternate",
    "flag_words",
    "identity",
    "lifetime",
    "limits",
    "mark",
    "mask8",
    "protocol",
    "security",
    "selector",
    "signed",
    "stamp",
]

PROTOS = {
    c.IPPROTO_ESP: "esp",
    c.IPPROTO_AH: "ah",
    c.IPPROTO_COMP: "comp",
    c.IPPROTO_ROUTING: "route2",
    c.IPPROTO_DSTOPTS: "hao",
    c.IPSEC_PROTO_ANY: "ipsec-any",
}
MODES = {
    c.XFRM_MODE_TRANSPORT: "transport",
    c.XFRM_MODE_TUNNEL: "tunnel",
    c.XFRM_MODE_ROUTEOPTIMIZATION: "ro",
    c.XFRM_MODE_IN_TRIGGER: "in_trigger",
    c.XFRM_MODE_BEET: "beet",
}
_BY_SPI = (c.IPPROTO_ESP, c.IPPROTO_AH, c.IPPROTO_COMP)
_TYPES = (1, 58)  # icmp, ipv6-icmp
_MOBILITY = 135
_GRE = 47


def address(family: int, raw: bytes) -> str:
    """An address; of a family that is neither IPv4 nor IPv6: ``???``."""
    if family == c.AF_INET:
        return inet_ntop(SOCKET_INET, raw[:4])
    if family == c.AF_INET6:
        return inet_ntop(SOCKET_INET6, raw)
    return "???"


def protocol(number: int) -> str:
    """The protocol of an SA or template."""
    return PROTOS.get(number) or str(number)


def mask8(value: int) -> str:
    """Eight bits, the lowest first, as iproute2 writes them: one digit each, the highest in front."""
    return f"{value & 0xFF:08b}"


def flag_words(value: int, names: dict[int, str]) -> str:
    """``noecn esn 40``: names of known flags, what is left in hexadecimal; "" for none."""
    words = []
    for bit, name in names.items():
        if value & bit:
            words.append(name)
            value &= ~bit
    if value:
        words.append(f"{value:x}")
    return " ".join(words)


def mark(value: s.MarkVM) -> str:
    """``mark 0x1/0xff``."""
    return f"mark {alternate(value.v)}/{alternate(value.m)} "


def signed(value: int) -> int:
    """C's ``%d`` of a 32-bit number."""
    return value - (1 << 32) if value >> 31 else value


def alternate(value: int) -> str:
    """C's ``%#x``: zero has no prefix."""
    return f"{value:#x}" if value else "0"


def identity(
    form: Form,
    family: int,
    saddr: bytes,
    ident: s.Id,
    mode: int,
    reqid: int,
    *,
    lead: str = "",
    title: str = "",
    template: bool = False,
) -> str:
    """Two lines: addresses; protocol, SPI, reqid and mode. ``lead`` opens the second. A template without an SPI shows none."""
    ends = f"{title}src {address(family, saddr)} dst {address(family, ident.daddr)}{form.eol}"
    text = f"{lead}\tproto {protocol(ident.proto)} "
    if form.stats or ident.spi or (ident.proto in _BY_SPI and not template):
        text += f"spi {ident.spi:#010x}" + (f"({ident.spi}) " if form.stats else " ")
    text += f"reqid {reqid}" + (f"({reqid:#010x}) " if form.stats else " ")
    return f"{ends}{text}mode {MODES.get(mode) or mode}{form.eol}"


def selector(form: Form, sel: s.Selector, family: int, *, lead: str = "") -> str:
    """One line. A selector without a family is of ``family``."""
    family = sel.family or family
    text = f"{lead}src {address(family, sel.saddr)}/{sel.prefixlen_s} "
    text += f"dst {address(family, sel.daddr)}/{sel.prefixlen_d} "
    if sel.proto:
        text += f"proto {protocol_name(sel.proto)} "
    text += _upper_layer(form, sel)
    if sel.ifindex > 0:
        text += f"dev {form.name_of(sel.ifindex)} "
    if form.stats:
        text += f"uid {sel.user}"
    return text + form.eol


def _upper_layer(form: Form, sel: s.Selector) -> str:
    if sel.proto == _GRE:
        key = sel.sport << 16 | sel.dport
        return f"key {key} " if sel.sport_mask or sel.dport_mask else ""
    first, second = ("type", "code") if sel.proto in _TYPES else ("sport", "dport")
    if sel.proto == _MOBILITY:
        first, second = "type", ""
    text = f"{first} {sel.sport} " if sel.sport_mask else ""
    if not sel.dport_mask:
        return text
    if second:
        return f"{text}{second} {sel.dport} "
    # Mobility headers have no code: what is there all the same is shown as it lies in memory.
    raw = int.from_bytes(sel.dport.to_bytes(2, "big"), sys.byteorder)
    return f"{text}(dport) 0x{raw:04x} " if form.stats else text


def _bound(value: int, unit: str) -> str:
    return f"(INF)({unit})" if value == c.XFRM_INF else f"{value}({unit})"


def limits(form: Form, lft: s.LifetimeCfg, *, lead: str = "\t") -> str:
    """``lifetime config:`` and four lines."""
    byte, packet = (_bound(lft[i], u) for i, u in ((0, "bytes"), (2, "packets")))
    hard_byte, hard_packet = (_bound(lft[i], u) for i, u in ((1, "bytes"), (3, "packets")))
    lines = (
        "lifetime config:",
        f"  limit: soft {byte}, hard {hard_byte}",
        f"  limit: soft {packet}, hard {hard_packet}",
        f"  expire add: soft {lft[4]}(sec), hard {lft[5]}(sec)",
        f"  expire use: soft {lft[6]}(sec), hard {lft[7]}(sec)",
    )
    return "".join(f"{lead}{line}{form.eol}" for line in lines)


def stamp(seconds: int) -> str:
    """A date of this machine's time zone; ``-`` for never."""
    if not seconds:
        return "-"
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "????-??-?? ??:??:??"


def lifetime(form: Form, curlft: s.LifetimeCur, *, lead: str = "\t") -> str:
    """``lifetime current:`` and two lines."""
    lines = (
        "lifetime current:",
        f"  {curlft.bytes}(bytes), {curlft.packets}(packets)",
        f"  add {stamp(curlft.add_time)} use {stamp(curlft.use_time)}",
    )
    return "".join(f"{lead}{line}{form.eol}" for line in lines)


def security(form: Form, attrs: Attributes) -> str:
    """``security context``, if there is one."""
    context: s.UserSecCtx | None = attrs.get(m.XFRMA_SEC_CTX)
    if context is None:
        return ""
    text = context.ctx_str[: context.ctx_len].split(b"\0", 1)[0].decode("utf-8", "replace")
    return f"\tsecurity context {text} {form.eol}"
