"""The steps of a relocation on a terminal, a line each, as they are done.

No spinner and no bar: they need a thread that draws, and while packets wait, nobody else shall run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from pyxfrm.relocation.commands import Script
from pyxfrm.relocation.describe import in_brief, reply_words

if TYPE_CHECKING:
    from pyxfrm.relocation.driver import Moment

__all__ = ["Steps"]

_NARROW = 20  # columns; words that have less stand under their times


class Steps:
    """A listener for a driver. ``title``: what is done; ``console``: where to, stderr unless told."""

    def __init__(self, title: str, console: Console | None = None) -> None:
        self.console = Console(stderr=True) if console is None else console
        self.title = title

    def __call__(self, moment: Moment) -> None:
        """A step was done."""
        if moment.number == 1:
            self.console.print(Text(self.title, "bold"))
            self.console.print(Text("     ms  took", "dim"))
        said = reply_words(moment.reply)
        fine = not said.startswith(("refused", "no answer"))
        when = f"{1000 * moment.at:7.1f} {1000 * moment.took:5.1f}  "
        words = Text(in_brief(moment.command), "bold" if isinstance(moment.command, Script) else "")
        if said not in ("ok", "read"):
            words.append(f": {said}", "not bold" if fine else "bold red")
        if self.console.width - len(when) < _NARROW:
            self.console.print(Text(when.rstrip(), "dim"))
            when = "  "
        for line in words.wrap(self.console, max(_NARROW, self.console.width - len(when))):
            line.rstrip()
            self.console.print(Text.assemble((when, "dim"), line))
            when = " " * len(when)
