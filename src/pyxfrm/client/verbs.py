"""Every message that an XFRM takes, as a function that makes the request.

    from pyxfrm.client import verbs

    xfrm.call(verbs.add_sa(sa))
    xfrm.batch([verbs.delete_sa(sa.id) for sa in old])

:class:`~pyxfrm.client.xfrm.Xfrm` has each as a method, too. Nothing here looks whether the kernel will find the SA that is meant; the
methods do (:mod:`pyxfrm.client.safety`).

MAPPING and REPORT are for the kernel alone to send: it has no handler for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi import xfrm as c
from pyxfrm.abi.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from pyxfrm.client import to_wire
from pyxfrm.client.info import Aevent, Defaults, SadInfo, SpdInfo
from pyxfrm.client.records import PolicyRecord, SaRecord
from pyxfrm.client.request import Done, Dump, Request
from pyxfrm.errors import UsageError
from pyxfrm.model import (
    Address,
    Counters,
    Default,
    Family,
    Migration,
    Mode,
    Network,
    Policy,
    PolicyId,
    PolicyMigration,
    PolicyType,
    Proto,
    ReplayState,
    Sa,
    SaDir,
    SaId,
    Selector,
)
from pyxfrm.model.checks import uint
from pyxfrm.wire.codec import codec

if TYPE_CHECKING:
    from pyxfrm.client.events import Acquire

__all__ = [
    "acquire",
    "add_policy",
    "add_sa",
    "allocate_spi",
    "delete_policy",
    "delete_sa",
    "expire_policy",
    "expire_sa",
    "flush_policies",
    "flush_sas",
    "get_defaults",
    "get_policy",
    "get_sa",
    "migrate",
    "migrate_sa",
    "policies",
    "replay_state",
    "sad_info",
    "sas",
    "set_defaults",
    "set_replay_state",
    "set_spd_info",
    "spd_info",
    "update_policy",
    "update_sa",
]

_NEW = NLM_F_CREATE | NLM_F_EXCL


# -- SAs ---------------------------------------------------------------------------------------------


def add_sa(sa: Sa) -> Request[Done]:
    """NEWSA. EEXIST if the kernel finds an SA of that name (marks: see :mod:`pyxfrm.client.safety`)."""
    return Request(m.XFRM_MSG_NEWSA, to_wire.sa(sa), _NEW, subject=sa.id)


def update_sa(sa: Sa) -> Request[Done]:
    """UPDSA: a larval SA becomes this one; of a grown one the limits, encapsulation and the like change.

    It never changes an SA's mark. ESRCH if there is none.
    """
    return Request(m.XFRM_MSG_UPDSA, to_wire.sa(sa), NLM_F_REPLACE, subject=sa.id)


def get_sa(name: SaId) -> Request[SaRecord]:
    """GETSA: the SA that the kernel finds under this name. ESRCH if there is none."""
    return Request(m.XFRM_MSG_GETSA, to_wire.sa_id(name), read=SaRecord.of, subject=name)


def delete_sa(name: SaId) -> Request[Done]:
    """DELSA. ESRCH if there is none."""
    return Request(m.XFRM_MSG_DELSA, to_wire.sa_id(name), subject=name)


def sas(
    proto: Proto | None = None, *, saddr: Network | None = None, daddr: Network | None = None
) -> Dump[SaRecord]:
    """GETSA as a dump, newest first; the kernel picks those of a protocol and of addresses."""
    attrs: list[tuple[int, Any]] = []
    if proto is not None:
        attrs.append((m.XFRMA_PROTO, int(proto)))
    either = daddr if saddr is None else saddr
    if either is not None:
        every = Network.any(either.family)
        source, target = saddr or every, daddr or every
        if source.family != target.family:
            raise UsageError(f"SAs from {source} to {target}: two families")
        attrs.append((m.XFRMA_ADDRESS_FILTER, to_wire.address_filter(source, target)))
    return Dump(m.XFRM_MSG_GETSA, to_wire.payload(b"", attrs), read=SaRecord.of)


def allocate_spi(
    name: SaId,
    saddr: Address,
    mode: Mode,
    *,
    low: int = 0x100,
    high: int | None = None,
    reqid: int = 0,
    if_id: int = 0,
    dir: SaDir | None = None,  # noqa: A002  # the field's name
    cpu: int | None = None,
    acquire_seq: int = 0,
) -> Request[SaRecord]:
    """ALLOCSPI: a larval SA with an SPI of ``low``..``high`` (host order, inclusive), to be grown by UPDSA.

    ``high``: 0xffffffff, or 0xffff for IPComp, unless given. It vanishes after ``net.core.xfrm_acq_expires`` seconds.
    """
    if high is None:
        high = 0xFFFF if name.proto == Proto.COMP else 0xFFFFFFFF
    larva = Sa(
        name,
        saddr,
        mode,
        (),
        ReplayState.off(),
        reqid=reqid,
        if_id=if_id,
        dir=dir,
        cpu=cpu,
        acquire_seq=acquire_seq,
        sel=Selector.any(Family.UNSPEC),
    )
    attrs: list[tuple[int, Any]] = []
    if name.mark is not None:
        attrs.append((m.XFRMA_MARK, to_wire.mark(name.mark)))
    if if_id:
        attrs.append((m.XFRMA_IF_ID, if_id))
    if dir is not None:
        attrs.append((m.XFRMA_SA_DIR, int(dir)))
    if cpu is not None:
        attrs.append((m.XFRMA_SA_PCPU, cpu))
    body = codec(s.UserSpiInfo).pack(to_wire.sa_info(larva), low, high)
    return Request(
        m.XFRM_MSG_ALLOCSPI, to_wire.payload(body, attrs), read=SaRecord.of, subject=name
    )


def flush_sas(proto: Proto | None = None) -> Request[Done]:
    """FLUSHSA: all SAs of a protocol go; None: all. Proto.ANY: all of ESP, AH and IPComp."""
    return Request(m.XFRM_MSG_FLUSHSA, codec(s.UserSaFlush).pack(proto or 0))


def expire_sa(name: SaId, *, hard: bool) -> Request[Done]:
    """EXPIRE: tell listeners that it expired; ``hard``: and remove it. ENOENT if there is none."""
    larva = Sa(name, Address.any(name.family), Mode.TRANSPORT, (), ReplayState.off())
    attrs = () if name.mark is None else ((m.XFRMA_MARK, to_wire.mark(name.mark)),)
    body = codec(s.UserExpire).pack(to_wire.sa_info(larva), hard)
    return Request(m.XFRM_MSG_EXPIRE, to_wire.payload(body, attrs), subject=name)


def replay_state(name: SaId, *, thresholds: bool = False) -> Request[Aevent]:
    """GETAE: where the SA stands; with ``thresholds`` also when it tells so unasked."""
    wanted = c.XFRM_AE_RTHR | c.XFRM_AE_ETHR if thresholds else 0
    return Request(m.XFRM_MSG_GETAE, _aevent_id(name, wanted), read=Aevent.of, subject=name)


def set_replay_state(
    name: SaId,
    *,
    replay: ReplayState | None = None,
    counters: Counters | None = None,
    replay_notify: int | None = None,
    notify_timer: int | None = None,
) -> Request[Done]:
    """NEWAE: set sequence numbers, counters, or when the SA tells of itself. At least one of them.

    A long replay state must have the size that the SA's has. The short one's window is not sent.
    """
    attrs: list[tuple[int, Any]] = []
    if replay is not None:
        attrs.append(to_wire.replay(replay))
    if counters is not None:
        attrs.append((m.XFRMA_LTIME_VAL, to_wire.lifetime(counters)))
    if replay_notify is not None:
        attrs.append((m.XFRMA_REPLAY_THRESH, replay_notify))
    if notify_timer is not None:
        attrs.append((m.XFRMA_ETIMER_THRESH, notify_timer))
    if not attrs:
        raise UsageError(f"SA {name}: nothing to set")
    return Request(m.XFRM_MSG_NEWAE, _aevent_id(name, 0, attrs), NLM_F_REPLACE, subject=name)


def _aevent_id(name: SaId, flags: int, attrs: Any = ()) -> bytes:
    body = codec(s.AeventId).pack(to_wire.usersa_id(name), b"", flags, 0)
    marks = () if name.mark is None else ((m.XFRMA_MARK, to_wire.mark(name.mark)),)
    return to_wire.payload(body, (*marks, *attrs))


# -- policies ----------------------------------------------------------------------------------------


def add_policy(policy: Policy) -> Request[Done]:
    """NEWPOLICY. EEXIST if there is one with that name and mark."""
    return Request(m.XFRM_MSG_NEWPOLICY, to_wire.policy(policy), _NEW, subject=policy)


def update_policy(policy: Policy) -> Request[Done]:
    """UPDPOLICY: takes the place of the one with that name, in one step; or is added."""
    return Request(m.XFRM_MSG_UPDPOLICY, to_wire.policy(policy), NLM_F_REPLACE, subject=policy)


def get_policy(name: PolicyId) -> Request[PolicyRecord]:
    """GETPOLICY. ENOENT if there is none."""
    return Request(
        m.XFRM_MSG_GETPOLICY, to_wire.policy_id(name), read=PolicyRecord.of, subject=name
    )


def delete_policy(name: PolicyId) -> Request[Done]:
    """DELPOLICY. ENOENT if there is none."""
    return Request(m.XFRM_MSG_DELPOLICY, to_wire.policy_id(name), subject=name)


def policies() -> Dump[PolicyRecord]:
    """GETPOLICY as a dump: all of them, whatever type or direction."""
    return Dump(m.XFRM_MSG_GETPOLICY, read=PolicyRecord.of)


def flush_policies(type: PolicyType = PolicyType.MAIN) -> Request[Done]:  # noqa: A002
    """FLUSHPOLICY: all policies of a type go."""
    attrs = (
        ()
        if type == PolicyType.MAIN
        else ((m.XFRMA_POLICY_TYPE, codec(s.UserPolicyType).pack(type, 0, 0)),)
    )
    return Request(m.XFRM_MSG_FLUSHPOLICY, to_wire.payload(b"", attrs))


def expire_policy(policy: Policy, *, hard: bool) -> Request[Done]:
    """POLEXPIRE: tell listeners that it expired; ``hard``: and remove it. ENOENT if there is none."""
    body = codec(s.UserPolExpire).pack(to_wire.policy_info(policy), hard)
    return Request(
        m.XFRM_MSG_POLEXPIRE,
        to_wire.payload(body, to_wire.policy_attrs(policy)),
        subject=policy,
    )


def acquire(wanted: Acquire) -> Request[Done]:
    """ACQUIRE: have the kernel ask its listeners for an SA, as if a packet had needed it."""
    body = codec(s.UserAcquire).pack(
        codec(s.Id).pack(wanted.sa.daddr.packed, wanted.sa.spi, wanted.sa.proto),
        wanted.saddr.packed,
        to_wire.selector(wanted.sel),
        to_wire.policy_info(wanted.policy),
        wanted.aalgos,
        wanted.ealgos,
        wanted.calgos,
        wanted.number,
    )
    attrs = list(to_wire.policy_attrs(wanted.policy))
    if wanted.cpu is not None:
        attrs.append((m.XFRMA_SA_PCPU, wanted.cpu))
    return Request(m.XFRM_MSG_ACQUIRE, to_wire.payload(body, attrs), subject=wanted.sa)


# -- moves -------------------------------------------------------------------------------------------


def migrate_sa(move: Migration) -> Request[Done]:
    """MIGRATE_STATE (Linux 7.2): move one SA, its sequence numbers with it."""
    return Request(m.XFRM_MSG_MIGRATE_STATE, to_wire.migration(move), subject=move.sa, chatty=True)


def migrate(move: PolicyMigration) -> Request[Done]:
    """MIGRATE: move a policy's templates and the SAs that match them by addresses, mode and reqid."""
    return Request(
        m.XFRM_MSG_MIGRATE, to_wire.policy_migration(move), subject=f"dir {move.dir} {move.sel}"
    )


