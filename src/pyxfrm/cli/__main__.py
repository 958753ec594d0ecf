"""``python -m pyxfrm.cli`` is ``xfrm``."""

from __future__ import annotations

import sys

from pyxfrm.cli import main

__all__: list[str] = []

sys.exit(main())
