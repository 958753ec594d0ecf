"""A transport that fails at one chosen request, message by message."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_CAPPED, NLMSG_ERROR
from pyxfrm.transport.base import LOST, Lost, Transport, Wrapper
from pyxfrm.wire.netlink import frames

_HEADER = struct.Struct("=IHHII")
READS = {m.XFRM_MSG_GETSA, m.XFRM_MSG_GETPOLICY, m.XFRM_MSG_GETAE}


class Faulty(Wrapper):
    """Before each request that changes something ``strike(number, type)`` is asked what to do.

    0: nothing; a positive errno: refuse it, unasked; "deaf": do it and lose the answer; "lost": neither do it nor answer
    """

    def __init__(self, inner: Transport, strike: Callable[[int, int], int | str]) -> None:
        super().__init__(inner)
        self.strike = strike
        self.changes = 0
        self.types: list[int] = []
        self._ready: deque[bytes | Lost] = deque()

    def send(self, data: bytes) -> None:
        for start, end in frames(data):
            self._one(data[start:end])

    def _one(self, message: bytes) -> None:
        kind = _HEADER.unpack_from(message)[1]
        fault: int | str = 0
        if kind not in READS:
            fault = self.strike(self.changes, kind)
            self.types.append(kind)
            self.changes += 1
        if fault == "lost":
            self._ready.append(LOST)
            return
        if isinstance(fault, int) and fault:
            self._ready.append(self._refusal(message, fault))
            return
        self.inner.send(message)
        while (reply := self.inner.recv()) is not None:
            if fault != "deaf":
                self._ready.append(reply)
        if fault == "deaf":
            self._ready.append(LOST)

    def _refusal(self, message: bytes, number: int) -> bytes:
        head = message[:16]
        seq = _HEADER.unpack(head)[3]
        header = _HEADER.pack(36, NLMSG_ERROR, NLM_F_CAPPED, seq, self.portid)
        return header + struct.pack("=i", -number) + head

    def recv(self) -> bytes | Lost | None:
        return self._ready.popleft() if self._ready else None

    def wait(self, timeout: float | None) -> bool:
        return bool(self._ready)
