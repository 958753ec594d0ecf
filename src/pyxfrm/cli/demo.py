"""``xfrm demo``: what pyxfrm is about, in two tables and a few sentences.

First the recorded conversations are replayed, to show that the engine answers as Linux does; then a Child SA is moved on that engine in three
ways, to show what the newest of them is good for. Every number comes out of the engine, and sentences follow the numbers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from textwrap import fill

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pyxfrm.cli import replay_view
from pyxfrm.cli.demo_moves import NEW_REQID, OLD_REQID, PROPERTIES, WAYS, Outcome, move
from pyxfrm.cli.replay import run_all
from pyxfrm.transport.recording import bundled
from pyxfrm.transport.replay.session import Report

__all__ = ["main"]

WIDTH = 100

REPLAY = (
    "Linux keeps IPsec's keys and rules, and an IKE daemon tells it about them in netlink messages. pyxfrm has an engine that "
    "answers such messages in Linux's place. Here it plays the kernel's part in recorded conversations between strongSwan and real "
    "kernels: each of its replies and events must be the recorded one, to the last byte."
)
INPUTS = (
    "Inputs are what an engine cannot know, because packets, chance or the clock decided it: they are taken from the recording, if "
    "they are possible, and handed to the engine before it answers. Nothing is left out of the comparison."
)
TUNNEL = (
    "An IPsec tunnel is two SAs (Security Associations), one for each direction. An SA is a key, two addresses, and a counter that "
    "gives every packet its number. No number may be used twice: with AES-GCM, two packets of one number give away what is in them. Policies say "
    "which packets must go through the tunnel; a tunnel for IPv4 and IPv6 has six."
)
MOVE = (
    "Now the host goes to another network and its address changes. SAs and policies must follow. There are three ways to ask for that. "
    "After every call an IPv4 and an IPv6 packet are sent, and we look at where they go."
)
KERNELS = {
    "LINUX_6_12": "6.12",
    "LINUX_7_2": "7.2",
    "LINUX_7_3": "7.3",
    "LINUX_7_3_NOMIG": "7.3, no MIGRATE",
}
COUNTS: dict[str, Callable[[Report], int]] = {
    "messages": lambda report: report.messages,
    "replies": lambda report: report.replies.compared,
    "events": lambda report: report.events.compared,
    "identical": lambda report: report.replies.identical + report.events.identical,
    "differing": lambda report: len(report.differences),
    "inputs": lambda report: report.inputs.total(),
}

Cell = tuple[str, bool | None]  # text, and whether it is good, bad or neither


def main(argv: Sequence[str]) -> int:
    """``xfrm demo``: exit status 0 if no recording differs."""
    argparse.ArgumentParser(
        prog="xfrm demo",
        description="Replay all bundled recordings against the engine, then move a Child SA in three ways.",
    ).parse_args(argv)
    console = Console(highlight=False)
    console.width = min(console.width, WIDTH)
    _title(console, "1. The engine answers as Linux does")
    _paragraph(console, REPLAY)
    files = bundled()
    with replay_view.progress(len(files)) as advance:
        reports, refused = run_all(files, None, advance)
    console.print(_by_kernel(reports))
    console.print()
    _paragraph(console, INPUTS)
    console.print(replay_view.verdict(reports))
    for why in refused.values():
        print(f"xfrm: {why}", file=sys.stderr)
    _title(console, "2. A tunnel moves to another address, in three ways")
    _paragraph(console, TUNNEL)
    _paragraph(console, MOVE)
    outcomes = {name: move(way) for name, way in WAYS.items()}
    console.print(_moves(outcomes))
    console.print()
    for name, outcome in outcomes.items():
        _conclude(console, name, outcome)
    return 2 if refused else int(not all(report.identical for report in reports))


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, "bold"))
    console.print()


def _paragraph(console: Console, text: str) -> None:
    console.print(Text(fill(text, console.width)))
    console.print()


def _table(first: str, others: Sequence[str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _by_kernel(reports: Sequence[Report]) -> Table:
    table = _table("Linux", ["files", *COUNTS])
    for profile in sorted({report.profile for report in reports}):
        of_it = [report for report in reports if report.profile == profile]
        sums = [sum(map(count, of_it)) for count in COUNTS.values()]
        table.add_row(KERNELS.get(profile, profile), *map(str, (len(of_it), *sums)))
    return table


# -- the moves ---------------------------------------------------------------------------------------


def _must_be(value: int, right: int) -> Cell:
    return str(value), value == right


def _yes(value: bool) -> Cell:
    return ("yes" if value else "no"), value


ROWS: dict[str, Callable[[Outcome], Cell]] = {
    "calls for the SAs": lambda o: (str(o.sa_calls), None),
    "calls for the policies": lambda o: (
        str(o.policy_calls) if o.policy_calls else "the same",
        None,
    ),
    "SAs moved, of 2": lambda o: _must_be(o.sas, 2),
    "policies moved, of 6": lambda o: _must_be(o.policies, 6),
    "took the right SA of two alike": lambda o: _yes(o.exact),
    f"new reqid as asked ({OLD_REQID} to {NEW_REQID})": lambda o: _yes(o.reqid == NEW_REQID),
    "packets sent meanwhile": lambda o: (str(o.sent), None),
    "  dropped: found no SA": lambda o: (str(o.no_sa), None),
    "  sent unprotected": lambda o: _must_be(o.clear, 0),
    "  with a number used before": lambda o: _must_be(o.reused, 0),
    "calls after which no SA existed": lambda o: _must_be(o.absent, 0),
    "keys read out of the kernel": lambda o: _must_be(o.keys_read, 0),
}
STYLES = {True: "green", False: "bold red", None: ""}


def _moves(outcomes: dict[str, Outcome]) -> Table:
    table = _table("", list(outcomes))

    def add(name: str, cells: Iterable[Cell]) -> None:
        table.add_row(name, *(Text(text, STYLES[good]) for text, good in cells))

    for name, cell in ROWS.items():
        add(name, [cell(outcome) for outcome in outcomes.values()])
    add("the SA keeps its", ())
    for name in (*PROPERTIES, "sequence number"):
        add(f"  {name}", [_yes(outcome.kept[name]) for outcome in outcomes.values()])
    return table


def _conclude(console: Console, name: str, o: Outcome) -> None:
    """What the numbers of one way mean, in a few sentences."""
    if o.policy_calls:
        said = [f"{o.sa_calls} calls, and {o.policy_calls} for the policies."]
    else:
        said = [f"{o.sa_calls} calls, one a policy. An SA is found by what the policy asks for."]
    if not o.exact:
        said.append("Where two SAs had the same addresses, it took the other one.")
    if o.reqid != NEW_REQID:
        said.append("It cannot give the SA another reqid, the number that ties it to its policies.")
    if o.keys_read:
        said.append(f"Keys left the kernel {_times(o.keys_read)}.")
    if o.reused:
        said.append(
            f"Packets went out between reading and copying, so {o.reused} numbers were used a second time: with AES-GCM, "
            "what those packets carried is no secret any more."
        )
    if o.absent:
        said.append("In between there was no SA: whatever comes or goes then is dropped.")
    if o.exact and not (o.keys_read or o.reused or o.absent):
        said.append(
            "It names the SA. The kernel hands key and counter from the old SA to the new one by itself."
        )
    if o.policy_calls and not o.reused:
        said.append(
            f"Policies are told afterwards, so {o.no_sa} packets were dropped: a daemon blocks or holds traffic meanwhile."
        )
    text = Text(fill(f"{name}: {' '.join(said)}", console.width))
    text.stylize("bold", 0, len(name) + 1)
    console.print(text)
    console.print()


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
