"""What a step shows that the engine cannot know, handed to the engine before the step.

Each kind of message has its row (:data:`_SHOWN`): which SA or policy it shows, and which of its fields only packets change. Those are set, if
they are possible; everything else in the message must come out of the engine. An event that the kernel raised by itself is raised
by the engine too (:data:`_RAISED`), from as little of the recorded one as can be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sized

from pyxfrm.abi import messages as m
from pyxfrm.abi.structs import (
    LifetimeCur,
    UserAcquire,
    UserMapping,
    UserPolicyInfo,
    UserSaId,
    UserSaInfo,
    UserTmpl,
)
from pyxfrm.abi.xfrm import XFRM_AE_CE
from pyxfrm.engine import aevents, inputs, traffic
from pyxfrm.engine.core import Engine
from pyxfrm.engine.inputs import SaUse
from pyxfrm.engine.policy import Flow, Policy
from pyxfrm.engine.sa import NO_PCPU, Sa, same_address
from pyxfrm.errors import UsageError
from pyxfrm.transport.recording import Record
from pyxfrm.transport.replay.dice import Dice
from pyxfrm.transport.replay.hardware import Hardware
from pyxfrm.transport.replay.others import Others, mark_of
from pyxfrm.transport.replay.steps import is_larval
from pyxfrm.wire import messages
from pyxfrm.wire.messages import Message
from pyxfrm.wire.netlink import ErrorBody

__all__ = ["EARLY", "Inputs"]

EARLY = 1.5  # seconds: a timer of the engine may be due this much later than the recorded one

_ANY = bytes(16)


class Inputs:
    """The inputs of one namespace's engine; ``counts`` counts them by kind; ``outbox`` is what the engine has sent and nobody has compared."""

    def __init__(self, engine: Engine, dice: Dice, counts: Counter[str], outbox: Sized) -> None:
        self.engine = engine
        self.outbox = outbox
        self.dice = dice
        self.counts = counts
        self.others = Others(engine, counts)
        self.hardware = Hardware(engine, counts)
        self.now = 0.0
        self.request: Message | None = None

    def expect(self, request: Message | None, now: float) -> None:
        """A step begins; :meth:`show` tells of its outputs one by one."""
        self.now = now
        self.request = request
        self.dice.offer()

    def show(self, output: Record) -> None:
        """Hand over what an output shows. Raises UsageError for what cannot be."""
        made = messages.decode(output.message)
        if isinstance(made.body, ErrorBody):
            if made.body.error and self.request is not None:
                self.hardware.refused(self.request, made.body.text)
                self.others.explain(self.request, -made.body.error, made.body.text)
            return
        if output.dir == "event" and self.request is not None:
            self.hardware.accepted(self.request, made)
        row = _SHOWN.get((output.dir, made.header.nlmsg_type))
        if row is not None:
            row(self, made)

    def raise_event(self, event: Record) -> None:
        """Let the engine raise what the kernel raised by itself, or do what another program did."""
        self.engine.now = max(self.engine.now, self.now)
        made = messages.decode(event.message)
        if made.header.nlmsg_pid and made.header.nlmsg_type != m.XFRM_MSG_NEWAE:
            self.others.repeat(made, self.now)
            return
        row = _RAISED.get(made.header.nlmsg_type)
        if row is not None:
            row(self, made)

    # -- what is shown ---------------------------------------------------------------------------------

    def sa_reply(self, made: Message) -> None:
        """NEWSA: an SA that was asked for, or the larval SA of an ALLOCSPI."""
        if self.request is not None and self.request.header.nlmsg_type == m.XFRM_MSG_ALLOCSPI:
            self.dice.offer(spi=made.body.id.spi)
            self._settings(made)
        else:
            self._use_sa(made.body, made, lastused=True)

    def sa_deleted(self, made: Message) -> None:
        """DELSA: the SA as it was when it went."""
        info = made.get(m.XFRMA_SA)
        if info is not None:
            self._use_sa(info, made, lastused=True)

    def sa_expired(self, made: Message) -> None:
        """EXPIRE."""
        self._use_sa(made.body.state, made, lastused=False)

    def aevent(self, made: Message) -> None:
        """NEWAE: counters and sequence numbers, except those that the request itself sets."""
        sa = self._find(made.body.sa_id, made.body.saddr, made)
        if sa is None:
            return
        given = self.request.get if self.request is not None else _nothing
        cur = made.get(m.XFRMA_LTIME_VAL) if given(m.XFRMA_LTIME_VAL) is None else None
        use = _sequences(sa, made)
        if given(m.XFRMA_REPLAY_VAL) is not None or given(m.XFRMA_REPLAY_ESN_VAL) is not None:
            use = SaUse()
        self.counts.update(inputs.use_sa(sa, use._replace(cur=cur), self.now))

    def policy_reply(self, made: Message) -> None:
        """NEWPOLICY: a policy that was asked for."""
        self._use_policy(made.body)

    def policy_made(self, made: Message) -> None:
        """NEWPOLICY or UPDPOLICY: the index it got."""
        index = made.body.index
        owner = self.engine.spd.by_index(index)
        if owner is not None and owner.sel != made.body.sel:
            raise UsageError(f"policy index {index} is taken")
        self.dice.offer(index=index)

    def policy_deleted(self, made: Message) -> None:
        """DELPOLICY: the policy as it was when it went."""
        info = made.get(m.XFRMA_POLICY)
        if info is not None:
            self._use_policy(info)

    def policy_expired(self, made: Message) -> None:
        """POLEXPIRE."""
        self._use_policy(made.body.pol)

    def sad_info(self, made: Message) -> None:
        """NEWSADINFO: how far the table has grown."""
        sizes = made.get(m.XFRMA_SAD_HINFO)
        if sizes is not None and inputs.grow_tables(self.engine, sas=sizes.sadhcnt):
            self.counts["table sizes"] += 1

    def spd_info(self, made: Message) -> None:
        """NEWSPDINFO: policies of sockets, which are made with setsockopt; how far the table has grown."""
        info = made.get(m.XFRMA_SPD_INFO)
        sizes = made.get(m.XFRMA_SPD_HINFO)
        if info is not None:
            counts = [info.inscnt, info.outscnt, info.fwdscnt]
            if counts != self.engine.spd.socket_counts:
                self.engine.spd.socket_counts = counts
                self.counts["socket policies"] += 1
        if sizes is not None and inputs.grow_tables(self.engine, policies=sizes.spdhcnt + 1):
            self.counts["table sizes"] += 1

    def _settings(self, made: Message) -> None:
        """net.core.xfrm_acq_expires, which daemons set; a larval SA lives that long."""
        seconds = made.body.lft.hard_add_expires_seconds
        if is_larval(made) and seconds != self.engine.sysctl.xfrm_acq_expires:
            self.engine.sysctl.xfrm_acq_expires = seconds
            self.counts["settings"] += 1

    def _use_sa(self, info: UserSaInfo, made: Message, *, lastused: bool) -> None:
        who = UserSaId(info.id.daddr, info.id.spi, info.family, info.id.proto)
        sa = self._find(who, info.saddr, made)
        if sa is None:
            return
        use = _sequences(sa, made)._replace(
            cur=info.curlft,
            lastused=(made.get(m.XFRMA_LASTUSED) or 0) if lastused else None,
            stats=(info.stats.replay_window, info.stats.replay, info.stats.integrity_failed),
        )
        self.counts.update(inputs.use_sa(sa, use, self.now))

    def _find(self, who: UserSaId, saddr: bytes, made: Message) -> Sa | None:
        """The engine's SA that a message shows."""
        spi = who.spi.to_bytes(4, "big")
        mark = mark_of(made)
        for sa in self.engine.sadb.between(who.daddr, saddr, who.family):
            if (sa.spi, sa.proto, sa.mark) == (spi, who.proto, mark):
                return sa
        return None

    def _use_policy(self, info: UserPolicyInfo) -> None:
        policy = self.engine.spd.by_index(info.index)
        if policy is not None:
            self._policy_counters(policy, info.curlft)

    def _policy_counters(self, policy: Policy, cur: LifetimeCur) -> None:
        kinds = inputs.use_policy(policy, cur, self.now)
        self.counts.update(f"policy {kind}" for kind in kinds)

    # -- what the kernel raises by itself --------------------------------------------------------------

    def acquire(self, made: Message) -> None:
        """ACQUIRE: a packet found no SA. The flow, open addresses, number and CPU are the packet's; the rest is the policy's."""
        asked: UserAcquire = made.body
        policy = self.engine.spd.by_index(asked.policy.index)
        if policy is None:
            return
        self._policy_counters(policy, asked.policy.curlft)
        tmpl = _template(policy, asked)
        if tmpl is None:
            return
        if asked.id.spi:
            who = UserSaId(asked.id.daddr, asked.id.spi, tmpl.family, asked.id.proto)
            self.others.free(who, policy.mark)
        pcpu = made.get(m.XFRMA_SA_PCPU)
        sel = asked.sel
        flow = Flow(
            sel.family, sel.daddr, sel.saddr, sel.dport, sel.sport, sel.proto, oif=sel.ifindex
        )
        ends = tmpl._replace(id=tmpl.id._replace(daddr=asked.id.daddr), saddr=asked.saddr)
        self.dice.offer(acquire=asked.seq)
        traffic.acquire(self.engine, policy, ends, flow, NO_PCPU if pcpu is None else pcpu)
        self.counts["ACQUIREs"] += 1

    def mapping(self, made: Message) -> None:
        """MAPPING: a packet came from elsewhere. Where from is the packet's; the rest is the SA's."""
        seen: UserMapping = made.body
        spi = seen.id.spi.to_bytes(4, "big")
        for sa in self.engine.sadb.between(seen.id.daddr, seen.old_saddr, seen.id.family):
            if (sa.spi, sa.proto) == (spi, seen.id.proto):
                same = same_address(seen.new_saddr, seen.old_saddr, seen.id.family)
                if same and seen.new_sport == seen.old_sport:
                    raise UsageError("address and port are what they were: nothing to tell")
                traffic.mapping(self.engine, sa, seen.new_saddr, seen.new_sport)
                self.counts["MAPPINGs"] += 1
                return

    def expire(self, made: Message) -> None:
        """EXPIRE: a limit in bytes or packets, seen at the next packet, or one in time, which the engine's own timers know."""
        info, hard = made.body.state, made.body.hard
        who = UserSaId(info.id.daddr, info.id.spi, info.family, info.id.proto)
        sa = self._find(who, info.saddr, made)
        if sa is None:
            return
        if _full(info, hard):
            traffic.admit(self.engine, sa)
        else:
            self._run_timers(sa)

    def policy_expire(self, made: Message) -> None:
        """POLEXPIRE: a limit in time."""
        policy = self.engine.spd.by_index(made.body.pol.index)
        if policy is not None:
            self._run_timers(policy)

    def _run_timers(self, subject: Sa | Policy) -> None:
        """Let its timer run until it says something, or is not due for long."""
        while not self.outbox and inputs.run_timer(self.engine, subject, self.now + EARLY):
            pass

    def aevent_alone(self, made: Message) -> None:
        """NEWAE: the engine tells when sequence numbers have moved far enough, or its own timer has run off."""
        sa = self._find(made.body.sa_id, made.body.saddr, made)
        if sa is None:
            return
        self.dice.offer(leftovers=(made.header.nlmsg_seq, made.header.nlmsg_pid))
        if made.body.flags & XFRM_AE_CE:
            self._run_timers(sa)
        if not self.outbox:
            aevents.numbers_moved(self.engine, sa)
        self.counts["replay events"] += 1

    def report(self, made: Message) -> None:
        """REPORT: all of it comes from a packet."""
        body = made.body
        traffic.report(self.engine, body.proto, body.sel, made.payload(m.XFRMA_COADDR))
        self.counts["REPORTs"] += 1


