"""What is measured: rows of the tables, and the runs that make them.

A row is made by several runs (*cells*), so that one that is interrupted does not take the others with it; half of them send packets to the end that moves and half from it. Each run
is a world of its own: fresh namespaces, fresh SAs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.relocation.scene import KINDS

__all__ = ["PARTS", "Row", "rows"]

CHUNK = 100  # moves a run, at most


@dataclass(frozen=True)
class Row:
    """One row: ``part`` is its table, ``kernel`` where it is measured, ``cells`` the runs."""

    part: str
    kernel: str
    names: tuple[str, ...]
    cells: list[dict[str, Any]] = field(compare=False)


def rows(part: str, moves: int | None = None) -> list[Row]:
    """The rows of a part; ``moves`` a row instead of what the part asks for."""
    return list(PARTS[part](moves))


def _runs(moves: int, base: dict[str, Any]) -> list[dict[str, Any]]:
    """Runs of ``base``, both ways; of two host addresses only one may send, so there it is one way."""
    flows = ("out",) if base.get("kind") == "hosts" else ("in", "out")
    made = []
    left = moves
    while left > 0:
        for flow in flows:
            many = min(CHUNK, max(1, moves // len(flows)), left)
            if many:
                made.append({**base, "flow": flow, "moves": many})
            left -= many
    return made


def _kinds(moves: int | None) -> Iterator[Row]:
    for rate in (5000, 1000):
        base = {"strategy": "none", "rate": rate, "pause": 0.2}
        yield Row("kinds", "7.2", ("no move", "-", str(rate)), _runs(moves or 100, base))
        for kind in KINDS:
            for strategy in ("migrate-state", "auto"):
                if kind not in ("four", "bare") and not (kind == "hosts" and strategy == "auto"):
                    base = {"kind": kind, "strategy": strategy, "rate": rate}
                    yield Row(
                        "kinds", "7.2", (kind, strategy, str(rate)), _runs(moves or 100, base)
                    )


def _zero(moves: int | None) -> Iterator[Row]:
    """With ``gap``, both ends' addresses change: only then is every flow a make-before-break."""
    for path in ({}, {"delay_ms": 5.0}, {"forward": True}):
        for strategy, kind in (("hold", "address"), ("gap", "both")):
            name = "5 ms" if "delay_ms" in path else "forwarded" if path else "plain"
            base = {"strategy": strategy, "kind": kind, **path}
            yield Row("zero", "7.2", (strategy, name, "5000"), _runs(moves or 1000, base))


def _old(moves: int | None) -> Iterator[Row]:
    """`gap` needs no MIGRATE_STATE where every SA changes its destination at its sender."""
    for strategy, kind in (("migrate", "address"), ("recreate", "address"), ("gap", "both")):
        for rate in (1000, 5000):
            # 6.12 is slower in user mode: at 5,000 packets/s its CPU is never idle.
            base = {"strategy": strategy, "kind": kind, "rate": rate, "gentle": False}
            yield Row("old", "6.12", (kind, strategy, str(rate)), _runs(moves or 100, base))


def _window(moves: int | None) -> Iterator[Row]:
    for kernel, old in (("7.2", False), ("6.12", True)):
        yield Row("window", kernel, ("window",), [{"moves": moves or 100, "old": old}])


PARTS = {"window": _window, "kinds": _kinds, "zero": _zero, "old": _old}
