"""What an XFRM tells unasked, as typed values.

:func:`read` makes a value of any message; what nobody has named yet is :class:`UnknownEvent`. Every event has ``port`` and ``seq`` of the request that caused it, as its sender
wrote them; both are 0 where the kernel itself did.

:class:`EventsLost` stands where events are missing: the reader was too slow. What follows is as good as ever, but what
one knows of the tables may be wrong now: read them again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.client import from_wire
from pyxfrm.client.info import Aevent, Defaults
from pyxfrm.client.records import PolicyRecord, SaRecord
from pyxfrm.errors import MalformedError
from pyxfrm.model import (
    REMOVE,
    Address,
    AddressMove,
    Direction,
    Encap,
    KmAddress,
    Mark,
    Offload,
    Policy,
    PolicyType,
    Proto,
    Remove,
    SaDir,
    SaId,
    Selector,
)
from pyxfrm.transport.base import LOST, Lost
from pyxfrm.wire.attrs import spans
from pyxfrm.wire.codec import codec
from pyxfrm.wire.lookup import Attributes
from pyxfrm.wire.messages import message_name
from pyxfrm.wire.netlink import HEADER_SIZE

__all__ = [
    "Acquire",
    "DefaultsChanged",
    "Event",
    "EventsLost",
    "MappingChanged",
    "PoliciesFlushed",
    "PolicyAdded",
    "PolicyDeleted",
    "PolicyExpired",
    "PolicyMigrated",
    "PolicyUpdated",
    "Reported",
    "SaAdded",
    "SaDeleted",
    "SaExpired",
    "SaMigrated",
    "SaProgress",
    "SaUpdated",
    "SasFlushed",
    "UnknownEvent",
    "read",
]

_HEADER = struct.Struct("=IHHII").unpack_from


@dataclass(frozen=True, slots=True)
class Event:
    """Any event: ``port`` and ``seq`` of the request that caused it."""

    port: int
    seq: int


@dataclass(frozen=True, slots=True)
class EventsLost(Event):
    """Events are missing here."""


@dataclass(frozen=True, slots=True)
class UnknownEvent(Event):
    """A message that is not known, or does not decode: ``why``."""

    type: int
    raw: bytes
    why: str = ""

    def __repr__(self) -> str:  # it may hold keys
        return f"<UnknownEvent {message_name(self.type)}, {len(self.raw)} bytes>"


@dataclass(frozen=True, slots=True)
class SaAdded(Event):
    """NEWSA."""

    sa: SaRecord


@dataclass(frozen=True, slots=True)
class SaUpdated(Event):
    """UPDSA."""

    sa: SaRecord


@dataclass(frozen=True, slots=True)
class SaDeleted(Event):
    """DELSA: the SA as it was."""

    sa: SaRecord


@dataclass(frozen=True, slots=True)
class SasFlushed(Event):
    """FLUSHSA: all SAs of ``proto`` are gone; 0: all, ANY: ESP, AH and IPComp."""

    proto: Proto


@dataclass(frozen=True, slots=True)
class SaExpired(Event):
    """EXPIRE: a soft limit was reached, or (``hard``) a hard one and the SA is gone."""

    sa: SaRecord
    hard: bool


@dataclass(frozen=True, slots=True)
class SaProgress(Event):
    """NEWAE: where an SA stands."""

    state: Aevent


@dataclass(frozen=True, slots=True)
class SaMigrated(Event):
    """MIGRATE_STATE: one SA moved.

    ``sa``     its name before; the mark is the one that the request named
    ``sel``    its selector now
    ``encap``  its encapsulation now; REMOVE where the request took it away
    ``mark``   what the request set; None: it was inherited
    """

    sa: SaId
    new_saddr: Address
    new_daddr: Address
    reqid: int
    sel: Selector
    flags: int
    encap: Encap | Remove | None
    mark: Mark | None
    offload: Offload | None
    set_mark: Mark | None
    mapping_threshold: int
    nat_keepalive: int
    dir: SaDir | None


@dataclass(frozen=True, slots=True)
class PolicyMigrated(Event):
    """MIGRATE: a policy's templates moved, and their SAs."""

    sel: Selector
    dir: Direction
    moves: tuple[AddressMove, ...]
    type: PolicyType
    encap: Encap | None
    km_address: KmAddress | None


@dataclass(frozen=True, slots=True)
class MappingChanged(Event):
    """MAPPING: the peer was seen at another address or port. Source port 0 means nothing: ignore it."""

    sa: SaId
    reqid: int
    old_saddr: Address
    new_saddr: Address
    old_sport: int
    new_sport: int


@dataclass(frozen=True, slots=True)
class Acquire(Event):
    """ACQUIRE: a policy asks for an SA.

    ``sa``   what is known of it: destination, protocol, perhaps an SPI
    ``sel``  the packet that needs it; ``number``: to be given back as :attr:`pyxfrm.model.Sa.acquire_seq`
    ``*algos``  masks of algorithms that its template allows
    """

    sa: SaId
    saddr: Address
    sel: Selector
    policy: Policy
    number: int
    aalgos: int = 0xFFFFFFFF
    ealgos: int = 0xFFFFFFFF
    calgos: int = 0xFFFFFFFF
    cpu: int | None = None