def _nothing(_: int) -> None:
    return None


def _full(info: UserSaInfo, hard: int) -> bool:
    """Whether a limit in bytes or packets is reached."""
    lft, cur = info.lft, info.curlft
    if hard:
        return cur.bytes >= lft.hard_byte_limit or cur.packets >= lft.hard_packet_limit
    return cur.bytes >= lft.soft_byte_limit or cur.packets >= lft.soft_packet_limit


def _sequences(sa: Sa, made: Message) -> SaUse:
    """Sequence numbers and window that a message shows, if they are of the SA's shape."""
    esn = made.get(m.XFRMA_REPLAY_ESN_VAL)
    if sa.esn is None:
        return SaUse(replay=made.get(m.XFRMA_REPLAY_VAL))
    same = esn is not None and (esn.bmp_len, esn.replay_window, len(esn.bmp)) == (
        sa.esn.bmp_len,
        sa.esn.replay_window,
        len(sa.esn.bmp),
    )
    return SaUse(esn=esn if same else None)


def _template(policy: Policy, asked: UserAcquire) -> UserTmpl | None:
    """The template for which an ACQUIRE asks; what it leaves open is the packet's."""
    for tmpl in policy.templates:
        if (
            (tmpl.id.proto, tmpl.id.spi) == (asked.id.proto, asked.id.spi)
            and tmpl.id.daddr in (_ANY, asked.id.daddr)
            and tmpl.saddr in (_ANY, asked.saddr)
        ):
            return tmpl
    return None


