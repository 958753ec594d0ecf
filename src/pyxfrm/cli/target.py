"""Who is asked: the kernel, in a network namespace or this one, or an engine. Options for it, and files of ``/proc/net`` beside it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from pyxfrm.cli.options import OPTIONS
from pyxfrm.errors import TransportError, UsageError
from pyxfrm.transport.netns import in_netns, open_netns

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from pyxfrm.engine import Engine
    from pyxfrm.transport.base import Transport

__all__ = [
    "add_engine",
    "add_netns",
    "connect",
    "engine_named",
    "engine_path",
    "in_namespace",
    "netns_of",
    "read_proc_net",
]

T = TypeVar("T")

_ABOUT = dict(OPTIONS)
PROC_NET = "/proc/thread-self/net"  # of the thread that reads, wherever it has gone


def add_netns(parser: argparse.ArgumentParser) -> None:
    """``-n NETNS``."""
    parser.add_argument(
        "-n",
        "-netns",
        "--netns",
        metavar="NETNS",
        help=_ABOUT["-n NETNS"],
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """``--engine NAME|PATH``."""
    parser.add_argument(
        "--engine",
        metavar="NAME|PATH",
        help=_ABOUT["--engine NAME|PATH"],
    )


def connect(engine: str | None, netns: str | None) -> Transport:
    """A port to the kernel, or to the engine that was asked for."""
    if engine is None:
        from pyxfrm.transport.kernel import KernelTransport

        return KernelTransport(netns_of(netns))
    if netns is not None:
        raise UsageError("--engine and -n: an engine is in no network namespace; give one of them")
    path = engine_path(engine)
    if path is not None:
        from pyxfrm.transport.remote import RemoteTransport

        return RemoteTransport(path)
    from pyxfrm.transport.local import EngineHost

    return EngineHost(engine_named(engine)).connect()


def engine_path(engine: str) -> Path | None:
    """The socket of ``--engine PATH``, or of ``--engine NAME`` if a tunnel's end of this name has one; None: it must be a profile."""
    from pathlib import Path

    if "/" in engine:
        return Path(engine)
    from pyxfrm.tunnel.names import socket_of

    try:
        path = socket_of(engine)
    except UsageError:
        return None
    return path if path.is_socket() else None


def engine_named(engine: str) -> Engine:
    """A fresh engine of the profile that ``--engine NAME`` names; ``7.2`` is short for ``LINUX_7_2``."""
    from pyxfrm.abi.profiles import PROFILES, profile_named
    from pyxfrm.engine import Engine

    try:
        return Engine(profile_named(engine))
    except UsageError:
        known = ", ".join(PROFILES)
        raise UsageError(
            f"--engine {engine}: no such profile ({known}), no tunnel of this name, and no path"
        ) from None


def netns_of(text: str | None) -> str | int | None:
    """A network namespace as ``-n`` names it: digits are a pid."""
    return int(text) if text is not None and text.isdigit() else text


def in_namespace(netns: str | None, work: Callable[[], T]) -> T:
    """What ``work`` gives in a network namespace, or in this one."""
    if netns is None:
        return work()
    fd = open_netns(netns_of(netns) or 0)
    try:
        return in_netns(fd, work)
    finally:
        os.close(fd)


def read_proc_net(name: str, netns: str | None = None) -> str:
    """The text of ``/proc/net/NAME``, as it is in a network namespace."""

    def read() -> str:
        with open(f"{PROC_NET}/{name}", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            return file.read()

    try:
        return in_namespace(netns, read)
    except FileNotFoundError:
        raise TransportError(
            f"/proc/net/{name}: this kernel does not have it (for xfrm_stat: CONFIG_XFRM_STATISTICS)"
        ) from None
    except OSError as why:
        raise TransportError(f"/proc/net/{name}: {why.strerror}") from None
