"""Settings that a relocation changes and puts back: a sysctl, rules of tc.

What a setting was is in the journal before it is changed, for whoever comes next if this process dies. It is remembered here, too: a disk that fails meanwhile keeps nobody from putting
settings back. What cannot be put back stays in the journal, whose relocation stays open for it, and is told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from pyxfrm.errors import XfrmError
from pyxfrm.relocation import record
from pyxfrm.relocation.dual import Rule
from pyxfrm.relocation.ends import End
from pyxfrm.relocation.journal import Journal, Undo

__all__ = ["Settings"]


class Settings:
    """The settings of one relocation (``number``, in the journal) at its ends."""

    def __init__(self, ends: Sequence[End], journal: Journal, number: int) -> None:
        self._ends = ends
        self._journal = journal
        self._number = number
        self._ours: list[Undo] = []

    def set_sysctl(self, end: int, name: str, value: str) -> None:
        """Change a sysctl. OSError if it cannot be."""
        self._remember(Undo(end, "sysctl", name, self._ends[end].read_sysctl(name)))
        self._ends[end].write_sysctl(name, value)

    def accept_both(self, end: int, rule: Rule) -> None:
        """Take packets for both addresses. OSError if that cannot be."""
        settled = self._ends[end].settled(rule)
        self._remember(Undo(end, "tc", settled.device, record.dumps(settled)))
        self._ends[end].dual_accept(settled, on=True)

    def put_back(self, kind: str | None = None, name: str = "", end: int = 0) -> list[str]:
        """Put one thing back, or all that is left; a line about each that could not be."""
        troubles = []
        for undo in self._left():
            if kind is not None and (undo.kind, undo.name, undo.end) != (kind, name, end):
                continue
            try:
                self._undo(undo)
            except (OSError, XfrmError) as why:
                reason = getattr(why, "strerror", None) or why
                troubles.append(f"{undo} could not be put back: {reason}")
                continue
            with contextlib.suppress(ValueError):
                self._ours.remove(undo)
            try:
                self._journal.forget(self._number, undo)
            except XfrmError as why:
                troubles.append(f"{undo} was put back, but {why}")
        return troubles

    def _remember(self, undo: Undo) -> None:
        first = self._journal.remember(self._number, undo)
        if first not in self._ours:
            self._ours.append(first)

    def _left(self) -> Iterator[Undo]:
        """What the journal has, which may be from another process, and what it should have."""
        there: list[Undo] = []
        with contextlib.suppress(XfrmError):
            there = self._journal.undos(self._number)
        yield from there
        yield from [undo for undo in self._ours if not any(undo.same(other) for other in there)]

    def _undo(self, undo: Undo) -> None:
        end = self._ends[undo.end]
        if undo.kind == "sysctl":
            end.write_sysctl(undo.name, undo.was)
            return
        rule = record.loads(undo.was)
        assert isinstance(rule, Rule)  # noqa: S101  # only rules are written with this kind
        end.dual_accept(rule, on=False)
