"""Listen to ESP packets of some SAs while a relocation runs: what :mod:`pyxfrm.relocation.report` draws.

One AF_PACKET socket on all interfaces of the namespace, read by a thread. Only sequence numbers and times are kept.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

from pyxfrm.errors import TransportError
from pyxfrm.relocation.ends import KernelEnd
from pyxfrm.relocation.report import Arrival

__all__ = ["Tap", "esp_of"]

_ETH_P_ALL = 0x0003
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


class Tap:
    """``spis``: whose packets to keep; outgoing ones count when they leave, others when they come in."""

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
        self._socket.settimeout(0.2)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="pyxfrm-tap", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                packet = self._socket.recv(128)
                found = esp_of(packet)
                if found is not None and found[0] in self.spis:
                    self.arrivals.append(Arrival(time.monotonic(), *found))

    def close(self) -> None:
        """Stop; :attr:`arrivals` is complete then."""
        self._stop.set()
        self._thread.join()
        self._socket.close()
