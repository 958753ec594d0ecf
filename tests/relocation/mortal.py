"""Processes that are killed at a chosen system call: run as a program, it does jobs that come as lines of JSON.

For each job it forks a child that relocates over an engine's unix socket, with a journal in a file, and counts the child's system calls by ptrace(2). At the chosen one the child gets
SIGKILL, before the call is made. A child that ends by itself tells how.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pyxfrm.client import Xfrm
from pyxfrm.relocation.driver import Driver
from pyxfrm.relocation.ends import EngineEnd
from pyxfrm.relocation.journal import Journal
from pyxfrm.relocation.record import loads

_TRACEME, _SYSCALL, _SETOPTIONS, _SYSGOOD = 0, 24, 0x4200, 1
_libc = ctypes.CDLL(None, use_errno=True)


class FileEnd(EngineEnd):
    """Settings in a file, so that they outlive the process."""

    def __init__(self, xfrm: Xfrm, identity: str, path: Path) -> None:
        super().__init__(xfrm, identity)
        self.path = path

    def read_sysctl(self, name: str) -> str:
        value: str = json.loads(self.path.read_text())[name]
        return value

    def write_sysctl(self, name: str, value: str) -> None:
        settings = json.loads(self.path.read_text())
        settings[name] = value
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(settings))
        fresh.replace(self.path)


def driver_for(folder: Path) -> Driver:
    """A driver over the engine that serves in ``folder``."""
    xfrm = Xfrm.connect(folder / "engine", timeout=2.0)
    end = FileEnd(xfrm, "engine", folder / "settings")
    return Driver([end], Journal(folder / "journal.db", boot="boot"), sleep=lambda _: None)


def _child(folder: Path) -> None:
    plan = loads((folder / "plan").read_text())
    driver = driver_for(folder)
    if _libc.ptrace(_TRACEME, 0, None, None):
        os._exit(99)
    os.kill(os.getpid(), signal.SIGSTOP)
    outcome = driver.relocate(plan)
    (folder / "outcome").write_text(outcome.state.value)
    os._exit(0)


def run(folder: Path, kill_at: int | None) -> dict[str, Any]:
    """One child; system calls that it made, and whether it was killed."""
    pid = os.fork()
    if pid == 0:
        try:
            _child(folder)
        finally:
            os._exit(98)
    os.waitpid(pid, 0)
    if _libc.ptrace(_SETOPTIONS, pid, None, ctypes.c_void_p(_SYSGOOD)):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return {"error": "ptrace is not permitted here"}
    calls, entering, pending = 0, True, 0
    while True:
        if entering and calls == kill_at:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return {"calls": calls, "killed": True}
        _libc.ptrace(_SYSCALL, pid, None, ctypes.c_void_p(pending))
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            return {"calls": calls, "killed": False, "status": os.waitstatus_to_exitcode(status)}
        stop, pending = os.WSTOPSIG(status), 0
        if stop == signal.SIGTRAP | 0x80:
            calls += entering
            entering = not entering
        elif stop != signal.SIGTRAP:
            pending = stop


def main() -> None:
    """Jobs on stdin, answers on stdout."""
    for line in sys.stdin:
        job = json.loads(line)
        sys.stdout.write(json.dumps(run(Path(job["folder"]), job["kill_at"])) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
