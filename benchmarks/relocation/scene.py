"""Four namespaces in a row, and the SAs and policies of each kind of move.

src -- one ==== two -- dst        one and two are the gateways; src and dst are only used for forwarded traffic
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from pyxfrm.client import Xfrm
from pyxfrm.model import (
    REMOVE,
    Address,
    Algorithm,
    Direction,
    Encap,
    Family,
    Mode,
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
from pyxfrm.relocation.wish import Wish
from pyxfrm.transport.netns import in_netns, open_netns

A, B, C, D = (ip(f"192.0.2.{n}") for n in (1, 2, 101, 102))
A6, C6 = ip("2001:db8::1"), ip("2001:db8::101")
PORT = 9999
KEY = bytes(range(1, 21))


def sh(line: str) -> None:
    """One command; its output where it fails."""
    done = subprocess.run(line.split(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{line}: {done.stderr.strip()}")


NAMES = ("src", "one", "two", "dst")


def network_down() -> None:
    """What :func:`network_up` made, gone."""
    for name in NAMES:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def set_sysctl(netns: str | int, name: str, value: str) -> None:
    """In a network namespace, by its name or that of this process's id. (Not every machine has the program.)"""
    fd = open_netns(netns)
    try:
        path = Path("/proc/sys") / name
        in_netns(fd, lambda: path.write_text(value))
    finally:
        os.close(fd)


def network_up(delay_ms: float) -> None:
    """The namespaces, with addresses, routes and, if asked for, a path that takes its time."""
    # A guest that stood still for a moment must not drop what waits between two veth devices.
    set_sysctl(1, "net/core/netdev_max_backlog", "100000")
    for name in NAMES:
        sh(f"ip netns add {name}")
        sh(f"ip -n {name} link set lo up")
    for left, right, a, b in (
        ("src", "one", "10.1.0.9/24", "10.1.0.1/24"),
        ("one", "two", f"{A}/24", f"{C}/24"),
        ("dst", "two", "10.2.0.9/24", "10.2.0.1/24"),
    ):
        sh(
            f"ip link add {left}-{right} netns {left} type veth peer name {right}-{left} netns {right}"
        )
        sh(f"ip -n {left} addr add {a} dev {left}-{right}")
        sh(f"ip -n {right} addr add {b} dev {right}-{left}")
        sh(f"ip -n {left} link set {left}-{right} up")
        sh(f"ip -n {right} link set {right}-{left} up")
    for name, device, more in (("one", "one-two", (B, A6)), ("two", "two-one", (D, C6))):
        for address in more:
            width, nodad = (24, "") if address.family == Family.INET else (64, "nodad")
            sh(f"ip -n {name} addr add {address}/{width} dev {device} {nodad}")
        set_sysctl(name, "net/ipv4/ip_forward", "1")
        if delay_ms:
            sh(f"tc -n {name} qdisc add dev {device} root netem delay {delay_ms}ms limit 100000")
    _neighbours()
    sh("ip -n one route add 10.2.0.0/24 via 192.0.2.101 src 10.1.0.1")
    sh("ip -n two route add 10.1.0.0/24 via 192.0.2.1 src 10.2.0.1")
    sh("ip -n src route add default via 10.1.0.1")
    sh("ip -n dst route add default via 10.2.0.1")


def _neighbours() -> None:
    """Known from the start: what waits for an ARP answer is no concern of IPsec."""
    for name, device, other, far, theirs in (
        ("one", "one-two", "two", "two-one", (C, D, C6)),
        ("two", "two-one", "one", "one-two", (A, B, A6)),
    ):
        shown = subprocess.run(
            ["ip", "-n", other, "-br", "link", "show", far],
            capture_output=True,
            text=True,
            check=True,
        )
        mac = shown.stdout.split()[2]
        for address in theirs:
            sh(f"ip -n {name} neigh replace {address} lladdr {mac} dev {device} nud permanent")


@dataclass
class Kind:
    """One kind of move: what is there, and the wishes of the first end, there and back."""

    forth: Wish
    back: Wish
    sas: list[Sa] = field(default_factory=list)
    policies: tuple[list[Policy], list[Policy]] = field(default_factory=lambda: ([], []))
    ports: tuple[int, ...] = ()
    hosts: bool = False


