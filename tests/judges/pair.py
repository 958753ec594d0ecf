"""Two gateways that run strongSwan, each with an engine where its kernel's XFRM would be.

=========  =======================================  =========================================
           left                                     right
=========  =======================================  =========================================
outside    192.0.2.1, then what a test wants        203.0.113.1, then what a test wants
inside     10.1.0.0/16, fd01::/64                   10.2.0.0/16, fd02::/64
begins     yes                                      no
=========  =======================================  =========================================

Packets between the inner networks go through the engines' data paths, from hand to hand: the cable carries IKE alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pyxfrm.abi.netlink import NLMSG_ERROR
from pyxfrm.abi.profiles import LINUX_7_2, Profile
from pyxfrm.client import Xfrm
from pyxfrm.client.events import Event
from pyxfrm.client.records import PolicyRecord, SaRecord
from pyxfrm.closing import Closing
from pyxfrm.engine import Engine
from pyxfrm.engine.chance import Chance
from pyxfrm.engine.datapath import Action, Datapath
from pyxfrm.model import Direction, SaDir, ip
from pyxfrm.transport.base import Group
from pyxfrm.transport.local import EngineHost
from tests.engine.datapath.support import packet4, packet6, udp
from tests.judges.charon import Charon, Settings, until
from tests.judges.network import DEVICE, Cable, Namespace
from tests.judges.place import standing_in

__all__ = [
    "Clock",
    "End",
    "Gateway",
    "LEFT",
    "Pair",
    "RIGHT",
    "Side",
    "establish",
    "load",
    "packets",
    "pair",
]


@dataclass(frozen=True, slots=True)
class Side:
    """What is fixed about one end."""

    name: str
    first: str
    routes: tuple[str, ...]
    inner: tuple[str, str]
    hosts: tuple[str, str]  # two of the inner ones, an IPv4 and an IPv6
    spis: int  # the first that its engine allocates


LEFT = Side(
    "left",
    "192.0.2.1",
    ("203.0.113.0/24", "2001:db8:2::/64"),
    ("10.1.0.0/16", "fd01::/64"),
    ("10.1.0.7", "fd01::7"),
    0xC1000000,
)
RIGHT = Side(
    "right",
    "203.0.113.1",
    ("192.0.2.0/24", "198.51.100.0/24", "2001:db8:1::/64"),
    ("10.2.0.0/16", "fd02::/64"),
    ("10.2.0.7", "fd02::7"),
    0xC2000000,
)


class Clock:
    """The engines' time: the machine's, and seconds that a test adds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class End(Closing):
    """One end: its namespace, its daemon, and what there is of XFRM, through ``client``."""

    def __init__(self, side: Side, namespace: Namespace, client: Xfrm) -> None:
        self.side = side
        self.namespace = namespace
        self.client = client
        self._events = client.events(Group.SA, Group.POLICY, Group.MIGRATE, Group.EXPIRE)
        self.daemon: Charon

    def sas(self) -> list[SaRecord]:
        """Its SAs."""
        return list(self.client.sas())

    def sa(self, direction: SaDir) -> SaRecord:
        """Its only SA of a direction."""
        (found,) = [sa for sa in self.sas() if sa.dir == direction]
        return found

    def policies(self, direction: Direction | None = None) -> list[PolicyRecord]:
        """Its policies of a direction, or all, but for those of sockets."""
        return [p for p in self.client.policies(direction) if p.dir <= Direction.FWD]

    def events(self) -> list[Event]:
        """What was told since the last call."""
        return self._events.drain()

    def lose(self, host: str) -> None:
        """An outer address goes away."""
        self.namespace.ip(f"address del {host} dev {DEVICE}")

    def gain(self, host: str) -> None:
        """An outer address comes."""
        self.namespace.ip(f"address add {host} dev {DEVICE} nodad")

    def close(self) -> None:
        """Its namespace goes."""
        self._events.close()
        self.client.close()
        self.namespace.close()


class Gateway(End):
    """An end whose XFRM is an engine with a data path.

    ``refusals``  (errno, type of the request) of all that the engine said no to
    """

    def __init__(self, side: Side, namespace: Namespace, profile: Profile, clock: Clock) -> None:
        numbers = count()
        self.refusals: list[tuple[int, int]] = []
        chance = Chance(
            spi=lambda low, high: (
                side.spis + next(numbers) if high > side.spis else low + next(numbers)
            )
        )
        engine = Engine(profile, chance=chance, observer=self._observe)
        self.host = EngineHost(engine, clock)
        self.datapath = Datapath(engine)
        super().__init__(side, namespace, Xfrm(transport=self.host.connect()))

    def _observe(self, port: int, _group: int, datagram: bytes) -> None:
        kind, errno = (int.from_bytes(datagram[a:b], "little") for a, b in ((4, 6), (16, 20)))
        if port and kind == NLMSG_ERROR and errno:
            self.refusals.append((-errno % (1 << 32), int.from_bytes(datagram[24:26], "little")))

    def output(self, packet: bytes) -> tuple[Action, bytes]:
        """A packet on its way out; the daemon hears of it if it is asked for an SA."""
        with self.host.changed:
            verdict = self.datapath.output(packet, self.host.clock())
            self.host.wake()
        return verdict.action, verdict.packet

    def input(self, datagram: bytes) -> tuple[Action, bytes]:
        """A datagram from outside."""
        with self.host.changed:
            verdict = self.datapath.input(datagram, self.host.clock())
            self.host.wake()
        return verdict.action, verdict.packet