_SHOWN: dict[tuple[str, int], Callable[[Inputs, Message], None]] = {
    ("reply", m.XFRM_MSG_NEWSA): Inputs.sa_reply,
    ("reply", m.XFRM_MSG_NEWAE): Inputs.aevent,
    ("reply", m.XFRM_MSG_NEWPOLICY): Inputs.policy_reply,
    ("reply", m.XFRM_MSG_NEWSADINFO): Inputs.sad_info,
    ("reply", m.XFRM_MSG_NEWSPDINFO): Inputs.spd_info,
    ("event", m.XFRM_MSG_DELSA): Inputs.sa_deleted,
    ("event", m.XFRM_MSG_EXPIRE): Inputs.sa_expired,
    ("event", m.XFRM_MSG_NEWAE): Inputs.aevent,
    ("event", m.XFRM_MSG_NEWPOLICY): Inputs.policy_made,
    ("event", m.XFRM_MSG_UPDPOLICY): Inputs.policy_made,
    ("event", m.XFRM_MSG_DELPOLICY): Inputs.policy_deleted,
    ("event", m.XFRM_MSG_POLEXPIRE): Inputs.policy_expired,
}

_RAISED: dict[int, Callable[[Inputs, Message], None]] = {
    m.XFRM_MSG_ACQUIRE: Inputs.acquire,
    m.XFRM_MSG_MAPPING: Inputs.mapping,
    m.XFRM_MSG_EXPIRE: Inputs.expire,
    m.XFRM_MSG_NEWAE: Inputs.aevent_alone,
    m.XFRM_MSG_POLEXPIRE: Inputs.policy_expire,
    m.XFRM_MSG_REPORT: Inputs.report,
}
