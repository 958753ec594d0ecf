"""Two namespaces on one wire: in ``ours`` a pyxfrm end behind a TUN device, in ``theirs`` the kernel's own XFRM.

ours: 10.9.0.1 on a TUN device, 192.0.2.1-4 and 2001:db8::1-4 on the wire
theirs: 10.9.0.2 on lo, 192.0.2.101-104 and 2001:db8::101-104 on the wire; UDP sockets that take ESP
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from benchmarks.relocation.scene import set_sysctl, sh
from benchmarks.tunnel.bystanders import Bystanders
from pyxfrm.client import Request, Xfrm, verbs
from pyxfrm.model import Action, Direction, Policy, ip, network
from pyxfrm.relocation import haste
from pyxfrm.transport.netns import in_netns, open_netns
from pyxfrm.tunnel import Keys, Point, Static

NAMES = ("ours", "theirs")
INSIDE = ("10.9.0.1", "10.9.0.2")
PORTS = tuple(range(4500, 4508))
_UDP_ENCAP, _ESPINUDP = 100, 2
_V4 = ("192.0.2.{}", 24)
_V6 = ("2001:db8::{}", 64)
COUNT = 4
LONGEST = 0.05  # seconds that who is in the middle of sending is waited for
BETWEEN = 0.002  # seconds for both directions to flow


def addresses(name: str) -> list[str]:
    """With their prefix lengths."""
    base = 1 if name == "ours" else 101
    return [f"{form.format(base + n)}/{width}" for form, width in (_V4, _V6) for n in range(COUNT)]


def network_up() -> None:
    """The namespaces and the wire. Neighbours are known from the start: what waits for ARP is no concern of IPsec."""
    for name in NAMES:
        sh(f"ip netns add {name}")
        sh(f"ip -n {name} link set lo up")
    sh("ip link add wire netns ours type veth peer name wire netns theirs")
    for name in NAMES:
        for address in addresses(name):
            nodad = "nodad" if ":" in address else ""
            sh(f"ip -n {name} addr add {address} dev wire {nodad}")
        sh(f"ip -n {name} link set wire up")
    for name, other in (NAMES, NAMES[::-1]):
        shown = subprocess.run(
            ["ip", "-n", other, "-br", "link", "show", "wire"],
            capture_output=True,
            text=True,
            check=True,
        )
        mac = shown.stdout.split()[2]
        for address in addresses(other):
            host = address.partition("/")[0]
            sh(f"ip -n {name} neigh replace {host} lladdr {mac} dev wire nud permanent")
    sh(f"ip -n theirs addr add {INSIDE[1]}/32 dev lo")
    sh(f"ip -n theirs route add {INSIDE[0]}/32 dev wire src {INSIDE[1]}")
    # The tap sees packets as they are on the wire, not runs of them.
    for name in NAMES:
        sh(f"ip -n {name} link set wire gso_max_segs 1")
    # A guest that stood still for a moment must not drop what waits on the wire.
    set_sysctl(1, "net/core/netdev_max_backlog", "100000")
    # While an SA has moved and its policy has not, the kernel keeps packets instead of dropping them.
    set_sysctl("theirs", "net/core/xfrm_larval_drop", "0")


def network_down() -> None:
    """What :func:`network_up` made, gone."""
    for name in NAMES:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def open_ports(stack: ExitStack) -> None:
    """Sockets of the kernel's side that take ESP in UDP."""
    fd = open_netns("theirs")
    stack.callback(os.close, fd)
    for family in (socket.AF_INET, socket.AF_INET6):
        for port in PORTS:
            sock = in_netns(fd, lambda family=family: socket.socket(family, socket.SOCK_DGRAM))  # type: ignore[misc]
            stack.callback(sock.close)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_UDP, _UDP_ENCAP, _ESPINUDP)
            sock.bind(("", port))


def place(name: str, number: int, *, v6: bool, port: int | None) -> Point:
    """One of a side's addresses."""
    base = 1 if name == "ours" else 101
    return Point(ip((_V6 if v6 else _V4)[0].format(base + number % COUNT)), port)


def first() -> Static:
    """The tunnel as it is at the start, as our side sees it."""
    inside = [[network(address)] for address in INSIDE]
    here, there = (place(name, 0, v6=False, port=4500) for name in NAMES)
    return Static(Keys.fresh(), here, there, *inside)


class Mover:
    """Moves both sides together, one direction after the other, the receiver first; a batch of requests is one send. What is to be sent in a direction
    waits while it moves, on each side by its own means:

    theirs   in the kernel's policy queue: a template that no SA has, a drain, the SA, and the real policy as the kick (`hold` of docs/relocation.md).
             The drain is for who stands between the lookup of an SA and its use (:mod:`benchmarks.tunnel.bystanders`). What is on the wire needs none: we take what comes to our old place
    ours     behind a block policy in the place of the real one, as the end was told to ``hold``. The kernel has one place only, so what is on the wire must arrive before it moves
             (it is a veth, so that can be seen; a longer wire would need its delay). There is nothing else to wait for: one thread seals, sends and answers, so what had its SA
             when the block came was sent before the answer

    ``others``  the threads that may be sending; to be made anew when there are others
    ``waits``  seconds that each direction was stopped by each move: (ours to theirs, theirs to ours)
    """

    def __init__(self, view: Static, ours: Xfrm, theirs: Xfrm) -> None:
        self.view = view
        self.ours = ours
        self.theirs = theirs
        self.waits: list[tuple[float, float]] = []
        self.others = Bystanders()

    def move(self, here: Point, there: Point) -> None:
        """One move of both ends."""
        view, new = self.view, self.view.moved(here, there)
        theirs = view.mirror()
        block = verbs.update_policy(replace(_out(view), action=Action.BLOCK, templates=()))
        hold = verbs.update_policy(_holding(theirs))
        (our_out, our_in), (their_out, their_in) = _halves(view, new), _halves(theirs, new.mirror())
        _all(self.ours, our_in)
        since = time.monotonic()
        _all(self.theirs, [hold])
        self.others.pass_by(LONGEST)  # not in a hurry: they are to get the CPU before we do
        with haste.hurry():
            _all(self.theirs, their_out)
            waited = time.monotonic() - since
        time.sleep(BETWEEN)
        with haste.hurry():
            since = time.monotonic()
            _all(self.ours, [block])
            while not self.others.all_is_received():
                time.sleep(haste.CHANCE)
            _all(self.theirs, their_in)
            _all(self.ours, our_out)
            self.waits.append((time.monotonic() - since, waited))
        self.view = new


def _halves(view: Static, new: Static) -> tuple[list[Request[Any]], list[Request[Any]]]:
    """The requests that move what goes out, and what comes in: an SA, and its policies."""
    out, into = ([verbs.migrate_sa(one)] for one in view.migrations(new))
    for policy in new.policies():
        (out if policy.dir is Direction.OUT else into).append(verbs.update_policy(policy))
    return out, into


def _all(xfrm: Xfrm, requests: Iterable[Request[Any]]) -> None:
    for ticket in xfrm.batch(requests):
        ticket.result()


def _out(view: Static) -> Policy:
    (policy,) = (policy for policy in view.policies() if policy.dir == Direction.OUT)
    return policy


def _holding(view: Static) -> Policy:
    policy = _out(view)
    (template,) = policy.templates
    return replace(policy, templates=(replace(template, reqid=template.reqid ^ 1 << 31),))
