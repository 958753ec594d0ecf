"""The tables of docs/relocation.md, made from the results: nothing in them is typed by hand.

A table stands between `<!-- measured:PART -->` and `<!-- /measured:PART -->`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.relocation.cells import rows

__all__ = ["brief", "headline", "write"]

Result = dict[str, Any]

SUMS = (
    "moves",
    "sent",
    "lost",
    "unexplained",
    "twice",
    "late",
    "clear",
    "numbers_again",
    "ivs_again",
    "tap_drops",
)
WHO = ("python", "c", "c one by one")


def brief(found: Result) -> Result:
    """What is kept of a run."""
    if "sent" not in found:
        return {way: _medians(by) for way, by in found.items()}
    kept = {key: value for key, value in found.items() if key not in ("arrivals", "sends")}
    spans = kept.pop("windows_us")
    return {**kept, "us": [min(spans), median(spans), max(spans)] if spans else []}


def _medians(by: dict[str, list[tuple[int, int]]]) -> dict[str, list[float]]:
    """Until the last send returned, until all answers were read."""
    return {who: [median(c) for c in zip(*pairs, strict=True)] for who, pairs in by.items()}


def headline(found: Result) -> str:
    """One line about a run."""
    if "sent" not in found:
        return str(brief(found))
    keys = ("strategies", *SUMS, "rate", "account", "refused", "troubles")
    return " ".join(f"{key}={found[key]}" for key in keys if found[key] or key == "lost")


def write(path: Path, results: list[Result]) -> None:
    """Put the tables between their markers."""
    text = path.read_text()
    for part, table in TABLES.items():
        order = [list(row.names) for row in rows(part)]
        mine = [r for r in results if r["part"] == part]
        mine.sort(key=lambda r, order=order: order.index(r["names"]))  # type: ignore[misc]
        marker = re.compile(
            f"(<!-- measured:{part} -->\n).*?(<!-- /measured:{part} -->)", re.DOTALL
        )
        if mine and not marker.search(text):
            raise SystemExit(f"{path} has no place for {part}")
        if mine:
            made = "\n".join([*table(mine), "", _provenance(part, mine), ""])
            text = marker.sub(lambda m, made=made: m[1] + made + m[2], text)  # type: ignore[misc]
    path.write_text(text)


def _provenance(part: str, results: list[Result]) -> str:
    guests = {(r["guest"]["kernel"], *r["guest"].values()): r["guest"] for r in results}
    seen = "; ".join(
        f"Linux {g['kernel']}, watched for {g['watched_s']} s before: {g['pauses_over_1_ms']} pauses "
        f"over 1 ms, the longest {g['longest_us'] / 1000:.1f} ms"
        for g in guests.values()
    )
    return f"`python -m benchmarks.relocation --cpu N --only {part}`. {seen}."


def _by_row(results: list[Result]) -> Iterator[tuple[list[str], list[Result]]]:
    for names in dict.fromkeys(tuple(r["names"]) for r in results):
        yield list(names), [r["found"] for r in results if tuple(r["names"]) == names]


def _traffic(results: list[Result]) -> Iterator[str]:
    yield (
        "| move | strategy | packets/s asked for (sent) | moves | sent | lost | a move | where | late | twice "
        "| clear | numbers again | IVs again | us |"
    )
    yield "|---" * 14 + "|"
    for (kind, _, rate), runs in _by_row(results):
        total = {key: sum(run[key] for run in runs) for key in SUMS}
        moves = max(1, total["moves"])
        strategies = " ".join(sorted({name for run in runs for name in run["strategies"]})) or "-"
        spans = [run["us"][1] for run in runs if run["us"]]
        cells = [
            *(kind, strategies, f"{rate} ({round(median(run['rate'] for run in runs))})"),
            *(total["moves"] or "-", total["sent"], total["lost"]),
            f"{total['lost'] / moves:.3f}" if total["moves"] else "-",
            _where(runs, total["unexplained"]),
            *(total[key] for key in ("late", "twice", "clear", "numbers_again", "ivs_again")),
            round(median(spans)) if spans else "-",
        ]
        yield f"| {' | '.join(map(str, cells))} |"


def _where(runs: list[Result], unexplained: int) -> str:
    """What became of the lost packets: XFRM's counters, and what only senders heard."""
    counted: Counter[str] = Counter()
    for run in runs:
        counted.update(run["account"])
        counted.update({name: n for name, n in run["refused"].items() if name == "EAGAIN"})
    words = [f"{name} {n}" for name, n in sorted(counted.items())]
    return ", ".join([*words, *([f"unknown {unexplained}"] if unexplained > 0 else [])])


def _zero(results: list[Result]) -> Iterator[str]:
    renamed = [{**r, "names": [r["names"][1], r["names"][0], r["names"][2]]} for r in results]
    return _traffic(renamed)


def _window(results: list[Result]) -> Iterator[str]:
    for result in results:
        yield f"Linux {result['guest']['kernel']}:"
        yield ""
        yield "| way | until the last send returned | of C | until all answers were read | of C | of C, one by one |"
        yield "|---" * 6 + "|"
        for way, by in result["found"].items():
            yield f"| {way} | {' | '.join(_shares(by))} |"
        yield ""


def _shares(by: dict[str, list[float]]) -> Iterator[str]:
    sent, read = by["python"]
    yield _numbers(by, 0)
    yield f"{sent / by['c'][0]:.1f}" if "c" in by else "-"
    yield _numbers(by, 1)
    yield f"{read / by['c'][1]:.1f}" if "c" in by else "-"
    yield f"{read / by['c one by one'][1]:.1f}" if "c one by one" in by else "-"


def _numbers(by: dict[str, list[float]], which: int) -> str:
    return " / ".join(f"{by[who][which]:.0f}" if who in by else "-" for who in WHO)


TABLES = {"kinds": _traffic, "zero": _zero, "old": _traffic, "window": _window}
