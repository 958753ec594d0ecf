"""Writes down what passes, in the format of :mod:`pyxfrm.transport.recording`.

The file must be in the kernel's order, and the kernel queues events and answers of one socket in one queue. So a recorder listens to all
groups *on the recorded port itself* and keeps from its caller the events that the caller did not ask for. That has one price:
somebody listens now, which a kernel notices (it sends ACQUIREs only where somebody listens to them, and ends
a MIGRATE_STATE without its warning). ``events=False`` leaves the groups alone.

Siblings (ports for dumps and event streams) are recorded into the same file, without events: those are there once already.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import IO

from pyxfrm.abi.netlink import NLMSG_DONE, NLMSG_ERROR, NlMsgHdr
from pyxfrm.transport.base import ALL_GROUPS, GROUP_OF, LOST, Lost, Transport, Wrapper
from pyxfrm.transport.recording import Direction, Record, line_of
from pyxfrm.wire import netlink
from pyxfrm.wire.codec import codec
from pyxfrm.wire.dialogue import is_answer

__all__ = ["Recorder"]

_HEADER = codec(NlMsgHdr)


class _Tape:
    """The file, its clock, and a lock: siblings share it."""

    def __init__(self, out: IO[str], netns: str, clock: Callable[[], float]) -> None:
        self.out = out
        self.netns = netns
        self.clock = clock
        self.lock = threading.Lock()
        self.start: float | None = None

    def write(self, direction: Direction, message: bytes, to_daemon: bool | None = None) -> None:
        with self.lock:
            now = self.clock()
            self.start = now if self.start is None else self.start
            self.out.write(
                line_of(Record(0, now - self.start, self.netns, direction, message, to_daemon))
            )


class Recorder(Wrapper):
    """Records ``inner`` to ``out``, a text file. ``netns``: the name that the records carry."""

    def __init__(
        self,
        inner: Transport,
        out: IO[str],
        netns: str = "local",
        *,
        events: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(inner)
        self._tape = _Tape(out, netns, clock)
        self._records_events = events
        self._start()

    def _start(self) -> None:
        self._asked: set[int] = set()
        self._requests: dict[int, int] = {}
        self._ready: deque[bytes | Lost] = deque()
        if self._records_events:
            self.inner.join(ALL_GROUPS)

    def wrap(self, inner: Transport) -> Transport:
        """A sibling: its requests and their answers go to the same file."""
        other = Recorder.__new__(Recorder)
        other.inner = inner
        other._tape = self._tape
        other._records_events = False
        other._start()
        return other

    def sibling(self, groups: Iterable[int] = ()) -> Transport:
        """Another port, recorded into the same file."""
        groups = tuple(groups)
        other = self.wrap(self.inner.sibling(groups))
        assert isinstance(other, Recorder)  # noqa: S101
        other._asked.update(groups)
        return other

    def join(self, groups: Iterable[int]) -> None:
        """Let the events of these groups through."""
        groups = tuple(groups)
        self._asked.update(groups)
        self.inner.join(groups)

    def send(self, data: bytes) -> None:
        """Write down each request, then send."""
        for start, end in netlink.frames(data):
            header = _HEADER.decode(data, start)
            self._requests[header.nlmsg_seq] = header.nlmsg_type
            self._tape.write("req", data[start:end])
        self.inner.send(data)

    def recv(self) -> bytes | Lost | None:
        """The next datagram that the caller asked for; what else comes is written down too."""
        while not self._ready:
            data = self.inner.recv()
            if data is None:
                return None
            self._ready.append(data)
            if data is not LOST and not self._note(data):
                self._ready.pop()
        return self._ready.popleft()

    def _note(self, datagram: bytes) -> bool:
        """Write down the messages of a datagram; whether the caller gets it."""
        wanted = False
        for start, end in netlink.frames(datagram):
            header = _HEADER.decode(datagram, start)
            request = self._requests.get(header.nlmsg_seq)
            if is_answer(header, request):
                if header.nlmsg_type in (NLMSG_ERROR, NLMSG_DONE):  # nothing comes after these
                    self._requests.pop(header.nlmsg_seq, None)
                self._tape.write("reply", datagram[start:end])
                wanted = True
                continue
            asked = GROUP_OF.get(header.nlmsg_type) in self._asked
            wanted |= asked
            if self._records_events:
                self._tape.write("event", datagram[start:end], asked)
        return wanted

    def wait(self, timeout: float | None) -> bool:
        """Wait until something comes that the caller asked for."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            data = self.recv()
            if data is not None:
                self._ready.appendleft(data)
                return True
            left = None if end is None else end - time.monotonic()
            if (left is not None and left <= 0) or not self.inner.wait(left):
                return False

    def deadline(self) -> float | None:
        """At once if something was read ahead."""
        return 0.0 if self._ready else self.inner.deadline()

    def close(self) -> None:
        """Write down what is still there, and close the port. The file stays open."""
        while self._records_events:
            data = self.inner.recv()
            if data is None:
                break
            if data is not LOST:
                self._note(data)
        self._records_events = False
        self.inner.close()