@dataclass(frozen=True, slots=True)
class PolicyAdded(Event):
    """NEWPOLICY."""

    policy: PolicyRecord


@dataclass(frozen=True, slots=True)
class PolicyUpdated(Event):
    """UPDPOLICY."""

    policy: PolicyRecord


@dataclass(frozen=True, slots=True)
class PolicyDeleted(Event):
    """DELPOLICY: the policy as it was. ``by_index``: it was named by its index."""

    policy: PolicyRecord
    by_index: bool


@dataclass(frozen=True, slots=True)
class PoliciesFlushed(Event):
    """FLUSHPOLICY: all policies of a type are gone."""

    type: PolicyType


@dataclass(frozen=True, slots=True)
class PolicyExpired(Event):
    """POLEXPIRE: a soft limit was reached, or (``hard``) a hard one and the policy is gone."""

    policy: PolicyRecord
    hard: bool


@dataclass(frozen=True, slots=True)
class Reported(Event):
    """REPORT: a packet broke a rule of Mobile IPv6."""

    proto: Proto
    sel: Selector
    address: Address | None


@dataclass(frozen=True, slots=True)
class DefaultsChanged(Event):
    """What becomes of packets that no policy matches was set."""

    defaults: Defaults


def read(message: bytes | Lost) -> Event:
    """The event that a message is."""
    if message is LOST:
        return EventsLost(0, 0)
    _, kind, _, seq, port = _HEADER(message)
    reader = _READERS.get(kind)
    if reader is None:
        return UnknownEvent(port, seq, kind, message)
    try:
        return reader(port, seq, message)
    except MalformedError as why:
        return UnknownEvent(port, seq, kind, message, str(why))


# -- one reader a message -------------------------------------------------------------------------


def _sa_id(body: s.UserSaId, attrs: Attributes | None = None, old: Mark | None = None) -> SaId:
    kind = from_wire.family(body.family)
    mark = from_wire.mark(attrs.get(m.XFRMA_MARK)) if attrs else old
    return SaId(from_wire.address(kind, body.daddr), Proto(body.proto), body.spi, mark)


def _sa(raw: bytes) -> SaRecord:
    record = SaRecord.of(raw)
    record.info  # noqa: B018  # decoded now, so that a short message is told of here
    return record


def _policy(raw: bytes) -> PolicyRecord:
    record = PolicyRecord.of(raw)
    record.info  # noqa: B018
    return record


def _inside(raw: bytes, body: int, number: int) -> int:
    """Where the payload of an attribute begins that carries the object of a deletion."""
    for _, kind, at, _ in spans(raw, HEADER_SIZE + body, len(raw)):
        if kind == number:
            return at
    raise MalformedError("a deletion without its object", HEADER_SIZE + body)


def _sa_deleted(port: int, seq: int, raw: bytes) -> Event:
    body = codec(s.UserSaId).size
    record = SaRecord(raw, _inside(raw, body, m.XFRMA_SA), HEADER_SIZE + body)
    record.info  # noqa: B018
    return SaDeleted(port, seq, record)


def _sa_expired(port: int, seq: int, raw: bytes) -> Event:
    made = codec(s.UserExpire)
    hard = made.decode(raw, HEADER_SIZE).hard
    return SaExpired(port, seq, SaRecord(raw, HEADER_SIZE, HEADER_SIZE + made.size), bool(hard))


def _policy_deleted(port: int, seq: int, raw: bytes) -> Event:
    made = codec(s.UserPolicyId)
    by_index = made.decode(raw, HEADER_SIZE).index != 0
    at = _inside(raw, made.size, m.XFRMA_POLICY)
    record = PolicyRecord(raw, at, HEADER_SIZE + made.size)
    record.info  # noqa: B018
    return PolicyDeleted(port, seq, record, by_index)


def _policy_expired(port: int, seq: int, raw: bytes) -> Event:
    made = codec(s.UserPolExpire)
    hard = made.decode(raw, HEADER_SIZE).hard
    record = PolicyRecord(raw, HEADER_SIZE, HEADER_SIZE + made.size)
    return PolicyExpired(port, seq, record, bool(hard))


def _sas_flushed(port: int, seq: int, raw: bytes) -> Event:
    return SasFlushed(port, seq, Proto(codec(s.UserSaFlush).decode(raw, HEADER_SIZE).proto))


def _policies_flushed(port: int, seq: int, raw: bytes) -> Event:
    kind = Attributes(raw, HEADER_SIZE).get(m.XFRMA_POLICY_TYPE)
    return PoliciesFlushed(port, seq, PolicyType(kind.type) if kind else PolicyType.MAIN)


