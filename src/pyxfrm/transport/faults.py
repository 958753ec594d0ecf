"""Makes a transport fail, as often as asked and the same way every time.

Everything that the netlink documentation warns of happens sooner or later; here it happens on a Tuesday afternoon. All dice are
:class:`random.Random` of one seed, so a run that found something can be run again (:attr:`FaultInjector.log` tells what was done).

========== ==============================================================================
fault      what happens
========== ==============================================================================
drop       a datagram that was received vanishes: the caller must time out
duplicate  it comes twice
delay      an ACK or error is held back until something else came, or nothing else is there
enobufs    it vanishes, and LOST says so
interrupt  NLM_F_DUMP_INTR is set on a dump's part: the table changed while it was read
refuse     a datagram is not sent; its first request is answered with ``errno`` instead
eintr      ``recv`` raises InterruptedError, as a system call cut by a signal
========== ==============================================================================
"""

from __future__ import annotations

import errno
import struct
from collections import deque
from dataclasses import dataclass
from random import Random

from pyxfrm.abi.netlink import NLM_F_CAPPED, NLM_F_DUMP_INTR, NLM_F_MULTI, NLMSG_ERROR
from pyxfrm.errors import UsageError
from pyxfrm.transport.base import LOST, Lost, Transport, Wrapper

__all__ = ["FaultInjector", "Faults"]

_HEADER = struct.Struct("=IHHII")
_ERROR = struct.Struct("=i")


@dataclass(frozen=True, slots=True)
class Faults:
    """How often each fault strikes: probabilities from 0 to 1. ``errno``: what ``refuse`` answers."""

    drop: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    enobufs: float = 0.0
    interrupt: float = 0.0
    refuse: float = 0.0
    eintr: float = 0.0
    errno: int = errno.ENOMEM

    def __post_init__(self) -> None:
        for name in ("drop", "duplicate", "delay", "enobufs", "interrupt", "refuse", "eintr"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"fault {name}: {getattr(self, name)} is no probability")


class FaultInjector(Wrapper):
    """A transport that fails. ``log``: (fault, bytes concerned) of each that struck."""

    def __init__(self, inner: Transport, seed: int, faults: Faults) -> None:
        super().__init__(inner)
        self.seed = seed
        self.faults = faults
        self.log: list[tuple[str, bytes]] = []
        self._dice = Random(seed)  # noqa: S311  # not for secrets
        self._ready: deque[bytes] = deque()
        self._held: deque[bytes] = deque()

    def wrap(self, inner: Transport) -> Transport:
        """``inner``, failing alike but on dice of its own."""
        return FaultInjector(inner, self._dice.getrandbits(64), self.faults)

    def _strikes(self, name: str, data: bytes) -> bool:
        if self._dice.random() >= getattr(self.faults, name):
            return False
        self.log.append((name, data))
        return True

    def send(self, data: bytes) -> None:
        """Send, or answer with an error instead."""
        if self._strikes("refuse", data):
            self._ready.append(self._refusal(data))
        else:
            self.inner.send(data)

    def _refusal(self, data: bytes) -> bytes:
        head = data[: _HEADER.size]
        seq = _HEADER.unpack(head)[3]
        size = _HEADER.size + _ERROR.size + len(head)
        header = _HEADER.pack(size, NLMSG_ERROR, NLM_F_CAPPED, seq, self.portid)
        return header + _ERROR.pack(-self.faults.errno) + head

    def recv(self) -> bytes | Lost | None:
        """Receive, or fail."""
        while True:
            if self._strikes("eintr", b""):
                raise InterruptedError(errno.EINTR, "a signal came")
            if self._ready:
                return self._ready.popleft()
            data = self.inner.recv()
            if data is None:
                return self._held.popleft() if self._held else None
            if data is LOST:
                return data
            self._ready += self._held
            self._held.clear()
            if not self._strikes("drop", data):
                return self._maim(data)

    def _maim(self, data: bytes) -> bytes | Lost | None:
        if self._strikes("enobufs", data):
            return LOST
        _, kind, flags, _, _ = _HEADER.unpack_from(data)
        if kind == NLMSG_ERROR and self._strikes("delay", data):
            self._held.append(data)
            return self.recv() if self._ready else None
        if flags & NLM_F_MULTI and self._strikes("interrupt", data):
            data = data[:6] + struct.pack("=H", flags | NLM_F_DUMP_INTR) + data[8:]
        if self._strikes("duplicate", data):
            self._ready.append(data)
        return data

    def wait(self, timeout: float | None) -> bool:
        """Wait; what was held back counts."""
        return bool(self._ready or self._held) or self.inner.wait(timeout)

    def deadline(self) -> float | None:
        """At once if something was held back."""
        return 0.0 if self._ready or self._held else self.inner.deadline()
