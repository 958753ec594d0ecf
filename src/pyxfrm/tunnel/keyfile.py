"""Keys of a tunnel in a file, for one use by each end.

The numbers of a tunnel with fixed keys start at 0 whenever an end starts, and a number used twice under one AES-GCM key gives away what the two packets
carried. So a file serves each side once: before it gets its keys, ``used left`` is written to the file and synced to the disk. A second start is refused,
with what to do about it. Each machine has its own copy of the file and its own marks: what no mark can know is whether somebody
copied the file anew, so don't; make a new one.

    # pyxfrm tunnel keys: each side may use them once
    left SPI KEY        what the left side sends with, in hexadecimal
    right SPI KEY
    used left           left has them
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import IO

from pyxfrm.errors import UsageError
from pyxfrm.tunnel.static import Keys

__all__ = ["SIDES", "make_keys", "take_keys"]

SIDES = ("left", "right")
_HEAD = "# pyxfrm tunnel keys: each side may use them once\n"


def make_keys(path: str | Path) -> None:
    """A file of new keys, that only this user may read. UsageError if something is there, or it cannot be written."""
    keys = Keys.fresh()
    text = (
        f"{_HEAD}left {keys.spi_left:#010x} {keys.left.hex()}\n"
        f"right {keys.spi_right:#010x} {keys.right.hex()}\n"
    )
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as why:
        raise UsageError(f"keys {path}: {why.strerror}") from None
    with os.fdopen(fd, "w") as file:
        file.write(text)
        _sync(file)


def take_keys(path: str | Path, side: str) -> Keys:
    """The keys as ``side`` sees them (``left`` is what it sends with), which are used from now on.

    UsageError if they were taken before, if others may read the file, or if it is no such file.
    """
    if side not in SIDES:
        raise UsageError(f"keys {path}: side {side!r} is neither left nor right")
    try:
        with Path(path).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            keys = _read(path, side, file)
            file.seek(0, os.SEEK_END)
            file.write(f"used {side}\n")
            _sync(file)
    except OSError as why:
        raise UsageError(f"keys {path}: {why.strerror}") from None
    return keys if side == "left" else keys.swapped


def _read(path: str | Path, side: str, file: IO[str]) -> Keys:
    if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"keys {path}: others may read it; chmod 600 it, or make a new one")
    found: dict[str, tuple[int, bytes]] = {}
    try:
        for line in file.read(65536).splitlines():
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words == ["used", side]:
                raise UsageError(
                    f"keys {path}: {side} has used them, and a second use would repeat numbers; "
                    "make new ones for both sides (xfrm tunnel keys)"
                )
            if words[0] != "used":
                name, spi, key = words
                found[name] = int(spi, 16), bytes.fromhex(key)
        (spi_left, left), (spi_right, right) = (found[name] for name in SIDES)
    except (ValueError, KeyError) as why:
        if isinstance(why, UsageError):
            raise
        raise UsageError(f"keys {path}: this is no file of keys (xfrm tunnel keys)") from None
    return Keys(left, right, spi_left, spi_right)


def _sync(file: IO[str]) -> None:
    file.flush()
    os.fsync(file.fileno())
