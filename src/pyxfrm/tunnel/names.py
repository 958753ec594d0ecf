"""Where ends that run on this machine serve their engines: a directory of sockets, one a name.

``$XDG_RUNTIME_DIR/pyxfrm``; for root ``/run/pyxfrm``; else ``/tmp/pyxfrm-UID``. It belongs to the user, and nobody else may enter it.
"""

from __future__ import annotations

import os
import re
import socket
import stat
from contextlib import suppress
from pathlib import Path

from pyxfrm.errors import UsageError

__all__ = ["directory", "running", "socket_of", "tidy"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def directory(*, make: bool = False) -> Path:
    """The directory. ``make``: if it is not there. UsageError if it is not this user's alone."""
    uid = os.geteuid()
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base:
        path = Path(base) / "pyxfrm"
    else:
        path = Path("/run/pyxfrm") if uid == 0 else Path(f"/tmp/pyxfrm-{uid}")  # noqa: S108  # checked below
    if make:
        try:
            path.mkdir(mode=0o700, exist_ok=True)
        except OSError as why:
            raise UsageError(f"{path}: cannot make this directory: {why.strerror}") from None
    try:
        found = path.lstat()
    except FileNotFoundError:
        return path
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
        raise UsageError(f"{path}: is not a directory of this user alone; remove it")
    return path


def socket_of(name: str, *, make: bool = False) -> Path:
    """The socket of the end called ``name``, whether it runs or not."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"tunnel {name!r}: a name has letters, digits, and . _ - inside")
    return directory(make=make) / name


def tidy() -> None:
    """Remove the directory if nobody has a socket there any more."""
    with suppress(OSError, UsageError):
        directory().rmdir()


def running() -> list[tuple[str, bool]]:
    """Names with a socket, and whether somebody serves there."""
    try:
        paths = sorted(directory().iterdir())
    except FileNotFoundError:
        return []
    return [(path.name, _serves(path)) for path in paths if path.is_socket()]


def _serves(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
