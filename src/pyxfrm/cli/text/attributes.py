"""The attributes that SAs, policies and their events share, in iproute2's order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi import xfrm as c
from pyxfrm.cli.text import parts

if TYPE_CHECKING:
    from pyxfrm.cli.text.form import Form
    from pyxfrm.wire.lookup import Attributes

__all__ = ["ENCAPS", "SA_DIRECTIONS", "SHARES", "attributes", "replay"]

ENCAPS = {
    c.UDP_ENCAP_ESPINUDP_NON_IKE: "espinudp-nonike",
    c.UDP_ENCAP_ESPINUDP: "espinudp",
    c.TCP_ENCAP_ESPINTCP: "espintcp",
}
SA_DIRECTIONS = {c.XFRM_SA_DIR_IN: "in", c.XFRM_SA_DIR_OUT: "out"}
SHARES = {
    c.XFRM_SHARE_ANY: "any",
    c.XFRM_SHARE_SESSION: "session",
    c.XFRM_SHARE_USER: "user",
    c.XFRM_SHARE_UNIQUE: "unique",
}
_WORDS_A_LINE = 8


def attributes(
    form: Form, attrs: Attributes, family: int, lead: str = "\t", *, of_policy: bool = False
) -> str:
    """Their lines, each behind ``lead``; but for the marks, which always stand behind one tab.

    ``of_policy``: whose offload has no direction of its own
    """
    text = _marks(form, attrs) + _algorithms(form, attrs, lead)
    encap: s.EncapTmpl | None = attrs.get(m.XFRMA_ENCAP)
    if encap is not None:
        text += f"{lead}encap type {ENCAPS.get(encap.encap_type) or encap.encap_type} "
        text += f"sport {encap.encap_sport} dport {encap.encap_dport} "
        text += f"addr {parts.address(family, encap.encap_oa)}{form.eol}"
    text += _templates(form, attrs, lead)
    care_of = attrs.get(m.XFRMA_COADDR)
    if care_of is not None:
        text += f"{lead}coa {parts.address(family, care_of)}{form.eol}"
    last_used = attrs.get(m.XFRMA_LASTUSED)
    if last_used is not None:
        text += f"{lead}lastused {parts.stamp(last_used)}{form.eol}"
    text += replay(form, attrs, lead)
    return text + _rest(form, attrs, lead, of_policy=of_policy)


def _marks(form: Form, attrs: Attributes) -> str:
    mark: s.MarkVM | None = attrs.get(m.XFRMA_MARK)
    set_mark = attrs.get(m.XFRMA_SET_MARK)
    if mark is None and set_mark is None:
        return ""
    text = "\t" + (parts.mark(mark) if mark else "")
    if set_mark is not None:
        text += f"output-mark {set_mark:#x}"
        mask = attrs.get(m.XFRMA_SET_MARK_MASK)
        text += "" if mask is None else f"/{mask:#x}"
    return text + form.eol


def _algorithms(form: Form, attrs: Attributes, lead: str) -> str:
    text = ""
    for number, word in (
        (m.XFRMA_ALG_AUTH, "auth"),
        (m.XFRMA_ALG_AUTH_TRUNC, "auth-trunc"),
        (m.XFRMA_ALG_AEAD, "aead"),
        (m.XFRMA_ALG_CRYPT, "enc"),
        (m.XFRMA_ALG_COMP, "comp"),
    ):
        if number == m.XFRMA_ALG_AUTH and m.XFRMA_ALG_AUTH_TRUNC in attrs:
            continue
        value = attrs.get(number)
        if value is not None:
            text += f"{lead}{word} {_algorithm(form, value)}{form.eol}"
    return text


def _algorithm(form: Form, value: s.Algo | s.AlgoAuth | s.AlgoAead) -> str:
    name = value.alg_name.split(b"\0", 1)[0].decode("ascii", "replace")
    if form.keys:
        key = value.alg_key[: value.alg_key_len // 8]
        text = f"0x{key.hex()}" if key else ""
        text += f" ({value.alg_key_len} bits)" if key and form.stats else ""
    else:
        text = "<<Keys hidden>>"
    if isinstance(value, s.AlgoAuth):
        return f"{name} {text} {parts.signed(value.alg_trunc_len)}"
    if isinstance(value, s.AlgoAead):
        return f"{name} {text} {parts.signed(value.alg_icv_len)}"
    return f"{name} {text}"


def replay(form: Form, attrs: Attributes, lead: str) -> str:
    """Where the SA stands, in either form."""
    text = ""
    short: s.ReplayState | None = attrs.get(m.XFRMA_REPLAY_VAL)
    if short is not None:
        text += f"{lead}anti-replay context: seq {short.seq:#x}, oseq {short.oseq:#x}, "
        text += f"bitmap {short.bitmap:#010x}{form.eol}"
    long: s.ReplayStateEsn | None = attrs.get(m.XFRMA_REPLAY_ESN_VAL)
    if long is not None:
        text += f"{lead}anti-replay esn context:{form.eol}"
        text += f"{lead} seq-hi {long.seq_hi:#x}, seq {long.seq:#x}, "
        text += f"oseq-hi {long.oseq_hi:#x}, oseq {long.oseq:#x}{form.eol}"
        text += f"{lead} replay_window {long.replay_window}, bitmap-length {long.bmp_len}{form.eol}"
        text += _bitmap(form, long, lead)
    return text


def _bitmap(form: Form, long: s.ReplayStateEsn, lead: str) -> str:
    """The words from the last to the first, eight a line."""
    whole = long.bmp[: min(len(long.bmp) & ~3, 4 * long.bmp_len)]
    words = [f"{word:08x} " for word in reversed(memoryview(whole).cast("I"))]
    lines = [words[i : i + _WORDS_A_LINE] for i in range(0, len(words), _WORDS_A_LINE)]
    return "".join(f"{lead} {''.join(line)}{form.eol}" for line in lines)


def _rest(form: Form, attrs: Attributes, lead: str, *, of_policy: bool) -> str:
    text = ""
    offload: s.UserOffload | None = attrs.get(m.XFRMA_OFFLOAD_DEV)
    if offload is not None:
        kind = "packet" if offload.flags & c.XFRM_OFFLOAD_PACKET else "crypto"
        way = "dir in " if offload.flags & c.XFRM_OFFLOAD_INBOUND else "dir out "
        text += f"{lead}crypto offload parameters: dev {form.name_of(offload.ifindex)} "
        text += f"{'' if of_policy else way}mode {kind}{form.eol}"
    if_id = attrs.get(m.XFRMA_IF_ID)
    if if_id is not None:
        text += f"{lead}if_id {parts.alternate(if_id)}{form.eol}"
    padding = attrs.get(m.XFRMA_TFCPAD)
    if padding is not None:
        text += f"{lead}tfcpad {padding}{form.eol}"
    direction = attrs.get(m.XFRMA_SA_DIR)
    if direction is not None:
        text += f"{lead}dir {SA_DIRECTIONS.get(direction) or f'other ({direction})'}{form.eol}"
    cpu = attrs.get(m.XFRMA_SA_PCPU)
    if cpu is not None:
        text += f"{lead}pcpu-num {cpu}{form.eol}"
    return text


def _templates(form: Form, attrs: Attributes, lead: str) -> str:
    """The lines of the templates."""
    text = ""
    for one in attrs.get(m.XFRMA_TMPL) or ():
        text += parts.identity(
            form,
            one.family,
            one.saddr,
            one.id,
            one.mode,
            one.reqid,
            lead=lead,
            title=f"{lead}tmpl ",
            template=True,
        )
        text += _second_part(form, one, lead)
    return text


def _second_part(form: Form, one: s.UserTmpl, lead: str) -> str:
    text = ""
    if form.stats or one.optional:
        level = {0: "required", 1: "use"}.get(one.optional) or str(one.optional)
        text += f"{lead}\tlevel {level} "
        if form.stats:
            text += f"share {SHARES.get(one.share) or one.share} "
        text += form.eol
    if form.stats:
        text += f"{lead}\tenc-mask {one.ealgos:08x} auth-mask {one.aalgos:08x} "
        text += f"comp-mask {one.calgos:08x}{form.eol}"
    return text
