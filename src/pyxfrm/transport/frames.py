"""How an engine is spoken to over a unix socket: SOCK_SEQPACKET, one frame a packet.

A frame is one byte that says what follows.

======= ========= =========================================================================
byte    direction what follows
======= ========= =========================================================================
DATA    both      a netlink datagram
HELLO   to client u32 port number; the first frame of a connection
JOIN    to server u32 multicast group; answered by JOINED once events of it are kept
JOINED  to client the same u32; REFUSED text instead if there is no such group
LOST    to client nothing: events did not fit the port's queue here
======= ========= =========================================================================

Integers are in host byte order, as netlink's are: both ends are on one machine.
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["DATA", "HELLO", "JOIN", "JOINED", "LARGEST", "LOST_FRAME", "REFUSED", "U32"]

DATA: Final = 0
HELLO: Final = 1
JOIN: Final = 2
JOINED: Final = 3
LOST_FRAME: Final = 4
REFUSED: Final = 5

U32 = struct.Struct("=I")
LARGEST: Final = 1 << 18  # bytes of a frame; a socket's default send buffer holds less
