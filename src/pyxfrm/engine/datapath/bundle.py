"""From a flow to the SAs that its packets go through (net/xfrm/xfrm_policy.c: xfrm_lookup_with_ifid, xfrm_tmpl_resolve_one).

The policy of lowest priority value that covers the flow decides; one of type "sub" goes before and takes the main one with it. Its templates are
gone through in order, the first is the innermost: in tunnel and BEET mode they name the outer addresses, in transport mode it is the packet's, or those
of the tunnel before. Templates that are "optional" may be left out; if nothing is left the packet goes in clear.

:func:`resolve` decides and changes nothing: what a lookup would count, ask for and note is in its :class:`Resolution`, and :func:`carry_out`
does it. So an explanation can look the same way a packet does.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from errno import EAGAIN, EHOSTUNREACH, EINVAL, ENOBUFS, EPERM, ESRCH
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.abi.xfrm import (
    AF_INET,
    AF_INET6,
    IPPROTO_AH,
    XFRM_MAX_DEPTH,
    XFRM_MODE_BEET,
    XFRM_MODE_IN_TRIGGER,
    XFRM_MODE_IPTFS,
    XFRM_MODE_ROUTEOPTIMIZATION,
    XFRM_MODE_TRANSPORT,
    XFRM_MODE_TUNNEL,
    XFRM_POLICY_ALLOW,
    XFRM_POLICY_IN,
    XFRM_POLICY_OUT,
    XFRM_POLICY_TYPE_MAIN,
    XFRM_POLICY_TYPE_SUB,
    XFRM_SA_DIR_OUT,
    XFRM_USERPOLICY_BLOCK,
)
from pyxfrm.engine import traffic
from pyxfrm.engine.datapath.choose import Wanted, choose
from pyxfrm.engine.sa import NO_PCPU

if TYPE_CHECKING:
    from pyxfrm.abi.structs import UserTmpl
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.policy import Flow, Policy
    from pyxfrm.engine.sa import Sa

__all__ = ["Fate", "Resolution", "Source", "carry_out", "find_policies", "resolve"]

Source = Callable[[int, bytes, int], bytes | None]

_OWN_ADDRESSES = frozenset((XFRM_MODE_TUNNEL, XFRM_MODE_BEET, XFRM_MODE_IPTFS))


class Fate(Enum):
    """What a lookup comes to."""

    NO_POLICY = "no policy"
    CLEAR = "in clear"
    BUNDLE = "through SAs"
    WAIT = "no SA yet"
    BLOCK = "blocked"
    ERROR = "error"


class Resolution(NamedTuple):
    """Outcome of a lookup.

    ``policies``  the one that decides and, for one of type "sub", the main one
    ``sas``       to go through, in order
    ``counters``  that move because of what was found on the way
    ``asks``      templates (addresses filled in) that key managers are to be asked for, each with the CPU it is for
    ``errno``     of an error
    ``mtu``       the longest packet that the path carries, sealed; 0: no limit is known
    """

    fate: Fate
    policies: tuple[Policy, ...] = ()
    sas: tuple[Sa, ...] = ()
    counters: tuple[str, ...] = ()
    asks: tuple[tuple[Policy, UserTmpl, int], ...] = ()
    errno: int = 0
    why: str = ""
    mtu: int = 0


def find_policies(engine: Engine, flow: Flow, direction: int, if_id: int) -> tuple[Policy, ...]:
    """The policies that decide about a flow: none, one, or a sub policy and the main one."""
    lookup = engine.spd.lookup
    first = lookup(flow, direction, XFRM_POLICY_TYPE_SUB, if_id)
    if first is None:
        only = lookup(flow, direction, XFRM_POLICY_TYPE_MAIN, if_id)
        return () if only is None else (only,)
    if direction == XFRM_POLICY_OUT:
        if first.action != XFRM_POLICY_ALLOW:
            return (first,)
        main = lookup(flow, direction, XFRM_POLICY_TYPE_MAIN, first.if_id)
    else:  # whatever the direction, Linux looks among the inbound ones
        main = lookup(flow, XFRM_POLICY_IN, XFRM_POLICY_TYPE_MAIN, if_id)
    return (first,) if main is None else (first, main)


class _Failed(Exception):  # noqa: N818 (how a template says no)
    def __init__(self, errno: int, why: str, counters: tuple[str, ...] = ()) -> None:
        self.errno = errno
        self.why = why
        self.counters = counters


class _Resolver:
    """One lookup: what its templates found and asked for."""

    def __init__(self, engine: Engine, flow: Flow, source: Source, cpu: int) -> None:
        self.engine = engine
        self.flow = flow
        self.source = source
        self.cpu = cpu
        self.asks: list[tuple[Policy, UserTmpl, int]] = []

    def policy(self, policy: Policy) -> list[Sa]:
        """The SAs of one policy; raises _Failed."""
        found: list[Sa] = []
        daddr, saddr = self.flow.daddr, self.flow.saddr
        for template in policy.templates:
            remote, local = self._ends(template, daddr, saddr)
            filled = template._replace(id=template.id._replace(daddr=remote), saddr=local)
            wanted = Wanted(policy, template, self.flow, remote, local, self.cpu)
            try:
                found.append(self._one(wanted, filled))
            except _Failed as no:
                if not template.optional or no.counters:
                    raise
                continue
            daddr, saddr = remote, local
        return found

    def _ends(self, template: UserTmpl, daddr: bytes, saddr: bytes) -> tuple[bytes, bytes]:
        """(remote, local) address of a template."""
        if template.mode not in _OWN_ADDRESSES:
            return daddr, saddr
        remote, local = template.id.daddr, template.saddr
        if _is_any(local, template.family):
            given = self.source(template.family, remote, self.flow.oif)
            if given is None:
                raise _Failed(EHOSTUNREACH, "no local address towards the tunnel's other end")
            local = given.ljust(16, b"\0")
        return remote, local

    def _one(self, wanted: Wanted, filled: UserTmpl) -> Sa:
        choice = choose(self.engine, wanted)
        sa = choice.sa
        if choice.acquire:
            cpu = NO_PCPU if sa is None else self.cpu
            self.asks.append((wanted.policy, filled, cpu))
        if sa is None:
            errno = EAGAIN if choice.errno == ESRCH else choice.errno
            raise _Failed(errno, "no SA for a template")
        if sa.traits.dir not in (0, XFRM_SA_DIR_OUT):
            raise _Failed(EINVAL, "the SA found is an inbound one", ("XfrmOutStateDirError",))
        return sa


def resolve(
    engine: Engine,
    flow: Flow,
    if_id: int = 0,
    *,
    source: Source,
    cpu: int = 0,
) -> Resolution:
    """What is to be done with outbound packets of a flow. ``source``: see :class:`pyxfrm.engine.datapath.Datapath`."""
    policies = find_policies(engine, flow, XFRM_POLICY_OUT, if_id)
    if not policies:
        if engine.spd.defaults[XFRM_POLICY_OUT] == XFRM_USERPOLICY_BLOCK:
            return Resolution(Fate.ERROR, errno=EPERM, why="no policy, and the default is to block")
        return Resolution(Fate.NO_POLICY, why="no policy, and the default is to accept")
    if any(policy.action != XFRM_POLICY_ALLOW for policy in policies):
        return Resolution(Fate.BLOCK, policies, errno=EPERM, why="a policy blocks")
    if not any(policy.templates for policy in policies):
        return Resolution(Fate.CLEAR, policies, why="a policy lets it pass in clear")
    return _with_templates(_Resolver(engine, flow, source, cpu), policies)


def _with_templates(resolver: _Resolver, policies: tuple[Policy, ...]) -> Resolution:
    sas: list[Sa] = []
    try:
        for policy in policies:
            if len(sas) + len(policy.templates) >= XFRM_MAX_DEPTH:
                raise _Failed(ENOBUFS, "too many templates")
            sas += resolver.policy(policy)
    except _Failed as no:
        asks = tuple(resolver.asks)
        if no.errno == EAGAIN:
            return Resolution(Fate.WAIT, policies, (), no.counters, asks, EAGAIN, no.why)
        counters = (*no.counters, "XfrmOutPolError")
        return Resolution(Fate.ERROR, policies, (), counters, asks, no.errno, no.why)
    if len(policies) > 1 and resolver.flow.family == AF_INET6:
        sas.sort(key=_order_v6)
    fate, why = (Fate.BUNDLE, "") if sas else (Fate.CLEAR, "all templates are optional, no SA fits")
    return Resolution(fate, policies, tuple(sas), (), tuple(resolver.asks), 0, why)


def carry_out(engine: Engine, flow: Flow, found: Resolution) -> None:
    """Ask key managers, and note that the policies are in use."""
    for policy, template, cpu in found.asks:
        traffic.acquire(engine, policy, template, flow, cpu)


def _order_v6(sa: Sa) -> int:
    """From the inside out (__xfrm6_state_sort_cmp): ESP and IPComp, Mobile IPv6, AH, tunnels."""
    mode = sa.traits.mode
    if mode == XFRM_MODE_TRANSPORT:
        return 3 if sa.proto == IPPROTO_AH else 1
    if mode in (XFRM_MODE_ROUTEOPTIMIZATION, XFRM_MODE_IN_TRIGGER):
        return 2
    return 4 if mode in _OWN_ADDRESSES else 5


def _is_any(address: bytes, family: int) -> bool:
    return not any(address[:4] if family == AF_INET else address)
