"""What this process may do: root in a container often may not."""

from __future__ import annotations

import socket
from functools import cache

import pytest

from pyxfrm.errors import XfrmError
from pyxfrm.transport.netns import in_new_netns
from pyxfrm.tunnel import Tun

__all__ = ["needs_devices", "needs_raw", "needs_v6", "raw_sockets"]


@cache
def raw_sockets() -> bool:
    """Raw sockets (CAP_NET_RAW)."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, 50).close()
    except OSError:
        return False
    return True


@cache
def devices() -> bool:
    """Network namespaces and TUN devices in them (CAP_SYS_ADMIN, CAP_NET_ADMIN, /dev/net/tun)."""
    try:
        in_new_netns(lambda: Tun().close())
    except XfrmError:
        return False
    return True


def _loopback6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_v6 = pytest.mark.skipif(not _loopback6(), reason="this machine has no ::1")
needs_raw = pytest.mark.skipif(not raw_sockets(), reason="raw sockets need CAP_NET_RAW")
needs_devices = pytest.mark.skipif(
    not devices(), reason="TUN devices need root; the lab's kernel has them"
)
