"""How an engine is spoken to over a unix socket: SOCK_SEQPACKET, one frame a packet.

A frame is one byte that says what follows: the numbers are below.

======= ========= =========================================================================
frame   direction what follows
======= ========= =========================================================================
DATA    both      a netlink datagram
HELLO   to client u32 port number; the first frame of a connection
JOIN    to server u32 multicast group; answered by JOINED once events of it are kept
JOINED  to client the same u32
LOST    to client nothing: events did not fit the port's queue here
OPTION  to server u32 NETLINK_EXT_ACK, CAP_ACK or NO_ENOBUFS and u32 0 or 1, or
                  NETLINK_DROP_MEMBERSHIP and u32 group; answered by DONE. A new port
                  has EXT_ACK and CAP_ACK, which a new netlink socket has not
DONE    to client the same two u32
REFUSED to client text, instead of JOINED or DONE: no such group or option
======= ========= =========================================================================

Integers are in host byte order, as netlink's are: both ends are on one machine.
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = [
    "DATA",
    "DONE",
    "HELLO",
    "JOIN",
    "JOINED",
    "LARGEST",
    "LOST_FRAME",
    "OPTION",
    "REFUSED",
    "TWO_U32",
    "U32",
]

DATA: Final = 0
HELLO: Final = 1
JOIN: Final = 2
JOINED: Final = 3
LOST_FRAME: Final = 4
REFUSED: Final = 5
OPTION: Final = 6
DONE: Final = 7

U32 = struct.Struct("=I")
TWO_U32 = struct.Struct("=II")
LARGEST: Final = 1 << 18  # bytes of a frame; a socket's default send buffer holds less
