"""The door into the guest's side: ``python -IS start.py ROLE ARGUMENT...``.

Run as a file, with neither site nor environment, since the guest's first process has neither; it
finds its own package by where it lies.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__: list[str] = []


def _enter(role: str, *arguments: str) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    from pyxfrm.lab.guest import init, modprobe

    programs: dict[str, Callable[..., None]] = {"init": init.main, "modprobe": modprobe.main}
    programs[role](*arguments)


if __name__ == "__main__":
    _enter(*sys.argv[1:])
