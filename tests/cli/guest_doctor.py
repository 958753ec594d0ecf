"""Runs in the lab's kernel: ``xfrm`` commands on its tables."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyxfrm import cli
from pyxfrm.client import Xfrm
from pyxfrm.model import (
    Algorithm,
    Direction,
    Limits,
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
from pyxfrm.wire.describe import describe

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}


def here() -> None:
    """The SAs' own address."""
    subprocess.run(["ip", "addr", "add", "192.0.2.10/32", "dev", "lo"], check=True)


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
    here()
    sick()
    done = []
    for line in lines:
        out = io.StringIO()
        with redirect_stdout(out):
            status = cli.main(line)
        done.append([status, out.getvalue()])
    return done


KEY = "aead rfc4106(gcm(aes)) 0x0102030405060708090a0b0c0d0e0f1011121314 128"
SA = "state add src 198.51.100.1 dst 192.0.2.10 proto esp spi 0x100 mode tunnel reqid 1"
OUT = "state add src 192.0.2.10 dst 198.51.100.1 proto esp spi 0x200 mode tunnel reqid 1"
IN = "policy add src 10.2.0.0/16 dst 10.1.0.0/16 dir"
TMPL = "tmpl src 198.51.100.1 dst 192.0.2.10 proto esp mode tunnel reqid 1"
SOUND = (f"{SA} replay-window 32 dir in {KEY}", f"{IN} in {TMPL}", f"{IN} fwd {TMPL}")

# By rule: the lines that bring it about, and how bad it is.
SICK: dict[str, tuple[tuple[str, ...], int]] = {
    "ambiguous-marks": ((f"{SA} mark 1 mask 1 replay-window 32 dir in {KEY}", *SOUND), 4),
    "template-without-sa": (
        (*SOUND, f"{IN} in priority 7 mark 5 {TMPL.replace('198.51.100.1', '203.0.113.9')}",
         f"{IN} fwd priority 7 mark 5 {TMPL}"), 4,
    ),
    "missing-fwd": (SOUND[:2], 3),
    "replay-window": ((f"{SA} dir in {KEY}", *SOUND[1:]), 3),
    "counter-wrap": ((*SOUND, f"{OUT} dir out replay-oseq 0xf8000000 {KEY}"), 4),
    "limit-at-once": ((*SOUND, f"{OUT} dir out limit packet-hard 0 {KEY}"), 4),
    "unreadable-keys": (
        (*SOUND, f"{OUT} dir out aead rfc4106(gcm(aes)) 0x{'00' * 20} 128"), 3,
    ),
    "key-manager": (SOUND, 0),
    "gone-address": (SOUND, 3),
    "blocked": ((*SOUND, f"policy add src 10.3.0.0/16 dst 10.4.0.0/16 dir out action block {TMPL}"), 4),
    "larval-drop": (SOUND, 0),
}  # fmt: skip


def found(rule: str) -> list[Any]:
    """Status and findings of ``xfrm doctor --json`` on tables that have one fault; and its text."""
    lines, _ = SICK[rule]
    if rule != "gone-address":
        here()
    if rule == "larval-drop":
        Path("/proc/sys/net/core/xfrm_larval_drop").write_text("0")
    for line in lines:
        assert cli.main(line.split(" ")) == 0, line
    ear = None
    if rule == "key-manager":
        code = "from pyxfrm.transport.kernel import KernelTransport as K\nk = K(groups=[1]); print(flush=True); input()"
        ear = subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, env=ENVIRONMENT)
        assert ear.stdout is not None
        ear.stdout.readline()
    told = []
    for argv in (["doctor", "--json"], ["doctor"]):
        out = io.StringIO()
        with redirect_stdout(out):
            status = cli.main(argv)
        told.append(out.getvalue())
    if ear is not None:
        ear.kill()
        ear.communicate()
    return [status, *told]


def first_packet(_: None) -> list[str]:
    """What becomes of SAs whose limits are over at once: a hard limit of 0 packets, and a time that is below zero."""
    with Xfrm() as xfrm:
        port = xfrm.transport.sibling([2])
        time_limit = replace(
            Sa(SaId(ip("127.0.0.1"), Proto.ESP, 0x300), ip("127.0.0.2"), Mode.TUNNEL,
               (Algorithm.aes_gcm(bytes(range(1, 21))),), ReplayState.of(32)),
            limits=Limits(hard_add=(1 << 64) - 1000),
        )  # fmt: skip
        xfrm.add_sa(time_limit)
        port.wait(3.0)
        data = port.recv()
        assert isinstance(data, bytes)
        return [str(len(list(xfrm.sas()))), describe(data)]
