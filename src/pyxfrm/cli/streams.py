"""What goes to standard error beside a result, and what becomes of a standard output that cannot be written any more."""

from __future__ import annotations

import os
import sys

__all__ = ["mute", "note"]


def note(text: str) -> None:
    """A warning that came with success, on stderr; nothing if it is empty."""
    if text:
        print(f"xfrm: note: {text}", file=sys.stderr)


def mute() -> None:
    """From now on standard output goes nowhere: else Python tries it once more as it exits, and complains."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    if nowhere != 1:
        os.close(nowhere)
