"""An interactive shell on the guest's terminal, with job control."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys
import termios
from pathlib import Path
from typing import Any

from pyxfrm.lab.guest.agent import clear
from pyxfrm.lab.line import LINE

__all__ = ["main"]

_TERMINAL = "/dev/tty1"


def main(config: dict[str, Any]) -> None:
    """Give the terminal to the shell; returns when it ends, or the host does.

    The caller leads a new session.
    """
    terminal = os.open(_TERMINAL, os.O_RDWR)
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 1)
    rows, columns = config["terminal_size"]
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    pid = os.fork()
    if pid == 0:
        for fd in (0, 1, 2):
            os.dup2(terminal, fd)
        os.chdir(config["cwd"])
        try:
            os.execvp(config["argv"][0], config["argv"])  # noqa: S606 - what the user asked for
        except OSError as problem:
            print(f"xfrm lab: {config['argv'][0]}: {problem.strerror}")  # noqa: T201
            sys.stdout.flush()
            os._exit(127)
    if not _wait(pid):
        clear(Path(config["run"]))
        return
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    Path(config["run"], "status").write_text(str(code if code >= 0 else 128 - code))


def _wait(pid: int) -> bool:
    """Wait for a process to end; False: the serial line did first, so the host is gone."""
    line = os.open(LINE, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    child = os.pidfd_open(pid)
    ready, _, _ = select.select([child, line], [], [])
    return child in ready
