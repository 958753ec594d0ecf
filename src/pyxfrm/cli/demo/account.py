"""What became of every packet of a scene, stretch by stretch, as plain values: the table, the page and the exit status are made of these.

A packet belongs to the stretch in which it was under way. ``lost`` is sent and never arrived; ``reasons`` say what counted it as it went (counters of xfrm_stat at
both ends, errnos, full buffers), and :data:`NOBODY` stands for those that nothing at the ends could count, because they were sent to a place where no socket listened any more.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from pyxfrm.cli.demo.scene import Scene, Stretch

__all__ = ["Account", "NOBODY", "Packet", "Row", "TOTAL", "account_of", "percentile"]

TOTAL = "all"
NOBODY = "nobody listened where it was sent"


class Packet(NamedTuple):
    """One arrival: whose stream (0: from the left, 1: from the right), its number, when it was sent and when it came (seconds since the streams began)."""

    stream: int
    number: int
    sent: float
    arrived: float


@dataclass(frozen=True, slots=True)
class Row:
    """One stretch. Times in seconds.

    ``begin``, ``took``  when it began, and how long its move took from the first call to the last
    ``gap``        the longest time between two arrivals of one stream
    ``latencies``  of what arrived, sorted
    the others     as in :class:`~pyxfrm.cli.demo.scene.Stretch`, or numbers of packets
    """

    name: str
    why: str
    skipped: str
    begin: float
    took: float
    calls: int
    waited: int
    ways: tuple[str, str]
    sent: int
    received: int
    twice: int
    clear: int
    reused: int
    late: int
    gap: float
    latencies: Sequence[float]
    reasons: Counter[str]

    @property
    def lost(self) -> int:
        """Sent, and never came."""
        return self.sent - self.received

    @property
    def bad(self) -> int:
        """Packets with which something is wrong."""
        return self.lost + self.twice + self.clear + self.reused


@dataclass(frozen=True, slots=True)
class Account:
    """One scene.

    ``packets``   each arrival, in the order in which they came
    ``missing``   packets that never came; ``sent``: about when, and ``arrived`` is the same
    ``left_out``  how many were not made, since the machine was too late for them
    """

    rate: float
    rows: Sequence[Row]
    packets: Sequence[Packet]
    missing: Sequence[Packet]
    left_out: int

    @property
    def total(self) -> Row:
        """All stretches together."""
        rows = self.rows
        return Row(
            TOTAL,
            "",
            "",
            0.0,
            sum(row.took for row in rows),
            sum(row.calls for row in rows),
            max((row.waited for row in rows), default=0),
            ("", ""),
            sum(row.sent for row in rows),
            sum(row.received for row in rows),
            sum(row.twice for row in rows),
            sum(row.clear for row in rows),
            sum(row.reused for row in rows),
            sum(row.late for row in rows),
            max((row.gap for row in rows), default=0.0),
            sorted(latency for row in rows for latency in row.latencies),
            sum((row.reasons for row in rows), Counter()),
        )

    @property
    def clean(self) -> bool:
        """Nothing lost, nothing twice, nothing in clear, no number used again; and packets were sent."""
        total = self.total
        return total.bad == 0 and total.sent > 0


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent are not above; 0 of nothing."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def account_of(scene: Scene) -> Account:
    """The account of a scene that was played."""
    packets = sorted(_packets(scene), key=lambda packet: packet.arrived)
    rows = [_row(stretch, packets) for stretch in scene.stretches]
    missing = [
        packet
        for n, side in enumerate(scene.sides)
        for packet in _missing(n, side.stream.sent, [p for p in packets if p.stream == n])
    ]
    left_out = sum(side.stream.skipped for side in scene.sides)
    return Account(scene.rate, rows, packets, missing, left_out)


def _missing(stream: int, sent: int, packets: Sequence[Packet]) -> Iterable[Packet]:
    """Those that never came; when they were sent is read off their neighbours."""
    when = {packet.number: packet.sent for packet in packets}
    known = sorted(when)
    for number in range(sent if known else 0):
        if number not in when:
            at = bisect(known, number)
            low, high = known[max(0, at - 1)], known[min(at, len(known) - 1)]
            part = (number - low) / ((high - low) or 1)
            time = when[low] + part * (when[high] - when[low])
            yield Packet(stream, number, time, time)


def _packets(scene: Scene) -> Iterable[Packet]:
    for n, side in enumerate(scene.sides):
        arrivals = scene.arrivals(side)
        for number, sent, arrived, _ in arrivals.packets if arrivals else ():
            yield Packet(n, number, sent - scene.start, arrived - scene.start)


def _row(stretch: Stretch, packets: Sequence[Packet]) -> Row:
    begin, end = stretch.begin, stretch.end or stretch.begin
    ranges = [range(*each) for each in zip(begin.sent, end.sent, strict=True)]
    ours = [packet for packet in packets if packet.number in ranges[packet.stream]]
    received = len({(packet.stream, packet.number) for packet in ours})
    sent = sum(map(len, ranges))
    reasons = end.reasons - begin.reasons
    unseen = sent - received - reasons.total()
    if unseen > 0:
        reasons[NOBODY] = unseen
    return Row(
        stretch.name,
        stretch.why,
        stretch.skipped,
        begin.at,
        stretch.took,
        stretch.calls,
        stretch.waited,
        stretch.ways,
        sent,
        received,
        len(ours) - received,
        end.clear - begin.clear,
        end.reused - begin.reused,
        end.late - begin.late,
        max(_gaps(packets, begin.at, end.at), default=0.0),
        sorted(packet.arrived - packet.sent for packet in ours),
        reasons,
    )


def _gaps(packets: Sequence[Packet], begin: float, end: float) -> Iterable[float]:
    for n in (0, 1):
        times = [p.arrived for p in packets if p.stream == n and begin <= p.arrived <= end]
        for before, after in pairwise(times):
            yield after - before