def sa(saddr: Address, daddr: Address, spi: int, reqid: int = 1, **more: object) -> Sa:
    """A tunnel SA with AES-GCM and a replay window of 256."""
    made = Sa(
        SaId(daddr, Proto.ESP, spi),
        saddr,
        Mode.TUNNEL,
        (Algorithm.aes_gcm(KEY[:16] + spi.to_bytes(4, "big")),),
        ReplayState.of(256),
        reqid=reqid,
        sel=Selector.any(Family.UNSPEC),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def policies(
    local: Address, remote: Address, nets: tuple[str, str], reqid: int = 1, mode: Mode = Mode.TUNNEL
) -> list[Policy]:
    """Out, in and fwd of one end."""
    made = []
    for way in (Direction.OUT, Direction.IN, Direction.FWD):
        ends, sides = (local, remote), nets
        if way != Direction.OUT:
            ends, sides = ends[::-1], sides[::-1]
        if mode == Mode.TRANSPORT:
            ends = (Address.any(local.family),) * 2
        template = Template(ends[0], ends[1], Proto.ESP, mode, reqid=reqid)
        sel = Selector(network(sides[0]), network(sides[1]))
        made.append(Policy(way, sel, priority=1000, templates=(template,)))
    return made


NETS = ("10.1.0.0/24", "10.2.0.0/24")


def _child(forth: Wish, back: Wish, encap: tuple[int, int] | None = None) -> Kind:
    out = Encap(*encap) if encap else None
    into = Encap(encap[1], encap[0]) if encap else None
    return Kind(
        forth,
        back,
        [sa(A, C, 0x1001, encap=out), sa(C, A, 0x1002, encap=into)],
        (policies(A, C, NETS), policies(C, A, NETS[::-1])),
        (4500, 4501),
    )


def address() -> Kind:
    """The first end's address changes."""
    return _child(Wish(A, C, B), Wish(B, C, A))


def both() -> Kind:
    """Both ends' addresses change."""
    return _child(Wish(A, C, B, D), Wish(B, D, A, C))


def nat() -> Kind:
    """A NAT appears, and goes."""
    return _child(Wish(A, C, encap=Encap(4500, 4500)), Wish(A, C, encap=REMOVE))


def port() -> Kind:
    """A NAT gives another port."""
    there, back = Encap(4501, 4500), Encap(4500, 4500)
    return _child(Wish(A, C, encap=there), Wish(A, C, encap=back), (4500, 4500))


def family() -> Kind:
    """IPv4 to IPv6, and back."""
    return _child(Wish(A, C, A6, C6), Wish(A6, C6, A, C))


def reqid() -> Kind:
    """Another reqid, templates too."""
    return _child(Wish(A, C, reqid=2), Wish(A, C, reqid=1))


def three() -> Kind:
    """Three Child SAs; traffic goes through the first."""
    made = address()
    for n in (1, 2):
        nets = (f"10.1{n}.0.0/24", f"10.2{n}.0.0/24")
        made.sas += [sa(A, C, 0x2001 + 2 * n, n + 1), sa(C, A, 0x2002 + 2 * n, n + 1)]
        made.policies[0].extend(policies(A, C, nets, n + 1))
        made.policies[1].extend(policies(C, A, nets[::-1], n + 1))
    return made


def four() -> Kind:
    """Four SAs and four policies at each end: the yardstick for the blocked window."""
    made = address()
    made.sas += [sa(A, C, 0x2001, 2), sa(C, A, 0x2002, 2)]
    nets = ("10.11.0.0/24", "10.21.0.0/24")
    made.policies[0].extend(policies(A, C, nets, 2))
    made.policies[1].extend(policies(C, A, nets[::-1], 2))
    for end in made.policies:
        end[:] = [p for p in end if p.dir != Direction.FWD]
    return made


def percpu() -> Kind:
    """An SA for CPU 0 each way, and the fallback for all others."""
    made = address()
    fallback = [replace(s, dir=None) for s in made.sas]
    made.sas = fallback
    return made


def percpu_of(end: int) -> list[Sa]:
    """What is installed at one end: directions differ there."""
    made = []
    for cpu, spi in ((None, 0x3001), (0, 0x3011)):
        for saddr, daddr, number in ((A, C, spi), (C, A, spi + 1)):
            way = SaDir.OUT if (saddr == A) == (end == 0) else SaDir.IN
            state = ReplayState.off() if way == SaDir.OUT else ReplayState.of(256)
            made.append(sa(saddr, daddr, number, cpu=cpu, dir=way, replay=state))
    return made


def hosts() -> Kind:
    """Host-to-host transport mode: selectors follow the addresses."""
    made = Kind(Wish(A, C, B), Wish(B, C, A), hosts=True)
    made.sas = [
        sa(A, C, 0x1001, mode=Mode.TRANSPORT, sel=Selector.hosts(A, C)),
        sa(C, A, 0x1002, mode=Mode.TRANSPORT, sel=Selector.hosts(C, A)),
    ]
    ends = (f"{A}/32", f"{C}/32")
    made.policies = (
        policies(A, C, ends, mode=Mode.TRANSPORT),
        policies(C, A, ends[::-1], mode=Mode.TRANSPORT),
    )
    return made


def bare() -> Kind:
    """Nothing protects anything: what the ears must hear."""
    return Kind(Wish(A, C, B), Wish(B, C, A))


KINDS: dict[str, Callable[[], Kind]] = {
    "address": address,
    "both": both,
    "nat": nat,
    "port": port,
    "family": family,
    "reqid": reqid,
    "hosts": hosts,
    "three": three,
    "percpu": percpu,
    "four": four,
    "bare": bare,
}


def install(name: str, kind: Kind, ends: tuple[Xfrm, Xfrm]) -> None:
    """SAs and policies at both ends."""
    for end, xfrm in enumerate(ends):
        for each in percpu_of(end) if name == "percpu" else kind.sas:
            xfrm.add_sa(each)
        for policy in kind.policies[end]:
            xfrm.add_policy(policy)
