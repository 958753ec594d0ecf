"""What packets do to SAs, told one by one: the engine's end of a data path, and of tests.

Whoever moves packets calls these functions, and the SA does what the kernel's would: it counts, it expires, it tells who joined the
groups. Nothing here looks at a packet, and nothing is checked for plausibility: the caller has done both.

Sources: net/xfrm/xfrm_output.c: xfrm_output_one; net/xfrm/xfrm_input.c: xfrm_input; net/xfrm/xfrm_state.c: xfrm_state_find, km_query,
km_new_mapping, km_report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxfrm.abi.structs import LifetimeCfg, ReplayState, ReplayStateEsn, Selector, UserTmpl
from pyxfrm.abi.xfrm import (
    AF_INET,
    IPPROTO_AH,
    IPPROTO_ESP,
    XFRM_INF,
    XFRM_SA_DIR_OUT,
    XFRM_SA_XFLAG_OSEQ_MAY_WRAP,
    XFRM_SC_ALG_SELINUX,
    XFRM_SC_DOI_LSM,
    XFRM_STATE_ESN,
    XFRMNLGRP_ACQUIRE,
)
from pyxfrm.engine import aevents, lifetime, notify_events
from pyxfrm.engine.sa import NO_PCPU, Sa, State, Traits

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.policy import Flow, Policy

__all__ = [
    "acquire",
    "admit",
    "count",
    "fail",
    "mapping",
    "move_numbers",
    "output",
    "report",
]

_U32 = 0xFFFFFFFF
_KERNEL = (XFRM_SC_DOI_LSM, XFRM_SC_ALG_SELINUX, b"kernel\0")
_ANY4 = bytes(4)
_ANY = bytes(16)


def admit(engine: Engine, sa: Sa) -> bool:
    """Whether an SA takes a packet: it has its keys, and no hard limit of bytes or packets is reached.

    Asked before the packet is counted, so that a limit of 1 packet lets one through and ends the SA at the second.
    """
    if sa.state != State.VALID:
        return False
    if not lifetime.check_counters(engine, sa):
        lifetime.end_if_expired(engine, sa)
        return False
    return True


def count(engine: Engine, sa: Sa, size: int, packets: int = 1) -> None:
    """Count ``packets`` packets of ``size`` bytes together: inner bytes, without the headers that the SA adds."""
    sa.bytes += size
    sa.packets += packets
    sa.lastused = int(engine.now)


def output(engine: Engine, sa: Sa, size: int) -> bool:
    """A packet of ``size`` bytes leaves through an SA; False if it is dropped.

    It takes the next sequence number. After the last one (2^32 - 1, with ESN 2^64 - 1) all packets are dropped, unless the SA
    may wrap (XFRM_SA_XFLAG_OSEQ_MAY_WRAP, not with ESN).
    """
    if not admit(engine, sa):
        return False
    if sa.proto in (IPPROTO_ESP, IPPROTO_AH):
        now = _next_number(sa)
        if now is None:
            return False
        move_numbers(engine, sa, now)
    count(engine, sa, size)
    return True


def _next_number(sa: Sa) -> ReplayState | ReplayStateEsn | None:
    state = sa.esn or sa.replay
    oseq = (state.oseq + 1) & _U32
    if oseq:
        return state._replace(oseq=oseq)
    if sa.esn is not None and sa.traits.flags & XFRM_STATE_ESN:
        high = (sa.esn.oseq_hi + 1) & _U32
        return sa.esn._replace(oseq=0, oseq_hi=high) if high else None
    if sa.traits.extra_flags & XFRM_SA_XFLAG_OSEQ_MAY_WRAP:
        return state._replace(oseq=0)
    return None


def move_numbers(engine: Engine, sa: Sa, now: ReplayState | ReplayStateEsn) -> None:
    """Set the sequence numbers and windows of an SA to what a packet has made of them."""
    if isinstance(now, ReplayStateEsn):
        sa.esn = now
    else:
        sa.replay = now
    aevents.numbers_moved(engine, sa)


def fail(sa: Sa, *, replay_window: int = 0, replay: int = 0, integrity_failed: int = 0) -> None:
    """Count packets refused: below the window, seen before, or with a wrong check value."""
    window, again, wrong = sa.stats
    sa.stats = (window + replay_window, again + replay, wrong + integrity_failed)


def mapping(engine: Engine, sa: Sa, saddr: bytes, sport: int) -> bool:
    """A packet of an encapsulated SA came from another address (16 bytes) or UDP port; True if MAPPING was heard.

    With a mapping threshold there is one event a port and threshold; without, one a packet. The SA itself does not move.
    """
    if sa.mapping_maxage:
        second = engine.now // 1
        if sa.mapped is not None:
            when, port = sa.mapped
            if second - when <= sa.mapping_maxage and port == sport:
                return False
        sa.mapped = (second, sport)
    if sa.proto != IPPROTO_ESP or sa.encap is None:
        return False
    return notify_events.mapped(engine, sa, saddr, sport)


def report(engine: Engine, proto: int, sel: Selector, address: bytes | None = None) -> bool:
    """A packet with a Mobile IPv6 header that no SA wanted; ``address``: its care-of address. True if REPORT was heard."""
    return notify_events.reported(engine, proto, sel, address)


def acquire(
    engine: Engine, policy: Policy, template: UserTmpl, flow: Flow, pcpu_num: int = NO_PCPU
) -> Sa | None:
    """A packet needs an SA that is not there: ask for it, and leave a larval SA in its place.

    The larval SA, which takes packets of this flow only and expires after ``xfrm_acq_expires`` seconds; None if nobody
    has joined XFRMNLGRP_ACQUIRE, or none of those who did has room. ``pcpu_num``: a CPU of its own asks (XFRM_POLICY_CPU_ACQUIRE).
    """
    if not engine.listens(XFRMNLGRP_ACQUIRE):
        return None
    sa = _larval(engine, policy, template, flow, pcpu_num)
    seq = engine.chance.acquire_seq()
    algorithms = (template.aalgos, template.ealgos, template.calgos)
    if not notify_events.acquired(engine, sa, policy, algorithms, seq):
        return None
    sa.traits = sa.traits._replace(seq=seq, dir=XFRM_SA_DIR_OUT)
    engine.sadb.insert(sa)
    lifetime.start(engine, sa, engine.sysctl.xfrm_acq_expires)
    return sa


def _larval(engine: Engine, policy: Policy, template: UserTmpl, flow: Flow, pcpu_num: int) -> Sa:
    """xfrm_init_tempstate: the template's SA, its selector just this flow.

    Where the policy has a security context, the SA gets the one of the flow's socket: without a loaded policy, everybody's is "kernel".
    """
    expires = engine.sysctl.xfrm_acq_expires
    limits = LifetimeCfg(XFRM_INF, XFRM_INF, XFRM_INF, XFRM_INF, 0, expires, 0, 0)
    traits = Traits(
        template.mode,
        0,
        0,
        limits,
        if_id=policy.if_id,
        sec_ctx=None if policy.sec_ctx is None else _KERNEL,
        pcpu_num=pcpu_num,
        id_pad=template.id.pad,
    )
    host = 32 if flow.family == AF_INET else 128
    sel = Selector(
        flow.daddr,
        flow.saddr,
        flow.dport,
        0xFFFF,
        flow.sport,
        0xFFFF,
        flow.family,
        host,
        host,
        flow.proto,
        flow.oif,
        0,
    )
    family = template.family
    daddr = _given(template.id.daddr, flow.daddr, family)
    saddr = _given(template.saddr, flow.saddr, family)
    spi = template.id.spi.to_bytes(4, "big")
    sa = Sa(traits, daddr, spi, template.id.proto, family, saddr, template.reqid, sel)
    sa.mark = policy.mark
    sa.add_time = int(engine.now)
    sa.state = State.ACQ
    return sa


def _given(address: bytes, default: bytes, family: int) -> bytes:
    """An address of a template, or the flow's where it has none."""
    if family == AF_INET:
        return address if address[:4] != _ANY4 else default[:4] + address[4:]
    return address if address != _ANY else default
