"""Death at any moment: a fuse that burns one step before each effect, and the effects it sits before.

Effects are: a message that the kernel handles (a batch is cut in its middle, too, which a real kernel does not even do), a commit of the
journal, a change of a setting.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pyxfrm.model import SaId
from pyxfrm.relocation.ends import EngineEnd
from pyxfrm.relocation.journal import Journal, Undo
from pyxfrm.relocation.machine import State
from pyxfrm.transport.base import Transport, Wrapper
from pyxfrm.wire.netlink import frames


def every(stride: int) -> int:
    """How many steps to go between two deaths: all are tried with PYXFRM_EXHAUSTIVE set (minutes)."""
    return 1 if os.environ.get("PYXFRM_EXHAUSTIVE") else stride


class Killed(BaseException):
    """The process is no more."""


class Fuse:
    """``left`` steps to live; None: for ever. ``burnt``: steps so far."""

    def __init__(self, left: int | None = None, each: Callable[[], None] = lambda: None) -> None:
        self.left = left
        self.burnt = 0
        self.each = each

    def burn(self) -> None:
        self.each()
        if self.left is not None and self.burnt >= self.left:
            raise Killed
        self.burnt += 1


class CutTransport(Wrapper):
    """Sends message by message, each behind the fuse."""

    def __init__(self, inner: Transport, fuse: Fuse) -> None:
        super().__init__(inner)
        self.fuse = fuse

    def send(self, data: bytes) -> None:
        for start, end in frames(data):
            self.fuse.burn()
            self.inner.send(data[start:end])
            self.fuse.each()


class CutJournal(Journal):
    """Commits behind the fuse."""

    def __init__(self, path: Path, fuse: Fuse) -> None:
        super().__init__(path, boot="boot", durable=False)
        self.fuse = fuse

    def enter(
        self,
        number: int,
        state: State,
        note: str = "",
        cuts: tuple[tuple[int, SaId, int], ...] = (),
    ) -> None:
        self.fuse.burn()
        super().enter(number, state, note, cuts)

    def remember(self, number: int, undo: Undo) -> Undo:
        self.fuse.burn()
        return super().remember(number, undo)

    def forget(self, number: int, undo: Undo) -> None:
        self.fuse.burn()
        super().forget(number, undo)


class CutEnd(EngineEnd):
    """Settings behind the fuse."""

    def __init__(self, inner: EngineEnd, fuse: Fuse) -> None:
        super().__init__(inner.xfrm, inner.identity, inner.settings)
        self.fuse = fuse

    def write_sysctl(self, name: str, value: str) -> None:
        self.fuse.burn()
        super().write_sysctl(name, value)
