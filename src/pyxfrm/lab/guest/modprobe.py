"""The program behind /proc/sys/kernel/modprobe, so that the kernel's request_module works.

The kernel starts it as ``modprobe -q -- NAME`` for each thing it misses: ``xfrm-type-2-50``,
``net-pf-16-proto-6``, ``crypto-authenc(hmac(sha1),cbc(aes))`` ... Most of these names nothing
answers to, and to start Python only to find that out costs 0.1 s of the guest's time. So the
program is a shell script whose one ``case`` holds all patterns of the modules directory (a shell's
patterns and those of modules.alias are the same language) and which calls Python for a match only.
"""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote

from pyxfrm.lab.modules import ModuleTree

__all__ = ["PLACE", "install", "main", "script"]

PLACE = Path("/run/xfrm-lab/modprobe")
_ORDINARY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:*?[]")


def script(patterns: list[str], command: str) -> str:
    """The shell program; ``command`` is what it runs, with the name as last word, for a match.

    In patterns ``_`` and ``-`` are made equal, as they are in module names; that lets some names
    through to Python that it then refuses.
    """
    cases = "|".join(_pattern(pattern) for pattern in patterns)
    return (
        '#!/bin/sh\nfor name; do :; done\ncase "$name" in\n'
        f'{cases or "-"}) exec {command} "$name" ;;\nesac\nexit 1\n'
    )


def _pattern(pattern: str) -> str:
    quoted = "".join(c if c in _ORDINARY else f"\\{c}" for c in pattern)
    if "[" in quoted:
        return quoted
    return "".join("[-_]" if c in "-_" else c for c in quoted)


def install(tree: ModuleTree, start: str) -> None:
    """Write the program and tell the kernel of it. ``start``: how `guest.start` is run."""
    PLACE.parent.mkdir(parents=True, exist_ok=True)
    PLACE.write_text(script(tree.patterns, f"{start} modprobe {quote(str(tree.root))}"))
    PLACE.chmod(0o755)
    Path("/proc/sys/kernel/modprobe").write_text(str(PLACE))


def main(modules: str, name: str) -> None:
    """Load what ``name`` stands for; exit status 1 when there is nothing or it failed."""
    try:
        found = ModuleTree(Path(modules)).load(name)
    except OSError as problem:
        print(f"modprobe: {problem}", file=sys.stderr)  # noqa: T201 - it is a program's output
        found = False
    sys.exit(0 if found else 1)
