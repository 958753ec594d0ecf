"""Child SAs to relocate: values, and engines that hold them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, Profile
from pyxfrm.client import Xfrm
from pyxfrm.engine import Engine
from pyxfrm.model import (
    Address,
    Algorithm,
    Direction,
    Encap,
    Family,
    Mode,
    Network,
    Policy,
    Proto,
    ReplayState,
    Sa,
    SaDir,
    SaId,
    Selector,
    Template,
    ip,
    network,
)
from pyxfrm.relocation.driver import Driver, Listener
from pyxfrm.relocation.ends import EngineEnd
from pyxfrm.relocation.facts import Facts, Features
from pyxfrm.relocation.footprint import whole
from pyxfrm.relocation.journal import Journal
from pyxfrm.relocation.moves import Options, Plan
from pyxfrm.relocation.plan import make_plan
from pyxfrm.relocation.ways.hold import LARVAL_DROP
from pyxfrm.relocation.wish import Wish
from pyxfrm.transport.base import Transport
from pyxfrm.transport.local import EngineHost

A = ip("192.0.2.10")
B = ip("203.0.113.10")
C = ip("198.51.100.1")
D = ip("198.51.100.99")
A6 = ip("2001:db8:1::10")
C6 = ip("2001:db8:2::1")
KEY = bytes(range(36))
NETS = ("10.1.0.0/16", "10.2.0.0/16")
NETS6 = ("fd01::/64", "fd02::/64")


def sa(
    saddr: Address,
    daddr: Address,
    spi: int,
    *,
    reqid: int = 1,
    window: int = 128,
    encap: Encap | None = None,
    way: SaDir | None = None,
    mode: Mode = Mode.TUNNEL,
    **more: object,
) -> Sa:
    made = Sa(
        SaId(daddr, Proto.ESP, spi),
        saddr,
        mode,
        (Algorithm.aes_gcm(KEY[:20]),),
        ReplayState.off() if way == SaDir.OUT else ReplayState.of(window),
        reqid=reqid,
        encap=encap,
        dir=way,
        sel=Selector.any(Family.UNSPEC),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def policy(
    way: Direction,
    nets: tuple[str, str],
    ends: tuple[Address, Address],
    *,
    reqid: int = 1,
    priority: int = 1000,
    mode: Mode = Mode.TUNNEL,
    **more: object,
) -> Policy:
    """``nets`` and ``ends``: local, remote."""
    if way != Direction.OUT:
        nets, ends = nets[::-1], ends[::-1]
    template = Template(*ends, Proto.ESP, mode, reqid=reqid)
    made = Policy(
        way,
        Selector(network(nets[0]), network(nets[1])),
        priority=priority,
        templates=(template,),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def child(
    local: Address = A,
    remote: Address = C,
    *,
    number: int = 1,
    encap: Encap | None = None,
    families: tuple[tuple[str, str], ...] = (NETS, NETS6),
    directed: bool = False,
) -> tuple[list[Sa], list[Policy]]:
    """One dual-stack Child SA of a tunnel: two SAs, six policies."""
    back = Encap(encap.dport, encap.sport) if encap else None
    spi = 0xC0000000 + 16 * number
    sas = [
        sa(local, remote, spi + 1, reqid=number, encap=encap, way=SaDir.OUT if directed else None),
        sa(remote, local, spi + 2, reqid=number, encap=back, way=SaDir.IN if directed else None),
    ]
    policies = [
        policy(way, _shifted(nets, number), (local, remote), reqid=number)
        for nets in families
        for way in (Direction.OUT, Direction.IN, Direction.FWD)
    ]
    return sas, policies


def _shifted(nets: tuple[str, str], number: int) -> tuple[str, str]:
    """The same networks for every child would make them rivals."""
    if number == 1:
        return nets
    made = []
    for text in nets:
        net = network(text)
        packed = bytearray(net.address.packed)
        packed[2 if net.family == Family.INET6 else 1] += 16 * (number - 1)
        made.append(str(Network(Address(net.family, bytes(packed)), net.prefix)))
    return made[0], made[1]


def host_pair(local: Address = A, remote: Address = C) -> tuple[list[Sa], list[Policy]]:
    """Host-to-host transport mode."""
    out = sa(local, remote, 0xD1, mode=Mode.TRANSPORT, sel=Selector.hosts(local, remote))
    back = sa(remote, local, 0xD2, mode=Mode.TRANSPORT, sel=Selector.hosts(remote, local))
    anywhere = (Address.any(local.family), Address.any(local.family))
    policies = [
        policy(way, (str(local), str(remote)), anywhere, mode=Mode.TRANSPORT)
        for way in (Direction.OUT, Direction.IN)
    ]
    return [out, back], policies


def beet_pair(local: Address = A, remote: Address = C) -> tuple[list[Sa], list[Policy]]:
    """Bound end-to-end tunnels: inner addresses of one host on both sides, which stay."""
    near, far = ip("10.1.0.1"), ip("10.2.0.1")
    out = sa(local, remote, 0xB1, mode=Mode.BEET, sel=Selector.hosts(near, far))
    back = sa(remote, local, 0xB2, mode=Mode.BEET, sel=Selector.hosts(far, near))
    policies = [
        policy(way, (str(near), str(far)), (local, remote), mode=Mode.BEET)
        for way in (Direction.OUT, Direction.IN)
    ]
    return [out, back], policies


class World:
    """An engine with Child SAs, an end that reaches it, and a journal."""

    def __init__(
        self,
        tmp: Path,
        sas: list[Sa],
        policies: list[Policy],
        *,
        profile: Profile = LINUX_7_2,
        name: str = "engine",
    ) -> None:
        self.tmp = tmp
        self.name = name
        self.engine = Engine(profile)
        self.host = EngineHost(self.engine)
        self.xfrm = Xfrm(transport=self.host.connect(), timeout=0.05)
        self.settings = {LARVAL_DROP: "1"}
        for one in sas:
            self.xfrm.add_sa(one)
        for each in policies:
            self.xfrm.add_policy(each)

    def end(self, transport: Transport | None = None) -> EngineEnd:
        xfrm = Xfrm(transport=transport or self.host.connect(), timeout=0.05)
        return EngineEnd(xfrm, self.name, self.settings)

    def facts(self, **more: object) -> Facts:
        made = Facts(
            tuple(whole(r) for r in self.xfrm.sas()),
            tuple(r.policy for r in self.xfrm.policies()),
            features=Features(migrate_state=self.engine.profile != LINUX_6_12),
        )
        return replace(made, **more)  # type: ignore[arg-type]

    def plan(self, wish: Wish, options: Options | None = None, **more: object) -> Plan:
        plan = make_plan(wish, self.facts(**more), options or Options())
        plan.check()
        return plan

    def driver(
        self,
        transport: Transport | None = None,
        *,
        listener: Listener | None = None,
        journal: str = "journal.db",
    ) -> Driver:
        made = Journal(self.tmp / journal, boot="boot", durable=False)
        return Driver(
            [self.end(transport)], made, listener=listener, hurry=False, sleep=lambda _: None
        )
