"""A port that hears the events of other network namespaces, too, and tells which one each came from.

NETLINK_LISTEN_ALL_NSID (net/netlink/af_netlink.c: netlink_setsockopt, do_one_broadcast): events of each namespace that has a number here (``ip netns set``) come
with that number beside them. Needs CAP_NET_BROADCAST here and there.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import Any

from pyxfrm.abi.netlink import NETLINK_LISTEN_ALL_NSID, SOL_NETLINK
from pyxfrm.transport.kernel import KernelTransport, failed

__all__ = ["EverywhereTransport"]

_NSID = struct.Struct("=i")


class EverywhereTransport(KernelTransport):
    """A netlink socket beside another one, in its namespace.

    ``nsid``  the number, here, of the namespace that the last datagram came from; None: from this one
    """

    def __init__(self, beside: KernelTransport, groups: Iterable[int] = ()) -> None:
        self.nsid: int | None = None
        self._receive_buffer = beside._receive_buffer
        self._socket = beside._open_beside()
        try:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1)
        except OSError as why:
            self._socket.close()
            raise failed("listening to other network namespaces", why) from None
        self._set_up(groups)

    def _receive(self) -> tuple[int, Any]:
        size, beside, _, sender = self._socket.recvmsg_into(
            [self._buffer], socket.CMSG_SPACE(_NSID.size), socket.MSG_TRUNC
        )
        self.nsid = None
        for level, kind, data in beside:
            if (level, kind) == (SOL_NETLINK, NETLINK_LISTEN_ALL_NSID):
                number: int = _NSID.unpack(data)[0]
                self.nsid = None if number < 0 else number
        return size, sender
