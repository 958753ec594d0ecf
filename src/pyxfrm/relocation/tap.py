"""Listen to ESP packets of some SAs while a relocation runs: what :mod:`pyxfrm.relocation.report` draws.

One AF_PACKET socket on all interfaces of the namespace, read by a thread. Only sequence numbers and times are kept. Times are those of the kernel, taken when the packet passed:
the thread may come late, the more so as the relocation takes real-time priority.
"""

from __future__ import annotations

import math
import socket
import struct
import threading
import time

from pyxfrm.errors import TransportError
from pyxfrm.relocation import dual
from pyxfrm.relocation.ends import KernelEnd
from pyxfrm.relocation.report import Arrival

__all__ = ["Tap", "esp_of"]

_ETH_P_ALL = 0x0003
_SO_TIMESTAMPNS = 35  # asm-generic/socket.h: SO_TIMESTAMPNS_OLD, answered with a struct timespec
_timespec = struct.Struct("@ll")
_ROOM = socket.CMSG_SPACE(_timespec.size)
_word = struct.Struct("!II").unpack_from


def esp_of(packet: bytes) -> tuple[int, int] | None:
    """SPI and sequence number of an IP packet that is ESP, plain or in UDP (RFC 3948); None for any other."""
    if len(packet) < 28:
        return None
    version = packet[0] >> 4
    if version == 4:
        proto, start = packet[9], (packet[0] & 15) * 4
    elif version == 6:
        proto, start = packet[6], 40
    else:
        return None
    if proto == socket.IPPROTO_UDP:
        start += 8
    elif proto != socket.IPPROTO_ESP:
        return None
    if len(packet) < start + 8:
        return None
    spi, number = _word(packet, start)
    return (spi, number) if spi > 255 else None


def _when(told: list[tuple[int, int, bytes]]) -> float:
    """Seconds on the monotonic clock; the kernel tells the time of day."""
    now = time.monotonic()
    for level, kind, data in told:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = map(int, _timespec.unpack_from(data))
            return now - (time.time() - seconds - nanoseconds / 1e9)
    return now


class Tap:
    """``spis``: whose packets to keep; outgoing ones count when they leave, others when they come in.

    TransportError if this process may not listen.
    """

    def __init__(self, end: KernelEnd, spis: frozenset[int]) -> None:
        self.spis = spis
        self.arrivals: list[Arrival] = []
        try:
            self._socket = end.within(
                lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
            )
        except OSError as why:
            raise TransportError(f"listening to packets: {why.strerror}; run as root") from None
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.settimeout(0.2)
        self._until = math.inf
        self._thread = threading.Thread(target=self._listen, name="pyxfrm-tap", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        """Until what passed before :meth:`close` is read, however late that is."""
        at = 0.0
        while at < self._until:
            try:
                packet, told, _, (device, *_) = self._socket.recvmsg(128, _ROOM)
            except TimeoutError:
                at = time.monotonic()
                continue
            at = _when(told)
            found = esp_of(packet)
            # What tc mirrors was there before.
            if found is not None and found[0] in self.spis and device != dual.DEVICE:
                self.arrivals.append(Arrival(at, *found))

    def close(self) -> None:
        """Stop; :attr:`arrivals` is complete then."""
        self._until = time.monotonic()
        self._thread.join()
        self._socket.close()
