"""What is done: policies added, shown and deleted, and the files that `ip -batch` and C do it from."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pyxfrm.client import Request, verbs
from pyxfrm.client.core import Core
from pyxfrm.model import (
    Address,
    Direction,
    Family,
    Mode,
    Network,
    Policy,
    Proto,
    Selector,
    Template,
    ip,
)

ENDS = (ip("192.0.2.10"), ip("198.51.100.1"))


def policies(count: int) -> list[Policy]:
    """Policies of hosts behind a gateway, each with values of its own: nothing is shared."""
    made = []
    for n in range(count):
        inner = Address(Family.INET, bytes((10, n >> 16 & 255, n >> 8 & 255, n & 255)))
        far = Address(Family.INET, bytes((172, 16, n >> 8 & 255, n & 255)))
        template = Template(*ENDS, Proto.ESP, Mode.TUNNEL, reqid=n + 1)
        sel = Selector(Network.host(inner), Network.host(far))
        made.append(Policy(Direction.OUT, sel, priority=100, templates=(template,)))
    return made


def add_line(policy: Policy) -> str:
    """The same for `ip -batch` and `xfrm -batch`."""
    template = policy.templates[0]
    return (
        f"xfrm policy add {policy.sel} dir out priority {policy.priority} "
        f"tmpl src {template.saddr} dst {template.daddr} proto esp mode tunnel reqid {template.reqid}\n"
    )


def delete_line(policy: Policy) -> str:
    """Likewise."""
    return f"xfrm policy delete {policy.sel} dir out\n"


def datagrams(requests: Iterable[Request[Any]]) -> bytes:
    """A file for ``same``: what the library would send."""
    parts = Core(0).ask_all(requests)
    return b"".join([struct.pack("=I", len(data)) + data for _, data in parts])


class Files:
    """What the programs read, in a folder: ``add`` and ``delete`` as text and as datagrams."""

    def __init__(self, folder: Path, made: list[Policy]) -> None:
        self.text = {"add": folder / "add.batch", "delete": folder / "delete.batch"}
        self.bytes = {"add": folder / "add.bin", "delete": folder / "delete.bin"}
        self.text["add"].write_text("".join(map(add_line, made)))
        self.text["delete"].write_text("".join(map(delete_line, made)))
        self.bytes["add"].write_bytes(datagrams(map(verbs.add_policy, made)))
        self.bytes["delete"].write_bytes(datagrams(verbs.delete_policy(p.id) for p in made))
