"""One thread for any number of ends: turns as their descriptors and deadlines ask for them, calls at given times, and for other descriptors."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count

from pyxfrm.closing import Closing
from pyxfrm.transport.base import BREATH
from pyxfrm.tunnel.end import End

__all__ = ["Loop"]


class Loop(Closing):
    """Drives ``ends``; they stay the caller's to close.

    loop = Loop(left, right)
    loop.after(2.0, move)            # once
    loop.every(0.1, show)            # again and again
    loop.run(seconds=10)
    """

    def __init__(self, *ends: End) -> None:
        self.ends = ends
        self._only = ends[0] if len(ends) == 1 else None
        self._epoll = select.epoll()
        self._by_fd = {end.fileno(): end for end in ends}
        self._watched: dict[int, Callable[[], object]] = {}
        self._stop = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._calls: list[tuple[float, int, float, Callable[[], object]]] = []
        self._serial = count()
        self._stopped = False
        for fd in (*self._by_fd, self._stop):
            self._epoll.register(fd, select.EPOLLIN)
        if self._only is not None:
            self._only.heed(self._stop)

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Call once, so many seconds from now."""
        heappush(self._calls, (time.monotonic() + seconds, next(self._serial), 0.0, call))

    def every(self, seconds: float, call: Callable[[], object]) -> None:
        """Call every so many seconds from now on; what could not be called in time is left out."""
        heappush(self._calls, (time.monotonic() + seconds, next(self._serial), seconds, call))

    def watch(self, fd: int, call: Callable[[], object]) -> None:
        """Call whenever a descriptor is readable, until it is unwatched."""
        self._watched[fd] = call
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """Watch it no more; to be said before it is closed."""
        del self._watched[fd]
        self._epoll.unregister(fd)

    def stop(self) -> None:
        """Make :meth:`run` return; from any thread, a call or a signal handler."""
        self._stopped = True
        with suppress(OSError):
            os.eventfd_write(self._stop, 1)

    def run(self, seconds: float | None = None) -> None:
        """Until :meth:`stop`, for ``seconds`` at most."""
        end = None if seconds is None else time.monotonic() + seconds
        while not self._stopped:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                break
            self.turn(left)
        self._stopped = False
        with suppress(BlockingIOError):
            os.eventfd_read(self._stop)

    def turn(self, timeout: float | None = None) -> None:
        """Wait until there is something to do, ``timeout`` seconds at most, and do it; now and then there is nothing."""
        only = self._only
        if only is None or only.closed or self._watched:
            self._turn_all(timeout)
        else:  # one that is alone waits by itself: half as many system calls
            only.turn(self._until_call(timeout))
        while self._calls and self._calls[0][0] <= time.monotonic():
            when, _, again, call = heappop(self._calls)
            if again:
                when = max(when + again, time.monotonic())
                heappush(self._calls, (when, next(self._serial), again, call))
            call()

    def _turn_all(self, timeout: float | None) -> None:
        ready = {fd for fd, _ in self._epoll.poll(self._patience(timeout))}
        for fd, end in self._by_fd.items():
            if fd in ready:
                end.turn(0)
                continue
            due = end.deadline()
            if due is not None and due <= end.clock():
                end.turn(0)
        for fd in ready & self._watched.keys():
            if fd in self._watched:  # a call before may have ended that
                self._watched[fd]()

    def _patience(self, timeout: float | None) -> float:
        """Seconds to sleep: a signal must be heard even if it came just before (:mod:`pyxfrm.transport.base`)."""
        timeout = self._until_call(timeout)
        left = [BREATH] if timeout is None else [timeout, BREATH]
        for end in self.ends:
            due = end.deadline()
            if due is not None:
                left.append(max(0.0, due - end.clock()))
        return min(left)

    def _until_call(self, timeout: float | None) -> float | None:
        if not self._calls:
            return timeout
        left = max(0.0, self._calls[0][0] - time.monotonic())
        return left if timeout is None else min(timeout, left)

    def close(self) -> None:
        """Close what the loop itself has open."""
        self._epoll.close()
        os.close(self._stop)
