"""What other programs did, seen in the events of their changes, or in the kernel's refusals.

A recording has the requests of one daemon. Where the recorder heard of another program's changes too, an event tells enough to ask the engine for the same.
 If another program put an SA in its way, the kernel answers EEXIST; if another program took one of its SAs or policies away,
ESRCH or ENOENT; and the kernel sends no ACQUIRE for an SPI that an SA has. Where the engine's tables could not lead to the recorded refusal, the
change is made, and counted as an input of its own kind. A success is never explained in this way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from errno import EEXIST, ENOENT, ESRCH

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_REQUEST
from pyxfrm.abi.structs import LifetimeCfg, LifetimeCur, Selector, UserSaId
from pyxfrm.abi.xfrm import XFRM_INF
from pyxfrm.engine.core import Engine
from pyxfrm.engine.lifetime import delete_sa
from pyxfrm.engine.policy_install import remove_policy
from pyxfrm.engine.sa import Sa, State, Traits, key_of
from pyxfrm.wire.attrs import make
from pyxfrm.wire.codec import codec
from pyxfrm.wire.messages import Message, build

__all__ = ["Others", "mark_of"]

PUT_IN = "SAs put in by other programs"
TAKEN_OUT = "SAs taken out by other programs"
POLICIES_TAKEN_OUT = "policies taken out by other programs"
REPEATED = "changes by other programs"

# Events of changes, and which of their attributes a request for the same change has.
_OF_SA = frozenset(m.ATTRIBUTES) - {m.XFRMA_LASTUSED, m.XFRMA_PAD}
_OF_POLICY = frozenset((m.XFRMA_TMPL, m.XFRMA_POLICY_TYPE, m.XFRMA_MARK, m.XFRMA_IF_ID))
_REPEATED: dict[int, frozenset[int]] = {
    m.XFRM_MSG_NEWSA: _OF_SA,
    m.XFRM_MSG_UPDSA: _OF_SA,
    m.XFRM_MSG_DELSA: frozenset((m.XFRMA_MARK,)),
    m.XFRM_MSG_FLUSHSA: frozenset(),
    m.XFRM_MSG_NEWPOLICY: _OF_POLICY,
    m.XFRM_MSG_UPDPOLICY: _OF_POLICY,
    m.XFRM_MSG_DELPOLICY: _OF_POLICY - {m.XFRMA_TMPL},
    m.XFRM_MSG_FLUSHPOLICY: frozenset((m.XFRMA_POLICY_TYPE,)),
    m.XFRM_MSG_MIGRATE: frozenset((m.XFRMA_MIGRATE, m.XFRMA_POLICY_TYPE, m.XFRMA_KMADDRESS)),
    m.XFRM_MSG_MIGRATE_STATE: _OF_SA - {m.XFRMA_SA_DIR},
}

_OCCUPIED = "New SA tuple already occupied"
_NO_LIMITS = LifetimeCfg(XFRM_INF, XFRM_INF, XFRM_INF, XFRM_INF, 0, 0, 0, 0)

Mark = tuple[int, int]


class Others:
    """Changes that other programs made to an engine's tables."""

    def __init__(self, engine: Engine, counts: Counter[str]) -> None:
        self.engine = engine
        self.counts = counts

    def explain(self, request: Message, errno: int, text: str) -> None:
        """Make the change that a refusal shows, if there must have been one."""
        explanation = _EXPLANATIONS.get((request.header.nlmsg_type, errno))
        if explanation is not None:
            explanation(self, request, text)

    def repeat(self, event: Message, now: float) -> None:
        """Ask for the change that an event of a port without requests tells of."""
        kind = event.header.nlmsg_type
        if kind not in _REPEATED:
            return
        attrs = [attr for attr in event.attrs if attr.number in _REPEATED[kind]]
        if kind in (m.XFRM_MSG_NEWSA, m.XFRM_MSG_UPDSA) and any(event.body.curlft[:2]):
            cur = codec(LifetimeCur).encode(event.body.curlft)
            attrs.append(make(m.XFRMA_LTIME_VAL, cur))
        _, _, _, seq, pid = event.header
        request = build(kind, NLM_F_REQUEST, event.body, attrs, seq=seq, pid=pid)
        port = self.engine.ports.get(pid) or self.engine.port(pid, ext_ack=True, cap_ack=True)
        self.engine.submit(request.encode(), port, now)
        self.counts[REPEATED] += 1

    def free(self, who: UserSaId, mark: Mark) -> None:
        """Nobody has this SPI: take out who has."""
        spi = who.spi.to_bytes(4, "big")
        sa = self.engine.sadb.lookup_by_mask(key_of(who.daddr, spi, who.family, who.proto), mark)
        if sa is not None:
            self._take_out(sa)

    def _take_out(self, sa: Sa) -> None:
        delete_sa(self.engine, sa)
        self.counts[TAKEN_OUT] += 1

    # -- one a kind of refusal -----------------------------------------------------------------------

    def gone(self, request: Message, _: str) -> None:
        """No such SA."""
        body = request.body
        who = getattr(body, "sa_id", body)
        found = self._lookup(who, mark_of(request))
        if found is not None:
            self._take_out(found)

    def gone_before_move(self, request: Message, text: str) -> None:
        """No such SA to move; the text tells it from one that died meanwhile."""
        found = self._lookup(request.body.id, request.body.old_mark)
        if found is not None and text == "Can not find state":
            self._take_out(found)

    def gone_before_update(self, request: Message, _: str) -> None:
        """No such SA to update; an update of the wrong direction is refused likewise."""
        info = request.body
        who = UserSaId(info.id.daddr, info.id.spi, info.family, info.id.proto)
        found = self._lookup(who, mark_of(request))
        if found is not None and found.traits.dir == (request.get(m.XFRMA_SA_DIR) or 0):
            self._take_out(found)

    def in_the_way(self, request: Message, _: str) -> None:
        """A new SA's place is taken."""
        info = request.body
        who = UserSaId(info.id.daddr, info.id.spi, info.family, info.id.proto)
        self._put_in(who, info.saddr, mark_of(request))

    def in_the_moves_way(self, request: Message, text: str) -> None:
        """A move's target is taken; only the text tells this from a collision at the insertion."""
        body = request.body
        if text == _OCCUPIED:
            who = UserSaId(body.new_daddr, body.id.spi, body.new_family, body.id.proto)
            mark = request.get(m.XFRMA_MARK) or body.old_mark
            self._put_in(who, body.new_saddr, mark)

    def policy_gone(self, request: Message, _: str) -> None:
        """No such policy."""
        body, spd = request.body, self.engine.spd
        if body.index:
            found = spd.by_index(body.index)
        else:
            kind = request.get(m.XFRMA_POLICY_TYPE)
            found = next(
                (
                    policy
                    for policy in spd
                    if (policy.dir, policy.sel, policy.mark, policy.if_id, policy.type)
                    == (
                        body.dir,
                        body.sel,
                        mark_of(request),
                        request.get(m.XFRMA_IF_ID) or 0,
                        kind.type if kind else 0,
                    )
                ),
                None,
            )
        if found is not None:
            remove_policy(self.engine, found)
            self.counts[POLICIES_TAKEN_OUT] += 1

    def _lookup(self, who: UserSaId, mark: Mark) -> Sa | None:
        spi = who.spi.to_bytes(4, "big")
        return self.engine.sadb.lookup(key_of(who.daddr, spi, who.family, who.proto), mark)

    def _put_in(self, who: UserSaId, saddr: bytes, mark: Mark) -> None:
        """An SA about which nothing is known but its place."""
        if self._lookup(who, mark) is not None:
            return
        sel = Selector(bytes(16), bytes(16), 0, 0, 0, 0, who.family, 0, 0, 0, 0, 0)
        spi = who.spi.to_bytes(4, "big")
        traits = Traits(0, 0, 0, _NO_LIMITS)
        sa = Sa(traits, who.daddr, spi, who.proto, who.family, saddr, 0, sel)
        sa.mark = (mark[0] & mark[1], mark[1])
        sa.state = State.VALID
        self.engine.sadb.insert(sa)
        self.counts[PUT_IN] += 1


def mark_of(request: Message) -> Mark:
    """XFRMA_MARK of a message as (value, mask)."""
    found = request.get(m.XFRMA_MARK)
    return (found.v, found.m) if found else (0, 0)


_EXPLANATIONS: dict[tuple[int, int], Callable[[Others, Message, str], None]] = {
    (m.XFRM_MSG_GETSA, ESRCH): Others.gone,
    (m.XFRM_MSG_DELSA, ESRCH): Others.gone,
    (m.XFRM_MSG_GETAE, ESRCH): Others.gone,
    (m.XFRM_MSG_NEWAE, ESRCH): Others.gone,
    (m.XFRM_MSG_UPDSA, ESRCH): Others.gone_before_update,
    (m.XFRM_MSG_MIGRATE_STATE, ESRCH): Others.gone_before_move,
    (m.XFRM_MSG_NEWSA, EEXIST): Others.in_the_way,
    (m.XFRM_MSG_MIGRATE_STATE, EEXIST): Others.in_the_moves_way,
    (m.XFRM_MSG_GETPOLICY, ENOENT): Others.policy_gone,
    (m.XFRM_MSG_DELPOLICY, ENOENT): Others.policy_gone,
}
