"""A transport that times what changes something.

The kernel handles a datagram inside the send call, so when the last send returns, traffic flows again, whatever is read later.
"""

from __future__ import annotations

import struct
import time

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_ACK
from pyxfrm.transport.base import Lost, Transport, Wrapper
from pyxfrm.wire.netlink import frames

_HEADER = struct.Struct("=IHHII")
_READS = {m.XFRM_MSG_GETSA, m.XFRM_MSG_GETPOLICY, m.XFRM_MSG_GETAE}


class Stopwatch(Wrapper):
    """``sends``: (began, returned, last answer read, datagram) of each send that changes something."""

    sends: list[tuple[float, float, float, bytes]]
    _timing = False

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.clear()

    def clear(self) -> None:
        """Forget what was timed."""
        self.sends = []

    def send(self, data: bytes) -> None:
        began = time.perf_counter()
        self.inner.send(data)
        self._timing = _HEADER.unpack_from(data)[1] not in _READS
        if self._timing:
            now = time.perf_counter()
            self.sends.append((began, now, now, data))

    def recv(self) -> bytes | Lost | None:
        data = self.inner.recv()
        if data is not None and self._timing:
            began, returned, _, sent = self.sends[-1]
            self.sends[-1] = (began, returned, time.perf_counter(), sent)
        return data


def answers(datagram: bytes) -> int:
    """How many ACKs a datagram asks for."""
    return sum(bool(_HEADER.unpack_from(datagram, at)[2] & NLM_F_ACK) for at, _ in frames(datagram))


def one_by_one(datagram: bytes) -> list[bytes]:
    """The same requests, each in a datagram of its own and with an ACK."""
    parts = []
    for start, end in frames(datagram):
        size, kind, flags, seq, port = _HEADER.unpack_from(datagram, start)
        body = datagram[start + _HEADER.size : end]
        parts.append(_HEADER.pack(size, kind, flags | NLM_F_ACK, seq, port) + body)
    return parts


def as_move(datagrams: list[bytes]) -> bytes:
    """A move as ``traffic calls`` reads it."""
    parts = [struct.pack("=II", len(data), answers(data)) + data for data in datagrams]
    return struct.pack("=I", len(parts)) + b"".join(parts)
