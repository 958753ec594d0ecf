"""One netlink socket as the kernel sees it: its address, groups, options, and its receive queue.

The queue is bounded as a socket's receive buffer is. A multicast that does not fit is lost, the port is marked
``overrun``, and the next read reports ENOBUFS once (net/netlink/af_netlink.c: netlink_broadcast_deliver, netlink_overrun).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyxfrm.engine.replies import Dump

__all__ = ["DEFAULT_RCVBUF", "Port", "truesize"]

DEFAULT_RCVBUF = 212_992  # net.core.rmem_default

_SK_BUFF = 256  # sizeof(struct sk_buff), rounded to a cache line, on x86-64
_SHARED_INFO = 320  # sizeof(struct skb_shared_info), rounded


def truesize(length: int) -> int:
    """What a message of ``length`` bytes costs of a receive buffer (SKB_TRUESIZE), in bytes."""
    return ((length + 63) & ~63) + _SK_BUFF + _SHARED_INFO


class Port:
    """A socket bound to ``portid``.

    ``groups``   multicast groups it has joined (XFRMNLGRP_*)
    ``ext_ack``  NETLINK_EXT_ACK: extended-ACK attributes in error messages
    ``cap_ack``  NETLINK_CAP_ACK: the request is not echoed in error messages
    ``capable``  the sender has CAP_NET_ADMIN
    ``rcvbuf``   bytes of receive buffer
    """

    __slots__ = (
        "cap_ack",
        "capable",
        "dump",
        "ext_ack",
        "groups",
        "inbox",
        "max_read",
        "overrun",
        "portid",
        "queued",
        "rcvbuf",
    )

    def __init__(
        self,
        portid: int,
        groups: Iterable[int] = (),
        *,
        ext_ack: bool = False,
        cap_ack: bool = False,
        capable: bool = True,
        rcvbuf: int = DEFAULT_RCVBUF,
    ) -> None:
        self.portid = portid
        self.groups = set(groups)
        self.ext_ack = ext_ack
        self.cap_ack = cap_ack
        self.capable = capable
        self.rcvbuf = rcvbuf
        self.inbox: deque[tuple[int, bytes]] = deque()
        self.queued = 0
        self.overrun = False
        self.dump: Dump | None = None
        self.max_read = 0

    def put(self, datagram: bytes, group: int = 0) -> bool:
        """Queue a datagram, sent to a group or (0) to this port; False, and overrun, if the buffer is full."""
        if self.queued > self.rcvbuf:
            self.overrun = True
            return False
        self.inbox.append((group, datagram))
        self.queued += truesize(len(datagram))
        return True

    def pop(self) -> tuple[int, bytes] | None:
        """Take the oldest datagram and the group it came through, None if there is none."""
        if not self.inbox:
            return None
        taken = self.inbox.popleft()
        self.queued -= truesize(len(taken[1]))
        return taken

    def pop_all(self) -> list[bytes]:
        """Take all that waits."""
        taken = [datagram for _, datagram in self.inbox]
        self.inbox.clear()
        self.queued = 0
        return taken

    def take_overrun(self) -> bool:
        """Whether something was lost since this was last asked."""
        lost, self.overrun = self.overrun, False
        return lost
