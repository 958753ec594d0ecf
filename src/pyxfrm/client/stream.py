"""Events as they come, over a port of their own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

from pyxfrm.client import events
from pyxfrm.client.core import Core
from pyxfrm.client.events import Event
from pyxfrm.closing import Closing
from pyxfrm.transport.base import Transport

__all__ = ["EventStream"]


class EventStream(Closing):
    """An iterator that waits for the next event, until it is closed; made by :meth:`pyxfrm.client.xfrm.Xfrm.events`.

    Where the reader was too slow there is one :class:`~pyxfrm.client.events.EventsLost` in the stream, and it goes on.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._core = Core(transport.portid)
        self._ready: deque[Event] = deque()
        self._closed = False

    def poll(self, timeout: float | None = 0.0) -> Event | None:
        """The next event, waiting ``timeout`` seconds at most (None: for ever); None if there is none."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._ready:
            if self._receive():
                continue
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return None
            self.transport.wait(left)
        return self._ready.popleft()

    def drain(self) -> list[Event]:
        """All events that are there now."""
        found = []
        while (event := self.poll()) is not None:
            found.append(event)
        return found

    def _receive(self) -> bool:
        """Take one datagram, if there is one."""
        try:
            data = self.transport.recv()
        except InterruptedError:
            return True
        if data is None:
            return False
        self._ready += [events.read(message) for message in self._core.feed(data)]
        return True

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        event = None if self._closed else self.poll(None)
        if event is None:
            raise StopIteration
        return event

    def close(self) -> None:
        """Stop listening."""
        self._closed = True
        self._ready.clear()
        self.transport.close()
