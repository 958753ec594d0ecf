"""An interactive shell on the guest's console, with job control."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from typing import Any

__all__ = ["main"]

_CONSOLE = "/dev/tty0"


def main(config: dict[str, Any]) -> None:
    """Give the console to the shell; returns when it ends. The caller leads a new session."""
    console = os.open(_CONSOLE, os.O_RDWR)
    fcntl.ioctl(console, termios.TIOCSCTTY, 1)
    rows, columns = config["terminal_size"]
    fcntl.ioctl(console, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    pid = os.fork()
    if pid == 0:
        for fd in (0, 1, 2):
            os.dup2(console, fd)
        os.chdir(config["cwd"])
        os.execvp(config["argv"][0], config["argv"])  # noqa: S606 - what the user asked for
    os.waitpid(pid, 0)
