"""The data path of one engine: packets in, packets out, and what Linux would have counted, told and noted on the way.

    datapath = Datapath(engine)
    verdict = datapath.output(packet, now)       # an IP packet of this host, or one that it forwards
    verdict = datapath.input(datagram, now)      # an IP datagram from the network

Packets are whole IP packets, as bytes; time is an argument; what comes out is a :class:`~pyxfrm.engine.datapath.verdict.Verdict`. Packets that waited come out of
:meth:`Datapath.take`. No packet raises: each has a verdict.

What is around XFRM in a kernel is not here, but is asked for: which addresses are local, which local address is used towards another, identifications of IPv4 headers. Routes,
fragmentation and reassembly, and hop counts are the caller's; per-socket policies do not exist, so an encapsulation port takes ESP as if
its socket had a policy to let it (as key managers set one).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from errno import EINVAL, EPERM
from itertools import count
from typing import TYPE_CHECKING

from pyxfrm.abi.xfrm import (
    IPPROTO_ESP,
    XFRM_MODE_TUNNEL,
    XFRM_POLICY_FWD,
    XFRM_POLICY_IN,
    XFRM_POLICY_OUT,
)
from pyxfrm.engine.datapath import flow as flows
from pyxfrm.engine.datapath.arriving import arrival_key, destination, other_than_esp, udp_trimmed
from pyxfrm.engine.datapath.bundle import Fate, Resolution, carry_out, resolve
from pyxfrm.engine.datapath.check import judge
from pyxfrm.engine.datapath.explain import explain_input, explain_output
from pyxfrm.engine.datapath.moves import Moves
from pyxfrm.engine.datapath.opening import Opening
from pyxfrm.engine.datapath.pmtu import Paths, least_mtu, must_stay_whole
from pyxfrm.engine.datapath.queue import enqueue
from pyxfrm.engine.datapath.refused import Refused
from pyxfrm.engine.datapath.runs import Arrivals, Passed, receive_all, send_all
from pyxfrm.engine.datapath.sealing import Sealing, marked
from pyxfrm.engine.datapath.stat import Stat
from pyxfrm.engine.datapath.verdict import (
    Action,
    Verdict,
    delivered,
    protected,
    refusal,
    too_big,
)
from pyxfrm.engine.sa import State
from pyxfrm.esp import Drop, trim
from pyxfrm.esp import too_big as too_big_report

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.datapath.bundle import Source
    from pyxfrm.engine.datapath.explain import Explanation
    from pyxfrm.engine.datapath.moves import Waiting
    from pyxfrm.engine.datapath.opening import Step
    from pyxfrm.engine.policy import Flow, Policy
    from pyxfrm.engine.sa import Sa
    from pyxfrm.esp.framing import Idents

__all__ = ["Datapath"]

_UDP, _ICMP = 17, frozenset((1, 58))
MOST_FLOWS = 65536
_REMEMBERED = frozenset((Fate.BUNDLE, Fate.CLEAR, Fate.NO_POLICY))
_Routes = dict[Hashable, Resolution]
_IN, _FWD = XFRM_POLICY_IN, XFRM_POLICY_FWD


class Datapath:
    """The data path of ``engine``, which knows it as ``engine.datapath``.

    ``local(address)``  whether packets to an address (4 or 16 bytes) are for this host; default: all are
    ``source(family, daddr, oif)``  the local address towards another, for templates that name none (families as AF_*, ``daddr`` 16 bytes); default: unknown
    ``idents``   identifications of IPv4 headers that are made here; default: counted up
    ``mtu(daddr)``  bytes that the route to another gateway (4 or 16 bytes) carries; default: 0, anything
    ``address(family)``  the source of ICMP errors (4 or 6 -> 4 or 16 bytes); default: they come as if from where the packet was going
    ``encap_ports``  UDP ports that take encapsulated ESP
    ``cpu``      the CPU that packets are on
    """

    def __init__(
        self,
        engine: Engine,
        *,
        local: Callable[[bytes], bool] = lambda _: True,
        source: Source = lambda _family, _daddr, _oif: None,
        idents: Idents | None = None,
        mtu: Callable[[bytes], int] = lambda _: 0,
        address: Callable[[int], bytes | None] = lambda _: None,
        encap_ports: Iterable[int] = (4500,),
        cpu: int = 0,
    ) -> None:
        self.engine = engine
        self.local = local
        self.source = source
        self.address = address
        self.paths = Paths(engine, mtu, self.forget)
        self.encap_ports = set(encap_ports)
        self.cpu = cpu
        self.stat = Stat()
        counted = count()
        idents = idents or (lambda: next(counted) & 0xFFFF)
        self.moves = Moves(self)
        self.sealing = Sealing(engine, idents, self.forget)
        self.opening = Opening(engine, self.moves, idents, self.forget)
        self._routes: dict[tuple[int, int, int], _Routes] = {}
        self._left: list[Verdict] = []
        self.arrivals: dict[bytes, Arrivals] = {}
        engine.datapath = self

    # -- what the engine tells -----------------------------------------------------------------------

    def changed(self) -> None:
        """A request was handled, or a timer ran off: look everything up anew."""
        self.forget()
        self.moves.retry()

    def forget(self) -> None:
        """Forget what was found for flows."""
        self._routes.clear()
        self.arrivals.clear()

    def leave(self, verdict: Verdict) -> None:
        """A packet that waited has its verdict."""
        self._left.append(verdict)

    def take(self) -> list[Verdict]:
        """The verdicts of packets that waited, since the last call."""
        left, self._left = self._left, []
        return left

    # -- out -------------------------------------------------------------------------------------------

    def output(
        self, packet: bytes, now: float, *, mark: int = 0, if_id: int = 0, oif: int = 0
    ) -> Verdict:
        """One packet out."""
        self._clock(now)
        return self.send(packet, mark, if_id, oif)

    def output_batch(
        self,
        packets: Iterable[bytes],
        now: float,
        *,
        mark: int = 0,
        if_id: int = 0,
        oif: int = 0,
    ) -> list[Verdict]:
        """Many packets out: the verdicts, and everything else, as one by one; but those of one flow in a row take less time."""
        self._clock(now)
        return send_all(self, packets, mark, if_id, oif)

    def send(self, packet: bytes, mark: int, if_id: int, oif: int) -> Verdict:
        """The verdict over a packet on its way out, counted."""
        return self.count(self._send(packet, mark, if_id, oif))

    def _send(self, packet: bytes, mark: int, if_id: int, oif: int) -> Verdict:
        """As :meth:`_try`; but what a move may still let go waits, if it may."""
        verdict = self._try(packet, mark, if_id, oif, queue=True)
        if verdict.counters and self.moves.holding and self.moves.is_lost(verdict.counters):
            flow = flows.decode(packet, mark, oif)
            if flow is not None and self.moves.may_wait(verdict.counters, flow):
                self.moves.add(packet, flow, if_id)
                return Verdict(Action.QUEUED, why=f"it waits for a move ({verdict.why})")
        return verdict

    def _try(self, packet: bytes, mark: int, if_id: int, oif: int, *, queue: bool) -> Verdict:
        """The verdict over a packet; everything but the counters of the data path is done."""
        found = self.remembered(flows.key(packet), mark, if_id, oif)
        if found is None:
            flow = flows.decode(packet, mark, oif)
            if flow is None:
                return Verdict(Action.DROPPED, b"", ("XfrmOutError",), "not an IP packet", EINVAL)
            found = self._look_up(packet, flow, if_id)
        if found.fate is Fate.BUNDLE:
            self.use(found.policies)
            if found.mtu and len(packet) > found.mtu and must_stay_whole(packet):
                return too_big(packet, found.mtu, self.address, found.policies[0])
            return self._seal(packet, mark, found)
        return self._unsealed(packet, mark, oif, found, queue=queue)

    def remembered(
        self, name: Hashable | None, mark: int, if_id: int, oif: int
    ) -> Resolution | None:
        """What was found for a flow by its name (:func:`~pyxfrm.engine.datapath.flow.key`)."""
        routes = self._routes.get((mark, if_id, oif))
        return None if routes is None or name is None else routes.get(name)

    def _look_up(self, packet: bytes, flow: Flow, if_id: int) -> Resolution:
        found = resolve(self.engine, flow, if_id, source=self.source, cpu=self.cpu)
        if found.asks and not self.moves.may_wait(("XfrmOutNoStates",), flow):
            carry_out(self.engine, flow, found)
            self.forget()
        if found.fate is Fate.BUNDLE:
            found = found._replace(mtu=self._mtu(found.sas, flow.family))
        if found.fate in _REMEMBERED and not found.asks:
            key = flows.key(packet)
            if key is not None:
                routes = self._routes.setdefault((flow.mark, if_id, flow.oif), {})
                if len(routes) >= MOST_FLOWS:
                    routes.clear()
                routes[key] = found
        return found

    def _mtu(self, sas: tuple[Sa, ...], family: int) -> int:
        try:
            return least_mtu(self.paths, [(sa, self.sealing.sealer(sa)) for sa in sas], family)
        except Refused:
            return 0

    def use(self, policies: tuple[Policy, ...]) -> None:
        """Policies that let packets pass note when."""
        second = int(self.engine.now)
        for policy in policies:
            policy.use_time = second

    def _unsealed(
        self, packet: bytes, mark: int, oif: int, found: Resolution, *, queue: bool
    ) -> Verdict:
        """A packet that goes through no SA: in clear, later, or not at all."""
        policy = found.policies[0] if found.policies else None
        if found.fate is Fate.NO_POLICY or found.fate is Fate.CLEAR:
            self.use(found.policies)
            return Verdict(Action.CLEAR, packet, (), found.why, 0, policy, (), mark)
        if found.fate is Fate.BLOCK:
            self.use(found.policies)
            counters: tuple[str, ...] = ("XfrmOutPolBlock",)
            return Verdict(Action.DROPPED, b"", counters, found.why, EPERM, policy)
        if found.fate is Fate.ERROR:
            return Verdict(Action.DROPPED, b"", found.counters, found.why, found.errno, policy)
        policy, larval_drop = found.policies[0], self.engine.sysctl.xfrm_larval_drop
        counters = (*found.counters, "XfrmOutNoStates")
        flow = flows.decode(packet, mark, oif) if self.moves.holding else None
        if larval_drop or not queue or self.moves.may_wait(counters, flow):
            errno = 0 if larval_drop else found.errno
            return Verdict(Action.DROPPED, b"", counters, found.why, errno, policy)
        self.use(found.policies)
        return enqueue(self.engine, policy, packet, mark, oif)

    def _seal(self, packet: bytes, mark: int, found: Resolution) -> Verdict:
        policy, sas = found.policies[0], found.sas
        try:
            for sa in sas:
                mark = marked(mark, sa)
                packet = self.sealing.seal(sa, packet)
        except (Drop, Refused) as no:
            return refusal(no, policy, sas)
        return protected(packet, policy, sas, mark)

    # -- what waited -----------------------------------------------------------------------------------

    def try_queued(self, packet: bytes, mark: int, oif: int) -> Action:
        """Whether the first packet of a policy's queue could go: protected, clear, queued (not yet), dropped."""
        flow = flows.decode(packet, mark, oif)
        if flow is None:
            return Action.DROPPED
        found = resolve(self.engine, flow, source=self.source, cpu=self.cpu)
        carry_out(self.engine, flow, found)
        if found.fate is Fate.BUNDLE:
            return Action.PROTECTED
        if found.fate is Fate.CLEAR or found.fate is Fate.NO_POLICY:
            return Action.CLEAR
        if found.fate is Fate.WAIT and not self.engine.sysctl.xfrm_larval_drop:
            return Action.QUEUED
        self.count(self._unsealed(packet, mark, oif, found, queue=False))
        return Action.DROPPED

    def send_queued(self, packet: bytes, mark: int, policy_mark: int, oif: int) -> Verdict:
        """A packet of a policy's queue, now or never."""
        verdict = self.count(self._try(packet, policy_mark, 0, oif, queue=False))
        return verdict if verdict.sas else verdict._replace(mark=mark)

    def release(self, one: Waiting, *, hold: bool) -> Verdict | None:
        """A packet that waits for a move tries again; None if it still has to, and may (``hold``)."""
        flow = one.flow
        verdict = self._try(one.packet, flow.mark, one.if_id, flow.oif, queue=False)
        if hold and self.moves.is_lost(verdict.counters):
            return None
        return self.count(verdict)

    # -- in --------------------------------------------------------------------------------------------

    def input(
        self, datagram: bytes, now: float, *, mark: int = 0, if_id: int = 0, oif: int = 0
    ) -> Verdict:
        """One datagram in. What is not for this host goes out again, by the policies for that.

        ``if_id``  of the XFRM interface it came by; ``oif``: the interface that selectors compare
        """
        self._clock(now)
        return self.receive(datagram, mark, if_id, oif)

    def input_batch(
        self,
        datagrams: Iterable[bytes],
        now: float,
        *,
        mark: int = 0,
        if_id: int = 0,
        oif: int = 0,
    ) -> list[Verdict]:
        """Many datagrams in: the verdicts, and everything else, as one by one; but those of one SA in a row take less time.

        (A row of datagrams is opened before what was inside goes on. That could be told only where inner packets are for the same SA again.)
        """
        self._clock(now)
        return receive_all(self, datagrams, mark, if_id, oif)

    def forward(
        self, packet: bytes, now: float, *, mark: int = 0, if_id: int = 0, oif: int = 0
    ) -> Verdict:
        """One packet in clear that passes through this host, whatever ``local`` says."""
        self._clock(now)
        flow = flows.decode(packet, mark, oif)
        if flow is None:
            return self.count(
                Verdict(Action.DROPPED, b"", ("XfrmFwdHdrError",), "not an IP packet")
            )
        return self.count(self._judge(packet, flow, [], if_id, _FWD))

    def receive(self, datagram: bytes, mark: int, if_id: int, oif: int) -> Verdict:
        """The verdict over a datagram, counted. What comes by a way that was gone before is not looked up again."""
        key = None if mark or if_id or oif else arrival_key(datagram)
        known = None if key is None else self.arrivals.get(key)
        if known is None or known.step.sa.state is not State.VALID:
            return self.count(self._input(datagram, mark, if_id, oif, key))
        try:
            packet = self.opening.open(datagram, known.step)
        except (Drop, Refused) as no:
            return self.count(refusal(no, None, known.sas))
        return self.inside(packet, known)

    def inside(self, packet: bytes, known: Arrivals) -> Verdict:
        """The verdict over what was inside a datagram that came by a known way, counted."""
        name = flows.key(packet)
        passed = None if name is None else known.passed.get(name)
        if passed is None:
            return self.count(self._go_on(packet, [known.step.sa], 0, 0, 0, known))
        self.use(passed.policies)
        if passed.forward:
            return self.send(packet, 0, 0, 0)
        return delivered(packet, passed.policies[0], known.sas)

    def _input(
        self, datagram: bytes, mark: int, if_id: int, oif: int, key: bytes | None = None
    ) -> Verdict:
        """A datagram from the start. ``key``: under what the way through one tunnel is to be remembered."""
        try:
            packet = trim(datagram)
        except Drop as no:
            return refusal(no, None, ())
        return self._go_on(packet, [], mark, if_id, oif, None, key)

    def _go_on(
        self,
        packet: bytes,
        sas: list[Sa],
        mark: int,
        if_id: int,
        oif: int,
        known: Arrivals | None,
        key: bytes | None = None,
    ) -> Verdict:
        """An IP packet that came through ``sas`` so far; ``known``: where to remember that its flow may come in."""
        try:
            while True:
                flow = flows.decode(packet, mark, oif)
                if flow is None:
                    raise Refused("XfrmInHdrError", "not an IP packet")
                if not self.local(destination(packet)):
                    return self._judge(packet, flow, sas, if_id, _FWD, known)
                encapsulated = not sas and self.is_encapsulated(flow)
                if encapsulated:
                    packet = udp_trimmed(packet)
                    other = other_than_esp(packet)
                    if other is not None:
                        return Verdict(other, packet, mark=mark)
                elif not self.opening.is_protected(packet, flow.proto, mark):
                    return self._judge(packet, flow, sas, if_id, _IN, known)
                step = self.opening.step(packet, mark, len(sas), encapsulated=encapsulated)
                sas.append(step.sa)
                mark = marked(mark, step.sa)
                packet = self.opening.open(packet, step)
                known = None
                if key is not None and len(sas) == 1 and _is_plain_tunnel(step):
                    known = Arrivals(step, (step.sa,), {})
                    if len(self.arrivals) >= MOST_FLOWS:
                        self.arrivals.clear()
                    self.arrivals[key] = known
        except (Drop, Refused) as no:
            return refusal(no, None, tuple(sas))

    def is_encapsulated(self, flow: Flow) -> bool:
        """Whether a packet of this flow comes to an encapsulation port."""
        return flow.proto == _UDP and flow.dport in self.encap_ports

    def _judge(
        self,
        packet: bytes,
        flow: Flow,
        sas: list[Sa],
        if_id: int,
        direction: int,
        known: Arrivals | None = None,
    ) -> Verdict:
        """The policy check, and for what passes through this host the way out."""
        judged = judge(self.engine, flow, sas, direction, if_id)
        self.use(judged.policies)
        deciding = judged.policies[0] if judged.policies else None
        through = tuple(sas)
        if judged.counter is not None:
            counters = (judged.counter,)
            return Verdict(
                Action.DROPPED, b"", counters, judged.why, 0, deciding, through, flow.mark
            )
        hears = direction == _IN and flow.proto in _ICMP
        name = flows.key(packet) if known is not None and judged.policies and not hears else None
        if known is not None and name is not None and len(known.passed) < MOST_FLOWS:
            known.passed[name] = Passed(judged.policies, direction == _FWD)
        if direction == _FWD:
            return self._send(packet, flow.mark, 0, flow.oif)
        if hears and (report := too_big_report(packet)) is not None:
            self.paths.hear(report, flow.mark)
        return Verdict(Action.DELIVERED, packet, (), judged.why, 0, deciding, through, flow.mark)

    # -- in words --------------------------------------------------------------------------------------

    def explain(
        self,
        packet: bytes,
        direction: int = XFRM_POLICY_OUT,
        *,
        mark: int = 0,
        if_id: int = 0,
        oif: int = 0,
    ) -> Explanation:
        """What would become of a packet now, and why; nothing changes.

        ``direction``  XFRM_POLICY_OUT: a packet for :meth:`output`; XFRM_POLICY_IN: a datagram for :meth:`input`
        """
        out = direction == XFRM_POLICY_OUT
        return (explain_output if out else explain_input)(self, packet, mark, if_id, oif)

    # -- both ------------------------------------------------------------------------------------------

    def _clock(self, now: float) -> None:
        if now > self.engine.now:
            self.engine.now = now

    def count(self, verdict: Verdict) -> Verdict:
        """Move the verdict's counters."""
        for name in verdict.counters:
            self.stat[name] += 1
        return verdict


def _is_plain_tunnel(step: Step) -> bool:
    """Whether nothing about a packet's way depends on more than its addresses: tunnel mode, no marks, and not to the SA's old place."""
    sa = step.sa
    if sa.live is None or sa.live.opener is not step.opener:
        return False
    return sa.traits.mode == XFRM_MODE_TUNNEL and sa.smark == (0, 0) and sa.proto == IPPROTO_ESP
