"""Runs in the lab's kernel: ``xfrm`` commands on its tables."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import Any

from pyxfrm import cli
from pyxfrm.client import Xfrm
from pyxfrm.model import (
    Algorithm,
    Direction,
    Mark,
    Mode,
    Policy,
    Proto,
    ReplayState,
    Sa,
    SaId,
    Selector,
    Template,
    ip,
    network,
)


def sick() -> None:
    """A narrow mark behind a wide one, a template of an address that no SA has, no fwd, an expired time."""
    here, there = ip("192.0.2.10"), ip("198.51.100.1")
    algorithms = (Algorithm.aes_gcm(bytes(range(1, 21))),)
    with Xfrm() as xfrm:
        for mark in (Mark(1, 1), None):
            name = SaId(here, Proto.ESP, 0x100, mark)
            sa = Sa(name, there, Mode.TUNNEL, algorithms, ReplayState.of(32), reqid=1)
            xfrm.add_sa(sa)
        sel = Selector(network("10.2.0.0/16"), network("10.1.0.0/16"))
        old = Template(ip("203.0.113.9"), here, Proto.ESP, Mode.TUNNEL, reqid=1)
        xfrm.add_policy(Policy(Direction.IN, sel, templates=(old,)))


def commands(lines: list[list[str]]) -> list[Any]:
    """Status and output of ``xfrm`` commands, run one after the other on sick tables."""
    sick()
    done = []
    for line in lines:
        out = io.StringIO()
        with redirect_stdout(out):
            status = cli.main(line)
        done.append([status, out.getvalue()])
    return done
