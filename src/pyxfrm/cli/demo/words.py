"""What the terminal and the page both say about part 1."""

from __future__ import annotations

from collections.abc import Iterator

from pyxfrm.cli.demo.account import NOBODY, Row

__all__ = ["LEGEND", "TITLE", "reasons"]

TITLE = "A tunnel moves while packets flow"
LEGEND = (
    "took: from the first call of a move to the last. waited: packets that waited for an SA on the move. gap: the longest time between two arrivals, pauses of this machine included. "
    "lost, twice: packets that never came, or came again. clear: packets on the wire that could be read. reused: packets with a number used before."
)
_REASONS = {
    "XfrmOutNoStates": "found no SA to go out with",
    "XfrmInNoStates": "came in and found no SA",
    "XfrmInStateSeqError": "had a number that was used before",
    "XfrmInTmplMismatch": "came in by an SA that the policy did not ask for yet",
    NOBODY: "went to an address that had been left",
    "socket buffer was full": "found the receive buffer full: this machine was too busy for this rate",
}


def reasons(row: Row) -> Iterator[str]:
    """What became of lost packets, and what reused numbers mean; nothing if there are none."""
    if row.lost:
        causes = [
            f"{n} {_REASONS.get(name, f'were counted as {name}')}"
            for name, n in row.reasons.most_common()
        ]
        why = f": {'; '.join(causes)}" if causes else ""
        yield f"{row.name}: {row.lost} of {row.sent} packets lost{why}."
    if row.reused:
        yield (
            f"{row.name}: {row.reused} packets went out with a number and an IV used before: with AES-GCM, what they carried is no secret any more."
        )
