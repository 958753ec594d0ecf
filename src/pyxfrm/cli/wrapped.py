"""Sentences on a terminal: broken where words end, behind an indent; whole lines for whoever reads through a pipe."""

from __future__ import annotations

import shutil
import sys
from textwrap import fill

__all__ = ["say"]


def say(text: str, indent: str = "", hanging: str = "    ") -> None:
    """Print a sentence behind ``indent``; what does not fit on the line follows behind ``indent`` and ``hanging``."""
    whole = indent + text
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        more = indent + hanging
        whole = fill(
            whole, width, subsequent_indent=more, break_long_words=False, break_on_hyphens=False
        )
    print(whole, flush=True)
