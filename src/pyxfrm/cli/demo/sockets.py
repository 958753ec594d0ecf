"""What the demo asks of this machine's network: ports that are free, whether there is IPv6, and what sockets had no room for."""

from __future__ import annotations

import os
import socket
import struct

from pyxfrm.model import ip
from pyxfrm.tunnel import Point

__all__ = ["bind", "drops", "free", "has_ipv6"]

_BUFFER = 4 << 20  # bytes asked for
_SO_MEMINFO, _MEMINFO = (
    55,
    struct.Struct("=9I"),
)  # include/uapi/linux/sock_diag.h; the last is SK_MEMINFO_DROPS


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def bind(at: Point) -> socket.socket:
    """A UDP socket at a point, which does not block and has as much room as the kernel gives to anybody."""
    sock = socket.socket(_family(str(at.address)), socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.bind((str(at.address), at.port or 0))
    except BaseException:
        sock.close()
        raise
    return sock


def free(host: str) -> Point:
    """An address of this machine, and a UDP port that nobody has there."""
    with socket.socket(_family(host), socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        return Point(ip(host), sock.getsockname()[1])


def has_ipv6() -> bool:
    """Whether something can be sent to ::1."""
    try:
        free("::1")
    except OSError:
        return False
    return True


def drops(sock: socket.socket | int) -> int:
    """Datagrams that came and found the receive buffer full; 0 also where the kernel does not tell (before Linux 4.12)."""
    if isinstance(sock, int):
        with socket.socket(fileno=os.dup(sock)) as other:
            return drops(other)
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    except OSError:
        return 0
    return int(_MEMINFO.unpack(data)[-1]) if len(data) == _MEMINFO.size else 0