@dataclass(frozen=True, slots=True)
class Pair:
    """Both, and what is between them."""

    left: Gateway
    right: Gateway
    cable: Cable
    clock: Clock

    @property
    def both(self) -> tuple[Gateway, Gateway]:
        """Left, right."""
        return self.left, self.right

    @property
    def refusals(self) -> list[tuple[int, int]]:
        """Of both."""
        return self.left.refusals + self.right.refusals

    def establish(self, sas: int = 2, **more: Settings) -> None:
        """As the function does."""
        establish(self.left, self.right, sas, **more)

    def exchange(self, rounds: int = 1) -> None:
        """Packets of both families in both directions: what comes out is what went in."""
        for number in range(rounds):
            for here, there in ((self.left, self.right), (self.right, self.left)):
                for packet in packets(here.side, there.side, number):
                    self.pass_on(packet, here, there)

    def pass_on(self, packet: bytes, here: Gateway, there: Gateway) -> None:
        """Out of one end, sealed, past the NAT, and into the other, as it was."""
        action, sealed = here.output(packet)
        assert action is Action.PROTECTED, (action, here.side.name)
        arriving = self.cable.translated(sealed, outwards=here is self.left)
        assert there.input(arriving) == (Action.DELIVERED, packet)


def load(
    left: End,
    right: End,
    *,
    child: Settings | None = None,
    left_child: Settings | None = None,
    ike: Settings | None = None,
) -> None:
    """The connection ``gw`` with its child ``net``: what is special about both children, about the left end's, and about both connections."""
    for here, there in ((left, right), (right, left)):
        net: Settings = {
            "local_ts": ",".join(here.side.inner),
            "remote_ts": ",".join(there.side.inner),
            "esp_proposals": "aes128gcm16",
            **(child or {}),
            **((left_child or {}) if here is left else {}),
        }
        gw: Settings = {
            "version": "2",
            "proposals": "aes128gcm16-prfsha256-x25519",
            "remote_addrs": there.side.first if here is left else "%any",
            "local": {"auth": "psk", "id": here.side.name},
            "remote": {"auth": "psk", "id": there.side.name},
            "children": {"net": net},
            **(ike or {}),
        }
        secrets = {"ike": {"secret": "known to both"}}
        here.daemon.load({"connections": {"gw": gw}, "secrets": secrets})


def establish(left: End, right: End, sas: int = 2, **more: Settings) -> None:
    """Load, and begin: afterwards both have their ``sas``. ``more`` as of `load`."""
    load(left, right, **more)
    left.daemon.swanctl("--initiate", "--child", "net")
    until("both have their SAs", lambda: len(left.sas()) == len(right.sas()) == sas)


def packets(here: Side, there: Side, number: int = 0) -> Iterator[bytes]:
    """An IPv4 and an IPv6 packet from one end's inner networks to the other's."""
    payload = udp(data=f"{here.name} {number}".encode())
    (from4, from6), (to4, to6) = here.hosts, there.hosts
    yield packet4(ip(from4).packed, ip(to4).packed, payload)
    yield packet6(ip(from6).packed, ip(to6).packed, payload)


@contextmanager
def pair(
    folder: Path,
    *,
    profile: Profile = LINUX_7_2,
    left: Sequence[str] = (),
    right: Sequence[str] = (),
    complaints: str = "",
) -> Iterator[Pair]:
    """Two gateways whose daemons run, with further outer addresses. The daemons take their kernel for the release that ``profile`` names.

    At the end the daemons are stopped, the left one first, and nothing may be left in the engines.
    Of what kernel-netlink complained, each line must have the form of ``complaints``, and if there is such a form, there must be such lines.
    """
    clock = Clock()
    with ExitStack() as stack:
        ends = []
        for side, hosts in ((LEFT, left), (RIGHT, right)):
            namespace = Namespace()
            end = stack.enter_context(Gateway(side, namespace, profile, clock))
            namespace.configure((side.first, *hosts), side.routes)
            start = stack.enter_context(standing_in(end.host, profile))
            end.daemon = Charon(folder / side.name, namespace, start)
            stack.callback(end.daemon.stop)
            ends.append(end)
        one, other = ends
        cable = stack.enter_context(Cable(one.namespace.device, other.namespace.device))
        yield Pair(one, other, cable, clock)
        for end in ends:
            end.daemon.stop()
        assert [(end.sas(), end.policies()) for end in ends] == [([], [])] * 2
        troubles = [line for end in ends for line in end.daemon.troubles()]
        assert [x for x in troubles if not (complaints and re.search(complaints, x))] == []
        assert bool(troubles) == bool(complaints)
