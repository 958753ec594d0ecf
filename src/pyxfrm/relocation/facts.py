"""What a plan is made from: one look at a namespace, as values.

The functions here read text of ``/proc`` that somebody else opened; they do no IO.

* ``/proc/net/netlink`` tells who holds a NETLINK_XFRM socket and which multicast groups it has joined. A socket in ACQUIRE or EXPIRE
  belongs to a key manager: an IKE daemon, which believes that the SAs are its own (net/netlink/af_netlink.c: netlink_native_seq_show).
* ``/proc/net/fib_trie`` and ``/proc/net/if_inet6`` list the addresses of interfaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyxfrm.abi.xfrm import XFRMNLGRP_ACQUIRE, XFRMNLGRP_EXPIRE
from pyxfrm.client.doctor import parse_netlink
from pyxfrm.model import Address, Family, Policy, Sa, SaId, ip

__all__ = [
    "Facts",
    "Features",
    "Owner",
    "local_addresses",
    "owners",
    "rates",
]

_KEY_MANAGER = 1 << (XFRMNLGRP_ACQUIRE - 1) | 1 << (XFRMNLGRP_EXPIRE - 1)


@dataclass(frozen=True, slots=True)
class Owner:
    """A key manager on this machine. ``name``: of its process, "" where that cannot be told."""

    portid: int
    groups: int
    name: str = ""

    @property
    def hears_acquire(self) -> bool:
        """It has joined the ACQUIRE group: packets without an SA make larval SAs."""
        return bool(self.groups & 1 << (XFRMNLGRP_ACQUIRE - 1))

    def __str__(self) -> str:
        return f"{self.name or 'a process'} (netlink port {self.portid})"


@dataclass(frozen=True, slots=True)
class Features:
    """What this kernel and this process can do; each was probed, none is guessed from a version.

    ``migrate_state``  XFRM_MSG_MIGRATE_STATE
    ``migrate``        XFRM_MSG_MIGRATE
    ``keys``           an SA's keys can be read (no lockdown)
    ``hold``           net.core.xfrm_larval_drop can be written
    ``dual``           tc is at hand, to accept packets at both addresses
    """

    migrate_state: bool = True
    migrate: bool = True
    keys: bool = True
    hold: bool = True
    dual: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """One namespace as it was seen.

    ``addresses``  of its interfaces; None: nobody looked
    ``rates``      packets a second of an SA, where they were measured
    ``delay``      seconds that a packet takes to the peer, one way
    """

    sas: tuple[Sa, ...]
    policies: tuple[Policy, ...]
    addresses: frozenset[Address] | None = None
    owners: tuple[Owner, ...] = ()
    features: Features = field(default=Features())
    rates: Mapping[SaId, float] = field(default_factory=dict)
    delay: float = 0.0


def owners(
    text: str, names: Mapping[int, str], *, own: frozenset[int] = frozenset()
) -> tuple[Owner, ...]:
    """Key managers in the text of ``/proc/net/netlink``.

    ``names``  process names by the inode of their socket, where known
    ``own``    netlink ports of the caller, which are left out
    """
    return tuple(
        Owner(socket.portid, socket.groups, names.get(socket.inode, ""))
        for socket in parse_netlink(text, own)
        if socket.groups & _KEY_MANAGER
    )


def local_addresses(fib_trie: str, if_inet6: str) -> frozenset[Address]:
    """Addresses of interfaces, from ``/proc/net/fib_trie`` and ``/proc/net/if_inet6``."""
    found = set()
    last = ""
    for line in fib_trie.splitlines():
        words = line.split()
        if words[:1] == ["|--"]:
            last = words[1]
        elif words == ["/32", "host", "LOCAL"]:
            found.add(ip(last))
    for line in if_inet6.splitlines():
        digits = line.split(" ", 1)[0]
        if len(digits) == 32:
            found.add(Address(Family.INET6, bytes.fromhex(digits)))
    return frozenset(found)


def rates(first: tuple[Sa, ...], second: tuple[Sa, ...], seconds: float) -> dict[SaId, float]:
    """Packets a second of each SA that is in both dumps, which were ``seconds`` apart."""
    before = {sa.id: sa.counters.packets for sa in first if sa.counters}
    return {
        sa.id: max(0, sa.counters.packets - before[sa.id]) / seconds
        for sa in second
        if sa.counters and sa.id in before and seconds > 0
    }
