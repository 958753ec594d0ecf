"""Ports to an engine in this process.

    host = EngineHost(Engine(profile=LINUX_7_2))
    transport = host.connect()

An engine has no clock, no threads and no descriptors; a :class:`EngineHost` lends it a clock and a lock, and wakes whoever waits for
one of its ports. Timers run when somebody looks: every call on a port lets those that are due run first, and
:meth:`LocalTransport.deadline` tells an event loop when to look again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable

from pyxfrm.engine import Engine, Port
from pyxfrm.errors import TransportError
from pyxfrm.transport.base import BREATH, LOST, Lost

__all__ = ["EngineHost", "LocalTransport"]


class EngineHost:
    """One engine, shared by any number of transports and threads.

    ``clock``   seconds since the epoch
    ``wakers``  called, with :attr:`changed` held, whenever something happened: for those who wait by other means
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        self.engine = engine
        self.clock = clock
        self.changed = threading.Condition()
        self.wakers: list[Callable[[], object]] = []
        self._transports: list[LocalTransport] = []
        self._portids = 0

    def connect(
        self, groups: Iterable[int] = (), *, portid: int | None = None, capable: bool = True
    ) -> LocalTransport:
        """A new port. ``portid``: the next free one unless given; ``capable``: with CAP_NET_ADMIN."""
        with self.changed:
            port = self.engine.port(
                self._free() if portid is None else portid,
                (),
                ext_ack=True,
                cap_ack=True,
                capable=capable,
            )
            transport = LocalTransport(self, port)
            self._transports.append(transport)
        transport.join(groups)
        return transport

    def _free(self) -> int:
        self._portids += 1
        while self._portids in self.engine.ports:
            self._portids += 1
        return self._portids

    def tick(self) -> None:
        """Let the timers that are due run, and wake who got something."""
        with self.changed:
            due = self.engine.next_deadline()
            if due is not None and due <= self.clock():
                self.engine.expire(self.clock())
                self.wake()

    def wake(self) -> None:
        """Something happened: wake those who wait. The caller holds :attr:`changed`."""
        for transport in self._transports:
            transport.signal()
        for waker in self.wakers:
            waker()
        self.changed.notify_all()

    def deadline(self) -> float | None:
        """Seconds until the next timer, None if there is none."""
        with self.changed:
            due = self.engine.next_deadline()
        return None if due is None else max(0.0, due - self.clock())

    def disconnect(self, transport: LocalTransport) -> None:
        """Close a port."""
        with self.changed:
            self._transports.remove(transport)
            self.engine.close(transport.port)
            self.changed.notify_all()


class LocalTransport:
    """A port to the engine of ``host``; made by :meth:`EngineHost.connect`."""

    def __init__(self, host: EngineHost, port: Port) -> None:
        self.host = host
        self.port = port
        self._closed = False
        self._event = -1

    @property
    def portid(self) -> int:
        """The port's number."""
        return self.port.portid

    def join(self, groups: Iterable[int]) -> None:
        """Listen to these groups from now on."""
        with self.host.changed:
            for group in groups:
                self.host.engine.join(self.port, int(group))

    def leave(self, groups: Iterable[int]) -> None:
        """Listen to these groups no longer."""
        with self.host.changed:
            for group in groups:
                self.host.engine.leave(self.port, int(group))

    def send(self, data: bytes) -> None:
        """Hand to the engine, which has handled it when this returns."""
        host = self.host
        with host.changed:
            self._check_open()
            host.tick()
            host.engine.submit(data, self.port, host.clock())
            host.wake()

    def recv(self) -> bytes | Lost | None:
        """What waits in the port's queue."""
        with self.host.changed:
            self._check_open()
            self.host.tick()
            if self.port.take_overrun():
                return LOST
            data = self.host.engine.receive(self.port)
            self.signal()
            return data

    def _check_open(self) -> None:
        if self._closed:
            raise TransportError("the port to the engine is closed")

    def _something(self) -> bool:
        return bool(self.port.inbox) or self.port.overrun

    def wait(self, timeout: float | None) -> bool:
        """Wait for a datagram, ``timeout`` seconds at most; timers run meanwhile."""
        end = None if timeout is None else time.monotonic() + timeout
        with self.host.changed:
            while not self._closed:
                self.host.tick()
                if self._something():
                    return True
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    return False
                due = self.host.deadline()
                naps = [x for x in (left, due) if x is not None]
                self.host.changed.wait(min([*naps, BREATH]))
        raise TransportError("the port to the engine is closed")

    def fileno(self) -> int:
        """An eventfd that is readable while something waits."""
        with self.host.changed:
            if self._closed:
                return -1
            if self._event < 0:
                self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self.signal()
            return self._event

    def signal(self) -> None:
        """Make the eventfd say what is true. The caller holds the host's lock."""
        if self._event < 0:
            return
        if self._something():
            os.eventfd_write(self._event, 1)
        else:
            try:
                os.eventfd_read(self._event)
            except BlockingIOError:
                return

    def deadline(self) -> float | None:
        """Seconds until the engine's next timer, which may bring an event."""
        return self.host.deadline()

    def sibling(self, groups: Iterable[int] = ()) -> LocalTransport:
        """Another port to the same engine."""
        return self.host.connect(groups, capable=self.port.capable)

    def close(self) -> None:
        """Close the port."""
        if self._closed:
            return
        self._closed = True
        self.host.disconnect(self)
        if self._event >= 0:
            os.close(self._event)
            self._event = -1
