"""Serves an engine to other processes, over a unix socket that only its owner may open.

    with EngineServer(EngineHost(Engine()), "/run/user/1000/xfrm") as server:
        server.serve_forever()

    with serving(Engine(), path):  # by a thread, while this one does something else
        ...

One thread and one selector: the engine does one thing at a time, as a kernel's XFRM does under its mutex. Each connection is a port; what it is too slow to
read waits in the port's queue, which is bounded, and then is lost with a marker, as on a netlink socket. A client that breaks
the protocol is disconnected; nothing a client sends reaches further than its own port's requests.
"""

from __future__ import annotations

import os
import selectors
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyxfrm.abi.netlink import (
    NETLINK_CAP_ACK,
    NETLINK_DROP_MEMBERSHIP,
    NETLINK_EXT_ACK,
    NETLINK_NO_ENOBUFS,
)
from pyxfrm.closing import Closing
from pyxfrm.engine import Engine
from pyxfrm.errors import UsageError
from pyxfrm.transport.base import BREATH, LOST
from pyxfrm.transport.frames import (
    DATA,
    DONE,
    HELLO,
    JOIN,
    JOINED,
    LARGEST,
    LOST_FRAME,
    OPTION,
    REFUSED,
    TWO_U32,
    U32,
)
from pyxfrm.transport.local import EngineHost, LocalTransport

__all__ = ["EngineServer", "serving"]

_BACKLOG = 64
_OPTIONS = {
    NETLINK_EXT_ACK: "ext_ack",
    NETLINK_CAP_ACK: "cap_ack",
    NETLINK_NO_ENOBUFS: "no_enobufs",
}


class _Connection:
    """A client: its socket, its port, and the frame that did not fit the socket yet."""

    __slots__ = ("pending", "port", "socket")

    def __init__(self, sock: socket.socket, port: LocalTransport) -> None:
        self.socket = sock
        self.port = port
        self.pending: list[bytes] = [bytes((HELLO,)) + U32.pack(port.portid)]

    def next_frame(self) -> bytes | None:
        """The frame to send next; it stays until it was sent."""
        if not self.pending:
            data = self.port.recv()
            if data is None:
                return None
            self.pending.append(bytes((LOST_FRAME,)) if data is LOST else bytes((DATA,)) + data)
        return self.pending[0]


