"""Whatever clients do to the SAs of an end, its open places are those that the SAs name, and those left a moment ago."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pyxfrm.client import SaRecord
from pyxfrm.errors import RefusedError
from pyxfrm.model import (
    REMOVE,
    Algorithm,
    Encap,
    Family,
    Limits,
    Migration,
    Mode,
    Proto,
    ReplayState,
    Sa,
    SaDir,
    SaId,
    Selector,
    ip,
)
from pyxfrm.tunnel import End, Place, Queue, Run
from pyxfrm.tunnel.place import UDP

OURS = [ip("192.0.2.1"), ip("192.0.2.2"), ip("2001:db8::1")]
THEIRS = {Family.INET: ip("198.51.100.1"), Family.INET6: ip("2001:db8::99")}
PORTS = [None, 4500, 4501]
DRAIN = 1.0
ports = st.sampled_from(PORTS)
spis = st.integers(1, 4)


class Socket:
    """A socket in a list."""

    def __init__(self, place: Place, bound: list[Place]) -> None:
        self.place = place
        self.bound = bound
        bound.append(place)

    def fileno(self) -> int:
        return -1

    def send(self, _: Run) -> Counter[str]:
        return Counter()

    def receive(self) -> list[Run]:
        return []

    def close(self) -> None:
        self.bound.remove(self.place)


def named(sa: SaRecord) -> Place:
    """The place that an SA names, looked up in what a client is shown."""
    out = sa.dir is SaDir.OUT
    address = sa.saddr if out else sa.daddr
    if sa.encap is None:
        return Place(address.packed, 50)
    return Place(address.packed, UDP, sa.encap.sport if out else sa.encap.dport)


class Places(RuleBasedStateMachine):
    """SAs come, move, change and go."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_800_000_000.0
        self.bound: list[Place] = []
        self.end = End(
            Queue(),
            drain=DRAIN,
            clock=lambda: self.now,
            make=lambda place: Socket(place, self.bound),
        )
        self.xfrm = self.end.client()

    def _sa(self, spi: int, out: bool, ours: int, port: int | None) -> Sa:
        here = OURS[ours]
        there = THEIRS[here.family]
        saddr, daddr = (here, there) if out else (there, here)
        encap = None if port is None else Encap(port, 1024) if out else Encap(1024, port)
        return Sa(
            SaId(daddr, Proto.ESP, spi),
            saddr,
            Mode.TUNNEL,
            (Algorithm.aes_gcm(bytes(20)),),
            ReplayState.off() if out else ReplayState.of(32),
            sel=Selector.any(Family.UNSPEC),
            dir=SaDir.OUT if out else SaDir.IN,
            encap=encap,
        )

    @rule(spi=spis, out=st.booleans(), at=st.integers(0, 2), port=ports, dies=st.booleans())
    def add(self, spi: int, out: bool, at: int, port: int | None, dies: bool) -> None:
        sa = self._sa(spi, out, at, port)
        limits = Limits(hard_add=3) if dies else sa.limits
        self._try(lambda: self.xfrm.add_sa(replace(sa, limits=limits)))

    @rule(pick=st.integers(0, 7), at=st.integers(0, 2), port=ports)
    def move(self, pick: int, at: int, port: int | None) -> None:
        sas = list(self.xfrm.sas())
        if not sas:
            return
        sa = sas[pick % len(sas)]
        out = sa.dir is SaDir.OUT
        target = self._sa(sa.spi, out, at, port)
        self._try(
            lambda: self.xfrm.migrate_sa(
                Migration(
                    *(sa.id, target.saddr, target.id.daddr, sa.reqid, sa.sel),
                    encap=target.encap or REMOVE,
                )
            )
        )

    @rule(pick=st.integers(0, 7))
    def delete(self, pick: int) -> None:
        sas = list(self.xfrm.sas())
        if sas:
            self._try(lambda: self.xfrm.delete_sa(sas[pick % len(sas)].id))

    @rule()
    def flush(self) -> None:
        self.xfrm.flush_sas()

    @rule(seconds=st.sampled_from((0.05, 0.5, DRAIN, 2.0)))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.end.step(self.now)

    @staticmethod
    def _try(call: Callable[[], object]) -> None:
        with suppress(RefusedError):
            call()

    @invariant()
    def what_sas_name_is_open_and_nothing_else_for_long(self) -> None:
        wanted = {named(sa) for sa in self.xfrm.sas()}
        assert sorted(self.bound) == sorted(self.end.outer.places)
        assert wanted <= set(self.bound)
        assert set(self.bound) - wanted == set(self.end.outer.leaving)
        assert all(self.now < until for until in self.end.outer.leaving.values())
        udp = {place.port for place in self.bound if place.proto == UDP}
        assert self.end.datapath.encap_ports == udp

    def teardown(self) -> None:
        self.end.close()
        assert self.bound == []


TestPlaces = Places.TestCase
TestPlaces.settings = settings(max_examples=60, stateful_step_count=30)
