"""One Child SA moved to a new address in three ways, on an engine, with somebody watching.

The Child SA is dual-stack: one SA in, one SA out, and six policies (in, forward, out, for IPv4 and for IPv6). The host's outer address changes. Every
call is a netlink message that the engine answers as Linux 7.2 does. After every call one packet of each family is sent and one comes in, so that what a
way does in the middle of its work can be seen: packets that find no SA, packets that nothing protects, sequence numbers used twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REQUEST
from pyxfrm.abi.structs import (
    AlgoAead,
    Id,
    LifetimeCfg,
    LifetimeCur,
    MarkVM,
    ReplayState,
    Selector,
    Stats,
    UserMigrate,
    UserMigrateState,
    UserPolicyId,
    UserPolicyInfo,
    UserSaId,
    UserSaInfo,
    UserTmpl,
)
from pyxfrm.abi.xfrm import (
    AF_INET,
    AF_INET6,
    IPPROTO_ESP,
    XFRM_INF,
    XFRM_MODE_TUNNEL,
    XFRM_POLICY_FWD,
    XFRM_POLICY_IN,
    XFRM_POLICY_OUT,
    XFRM_SA_DIR_IN,
    XFRM_SA_DIR_OUT,
    XFRMNLGRP_MIGRATE,
)
from pyxfrm.engine import inputs
from pyxfrm.engine.core import Engine
from pyxfrm.engine.inputs import SaUse
from pyxfrm.engine.policy import Flow
from pyxfrm.engine.sa import Sa, State
from pyxfrm.errors import RefusedError
from pyxfrm.wire import messages
from pyxfrm.wire.messages import Message, build, message_name
from pyxfrm.wire.netlink import ErrorBody

__all__ = ["NEW_REQID", "OLD_REQID", "Outcome", "PROPERTIES", "WAYS", "move"]

OLD = bytes((192, 0, 2, 10)) + bytes(12)
NEW = bytes((203, 0, 113, 10)) + bytes(12)
PEER = bytes((198, 51, 100, 1)) + bytes(12)
SPI_IN, SPI_OUT, SPI_TWIN = 0xC1A40001, 0xC1A40002, 0xC1A40003
OLD_REQID, NEW_REQID = 1, 2
BEGIN = 1_700_000_000.0
PACKET = 100  # bytes
SENT_BEFORE = 1000  # packets each way before the move

_KEY = AlgoAead(b"rfc4106(gcm(aes))".ljust(64, b"\0"), 160, 128, bytes(range(20)))
_ANY = Selector(bytes(16), bytes(16), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
_LIMITS = LifetimeCfg(XFRM_INF, XFRM_INF, XFRM_INF, XFRM_INF, 3_000, 3_600, 0, 0)
_NO_LIMITS = LifetimeCfg(XFRM_INF, XFRM_INF, XFRM_INF, XFRM_INF, 0, 0, 0, 0)
_UNUSED = LifetimeCur(0, 0, 0, 0)
_NETS = {
    AF_INET: (bytes((10, 1, 0, 0)), bytes((10, 2, 0, 0)), 24),
    AF_INET6: (b"\xfd\1" + bytes(14), b"\xfd\2" + bytes(14), 64),
}


@dataclass
class Outcome:
    """What was seen of one way.

    ``calls``     messages sent, by type
    ``no_sa``     packets sent that found no SA; ``clear``: that no policy wanted protected
    ``sent``      packets sent while the way was under way
    ``reused``    sequence numbers of the outbound SA that were used a second time
    ``absent``    calls after which the outbound SA did not exist
    ``keys_read`` times that a key left the kernel
    ``sas``, ``policies``  how many of the SAs are, and of the policies ask for, the new address
    ``kept``      whether each property of the two SAs came through
    ``reqid``     of the moved SAs
    ``exact``     whether it took the SA that was meant where another one had the same ends and reqid
    """

    calls: dict[str, int] = field(default_factory=dict)
    no_sa: int = 0
    clear: int = 0
    sent: int = 0
    reused: int = 0
    absent: int = 0
    keys_read: int = 0
    sas: int = 0
    policies: int = 0
    kept: dict[str, bool] = field(default_factory=dict)
    reqid: int = 0
    exact: bool = False

    @property
    def sa_calls(self) -> int:
        """Calls that read or changed SAs, the old MIGRATE included."""
        return sum(n for name, n in self.calls.items() if "POLICY" not in name)

    @property
    def policy_calls(self) -> int:
        """Calls that changed policies only."""
        return sum(n for name, n in self.calls.items() if "POLICY" in name)

    @property
    def lost(self) -> list[str]:
        """What did not come through."""
        return [name for name, kept in self.kept.items() if not kept]


class Place(NamedTuple):
    """An SA by its number and ends."""

    spi: int
    saddr: bytes
    daddr: bytes

    def moved(self) -> Place:
        """The same with the new address of this host."""
        ends = [NEW if end == OLD else end for end in (self.saddr, self.daddr)]
        return Place(self.spi, ends[0], ends[1])


IN = Place(SPI_IN, PEER, OLD)
OUT = Place(SPI_OUT, OLD, PEER)
TWIN = Place(SPI_TWIN, OLD, PEER)  # as after a rekeying, or with an SA for each CPU


class Host:
    """The moving host's engine, and traffic through it."""

    def __init__(self, *, twin: bool = False) -> None:
        self.engine = Engine()
        self.port = self.engine.port(1, (XFRMNLGRP_MIGRATE,), ext_ack=True, cap_ack=True)
        self.now = BEGIN
        self.outcome = Outcome()
        self.used: set[int] = set()
        self.seq = 0
        places = [(IN, XFRM_SA_DIR_IN), (OUT, XFRM_SA_DIR_OUT)]
        if twin:
            places.append((TWIN, XFRM_SA_DIR_OUT))
        for place, direction in places:
            self.ask(m.XFRM_MSG_NEWSA, _sa_info(place, OLD_REQID), _sa_attrs(direction))
        for direction, family in POLICIES:
            info = _policy_info(direction, family)
            self.ask(
                m.XFRM_MSG_NEWPOLICY, info, [(m.XFRMA_TMPL, (_tmpl(direction, OLD, OLD_REQID),))]
            )
        self._earlier_traffic()

    def ask(self, kind: int, body: Any, attrs: Any = ()) -> Message | None:
        """One call; its answer, if it is not just an ACK."""
        self.now += 0.001
        self.seq += 1
        flags = NLM_F_REQUEST | (0 if kind == m.XFRM_MSG_GETSA else NLM_F_ACK)
        request = build(kind, flags, body, attrs, seq=self.seq).encode()
        answer = None
        for datagram in self.engine.handle(request, self.port, self.now):
            made = messages.decode(datagram)
            if isinstance(made.body, ErrorBody):
                if made.body.error:
                    raise RefusedError(message_name(kind), -made.body.error, made.body.text)
            elif made.header.nlmsg_type == m.XFRM_MSG_NEWSA:
                answer = made
        return answer

    def call(self, kind: int, body: Any, attrs: Any = ()) -> Message | None:
        """One call of a way, counted, and a moment of traffic behind it."""
        answer = self.ask(kind, body, attrs)
        name = message_name(kind)
        self.outcome.calls[name] = self.outcome.calls.get(name, 0) + 1
        if answer is not None and answer.payload(m.XFRMA_ALG_AEAD):
            self.outcome.keys_read += 1
        if self.find(OUT) is None and self.find(OUT.moved()) is None:
            self.outcome.absent += 1
        for family in (AF_INET, AF_INET6):
            self._send(family)
        return answer

    def find(self, place: Place) -> Sa | None:
        """The SA at a place."""
        spi = place.spi.to_bytes(4, "big")
        found = self.engine.sadb.between(place.daddr, place.saddr, AF_INET)
        return next((sa for sa in found if sa.spi == spi and sa.state == State.VALID), None)

    # -- traffic -------------------------------------------------------------------------------------

    def _earlier_traffic(self) -> None:
        """A thousand packets each way; the inbound SA refused three that came twice."""
        self.now += 60
        cur = LifetimeCur(SENT_BEFORE * PACKET, SENT_BEFORE, 0, int(BEGIN) + 1)
        used = SaUse(cur, lastused=int(self.now))
        for place, replay, again in (
            (IN, ReplayState(0, SENT_BEFORE, 0xFFFFFFFF), 3),
            (OUT, ReplayState(SENT_BEFORE, 0, 0), 0),
        ):
            sa = self.find(place)
            assert sa is not None  # noqa: S101  # just installed
            inputs.use_sa(sa, used._replace(replay=replay, stats=(0, again, 0)), self.now)
        self.used.update(range(1, SENT_BEFORE + 1))

    def _send(self, family: int) -> None:
        """One packet out: the policy says which SA, and the SA gives it the next sequence number."""
        self.outcome.sent += 1
        here, there, _ = _NETS[family]
        flow = Flow(family, _host(there), _host(here))
        policy = self.engine.spd.lookup(flow, XFRM_POLICY_OUT, 0, 0)
        if policy is None or not policy.templates:
            self.outcome.clear += 1
            return
        tmpl = policy.templates[0]
        between = self.engine.sadb.between(tmpl.id.daddr, tmpl.saddr, tmpl.family)
        sa = next((sa for sa in between if sa.reqid == tmpl.reqid), None)
        if sa is None:
            self.outcome.no_sa += 1
            return
        number = sa.replay.oseq + 1
        cur = LifetimeCur(sa.bytes + PACKET, sa.packets + 1, 0, sa.use_time or int(self.now))
        state = sa.replay._replace(oseq=number)
        lastused = max(sa.lastused, int(self.now))
        inputs.use_sa(sa, SaUse(cur, lastused=lastused, replay=state), self.now)
        self.outcome.reused += number in self.used
        self.used.add(number)