class EngineServer(Closing):
    """Serves ``host`` at ``path``, a socket of mode 0600 that is made here and removed at the end.

    UsageError if something that is no dead socket is at ``path``.
    """

    def __init__(self, host: EngineHost, path: str | Path) -> None:
        self.host = host
        self.path = Path(path)
        self._listener = _listen(self.path)
        self._selector = selectors.EpollSelector()
        self._connections: dict[int, _Connection] = {}
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = False
        self._thread = 0  # the one that serves
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(
            self._wake, selectors.EVENT_READ, lambda: os.eventfd_read(self._wake)
        )
        host.wakers.append(self._woken)

    def _woken(self) -> None:
        """Somebody else has used the engine: there may be events for clients, and another deadline."""
        if threading.get_ident() != self._thread:
            os.eventfd_write(self._wake, 1)

    def serve_forever(self) -> None:
        """Serve until :meth:`stop`."""
        while not self._stopping:
            due = self.host.deadline()
            self.serve_once(BREATH if due is None else min(due, BREATH))

    def serve_once(self, timeout: float | None = None) -> None:
        """Wait for something to do, ``timeout`` seconds at most, and do it."""
        self._thread = threading.get_ident()
        ready = self._selector.select(timeout)
        self.host.tick()
        for key, _ in ready:
            if callable(key.data):
                key.data()
            elif key.data.socket.fileno() >= 0:
                self._read(key.data)
        for connection in list(self._connections.values()):
            self._write(connection)

    def fileno(self) -> int:
        """For the loop of somebody else: readable when :meth:`serve_once` has something to do; see also :attr:`has_news`."""
        return self._selector.fileno()

    @property
    def has_news(self) -> bool:
        """Whether something waits for a client that the engine was not asked for just now: an event."""
        ports = (connection.port.port for connection in self._connections.values())
        return any(port.inbox or port.overrun for port in ports)

    def stop(self) -> None:
        """Make :meth:`serve_forever` return; from another thread or a signal handler."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        connection = _Connection(sock, self.host.connect())
        self._connections[sock.fileno()] = connection
        self._selector.register(sock, selectors.EVENT_READ, connection)

    def _read(self, connection: _Connection) -> None:
        try:
            frame = connection.socket.recv(LARGEST)
        except BlockingIOError:
            return
        except OSError:
            frame = b""
        if not frame:
            self._drop(connection)
        elif frame[0] == DATA:
            connection.port.send(frame[1:])
        elif frame[0] == JOIN and len(frame) == 1 + U32.size:
            self._join(connection, frame[1:])
        elif frame[0] == OPTION and len(frame) == 1 + TWO_U32.size:
            _set_option(connection, frame[1:])
        else:
            self._drop(connection)

    def _join(self, connection: _Connection, group: bytes) -> None:
        try:
            connection.port.join((U32.unpack(group)[0],))
        except UsageError as why:
            connection.pending.append(bytes((REFUSED,)) + str(why).encode())
        else:
            connection.pending.append(bytes((JOINED,)) + group)

    def _write(self, connection: _Connection) -> None:
        """Send what fits; wait for room only while something is left."""
        events = selectors.EVENT_READ
        try:
            while (frame := connection.next_frame()) is not None:
                connection.socket.send(frame)
                del connection.pending[0]
        except BlockingIOError:
            events |= selectors.EVENT_WRITE
        except OSError:
            self._drop(connection)
            return
        self._selector.modify(connection.socket, events, connection)

    def _drop(self, connection: _Connection) -> None:
        self._selector.unregister(connection.socket)
        del self._connections[connection.socket.fileno()]
        connection.socket.close()
        connection.port.close()

    def close(self) -> None:
        """Disconnect everybody and remove the socket."""
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._selector.close()
        self._listener.close()
        self.path.unlink(missing_ok=True)
        with self.host.changed:
            self.host.wakers.remove(self._woken)
        os.close(self._wake)


def _set_option(connection: _Connection, body: bytes) -> None:
    """As setsockopt does."""
    port = connection.port
    option, value = TWO_U32.unpack(body)
    if option == NETLINK_DROP_MEMBERSHIP:
        port.leave((value,))
    elif option in _OPTIONS:
        setattr(port.port, _OPTIONS[option], bool(value))
    else:
        connection.pending.append(bytes((REFUSED,)) + b"no such option")
        return
    connection.pending.append(bytes((DONE,)) + body)


@contextmanager
def serving(engine: Engine | EngineHost, path: str | Path) -> Iterator[EngineServer]:
    """The engine, served at ``path`` by a thread until the ``with`` block ends. UsageError as of :class:`EngineServer`.

    What this process does with the engine meanwhile, it does over ports: ``Xfrm.connect(path)``, or :meth:`EngineHost.connect`.
    """
    host = engine if isinstance(engine, EngineHost) else EngineHost(engine)
    with EngineServer(host, path) as server:
        thread = threading.Thread(target=server.serve_forever, name=f"xfrm engine at {path}")
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join()


def _listen(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        # bind gives the file the mode of the socket itself, so there is no moment of a wider one.
        os.fchmod(sock.fileno(), stat.S_IRUSR | stat.S_IWUSR)
        _remove_dead(path)
        sock.bind(str(path))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as why:
        sock.close()
        raise UsageError(f"engine {path}: cannot listen there: {why.strerror or why}") from None
    except UsageError:
        sock.close()
        raise
    return sock


def _remove_dead(path: Path) -> None:
    """Remove a socket that nobody listens at any more."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise UsageError(f"engine {path}: something else is there; choose another path")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise UsageError(f"engine {path}: another one serves there")
