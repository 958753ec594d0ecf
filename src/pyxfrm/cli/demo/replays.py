"""The recorded conversations of a key manager and real kernels, replayed: the engine answers as Linux does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from pyxfrm.cli import replay_view
from pyxfrm.cli.demo.paper import paragraph, table
from pyxfrm.cli.replay import run_all
from pyxfrm.transport.recording import bundled
from pyxfrm.transport.replay.session import Report

__all__ = ["TITLE", "show"]

TITLE = "The engine answers as Linux does"
REPLAY = (
    "Linux keeps IPsec's keys and rules, and an IKE daemon tells it about them in netlink messages. pyxfrm has an engine that "
    "answers such messages in Linux's place. Here it plays the kernel's part in recorded conversations between strongSwan and real "
    "kernels: each of its replies and events must be the recorded one, to the last byte."
)
INPUTS = (
    "Inputs are what an engine cannot know, because packets, chance or the clock decided it: they are taken from the recording, if "
    "they are possible, and handed to the engine before it answers. Nothing is left out of the comparison."
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


def show(console: Console) -> int:
    """Replay all; exit status 0 if no recording differs, 2 if one cannot be read."""
    paragraph(console, REPLAY)
    files = bundled()
    with replay_view.progress(len(files)) as advance:
        reports, refused = run_all(files, None, advance)
    console.print(_by_kernel(reports))
    console.print()
    paragraph(console, INPUTS)
    console.print(replay_view.verdict(reports))
    for why in refused.values():
        print(f"xfrm: {why}", file=sys.stderr)
    return 2 if refused else int(not all(report.identical for report in reports))


def _by_kernel(reports: Sequence[Report]) -> Table:
    made = table("Linux", ["files", *COUNTS])
    for profile in sorted({report.profile for report in reports}):
        of_it = [report for report in reports if report.profile == profile]
        sums = [sum(map(count, of_it)) for count in COUNTS.values()]
        made.add_row(KERNELS.get(profile, profile), *map(str, (len(of_it), *sums)))
    return made