# -- messages ----------------------------------------------------------------------------------------

POLICIES = [
    (direction, family)
    for direction in (XFRM_POLICY_OUT, XFRM_POLICY_IN, XFRM_POLICY_FWD)
    for family in (AF_INET, AF_INET6)
]


def _host(net: bytes) -> bytes:
    """The first host of a network, as 16 bytes."""
    return net[:-1] + b"\1" + bytes(16 - len(net))


def _sa_info(place: Place, reqid: int) -> UserSaInfo:
    return UserSaInfo(
        _ANY,
        Id(place.daddr, place.spi, IPPROTO_ESP),
        place.saddr,
        _LIMITS,
        _UNUSED,
        Stats(0, 0, 0),
        0,
        reqid,
        AF_INET,
        XFRM_MODE_TUNNEL,
        32 if place.spi == SPI_IN else 0,
        32,  # XFRM_STATE_AF_UNSPEC: carries both families
    )


def _sa_attrs(direction: int) -> list[tuple[int, Any]]:
    return [(m.XFRMA_ALG_AEAD, _KEY), (m.XFRMA_SA_DIR, direction)]


def _selector(direction: int, family: int) -> Selector:
    here, there, bits = _NETS[family]
    source, to = (here, there) if direction == XFRM_POLICY_OUT else (there, here)
    wide = [net + bytes(16 - len(net)) for net in (to, source)]
    return Selector(wide[0], wide[1], 0, 0, 0, 0, family, bits, bits, 0, 0, 0)


