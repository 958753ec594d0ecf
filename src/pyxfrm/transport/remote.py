"""A port to an engine that another process runs (:mod:`pyxfrm.transport.server`)."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from pyxfrm.errors import TransportError, UsageError
from pyxfrm.transport.base import BREATH, LOST, Lost, wait_readable
from pyxfrm.transport.frames import (
    DATA,
    HELLO,
    JOIN,
    JOINED,
    LARGEST,
    LOST_FRAME,
    REFUSED,
    U32,
)

__all__ = ["RemoteTransport"]

_PATIENCE = 5.0  # seconds for the server to greet, to answer a JOIN, or to read what was sent


class RemoteTransport:
    """A connection to the engine that serves at ``path``; each connection is a port of its own."""

    def __init__(self, path: str | Path, groups: Iterable[int] = ()) -> None:
        self.path = Path(path)
        self._socket = self._connect()
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._early: deque[bytes | Lost] = deque()
        try:
            self._portid: int = U32.unpack(self._await(HELLO))[0]
            self.join(groups)
        except BaseException:
            self._socket.close()
            raise

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        sock.setblocking(False)
        try:
            sock.connect(str(self.path))
        except FileNotFoundError:
            sock.close()
            raise UsageError(
                f"engine {self.path}: there is no such socket; is it running?"
            ) from None
        except ConnectionRefusedError:
            sock.close()
            raise TransportError(
                f"engine {self.path}: nobody serves there: its process has gone; start it again"
            ) from None
        except OSError as why:
            sock.close()
            raise TransportError(f"engine {self.path}: {_reason(why)}") from None
        return sock

    @property
    def portid(self) -> int:
        """The port's number, which the server chose."""
        return self._portid

    def _await(self, wanted: int) -> bytes:
        """The next frame of that kind; what comes before it is kept for later."""
        while True:
            if not self._poll.poll(_PATIENCE * 1000):
                raise TransportError(f"engine {self.path}: no answer in {_PATIENCE:g} s")
            frame = self._frame()
            if frame is None:
                continue
            kind, body = frame[0], frame[1:]
            if kind == wanted:
                return body
            if kind == REFUSED:
                raise UsageError(body.decode("utf-8", "replace"))
            self._early.append(self._meaning(frame))

    def _frame(self) -> bytes | None:
        try:
            frame = self._socket.recv(LARGEST)
        except BlockingIOError:
            return None
        except OSError as why:
            raise TransportError(f"engine {self.path}: {_reason(why)}") from None
        if not frame:
            raise TransportError(f"engine {self.path}: it closed the connection")
        return frame

    def _meaning(self, frame: bytes) -> bytes | Lost:
        if frame[0] == DATA:
            return frame[1:]
        if frame[0] == LOST_FRAME:
            return LOST
        raise TransportError(f"engine {self.path}: it sent a frame of unknown kind {frame[0]}")

    def join(self, groups: Iterable[int]) -> None:
        """Listen to these groups from now on."""
        for group in groups:
            self._send(JOIN, U32.pack(int(group)))
            self._await(JOINED)

    def send(self, data: bytes) -> None:
        """Send to the engine's process."""
        self._send(DATA, data)

    def _send(self, kind: int, body: bytes) -> None:
        frame = bytes((kind,)) + body
        end = time.monotonic() + _PATIENCE
        try:
            while True:
                try:
                    self._socket.send(frame)
                    return
                except BlockingIOError:
                    if time.monotonic() >= end:
                        raise TransportError(
                            f"engine {self.path}: it has read nothing for {_PATIENCE:g} s"
                        ) from None
                    self._wait_for_room()
        except OSError as why:
            raise TransportError(
                f"engine {self.path}: sending {len(body)} bytes: {_reason(why)}"
            ) from None

    def _wait_for_room(self) -> None:
        room = select.poll()
        room.register(self._socket, select.POLLOUT)
        wait_readable(room, BREATH)

    def recv(self) -> bytes | Lost | None:
        """The next datagram."""
        if self._early:
            return self._early.popleft()
        frame = self._frame()
        return None if frame is None else self._meaning(frame)

    def wait(self, timeout: float | None) -> bool:
        """Wait for a datagram, ``timeout`` seconds at most."""
        if self._early:
            return True
        return wait_readable(self._poll, timeout)

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def deadline(self) -> float | None:
        """At once if something came before it was asked for."""
        return 0.0 if self._early else None

    def sibling(self, groups: Iterable[int] = ()) -> RemoteTransport:
        """Another connection."""
        return RemoteTransport(self.path, groups)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def _reason(why: OSError) -> str:
    return "the transport is closed" if why.errno == errno.EBADF else why.strerror or str(why)
