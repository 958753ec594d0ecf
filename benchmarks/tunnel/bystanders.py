"""Threads that may stand in the middle of sending a packet, and when they have gone on.

A thread that sends looks up its route and its SA first and transforms the packet later; in between it may have to stand aside (:mod:`pyxfrm.relocation.haste`). Once packets wait for a move,
only a thread that was runnable when they began to can still have the old SA in its hands; and it has none any more as soon as it sleeps, or has had the CPU and given it up again. Both can be
read: its state in /proc/PID/task/TID/stat, and how often it was given a CPU in schedstat beside it.

That is asked here, in place of a sleep of some milliseconds, because this guest lets threads stand aside for longer than that: its scheduler has a clock of 10 ms, so a thread
that was charged a whole tick for a few microseconds stays behind all others until they were charged one, too. Such a thread sends nothing meanwhile, so to wait for it makes no gap longer
than it is anyway.

Not seen are threads that sleep in the middle of sending, for memory or for room in their socket. What a softirq does ends with it, or goes on in ksoftirqd, which is a thread: so what was sent
into a veth has been received to its end when the queue behind it is empty and ksoftirqd sleeps (:meth:`Bystanders.all_is_received`).
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from pyxfrm.closing import Closing

__all__ = ["Bystanders"]

NAP = 0.00025  # seconds
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD, include/linux/sched.h
_SENDERS = (b"ksoftirqd/", b"napi/")  # kernel threads that packets go through
_FLAGS = 6  # in stat, counted from the state
_SOFTNET, _QUEUED = Path("/proc/net/softnet_stat"), 11


class _Thread(NamedTuple):
    """Descriptors of its two files."""

    stat: int
    schedstat: int


class Bystanders(Closing):
    """The threads that there are now, but this one. ``proc``: where they are listed."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._files = ExitStack()
        self._threads: list[_Thread] = []
        self._softirqs: list[_Thread] = []
        for path in proc.glob("[0-9]*/task/[0-9]*"):
            if path.name != str(threading.get_native_id()):
                with suppress(OSError):  # it has ended
                    self._add(path)

    def _add(self, path: Path) -> None:
        stat = self._open(path / "stat")
        name, _, rest = os.read(stat, 1024).partition(b"(")[2].rpartition(b") ")
        if name.startswith(_SENDERS) or not int(rest.split()[_FLAGS]) & _KERNEL_THREAD:
            self._threads.append(_Thread(stat, self._open(path / "schedstat")))
        if name.startswith(_SENDERS):
            self._softirqs.append(self._threads[-1])

    def _open(self, path: Path) -> int:
        fd = os.open(path, os.O_RDONLY)
        self._files.callback(os.close, fd)
        return fd

    def pass_by(self, seconds: float) -> bool:
        """Wait until all that are runnable now have slept or had the CPU, ``seconds`` at most; whether they did."""
        until = time.monotonic() + seconds
        standing = {one: _turns(one) for one in self._threads if _runnable(one)}
        while standing and time.monotonic() < until:
            time.sleep(NAP)
            standing = {
                one: turns
                for one, turns in standing.items()
                if _turns(one) == turns and _runnable(one)
            }
        return not standing

    def all_is_received(self) -> bool:
        """Whether nothing that was sent on this machine waits to be received, or stands in the middle of that (net/core/net-procs.c: softnet_seq_show)."""
        with _SOFTNET.open("rb", buffering=0) as file:
            queued = any(int(line.split()[_QUEUED], 16) for line in file.read().splitlines())
        return not queued and not any(map(_runnable, self._softirqs))

    def close(self) -> None:
        """Close their files."""
        self._files.close()


def _runnable(one: _Thread) -> bool:
    with suppress(OSError):  # it has ended
        return os.pread(one.stat, 1024, 0).rpartition(b") ")[2][:1] == b"R"
    return False


def _turns(one: _Thread) -> bytes:
    """How often it was given a CPU."""
    with suppress(OSError):
        return os.pread(one.schedstat, 128, 0).split()[-1]
    return b""
