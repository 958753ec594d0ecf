"""One SA as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi import xfrm as c
from pyxfrm.cli.text import parts
from pyxfrm.cli.text.attributes import attributes
from pyxfrm.wire.codec import codec
from pyxfrm.wire.lookup import Attributes
from pyxfrm.wire.netlink import HEADER_SIZE

if TYPE_CHECKING:
    from pyxfrm.cli.text.form import Form

__all__ = ["EXTRA_FLAGS", "STATE_FLAGS", "info_text", "state"]

STATE_FLAGS = {
    c.XFRM_STATE_NOECN: "noecn",
    c.XFRM_STATE_DECAP_DSCP: "decap-dscp",
    c.XFRM_STATE_NOPMTUDISC: "nopmtudisc",
    c.XFRM_STATE_WILDRECV: "wildrecv",
    c.XFRM_STATE_ICMP: "icmp",
    c.XFRM_STATE_AF_UNSPEC: "af-unspec",
    c.XFRM_STATE_ALIGN4: "align4",
    c.XFRM_STATE_ESN: "esn",
}
EXTRA_FLAGS = {
    c.XFRM_SA_XFLAG_DONT_ENCAP_DSCP: "dont-encap-dscp",
    c.XFRM_SA_XFLAG_OSEQ_MAY_WRAP: "oseq-may-wrap",
}
_EMPTY = bytes(codec(s.Selector).size)


def state(form: Form, message: bytes) -> str:
    """A NEWSA or UPDSA message: a record."""
    made = codec(s.UserSaInfo)
    info = made.decode(message, HEADER_SIZE)
    return info_text(form, info, Attributes(message, HEADER_SIZE + made.size)) + form.end


def info_text(form: Form, info: s.UserSaInfo, attrs: Attributes) -> str:
    """The lines of an SA, without the record's end."""
    text = parts.identity(form, info.family, info.saddr, info.id, info.mode, info.reqid)
    text += _third_line(form, info, attrs)
    text += attributes(form, attrs, info.family)
    if codec(s.Selector).encode(info.sel) != _EMPTY:
        text += parts.selector(form, info.sel, info.family, lead="\tsel ")
    if form.stats:
        text += parts.limits(form, info.lft) + parts.lifetime(form, info.curlft)
        stats = info.stats
        text += f"\tstats:{form.eol}"
        text += f"\t  replay-window {stats.replay_window} replay {stats.replay} "
        text += f"failed {stats.integrity_failed}{form.eol}"
    return text + parts.security(form, attrs)


def _third_line(form: Form, info: s.UserSaInfo, attrs: Attributes) -> str:
    text = f"\treplay-window {info.replay_window} "
    if form.stats:
        text += f"seq 0x{info.seq:08d} "  # decimal behind its 0x
    if form.stats or info.flags:
        text += f"flag {parts.flag_words(info.flags, STATE_FLAGS)}"
    extra = attrs.get(m.XFRMA_SA_EXTRA_FLAGS)
    if form.stats and extra is not None:
        text += f"extra_flag {parts.flag_words(extra, EXTRA_FLAGS)}"
    if form.stats:
        text += f" (0x{parts.mask8(info.flags)})"
    return text + form.eol
