"""Where packets can end that do not arrive: the kernel's own counters of every namespace, before and after.

A packet that was sent and did not arrive must have a line here or an errno at its sender. Some have both: XFRM counts what it refuses to a local sender, too.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable
from pathlib import Path

__all__ = ["UNCOUNTED", "rises", "shared_snapshot", "snapshot"]

# What a local sender hears and no counter tells: a full hold queue (xdst_queue_output), a full send buffer.
UNCOUNTED = {errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM}

_SNMP = {
    "Ip": ("InHdrErrors", "InAddrErrors", "InDiscards", "OutNoRoutes", "ReasmFails"),
    "Udp": ("NoPorts", "RcvbufErrors", "SndbufErrors", "InCsumErrors"),
}
# Says that a key manager was asked: the packet itself is counted elsewhere. (IpOutDiscards is not here for the same reason.)
_NO_LOSS = {"XfrmAcquireError"}


def snapshot(read: Callable[[str], str]) -> Counter[str]:
    """Every counter of drops of one namespace. ``read`` reads a file in it."""
    found: Counter[str] = Counter()
    for line in read("/proc/thread-self/net/xfrm_stat").splitlines():
        name, value = line.split()
        if name not in _NO_LOSS:
            found[name.removeprefix("Xfrm")] = int(value)
    lines = read("/proc/thread-self/net/snmp").splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        group, *columns = names.replace(":", "").split()
        for name, value in zip(columns, values.split()[1:], strict=True):
            if name in _SNMP.get(group, ()):
                found[f"{group}{name}"] = int(value)
    for line in read("/proc/thread-self/net/dev").splitlines()[2:]:
        device, values = line.split(":")
        columns = values.split()
        found[f"{device.strip()} dropped"] = int(columns[3]) + int(columns[11])
    return found


def shared_snapshot() -> Counter[str]:
    """What is counted once for all namespaces: no room between two devices, no answer of a neighbour."""
    rows = Path("/proc/net/softnet_stat").read_text().splitlines()
    found = Counter({"backlog": sum(int(row.split()[1], 16) for row in rows)})
    for family in ("arp", "ndisc"):
        heads, *rows = Path(f"/proc/1/net/stat/{family}_cache").read_text().splitlines()
        column = heads.split().index("unresolved_discards")
        found["neighbour"] += sum(int(row.split()[column], 16) for row in rows)
    return found


def rises(before: list[Counter[str]], after: list[Counter[str]]) -> dict[str, int]:
    """How far each counter rose, all namespaces together; only those that did."""
    total: Counter[str] = Counter()
    for old, new in zip(before, after, strict=True):
        total.update({name: value - old[name] for name, value in new.items()})
    return {name: value for name, value in sorted(total.items()) if value}
