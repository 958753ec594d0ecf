"""Traffic through an engine's policies, to hold two laws at every moment: nothing in clear, no number twice.

Packets are sent as Linux would: the winning policy decides; with templates they take the SA that fits all of them, or are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyxfrm.abi.xfrm import XFRM_POLICY_ALLOW, XFRM_POLICY_TYPE_MAIN, XFRM_POLICY_TYPE_SUB
from pyxfrm.engine import Engine
from pyxfrm.engine.policy import Flow, Policy
from pyxfrm.engine.sa import Sa, State
from pyxfrm.model import Direction, Selector
from pyxfrm.model import Policy as PolicyValue


class LeakError(AssertionError):
    """A packet would have left, or come in, in clear."""


class ReuseError(AssertionError):
    """A key would have met a sequence number twice."""


def flow_of(sel: Selector) -> Flow:
    """A packet that the selector admits: between the first two hosts of its networks."""
    ends = []
    for net in (sel.daddr, sel.saddr):
        number = int.from_bytes(net.masked.address.packed, "big") + (0 if net.is_host else 5)
        packed = number.to_bytes(len(net.address.packed), "big")
        ends.append(packed + bytes(16 - len(packed)))
    return Flow(int(sel.family), ends[0], ends[1], proto=sel.proto or 17)


class Traffic:
    """Packets of the selectors that ``policies`` protect.

    A selector that a move replaces by another is given as a pair: one of both must protect.
    """

    def __init__(
        self, engine: Engine, policies: Iterable[PolicyValue], moved: Iterable[PolicyValue] = ()
    ) -> None:
        self.engine = engine
        self.flows: list[tuple[int, int, tuple[Flow, ...]]] = []
        later = {p.id: p for p in moved}
        for policy in policies:
            flows = [flow_of(policy.sel)]
            if policy.id in later:
                flows.append(flow_of(later[policy.id].sel))
            self.flows.append((int(policy.dir), policy.if_id, tuple(flows)))
        self.used: set[tuple[bytes, bytes, int]] = set()
        self.sent = 0
        self.dropped = 0
        self._tables: object = None
        self._ways: list[tuple[Sa, ...]] = []

    def add_alternative(self, old: PolicyValue, new: PolicyValue) -> None:
        """``new`` takes the place of ``old``."""
        self._tables = None
        wanted = (int(old.dir), old.if_id, (flow_of(old.sel),))
        self.flows = [
            (way, if_id, (*flows, flow_of(new.sel))) if (way, if_id, flows) == wanted else entry
            for entry in self.flows
            for way, if_id, flows in [entry]
        ]

    def burst(self, count: int = 3) -> None:
        """Send some packets of each flow; LeakError and ReuseError if a law breaks."""
        tables = self._tables_now()
        if tables != self._tables:  # while they stay, every packet goes where the last one went
            self._ways = list(self._find_ways())
            self._tables = tables
        for sas in self._ways:
            if not sas:
                self.dropped += count
                continue
            for sa in sas:
                for _ in range(count):
                    self._number(sa)
            self.sent += count

    def _tables_now(self) -> object:
        """All that decides where a packet goes."""
        return (
            [(p.serial, p.action, p.templates) for p in self.engine.spd],
            [(s.serial, s.state, s.reqid, s.daddr, s.saddr) for s in self.engine.sadb],
        )

    def _find_ways(self) -> Iterator[tuple[Sa, ...]]:
        """For each packet the SAs that it takes, none where it is dropped."""
        for way, if_id, flows in self.flows:
            winners = [(flow, self._winner(flow, way, if_id)) for flow in flows]
            guarded = [(f, p) for f, p in winners if p is not None and _protects(p)]
            if not guarded:
                raise LeakError(f"direction {way}: {[p for _, p in winners]} protects nothing")
            if way == Direction.OUT:
                for flow, policy in guarded:
                    yield self._sas_for(policy, flow)

    def _winner(self, flow: Flow, way: int, if_id: int) -> Policy | None:
        for kind in (XFRM_POLICY_TYPE_SUB, XFRM_POLICY_TYPE_MAIN):
            found = self.engine.spd.lookup(flow, way, kind, if_id)
            if found is not None:
                return found
        return None

    def _sas_for(self, policy: Policy, flow: Flow) -> tuple[Sa, ...]:
        if policy.action != XFRM_POLICY_ALLOW:
            return ()
        sas = [self._sa_for(policy, n, flow) for n in range(len(policy.templates))]
        found = tuple(sa for sa in sas if sa is not None)
        return found if len(found) == len(sas) else ()

    def _sa_for(self, policy: Policy, n: int, flow: Flow) -> Sa | None:
        template = policy.templates[n]
        for sa in self.engine.sadb:
            daddr = template.id.daddr if any(template.id.daddr) else flow.daddr
            saddr = template.saddr if any(template.saddr) else flow.saddr
            if (
                sa.state == State.VALID
                and (sa.proto, sa.traits.mode, sa.reqid)
                == (template.id.proto, template.mode, template.reqid)
                and sa.daddr == daddr
                and sa.saddr == saddr
                and sa.traits.if_id == policy.if_id
                and template.id.spi in (0, int.from_bytes(sa.spi, "big"))
            ):
                return sa
        return None

    def _number(self, sa: Sa) -> None:
        """The next sequence number, as xfrm_replay_overflow takes it; the key must not have seen it."""
        if sa.esn is not None:
            sa.esn = sa.esn._replace(oseq=sa.esn.oseq + 1)
            number = sa.esn.oseq
        else:
            sa.replay = sa.replay._replace(oseq=sa.replay.oseq + 1)
            number = sa.replay.oseq
        key = (sa.traits.algorithms, sa.spi, number)
        if key in self.used:
            raise ReuseError(f"SPI {sa.spi.hex()} sent number {number} twice")
        self.used.add(key)


def _protects(policy: Policy) -> bool:
    if policy.action != XFRM_POLICY_ALLOW:
        return True
    return bool(policy.templates) and not all(t.optional for t in policy.templates)
