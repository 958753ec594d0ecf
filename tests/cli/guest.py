"""What runs inside the lab's guest: iproute2 and this project's command, side by side."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyxfrm.cli import main
from pyxfrm.cli.options import leading
from pyxfrm.cli.text.event import event
from pyxfrm.cli.text.form import Form
from pyxfrm.cli.text.policy import policy
from pyxfrm.cli.text.state import state
from pyxfrm.client import Xfrm
from pyxfrm.client.events import Acquire
from pyxfrm.errors import XfrmError
from pyxfrm.lab import fetch
from pyxfrm.model import (
    NO_LIMITS,
    Counters,
    Default,
    Direction,
    Family,
    Mark,
    Migration,
    Mode,
    Proto,
    ReplayState,
    SaId,
    Selector,
    StateFlag,
    Template,
    ip,
    network,
)
from pyxfrm.transport.base import ALL_GROUPS
from tests.cli import samples

FORMS = {
    (): Form(keys=True),
    ("-s",): Form(keys=True, stats=True),
    ("-o",): Form(keys=True, oneline=True),
    ("-s", "-o"): Form(keys=True, stats=True, oneline=True),
}


def iproute2(*words: str) -> tuple[int, str, str]:
    """Run iproute2 7.3."""
    done = subprocess.run([*fetch.iproute2().argv, *words], capture_output=True, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode()


def fill(xfrm: Xfrm, seed: int, count: int) -> None:
    for sa in samples.sas(seed, count):
        with suppress(XfrmError):
            xfrm.add_sa(sa)
    for one in samples.policies(seed, count):
        with suppress(XfrmError):
            xfrm.add_policy(one)


def print_both(seed: int) -> list[Any]:
    """Fill the kernel's tables and print them with both; pairs of texts, and how many entries."""
    with Xfrm() as xfrm:
        fill(xfrm, seed, 60)
        pairs: list[Any] = [[xfrm.sad_info().sas, sum(xfrm.spd_info().policies)]]
        for options, form in FORMS.items():
            sas = "".join(state(form, r.raw) for r in xfrm.sas())
            pairs.append([iproute2(*options, "xfrm", "state")[1], sas])
            policies = "".join(policy(form, r.raw) for r in xfrm.policies())
            pairs.append([iproute2(*options, "xfrm", "policy")[1], policies])
        hidden = "".join(state(Form(), r.raw) for r in xfrm.sas())
        pairs.append([iproute2("xfrm", "state", "list", "nokeys")[1], hidden])
    return pairs


NOON = 1_700_000_000  # what the guest's clock is set to before each case


def tables(xfrm: Xfrm) -> list[str]:
    """The kernel's tables, as it shows them, but for the numbers of the request."""
    found = [r.raw[16:].hex() for r in xfrm.sas()] + [r.raw[16:].hex() for r in xfrm.policies()]
    return [*found, str(xfrm.defaults()), str(xfrm.spd_info())]


def this_command(*words: str) -> tuple[int, str, str]:
    """Run this project's command, here."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["--show-keys", *words])
    return status, out.getvalue(), err.getvalue()


def play(argument: list[Any]) -> dict[str, Any]:
    """``[whose, lines before, lines]`` in this empty namespace: what each said, and the tables afterwards; ``late``: a second passed meanwhile, which the tables may show.

    The lines before are this command's business whoever comes next.
    """
    whose, before, lines = argument
    outcomes = []
    with Xfrm() as xfrm:
        time.clock_settime(time.CLOCK_REALTIME, NOON)
        for line in before:
            assert this_command(*shlex.split(line))[0] == 0, line
        late = time.time() >= NOON + 1
        for line in lines:
            words = shlex.split(line)
            time.clock_settime(time.CLOCK_REALTIME, NOON)  # again: a busy machine may take seconds
            if whose == "iproute2":
                ahead = leading(words)
                status, out, err = iproute2(*words[:ahead], "xfrm", *words[ahead:])
            else:
                status, out, err = this_command(*words)
                if "--unchecked" in err:  # another SA would be hit: iproute2 does not mind
                    assert (status, out) == (1, "")
                    status, out, err = this_command("--unchecked", *words)
            outcomes.append([status == 0, out, status, err])
            late = late or time.time() >= NOON + 1
        return {"outcomes": outcomes, "tables": tables(xfrm), "late": late}


def monitor_both(options: list[str]) -> list[str]:
    """Let everything happen that can be told; what iproute2's monitor said, and what this one says."""
    words = [*fetch.iproute2().argv, *options, "xfrm", "monitor"]
    theirs = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    form = Form(keys=True, stats="-s" in options, oneline="-o" in options)
    with Xfrm() as xfrm:
        port = xfrm.transport.sibling(ALL_GROUPS)
        _until_it_listens(theirs.pid)
        happen(xfrm)
        time.sleep(0.2)
        theirs.terminate()
        text = theirs.communicate()[0].decode()
        ours = ""
        while isinstance(data := port.recv(), bytes):
            ours += event(form, data)
        port.close()
    return [text, ours]


_REAL = 0x7F  # the groups that exist; iproute2 asks for others, too


