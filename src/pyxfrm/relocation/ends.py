"""One machine, or one network namespace: the things outside netlink that a relocation needs of it.

:class:`KernelEnd` is a namespace of this kernel. :class:`EngineEnd` is an engine, here or behind a unix socket: it has no files, so its settings are where the
caller says.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from pyxfrm.client import Xfrm
from pyxfrm.client.stat import parse
from pyxfrm.closing import Closing
from pyxfrm.errors import UsageError
from pyxfrm.relocation import dual
from pyxfrm.transport.netns import Netns, in_netns, open_netns

__all__ = ["End", "EngineEnd", "KernelEnd"]

T = TypeVar("T")

_NETNS = "/proc/thread-self/ns/net"  # of the thread that opens it, wherever it has gone
_SO_NETNS_COOKIE = 71  # <asm-generic/socket.h>


class End(Protocol):
    """What a driver asks of a machine.

    ``xfrm``  its client; ``identity``: names the namespace in the journal
    """

    @property
    def xfrm(self) -> Xfrm:
        """The client."""

    @property
    def identity(self) -> str:
        """The namespace's name, the same for every process until the machine restarts."""

    def read_sysctl(self, name: str) -> str:
        """A setting's value. OSError if it cannot be read."""

    def write_sysctl(self, name: str, value: str) -> None:
        """Set it. OSError if it cannot be set."""

    def settled(self, rule: dual.Rule) -> dual.Rule:
        """The rule, knowing what was there before it: to be asked before it is added."""

    def dual_accept(self, rule: dual.Rule, *, on: bool) -> None:
        """Add or remove the rules of :mod:`pyxfrm.relocation.dual`. OSError with a line if refused."""

    def counters(self) -> dict[str, int]:
        """The counters of /proc/net/xfrm_stat, their names without ``Xfrm``; {} where there is none."""

    def alone(self) -> AbstractContextManager[None]:
        """Be the only one that relocates there, whatever journals are kept. UsageError if somebody else does."""


class KernelEnd(Closing):
    """A network namespace of this machine. ``netns``: as for :class:`~pyxfrm.client.Xfrm`.

    It is the same namespace to the end, whatever becomes of its name meanwhile. Closing it closes its client; who forgets to lets the collector do it.
    """

    def __init__(self, netns: Netns | None = None, xfrm: Xfrm | None = None) -> None:
        self._fd: int | None = None
        if netns is not None:
            self._fd = open_netns(netns)
            self._closing = weakref.finalize(self, os.close, self._fd)
            netns = f"/proc/self/fd/{self._fd}"
        self.xfrm = Xfrm(netns) if xfrm is None else xfrm

    def close(self) -> None:
        """Close its client, and let the namespace go."""
        self.xfrm.close()
        if self._fd is not None:
            self._closing()

    def within(self, work: Callable[[], T]) -> T:
        """Do something in the namespace."""
        return work() if self._fd is None else in_netns(self._fd, work)

    @property
    def identity(self) -> str:
        """Device and inode of the namespace, and its cookie: a later namespace may get the inode, never the cookie."""
        found = self.within(lambda: Path(_NETNS).stat())
        return "-".join(map(str, (found.st_dev, found.st_ino, *self.within(_cookie))))

    def read(self, path: str) -> str:
        """A file, as the namespace sees it."""
        return self.within(Path(path).read_text)

    def read_sysctl(self, name: str) -> str:
        """From /proc/sys."""
        return self.read(_sysctl_path(name)).strip()

    def write_sysctl(self, name: str, value: str) -> None:
        """To /proc/sys."""

        def write() -> None:
            Path(_sysctl_path(name)).write_text(value)

        self.within(write)

    def settled(self, rule: dual.Rule) -> dual.Rule:
        """The rule, knowing what was there before it."""

        def look() -> bool:
            if "clsact" not in _run(["tc", "qdisc", "show", "dev", rule.device]):
                return False
            show = ["tc", "filter", "show", "dev", rule.device, "ingress"]
            there = _run([*show, "pref", dual.PREFERENCE])
            if there.strip() and dual.DEVICE not in there:
                what = f"{rule.device} has other filters with preference {dual.PREFERENCE}"
                raise OSError(errno.EEXIST, what)
            return True

        return replace(rule, keep_qdisc=self.within(look))

    def dual_accept(self, rule: dual.Rule, *, on: bool) -> None:
        """By ``ip`` and ``tc``."""
        if not dual.supports(rule):
            raise OSError(errno.EAFNOSUPPORT, "tc rewrites addresses of IPv4 alone")

        def set_up() -> None:
            take_down()  # what a process that was killed has left
            for words in dual.mirror_device():
                _run(words)
            Path(f"/proc/sys/net/ipv4/conf/{dual.DEVICE}/rp_filter").write_text("0")
            for words in dual.filters(rule):
                _run(words)

        def take_down() -> None:
            for words in dual.removal(rule):
                with contextlib.suppress(OSError):
                    _run(words)

        self.within(set_up if on else take_down)

    def counters(self) -> dict[str, int]:
        """Every packet that XFRM dropped, by reason."""
        try:
            found = parse(self.read("/proc/thread-self/net/xfrm_stat"))
        except (OSError, UsageError):
            return {}
        return {name.removeprefix("Xfrm"): number for name, number in found.items()}

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """By a lock on the namespace itself, which is one for all processes, and goes with the one that holds it."""
        fd = self.within(lambda: os.open(_NETNS, os.O_RDONLY | os.O_CLOEXEC))
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise UsageError(
                f"another relocation is running in namespace {self.identity}, with another "
                "journal (/proc/locks tells its process); wait for it"
            ) from None
        try:
            yield
        finally:
            os.close(fd)


def _cookie() -> tuple[int, ...]:
    """Of the thread's namespace; none before Linux 5.14 (net/core/sock.c: sk_getsockopt)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        cookie = probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
        return (int.from_bytes(cookie, sys.byteorder),)
    return ()


def _sysctl_path(name: str) -> str:
    return f"/proc/sys/{name.replace('.', '/')}"


def _run(words: list[str]) -> str:
    program = shutil.which(words[0])
    if program is None:
        raise FileNotFoundError(errno.ENOENT, f"{words[0]} is not installed")
    done = subprocess.run(  # noqa: S603  # fixed words and numbers
        [program, *words[1:]], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise OSError(errno.EINVAL, f"{' '.join(words[:3])}: {lines[-1]}")
    return done.stdout


class EngineEnd:
    """An engine. ``settings``: its sysctls, for who has the engine at hand; without, there are none."""

    def __init__(self, xfrm: Xfrm, identity: str, settings: dict[str, str] | None = None) -> None:
        self.xfrm = xfrm
        self.identity = identity
        self.settings = {} if settings is None else settings

    def read_sysctl(self, name: str) -> str:
        """From ``settings``."""
        if name not in self.settings:
            raise FileNotFoundError(errno.ENOENT, "this end has no such setting")
        return self.settings[name]

    def write_sysctl(self, name: str, value: str) -> None:
        """To ``settings``."""
        self.read_sysctl(name)
        self.settings[name] = value

    def settled(self, rule: dual.Rule) -> dual.Rule:
        """As it is."""
        return rule

    def dual_accept(self, rule: dual.Rule, *, on: bool) -> None:
        """An engine has no tc: nothing to add, nothing to remove."""
        if on:
            raise OSError(errno.EOPNOTSUPP, f"no tc here to take packets for {rule.old}")

    def counters(self) -> dict[str, int]:
        """None."""
        return {}

    def alone(self) -> AbstractContextManager[None]:
        """Journals are asked, and nothing else."""
        return contextlib.nullcontext()