def _policy_info(direction: int, family: int) -> UserPolicyInfo:
    sel = _selector(direction, family)
    return UserPolicyInfo(sel, _NO_LIMITS, _UNUSED, 1000, 0, direction, 0, 0, 0)


def _ends(direction: int, local: bytes) -> tuple[bytes, bytes]:
    """(source, destination) of the tunnel for traffic of that direction."""
    return (local, PEER) if direction == XFRM_POLICY_OUT else (PEER, local)


def _tmpl(direction: int, local: bytes, reqid: int) -> UserTmpl:
    saddr, daddr = _ends(direction, local)
    every = 0xFFFFFFFF
    return UserTmpl(
        Id(daddr, 0, IPPROTO_ESP),
        AF_INET,
        saddr,
        reqid,
        XFRM_MODE_TUNNEL,
        0,
        0,
        every,
        every,
        every,
    )


def _named(place: Place) -> UserSaId:
    return UserSaId(place.daddr, place.spi, AF_INET, IPPROTO_ESP)


# -- the three ways ----------------------------------------------------------------------------------


def by_policies(host: Host) -> None:
    """The old MIGRATE, one a policy: it moves what SAs the policy's addresses lead to, and the policy."""
    for direction, family in POLICIES:
        (old_saddr, old_daddr), (new_saddr, new_daddr) = (
            _ends(direction, local) for local in (OLD, NEW)
        )
        entry = UserMigrate(
            old_daddr,
            old_saddr,
            new_daddr,
            new_saddr,
            IPPROTO_ESP,
            XFRM_MODE_TUNNEL,
            0,
            OLD_REQID,
            AF_INET,
            AF_INET,
        )
        which = UserPolicyId(_selector(direction, family), 0, direction)
        host.call(m.XFRM_MSG_MIGRATE, which, [(m.XFRMA_MIGRATE, (entry,))])