def _until_it_listens(pid: int, least: int = 0) -> int:
    """Until a process has joined these groups, as a mask (0: any): ours joins one after the other. What it has joined then."""
    groups, end = 0, time.monotonic() + 20
    while time.monotonic() < end:
        for line in Path("/proc/net/netlink").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[1] == "6" and columns[9] in _sockets(pid):
                groups = int(columns[3], 16) & 0xFF
                if groups and groups & least == least:
                    return groups
        time.sleep(0.01)
    assert groups, "it does not listen"
    return groups


def _sockets(pid: int) -> set[str]:
    """Inodes of the sockets of a process, which may close some meanwhile."""
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(fd.readlink()).removeprefix("socket:[").removesuffix("]"))
    return found


def happen(xfrm: Xfrm) -> None:
    """Events of every kind that a client can cause."""
    sa = replace(next(samples.sas(1, 1)), id=SaId(PEER, Proto.ESP, 1, Mark(1, 0xFF)), saddr=HERE)
    sa = replace(sa, sel=Selector.any(Family.UNSPEC), dir=None, cpu=None, flags=StateFlag(0))
    sa = replace(sa, mode=Mode.TUNNEL, replay=ReplayState.of(64), limits=NO_LIMITS, context=None)
    xfrm.add_sa(sa)
    xfrm.update_sa(sa)
    counters = Counters(1, 2, NOON, NOON)
    xfrm.set_replay_state(sa.id, counters=counters)
    xfrm.expire_sa(sa.id, hard=False)
    moved = xfrm.migrate_sa(Migration.of(sa, daddr=THERE))
    xfrm.expire_sa(moved.move.new_id, hard=True)
    short = replace(sa, id=replace(sa.id, spi=2, mark=None), replay=ReplayState(32), encap=None)
    xfrm.add_sa(short)
    xfrm.delete_sa(short.id)
    for proto in (Proto.ESP, None):
        xfrm.add_sa(short)
        xfrm.flush_sas(proto)
    policy = replace(next(samples.policies(3, 1)), dir=Direction.OUT, context=None)
    policy = replace(policy, sel=SELECTOR, templates=(TEMPLATE, TEMPLATE), limits=NO_LIMITS)
    xfrm.add_policy(policy)
    xfrm.update_policy(policy)
    xfrm.expire_policy(policy, hard=False)
    xfrm.acquire(Acquire(0, 0, SaId(PEER, Proto.ESP), HERE, SELECTOR, policy, 0))
    xfrm.delete_policy(policy.id)
    xfrm.add_policy(policy)
    xfrm.expire_policy(policy, hard=True)
    xfrm.add_policy(policy)
    xfrm.flush_policies(policy.type)
    xfrm.set_defaults(forward=Default.BLOCK)


PEER, HERE, THERE = ip("198.51.100.1"), ip("192.0.2.1"), ip("203.0.113.1")
SELECTOR = Selector(network("10.1.0.0/16"), network("10.2.0.0/16"))
TEMPLATE = Template(HERE, PEER, Proto.ESP, Mode.TUNNEL, reqid=7)


def monitor_file(argument: list[Any]) -> list[str]:
    """``[options, message in hexadecimal]``: what both say to a file of it."""
    options, data = argument
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(bytes.fromhex(data))
        theirs = iproute2(*options, "xfrm", "monitor", "file", file.name)
        ours = this_command(*options, "monitor", "file", file.name)
    return [theirs[1], ours[1]]


COMMAND = [sys.executable, "-m", "pyxfrm.cli"]
_ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
NSIDS = {"seven": 7, "many": 42, "unnumbered": None}


def monitor_everywhere(_: None) -> list[str]:
    """Events of this namespace and of others, of which some have a number here: what both say of all."""
    for name, nsid in NSIDS.items():
        for words in [["add", name]] + ([["set", name, str(nsid)]] if nsid else []):
            assert iproute2("netns", *words)[0] == 0
    both = [
        subprocess.Popen([*words, "monitor", "all-nsid"], stdout=subprocess.PIPE, env=_ENVIRONMENT)
        for words in ([*fetch.iproute2().argv, "xfrm"], [*COMMAND, "--show-keys"])
    ]
    for one in both:
        _until_it_listens(one.pid, _REAL)
    places: tuple[str | None, ...] = (*NSIDS, None)
    for place in places:
        with Xfrm(place) as xfrm:
            xfrm.add_sa(next(samples.sas(1, 1)))
            xfrm.flush_sas()
            xfrm.add_policy(next(samples.policies(3, 1)))
    time.sleep(0.3)
    for one in both:
        one.terminate()
    return [one.communicate()[0].decode() for one in both]


def monitored_groups(words: list[str]) -> dict[str, list[int]]:
    """Which groups each beginning of a word stands for: iproute2's, and this command's."""
    found = {}
    for word in words:
        masks: list[int] = []
        for command in ([*fetch.iproute2().argv, "xfrm"], COMMAND):
            one = subprocess.Popen(
                [*command, "monitor", word], stdout=subprocess.DEVNULL, env=_ENVIRONMENT
            )
            masks.append(_until_it_listens(one.pid, masks[0] & _REAL if masks else 0))
            one.terminate()
            one.wait()
        found[word] = masks
    return found
