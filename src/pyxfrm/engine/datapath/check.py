"""Whether a packet may come in as it came (net/xfrm/xfrm_policy.c: __xfrm_policy_check).

Asked of every packet that is for this host ("in") or passes through it ("fwd"), after the SAs it came through were taken off. First each of these
SAs must have a selector that covers the packet. Then the policy decides: it blocks, or its templates are compared with the SAs, the outermost
template with the SA that was taken off first. A tunnel (or BEET) that no template asks for is refused, transport mode is not. Without a policy, what came through
a tunnel is refused, and the rest goes by the default of the direction.

Of addresses, only the template's source is compared, if it names one, with the SA's (not the packet's); and as addresses of the *inner* family, so that between
families just their first four bytes count, or more than there is. Linux does the same.

:func:`judge` decides and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.abi.xfrm import (
    AF_INET,
    IPSEC_PROTO_ANY,
    XFRM_MAX_DEPTH,
    XFRM_MODE_TRANSPORT,
    XFRM_POLICY_ALLOW,
    XFRM_USERPOLICY_BLOCK,
)
from pyxfrm.engine.algorithms import find_auth
from pyxfrm.engine.datapath.bundle import find_policies
from pyxfrm.engine.datapath.flow import selects
from pyxfrm.engine.sa import NAMED_BY_SPI

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxfrm.abi.structs import UserTmpl
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.policy import Flow, Policy
    from pyxfrm.engine.sa import Sa

__all__ = ["Judgement", "judge"]

_ALL = 0xFFFFFFFF


class Judgement(NamedTuple):
    """``counter``: the one that moves, None where the packet may pass; ``policies``: those that were found."""

    counter: str | None
    policies: tuple[Policy, ...]
    why: str


def judge(
    engine: Engine, flow: Flow, sas: Sequence[Sa], direction: int, if_id: int = 0
) -> Judgement:
    """Judge a packet of ``flow`` that came through ``sas``, in the order in which they were taken off."""
    if any(not selects(sa.sel, flow) for sa in sas):
        return Judgement("XfrmInStateMismatch", (), "the selector of an SA does not cover it")
    policies = find_policies(engine, flow, direction, if_id)
    if not policies:
        return _without_policy(engine, sas, direction)
    if any(policy.action != XFRM_POLICY_ALLOW for policy in policies):
        return Judgement("XfrmInPolBlock", policies, "a policy blocks")
    templates = [template for policy in policies for template in policy.templates]
    if len(templates) >= XFRM_MAX_DEPTH:
        return Judgement("XfrmInBufferError", policies, "too many templates")
    refused = _compare(engine, templates, sas, flow.family, if_id)
    return Judgement("XfrmInTmplMismatch" if refused else None, policies, refused)


def _without_policy(engine: Engine, sas: Sequence[Sa], direction: int) -> Judgement:
    if engine.spd.defaults[direction] == XFRM_USERPOLICY_BLOCK:
        return Judgement("XfrmInNoPols", (), "no policy, and the default is to block")
    if _tunnelled(sas):
        return Judgement("XfrmInNoPols", (), "it came through a tunnel, and no policy asks for one")
    return Judgement(None, (), "no policy, and the default is to accept")


def _tunnelled(sas: Sequence[Sa]) -> bool:
    return any(sa.traits.mode != XFRM_MODE_TRANSPORT for sa in sas)


def _compare(
    engine: Engine, templates: list[UserTmpl], sas: Sequence[Sa], family: int, if_id: int
) -> str:
    """Why templates and SAs do not go together; "" if they do."""
    at = 0
    for template in reversed(templates):
        place = _place(engine, template, sas, at, family, if_id)
        if place is None:
            return f"no SA fits the template of reqid {template.reqid}"
        at = place
    return "it came through a tunnel that no template asks for" if _tunnelled(sas[at:]) else ""


def _place(
    engine: Engine, template: UserTmpl, sas: Sequence[Sa], start: int, family: int, if_id: int
) -> int | None:
    """Where to go on after the SA of a template; None if there is none (xfrm_policy_ok)."""
    if template.optional and template.mode == XFRM_MODE_TRANSPORT:
        return start
    for at in range(start, len(sas)):
        if _fits(engine, template, sas[at], family, if_id):
            return at + 1
        if sas[at].traits.mode != XFRM_MODE_TRANSPORT:
            break
    return start if template.optional else None


def _fits(engine: Engine, template: UserTmpl, sa: Sa, family: int, if_id: int) -> bool:
    """xfrm_state_ok."""
    if sa.tunnel_users:
        return bool(template.optional) and _source_fits(template, sa, family)
    return (
        sa.proto == template.id.proto
        and template.id.spi in (0, int.from_bytes(sa.spi, "big"))
        and template.reqid in (0, sa.reqid)
        and sa.traits.mode == template.mode
        and _algorithms_fit(engine, template, sa)
        and (sa.traits.mode == XFRM_MODE_TRANSPORT or _source_fits(template, sa, family))
        and if_id in (0, sa.traits.if_id)
    )


def _algorithms_fit(engine: Engine, template: UserTmpl, sa: Sa) -> bool:
    if template.aalgos & template.ealgos & template.calgos == _ALL:
        return True
    if template.id.proto not in NAMED_BY_SPI and template.id.proto != IPSEC_PROTO_ANY:
        return True
    row = None
    if sa.traits.auth is not None:
        row = find_auth(sa.traits.auth.alg_name, engine.profile)
    return bool(template.aalgos >> (row.number & 31 if row else 0) & 1)


def _source_fits(template: UserTmpl, sa: Sa, family: int) -> bool:
    size = 4 if family == AF_INET else 16
    named = template.saddr[:size]
    return not any(named) or named == sa.saddr[:size]