# -- tables and defaults -----------------------------------------------------------------------------


def sad_info() -> Request[SadInfo]:
    """GETSADINFO."""
    return Request(m.XFRM_MSG_GETSADINFO, bytes(4), read=SadInfo.of)


def spd_info() -> Request[SpdInfo]:
    """GETSPDINFO."""
    return Request(m.XFRM_MSG_GETSPDINFO, bytes(4), read=SpdInfo.of)


def set_spd_info(
    *, v4: tuple[int, int] | None = None, v6: tuple[int, int] | None = None
) -> Request[Done]:
    """NEWSPDINFO: hash policies whose prefixes have these lengths or more (local, remote; bits).

    The kernel rebuilds its tables, which takes a while if there are many.
    """
    attrs: list[tuple[int, Any]] = []
    for number, family, pair in (
        (m.XFRMA_SPD_IPV4_HTHRESH, Family.INET, v4),
        (m.XFRMA_SPD_IPV6_HTHRESH, Family.INET6, v6),
    ):
        if pair is not None:
            for bits in pair:
                uint(f"hash threshold of {family}", bits, family.bits)
            attrs.append((number, codec(s.SpdHthresh).pack(*pair)))
    return Request(m.XFRM_MSG_NEWSPDINFO, to_wire.payload(bytes(4), attrs, m.SPD_ATTRIBUTES))


def get_defaults() -> Request[Defaults]:
    """GETDEFAULT."""
    return Request(
        m.XFRM_MSG_GETDEFAULT, codec(s.UserPolicyDefault).pack(0, 0, 0), read=Defaults.of
    )


def set_defaults(
    *,
    inbound: Default = Default.UNSPEC,
    forward: Default = Default.UNSPEC,
    outbound: Default = Default.UNSPEC,
) -> Request[Done]:
    """SETDEFAULT: what becomes of packets that no policy matches; UNSPEC leaves it as it is."""
    body = codec(s.UserPolicyDefault).pack(inbound, forward, outbound)
    return Request(m.XFRM_MSG_SETDEFAULT, body)
