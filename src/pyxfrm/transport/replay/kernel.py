"""Under which profile a recording runs: its file name says which kernel was recorded.

``A1-v4-linkdown.jsonl`` is of Linux 7.2, ``…@6.12.101.jsonl`` of that release, ``…@7.3.4-nomig.jsonl`` of one built without
CONFIG_XFRM_MIGRATE. Of a version the first two numbers count.
"""

from __future__ import annotations

import re
from pathlib import Path

from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, LINUX_7_3, Profile
from pyxfrm.errors import UsageError

__all__ = ["profile_of"]

_RELEASES = {"6.12": LINUX_6_12, "7.2": LINUX_7_2, "7.3": LINUX_7_3}
_SUFFIX = re.compile(r"(\d+\.\d+)(?:\.\d+)*(-nomig)?").fullmatch


def profile_of(path: Path) -> Profile:
    """The profile that a recording's file name asks for."""
    _, at, suffix = path.name.removesuffix(".jsonl").partition("@")
    if not at:
        return LINUX_7_2
    parts = _SUFFIX(suffix)
    base = _RELEASES.get(parts[1]) if parts else None
    if parts is None or base is None:
        raise UsageError(
            f"{path}: was recorded on {suffix!r}, which no profile covers: choose one with --profile"
        )
    return base._replace(name=f"{base.name}_NOMIG", migrate=False) if parts[2] else base
