"""``python -m pyxfrm.cli`` is ``xfrm``."""

from __future__ import annotations

from pyxfrm.cli import program

__all__: list[str] = []

program()
