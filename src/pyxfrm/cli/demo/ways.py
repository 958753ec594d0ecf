"""A Child SA moves in three ways, message by message; sentences follow the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.console import Console
from rich.table import Table

from pyxfrm.cli.demo.child import NEW_REQID, OLD_REQID, PROPERTIES, WAYS, Outcome, move
from pyxfrm.cli.demo.paper import Cell, good, paragraph, table

__all__ = ["TITLE", "show"]

TITLE = "A Child SA moves to another address, in three ways"
TUNNEL = (
    "A Child SA is what IKE negotiates: an SA for each direction, and policies that say which packets must go through the tunnel; for IPv4 and IPv6 there are six. No number "
    "of an SA may be used twice: the peer takes the second packet for a replay and drops it; and where the IV is made of the number alone, AES-GCM gives away what is in both."
)
MOVE = (
    "Now the host goes to another network and its address changes. SAs and policies must follow. There are three ways to ask for that. "
    "After every call an IPv4 and an IPv6 packet are sent, and we look at where they go."
)


def show(console: Console) -> int:
    """Move it in each way."""
    paragraph(console, TUNNEL)
    paragraph(console, MOVE)
    outcomes = {name: move(way) for name, way in WAYS.items()}
    console.print(_shown(outcomes))
    console.print()
    for name, outcome in outcomes.items():
        _conclude(console, name, outcome)
    return 0


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


def _shown(outcomes: dict[str, Outcome]) -> Table:
    shown = table("", list(outcomes))

    def add(name: str, cells: Iterable[Cell]) -> None:
        shown.add_row(name, *map(good, cells))

    for name, cell in ROWS.items():
        add(name, [cell(outcome) for outcome in outcomes.values()])
    add("the SA keeps its", ())
    for name in (*PROPERTIES, "sequence number"):
        add(f"  {name}", [_yes(outcome.kept[name]) for outcome in outcomes.values()])
    return shown


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
            f"Packets went out between reading and copying, so {o.reused} numbers were used a second time: those packets are lost, "
            "and where the IV is the number (here, and in some hardware; Linux itself mixes a random number in) they can be read."
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
    paragraph(console, f"{name}: {' '.join(said)}", bold=len(name) + 1)


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
