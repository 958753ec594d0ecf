"""System calls that Python 3.11 does not offer, through ctypes. Each raises OSError."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

__all__ = [
    "lo_up",
    "mount",
    "new_network_namespace",
    "pivot_root",
    "power_off",
]

_CLONE_NEWNET = 0x40000000
_MNT_DETACH = 2
_POWER_OFF = 0x4321FEDC  # RB_POWER_OFF, reboot(2)
_SYS_PIVOT_ROOT = 155  # x86_64
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(failed: int, what: str) -> None:
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    arguments = (source.encode(), target.encode(), kind.encode(), flags, data.encode() or None)
    _check(_libc.mount(*arguments), f"mount {kind} on {target}")


def pivot_root(new: str) -> None:
    """Make the mount at ``new`` the root of this mount namespace and let go of the old one.

    Both are stacked on one directory for a moment, so no place for the old root is needed
    (pivot_root(2), "pivot_root(".", ".")").
    """
    os.chdir(new)
    _check(_libc.syscall(_SYS_PIVOT_ROOT, b".", b"."), f"pivot_root {new}")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount the old root")
    os.chdir("/")


def new_network_namespace() -> None:
    """unshare(2): this thread gets a network namespace of its own, with ``lo`` down."""
    _check(_libc.unshare(_CLONE_NEWNET), "unshare(CLONE_NEWNET)")


def lo_up() -> None:
    """Bring the loopback device of this network namespace up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack_from("h", fcntl.ioctl(sock, _SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def power_off() -> None:
    """End this machine at once."""
    os.sync()
    _check(_libc.reboot(ctypes.c_int(_POWER_OFF)), "reboot")
