"""One look at a namespace: the facts that a plan is made from.

Two dumps, a few small files of /proc, and the questions of :mod:`pyxfrm.client.probe`; nothing is changed. Probing the old MIGRATE asks it for a policy between addresses that
nobody has (RFC 5737, RFC 3849): ENOENT or ENODATA say that it is there, ENOPROTOOPT that the kernel was built without.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pyxfrm.client import Support, Xfrm, verbs
from pyxfrm.client.doctor import parse_netlink
from pyxfrm.client.probe import probe
from pyxfrm.errors import RefusedError
from pyxfrm.model import (
    AddressMove,
    Direction,
    Mode,
    PolicyMigration,
    Proto,
    Sa,
    SaId,
    Selector,
    ip,
)
from pyxfrm.relocation.copies import readable
from pyxfrm.relocation.ends import End, KernelEnd
from pyxfrm.relocation.facts import Facts, Features, local_addresses, owners, rates
from pyxfrm.relocation.footprint import whole
from pyxfrm.relocation.ways.hold import LARVAL_DROP

__all__ = ["survey"]

_NOBODY = (ip("192.0.2.253"), ip("192.0.2.254"))


def survey(
    end: End,
    *,
    listen: float = 0.0,
    delay: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Facts:
    """Look. ``listen``: seconds to count packets for, 0: no rates; ``delay``: seconds to the peer."""
    sas = _sas(end.xfrm)
    speed: dict[SaId, float] = {}
    if listen:
        sleep(listen)
        later = _sas(end.xfrm)
        speed = rates(sas, later, listen)
        sas = later
    policies = tuple(record.policy for record in end.xfrm.policies())
    features = _features(end, sas)
    if not isinstance(end, KernelEnd):
        return Facts(sas, policies, features=features, rates=speed, delay=delay)
    netlink = end.read("/proc/thread-self/net/netlink")
    managers = owners(netlink, _names(netlink), own=frozenset({end.xfrm.transport.portid}))
    addresses = local_addresses(
        _read(end, "/proc/thread-self/net/fib_trie"), _read(end, "/proc/thread-self/net/if_inet6")
    )
    return Facts(sas, policies, addresses, managers, features, speed, delay)


def _sas(xfrm: Xfrm) -> tuple[Sa, ...]:
    return tuple(whole(record) for record in xfrm.sas())


def _read(end: KernelEnd, path: str) -> str:
    try:
        return end.read(path)
    except OSError:
        return ""  # a kernel without that family


def _features(end: End, sas: tuple[Sa, ...]) -> Features:
    found = end.xfrm.run(probe())
    return Features(
        migrate_state=found.migrate_state is Support.AVAILABLE,
        migrate=_has_migrate(end.xfrm),
        keys=all(readable(sa) for sa in sas),
        hold=_can_hold(end),
        dual=shutil.which("tc") is not None,
    )


def _has_migrate(xfrm: Xfrm) -> bool:
    a, b = _NOBODY
    move = AddressMove(a, b, b, a, Proto.ESP, Mode.TUNNEL, reqid=0xFFFFFFFF)
    try:
        xfrm.call(verbs.migrate(PolicyMigration(Selector.hosts(a, b), Direction.OUT, (move,))))
    except RefusedError as no:
        return no.errno in (errno.ENOENT, errno.ENODATA)
    return True


def _can_hold(end: End) -> bool:
    try:
        end.read_sysctl(LARVAL_DROP)
    except OSError:
        return False
    if not isinstance(end, KernelEnd):
        return True
    return os.access("/proc/sys/" + LARVAL_DROP.replace(".", "/"), os.W_OK)


def _names(netlink: str) -> dict[int, str]:
    """Names of the processes that hold NETLINK_XFRM sockets, by inode; those that may be looked at."""
    wanted = {f"socket:[{socket.inode}]": socket.inode for socket in parse_netlink(netlink)}
    found: dict[int, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        mine = wanted.keys() & set(_links(process / "fd"))
        if mine:
            with contextlib.suppress(OSError):
                name = (process / "comm").read_text().strip()
                found.update((wanted[link], name) for link in mine)
    return found


def _links(folder: Path) -> Iterator[str]:
    """Where links point to, of those that are there long enough to be read and may be looked at."""
    with contextlib.suppress(OSError):
        for link in folder.iterdir():
            with contextlib.suppress(OSError):
                yield str(link.readlink())
