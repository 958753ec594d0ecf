"""A NAT made of two sockets: who sends from inside is seen outside at another address and port, which may change at any time.

A real NAT stands in the way of packets without being asked. Without privileges nobody can stand there, so the end inside sends to the NAT by name (``inside``); the
end outside sees what it would see of a real one: an address and a port that are not its peer's, and that change when the NAT feels like it.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pyxfrm.cli.demo.sockets import bind, drops

if TYPE_CHECKING:
    from pyxfrm.tunnel import Loop, Point

__all__ = ["Nat"]

_LARGEST = 65536


class Nat:
    """Takes datagrams at ``inside`` for ``server`` and sends them on from ``outside``; answers go to who sent last, at first to ``client``.

    ``rebind`` gives the flow another address or port outside. What is under way to the one before still gets in.

    ``passed``, ``unsent``  datagrams that were sent on, and that the kernel did not take; ``sockets``: those that are open
    """

    def __init__(
        self, loop: Loop, inside: Point, outside: Point, client: Point, server: Point
    ) -> None:
        self.inside, self.outside, self.server = inside, outside, server
        self.passed = 0
        self.unsent = 0
        self._loop = loop
        self._client = _pair(client)
        self._gone = 0
        self.sockets: list[socket.socket] = []
        self._in = self._open(inside)
        self._out = self._open(outside)

    def _open(self, at: Point) -> socket.socket:
        sock = bind(at)
        self._loop.watch(sock.fileno(), lambda: self._pass(sock))
        self.sockets.append(sock)
        return sock

    def rebind(self, outside: Point) -> None:
        """From now on the flow is seen at ``outside``."""
        self.outside = outside
        self._out = self._open(outside)

    @property
    def overflowed(self) -> int:
        """Datagrams for which its sockets had no room."""
        return self._gone + sum(map(drops, self.sockets))

    def _pass(self, sock: socket.socket) -> None:
        while True:
            try:
                data, sender = sock.recvfrom(_LARGEST)
            except OSError:  # nothing more; or an ICMP error about what was sent before
                return
            if sock is self._in:
                self._client = sender[:2]
                self._send(self._out, data, _pair(self.server))
            else:
                self._send(self._in, data, self._client)

    def _send(self, sock: socket.socket, data: bytes, to: tuple[str, int]) -> None:
        try:
            sock.sendto(data, to)
            self.passed += 1
        except OSError:
            self.unsent += 1

    def close(self) -> None:
        """Close its sockets; closing twice is harmless."""
        self._gone = self.overflowed
        while self.sockets:
            sock = self.sockets.pop()
            self._loop.unwatch(sock.fileno())
            sock.close()


def _pair(point: Point) -> tuple[str, int]:
    return str(point.address), point.port or 0