def by_state(host: Host) -> None:
    """MIGRATE_STATE, one an SA; then the policies are told."""
    for place in (IN, OUT):
        new = place.moved()
        body = UserMigrateState(
            _named(place),
            new.daddr,
            new.saddr,
            MarkVM(0, 0),
            _ANY,
            NEW_REQID,
            0,
            AF_INET,
            0,
        )
        host.call(m.XFRM_MSG_MIGRATE_STATE, body)
    _update_policies(host)


def by_copying(host: Host) -> None:
    """Read each SA with its keys, delete it, add a copy at the new address; then the policies are told."""
    for place in (IN, OUT):
        new = place.moved()
        shown = host.call(m.XFRM_MSG_GETSA, _named(place))
        assert shown is not None  # noqa: S101  # it answered without an error
        info: UserSaInfo = shown.body
        attrs = [attr for attr in shown.attrs if attr.number != m.XFRMA_LASTUSED]
        host.call(m.XFRM_MSG_DELSA, _named(place))
        copy = info._replace(id=info.id._replace(daddr=new.daddr), saddr=new.saddr, reqid=NEW_REQID)
        host.call(m.XFRM_MSG_NEWSA, copy, [*attrs, (m.XFRMA_LTIME_VAL, info.curlft)])
    _update_policies(host)


def _update_policies(host: Host) -> None:
    for direction, family in POLICIES:
        tmpl = _tmpl(direction, NEW, NEW_REQID)
        info = _policy_info(direction, family)
        host.call(m.XFRM_MSG_UPDPOLICY, info, [(m.XFRMA_TMPL, (tmpl,))])


WAYS: dict[str, Callable[[Host], None]] = {
    "old MIGRATE": by_policies,
    "MIGRATE_STATE": by_state,
    "delete and add": by_copying,
}


def move(way: Callable[[Host], None]) -> Outcome:
    """Move a fresh Child SA in one of the ways, and look at what came of it."""
    host = Host()
    before = {place: _snapshot(host, place) for place in (IN, OUT)}
    host.outcome = outcome = Outcome()
    way(host)
    outcome.sas = sum(host.find(place.moved()) is not None for place in (IN, OUT))
    outcome.policies = sum(
        NEW in (tmpl.saddr, tmpl.id.daddr)
        for policy in host.engine.spd
        for tmpl in policy.templates
    )
    after = {place: _snapshot(host, place.moved()) for place in (IN, OUT)}
    outcome.reqid = after[OUT].body.reqid
    for name, same in PROPERTIES.items():
        outcome.kept[name] = all(same(before[place], after[place]) for place in (IN, OUT))
    outcome.kept["sequence number"] = not outcome.reused
    outcome.exact = _is_exact(way)
    return outcome


def _is_exact(way: Callable[[Host], None]) -> bool:
    host = Host(twin=True)
    way(host)
    return host.find(OUT.moved()) is not None and host.find(TWIN) is not None


def _snapshot(host: Host, place: Place) -> Message:
    shown = host.ask(m.XFRM_MSG_GETSA, _named(place))
    assert shown is not None  # noqa: S101  # it answered without an error
    return shown


def _replay(shown: Message) -> ReplayState:
    state = shown.get(m.XFRMA_REPLAY_VAL)
    return state if isinstance(state, ReplayState) else ReplayState(0, 0, 0)


def _window_kept(before: Message, after: Message) -> bool:
    """What was seen is still seen, so that a captured packet is refused when it comes again."""
    old, new = _replay(before), _replay(after)
    return new.seq >= old.seq and old.bitmap << (new.seq - old.seq) & 0xFFFFFFFF & ~new.bitmap == 0


# Of both SAs, before and after; the sequence number is watched while it moves.
PROPERTIES: dict[str, Callable[[Message, Message], bool]] = {
    "keys": lambda a, b: a.payload(m.XFRMA_ALG_AEAD) == b.payload(m.XFRMA_ALG_AEAD),
    "limits in time and bytes": lambda a, b: a.body.lft == b.body.lft,
    "age": lambda a, b: a.body.curlft.add_time == b.body.curlft.add_time,
    "bytes and packets counted": lambda a, b: a.body.curlft[:2] <= b.body.curlft[:2],
    "memory of packets received": _window_kept,
    "count of packets refused": lambda a, b: a.body.stats == b.body.stats,
    "time of last use": lambda a, b: (
        (a.get(m.XFRMA_LASTUSED) or 0) <= (b.get(m.XFRMA_LASTUSED) or 0)
    ),
}
