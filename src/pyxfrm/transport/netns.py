"""Network namespaces: named, by path or by process; and a thread that goes there and comes back never.

Only threads enter a namespace, and one that fails to come back poisons whatever runs in it afterwards. So the work is done in a
thread of its own, which ends in there (man 2 setns). A socket stays in the namespace that it was made in.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from pyxfrm.errors import TransportError, UsageError

__all__ = ["NETNS_DIR", "Netns", "in_netns", "in_new_netns", "open_netns"]

NETNS_DIR = "/run/netns"

Netns = str | int | os.PathLike[str]
T = TypeVar("T")

_CLONE_NEWNET = 0x40000000


def open_netns(netns: Netns) -> int:
    """A file descriptor of a namespace: a name under /run/netns, a path (with a slash), or a pid.

    UsageError if there is none of that name, TransportError if it may not be entered.
    """
    try:
        fd = os.open(_path(netns), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as why:
        raise UsageError(f"network namespace {netns!s}: there is no {why.filename}") from None
    except PermissionError:
        raise TransportError(
            f"network namespace {netns!s}: permission denied; run as root (CAP_SYS_ADMIN)"
        ) from None
    except OSError as why:
        raise UsageError(f"network namespace {netns!s}: {why.strerror}") from None
    if not _is_namespace(fd):
        os.close(fd)
        raise UsageError(f"network namespace {netns!s}: this is no network namespace")
    return fd


def _is_namespace(fd: int) -> bool:
    """Of any kind; setns(2) knows it better."""
    try:
        return os.fstat(fd).st_dev == os.stat("/proc/self/ns/net").st_dev  # noqa: PTH116
    except OSError:
        return True


def _path(netns: Netns) -> str:
    if isinstance(netns, int):
        return f"/proc/{netns}/ns/net"
    if not isinstance(netns, str) or "/" in netns:
        return os.fspath(netns)
    if netns in ("", ".", ".."):
        raise UsageError(f"network namespace {netns!r}: not a name")
    return f"{NETNS_DIR}/{netns}"


def in_netns(fd: int, work: Callable[[], T]) -> T:
    """What ``work`` gives, done in a namespace by a thread of its own. Its exceptions come through."""
    return _in_thread(lambda: _setns(fd), work)


def in_new_netns(work: Callable[[], T]) -> T:
    """The same in a new, empty namespace, which lives as long as something that was opened in it."""
    return _in_thread(_unshare, work)


def _in_thread(go_there: Callable[[], None], work: Callable[[], T]) -> T:
    import threading

    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            go_there()
            result.append(work())
        except BaseException as why:  # noqa: BLE001  # handed to the caller below
            failure.append(why)

    thread = threading.Thread(target=run, name="pyxfrm-netns")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def _setns(fd: int) -> None:
    try:
        _call("setns", fd, _CLONE_NEWNET)
    except PermissionError:
        raise TransportError(
            "entering the network namespace: permission denied; run as root (CAP_SYS_ADMIN)"
        ) from None
    except OSError as why:
        raise UsageError(f"this is no network namespace: {why.strerror}") from None


def _unshare() -> None:
    try:
        _call("unshare", _CLONE_NEWNET)
    except OSError as why:
        raise TransportError(f"making a network namespace: {why.strerror}") from None


def _call(name: str, *arguments: int) -> None:
    call: Any = getattr(os, name, None)  # Python 3.12
    if call is not None:
        call(*arguments)
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