def _sa_migrated(port: int, seq: int, raw: bytes) -> Event:
    made = codec(s.UserMigrateState)
    body = made.decode(raw, HEADER_SIZE)
    attrs = Attributes(raw, HEADER_SIZE + made.size)
    kind = from_wire.family(body.new_family)
    encap = attrs.get(m.XFRMA_ENCAP)
    old = from_wire.mark(body.old_mark) if any(body.old_mark) else None
    direction = attrs.get(m.XFRMA_SA_DIR)
    return SaMigrated(
        port,
        seq,
        _sa_id(body.id, old=old),
        from_wire.address(kind, body.new_saddr),
        from_wire.address(kind, body.new_daddr),
        body.new_reqid,
        from_wire.selector(body.new_sel),
        body.flags,
        REMOVE if encap and encap.encap_type == 0 else from_wire.encap(encap, kind),
        from_wire.mark(attrs.get(m.XFRMA_MARK)),
        from_wire.offload(attrs.get(m.XFRMA_OFFLOAD_DEV)),
        from_wire.set_mark(attrs),
        attrs.get(m.XFRMA_MTIMER_THRESH) or 0,
        attrs.get(m.XFRMA_NAT_KEEPALIVE_INTERVAL) or 0,
        None if direction is None else SaDir(direction),
    )


def _policy_migrated(port: int, seq: int, raw: bytes) -> Event:
    made = codec(s.UserPolicyId)
    body = made.decode(raw, HEADER_SIZE)
    first = HEADER_SIZE + made.size
    attrs = Attributes(raw, first)
    kind = attrs.get(m.XFRMA_POLICY_TYPE)
    moves = from_wire.migrations(raw, first)
    family = moves[0].new_daddr.family if moves else from_wire.family(body.sel.family)
    return PolicyMigrated(
        port,
        seq,
        from_wire.selector(body.sel),
        Direction(body.dir),
        moves,
        PolicyType(kind.type) if kind else PolicyType.MAIN,
        from_wire.encap(attrs.get(m.XFRMA_ENCAP), family),
        from_wire.km_address(attrs.get(m.XFRMA_KMADDRESS)),
    )


def _mapping(port: int, seq: int, raw: bytes) -> Event:
    body = codec(s.UserMapping).decode(raw, HEADER_SIZE)
    kind = from_wire.family(body.id.family)
    return MappingChanged(
        port,
        seq,
        _sa_id(body.id),
        body.reqid,
        from_wire.address(kind, body.old_saddr),
        from_wire.address(kind, body.new_saddr),
        body.old_sport,
        body.new_sport,
    )


def _acquire(port: int, seq: int, raw: bytes) -> Event:
    made = codec(s.UserAcquire)
    body = made.decode(raw, HEADER_SIZE)
    attrs = Attributes(raw, HEADER_SIZE + made.size)
    policy = from_wire.policy(body.policy, attrs)
    # The SA's family is its template's: the message has none of its own.
    families = [t.family for t in policy.templates if t.proto == body.id.proto]
    kind = families[0] if families else policy.sel.family
    return Acquire(
        port,
        seq,
        SaId(from_wire.address(kind, body.id.daddr), Proto(body.id.proto), body.id.spi),
        from_wire.address(kind, body.saddr),
        from_wire.selector(body.sel),
        policy,
        body.seq,
        body.aalgos,
        body.ealgos,
        body.calgos,
        attrs.get(m.XFRMA_SA_PCPU),
    )


def _reported(port: int, seq: int, raw: bytes) -> Event:
    made = codec(s.UserReport)
    body = made.decode(raw, HEADER_SIZE)
    address = Attributes(raw, HEADER_SIZE + made.size).get(m.XFRMA_COADDR)
    sel = from_wire.selector(body.sel)
    found = None if address is None else from_wire.address(sel.family, address)
    return Reported(port, seq, Proto(body.proto), sel, found)


_READERS: dict[int, Callable[[int, int, bytes], Event]] = {
    m.XFRM_MSG_NEWSA: lambda port, seq, raw: SaAdded(port, seq, _sa(raw)),
    m.XFRM_MSG_UPDSA: lambda port, seq, raw: SaUpdated(port, seq, _sa(raw)),
    m.XFRM_MSG_DELSA: _sa_deleted,
    m.XFRM_MSG_FLUSHSA: _sas_flushed,
    m.XFRM_MSG_EXPIRE: _sa_expired,
    m.XFRM_MSG_NEWAE: lambda port, seq, raw: SaProgress(port, seq, Aevent.of(raw)),
    m.XFRM_MSG_MIGRATE_STATE: _sa_migrated,
    m.XFRM_MSG_MIGRATE: _policy_migrated,
    m.XFRM_MSG_MAPPING: _mapping,
    m.XFRM_MSG_ACQUIRE: _acquire,
    m.XFRM_MSG_NEWPOLICY: lambda port, seq, raw: PolicyAdded(port, seq, _policy(raw)),
    m.XFRM_MSG_UPDPOLICY: lambda port, seq, raw: PolicyUpdated(port, seq, _policy(raw)),
    m.XFRM_MSG_DELPOLICY: _policy_deleted,
    m.XFRM_MSG_FLUSHPOLICY: _policies_flushed,
    m.XFRM_MSG_POLEXPIRE: _policy_expired,
    m.XFRM_MSG_REPORT: _reported,
    m.XFRM_MSG_GETDEFAULT: lambda port, seq, raw: DefaultsChanged(port, seq, Defaults.of(raw)),
}
