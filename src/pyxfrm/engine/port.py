"""One netlink socket as the kernel sees it: its address, groups, options, and its receive queue.

The queue is bounded as a socket's receive buffer is. A datagram that does not fit is lost: the next read reports ENOBUFS once, and all that comes until the
queue has been read empty is lost too, however much room there is by then. So what a reader has missed is always one gap. A socket that does not
want to know (NETLINK_NO_ENOBUFS) misses single datagrams. One datagram fits into an empty queue whatever its size.

A dump takes as much room as its datagram may hold, and where there is no room it makes none: the dump goes on at a later read.

Sources: net/netlink/af_netlink.c: netlink_attachskb, netlink_broadcast_deliver, netlink_overrun, netlink_rcv_wake, netlink_dump.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyxfrm.engine.replies import Dump

__all__ = ["DEFAULT_RCVBUF", "GROUPS", "LEAST_RCVBUF", "Port", "truesize"]

GROUPS = 32  # every netlink protocol has at least these (net/netlink/af_netlink.c: __netlink_kernel_create)

DEFAULT_RCVBUF = 212_992  # net.core.rmem_default
LEAST_RCVBUF = 2304  # SOCK_MIN_RCVBUF, on x86-64

_SK_BUFF = 256  # sizeof(struct sk_buff), rounded to a cache line, on x86-64
_SHARED_INFO = 320  # sizeof(struct skb_shared_info), rounded
_SMALL = 640  # the kernel's own cache for small messages; larger ones are of a power of two


def truesize(length: int) -> int:
    """What a message of ``length`` bytes costs of a receive buffer, in bytes (skb->truesize).

    The kernel makes room for the largest that a message of its kind could be: where that is of the next larger size, it costs more.
    """
    size = ((length + 63) & ~63) + _SHARED_INFO
    return _SK_BUFF + (_SMALL if size <= _SMALL else 1 << (size - 1).bit_length())


class Port:
    """A socket bound to ``portid``.

    ``groups``   multicast groups it has joined (XFRMNLGRP_*)
    ``ext_ack``  NETLINK_EXT_ACK: extended-ACK attributes in error messages
    ``cap_ack``  NETLINK_CAP_ACK: the request is not echoed in error messages
    ``capable``  the sender has CAP_NET_ADMIN
    ``rcvbuf``   bytes of receive buffer
    ``no_enobufs``  NETLINK_NO_ENOBUFS
    ``congested``   something was lost, and the queue has not been empty since
    """

    __slots__ = (
        "cap_ack",
        "capable",
        "congested",
        "dump",
        "ext_ack",
        "groups",
        "inbox",
        "max_read",
        "no_enobufs",
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
        self.no_enobufs = False
        self.inbox: deque[tuple[int, bytes, int]] = deque()
        self.queued = 0
        self.overrun = False
        self.congested = False
        self.dump: Dump | None = None
        self.max_read = 0

    def put(self, datagram: bytes, group: int = 0) -> bool:
        """Queue a datagram, sent to a group or (0) to this port; False, and overrun, if there is no room."""
        cost = truesize(len(datagram))
        if self.congested or (self.queued and self.queued + cost > self.rcvbuf):
            if not (self.no_enobufs or self.congested):
                self.congested = self.overrun = True
            return False
        self.inbox.append((group, datagram, cost))
        self.queued += cost
        return True

    def has_room(self, size: int) -> bool:
        """Whether a dump may make a datagram of up to ``size`` bytes."""
        return not self.queued or self.queued + truesize(size) < self.rcvbuf

    def put_part(self, datagram: bytes, size: int) -> None:
        """Queue a datagram of a dump, for which ``size`` bytes were set aside."""
        cost = truesize(size)
        self.inbox.append((0, datagram, cost))
        self.queued += cost

    def pop(self) -> tuple[int, bytes] | None:
        """Take the oldest datagram and the group it came through, None if there is none."""
        if not self.inbox:
            return None
        group, datagram, cost = self.inbox.popleft()
        self.queued -= cost
        return group, datagram

    def woken(self) -> None:
        """After a read: an empty queue is not congested any more."""
        if not self.inbox:
            self.congested = False

    def pop_all(self) -> list[bytes]:
        """Take all that waits."""
        taken = [datagram for _, datagram, _ in self.inbox]
        self.inbox.clear()
        self.queued = 0
        self.congested = False
        return taken

    def take_overrun(self) -> bool:
        """Whether something was lost since this was last asked."""
        lost, self.overrun = self.overrun, False
        return lost
