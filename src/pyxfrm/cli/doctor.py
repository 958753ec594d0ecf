"""``xfrm doctor``: what is wrong with the SAs and policies that are there.

The exit status tells a monitoring system how bad it is, apart from 1 (the kernel could not be asked) and 2 (the command line makes no sense):
0 nothing, or only notes; 3 warnings; 4 errors.

``--json`` gives ``{"schema": 1, "doctor": [{"rule": ..., "severity": "error|warning|note", "subject": ..., "reason": ..., "next": ...}]}``, the worst
first.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pyxfrm.cli.arguments import Parser
from pyxfrm.cli.json_table import SCHEMA
from pyxfrm.cli.target import add_engine, add_netns, connect, in_namespace, read_proc_net
from pyxfrm.cli.wrapped import say
from pyxfrm.client import SaRecord, Xfrm
from pyxfrm.client.doctor import (
    RULES,
    Facts,
    Finding,
    Severity,
    Socket,
    examine,
    parse_netlink,
)
from pyxfrm.client.doctor_moves import RULES as MOVES
from pyxfrm.client.probe import probe_marks
from pyxfrm.errors import TransportError
from pyxfrm.model import Address
from pyxfrm.relocation.facts import local_addresses

__all__ = ["main", "parser"]

LARVAL_DROP = Path("/proc/sys/net/core/xfrm_larval_drop")
LOCKDOWN = Path("/sys/kernel/security/lockdown")
PROC = Path("/proc")
STATUS = {Severity.NOTE: 0, Severity.WARNING: 3, Severity.ERROR: 4}


def main(argv: Sequence[str]) -> int:
    """``xfrm doctor [--json] [--engine NAME|PATH] [-n NETNS]``."""
    args = parser().parse_args(argv)
    with Xfrm(transport=connect(args.engine, args.netns)) as client:
        sas = _Sas(client)
        facts = _facts(client, sas, args)
        findings = examine(facts, (*RULES, *MOVES))
    if args.json:
        print(json.dumps({"schema": SCHEMA, "doctor": [_as_json(one) for one in findings]}))
    else:
        for finding in findings:
            _show(finding)
        print(f"{_count(sas.count, 'SA')}, {_policies(facts)}: {_verdict(findings)}")
    return max((STATUS[one.severity] for one in findings), default=0)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser(
        prog="xfrm doctor",
        description="Look for faults in the SAs and policies that are there. Nothing is changed. "
        "Exit status: 0 nothing was found, or only notes; 3 warnings; 4 errors; 1 the kernel could not be asked.",
    )
    made.add_argument("--json", action="store_true", help="JSON instead of text")
    add_engine(made)
    add_netns(made)
    return made


class _Sas:
    """The SAs that are there, asked for each time that they are gone through; ``count``: how many there were."""

    def __init__(self, client: Xfrm) -> None:
        self._client = client
        self.count = 0

    def __iter__(self) -> Iterator[SaRecord]:
        self.count = 0
        for record in self._client.sas():
            self.count += 1
            yield record


def _facts(client: Xfrm, sas: Iterable[SaRecord], args: argparse.Namespace) -> Facts:
    policies = list(client.policies())
    exact = client.run(probe_marks())
    if args.engine is not None:
        return Facts(sas, policies, exact)
    sockets = _sockets(args.netns, client.transport.portid)
    there = _addresses(args.netns), _larval_drop(args.netns)
    return Facts(sas, policies, exact, sockets, _lockdown(), *there)


def _addresses(netns: str | None) -> frozenset[Address] | None:
    try:
        fib_trie = read_proc_net("fib_trie", netns)
    except TransportError:
        return None  # no /proc here, or no IPv4: it cannot be told
    try:
        return local_addresses(fib_trie, read_proc_net("if_inet6", netns))
    except TransportError:
        return local_addresses(fib_trie, "")


def _larval_drop(netns: str | None) -> str:
    try:
        return in_namespace(netns, LARVAL_DROP.read_text).strip()
    except OSError:
        return ""


def _sockets(netns: str | None, own: int) -> list[Socket]:
    try:
        text = read_proc_net("netlink", netns)
    except TransportError:
        return []  # no /proc here: the rule has nothing to look at
    return [socket._replace(owner=_owner(socket)) for socket in parse_netlink(text, (own,))]


def _owner(socket: Socket) -> str:
    """The name of the process that has a socket open, "" if it cannot be seen."""
    wanted = f"socket:[{socket.inode}]"
    for fds in (PROC / str(socket.portid) / "fd", *PROC.glob("[0-9]*/fd")):
        try:
            if any(str(fd.readlink()) == wanted for fd in fds.iterdir()):
                return (fds.parent / "comm").read_text().strip()
        except OSError:
            continue
    return ""


def _lockdown() -> str:
    """The word in brackets: ``none [integrity] confidentiality``."""
    try:
        words = LOCKDOWN.read_text().split()
    except OSError:
        return ""
    return next((word.strip("[]") for word in words if word.startswith("[")), "")


def _as_json(finding: Finding) -> dict[str, str]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "subject": finding.subject,
        "reason": finding.reason,
        "next": finding.next_step,
    }


def _show(finding: Finding) -> None:
    say(f"{finding.severity.value}: {finding.subject} [{finding.rule}]")
    say(finding.reason, "    ", "")
    say(f"next: {finding.next_step}", "    ", "      ")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _policies(facts: Facts) -> str:
    return "1 policy" if len(facts.policies) == 1 else f"{len(facts.policies)} policies"


def _verdict(findings: Sequence[Finding]) -> str:
    return _count(len(findings), "finding") if findings else "nothing was found"
