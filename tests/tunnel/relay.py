"""A NAT on loopback: who sends from inside is seen outside at another address and port, which may change at any time."""

from __future__ import annotations

import select
import socket

Address = tuple[str, int]


class Relay:
    """Takes datagrams at ``inside`` for ``server``, and sends them from ``outside``; answers go back to who sent last."""

    def __init__(self, inside: Address, outside: Address, server: Address) -> None:
        self.server = server
        self.passed = 0
        self._client: Address | None = None
        self._inside = self._open(inside)
        self._outside = self._open(outside)
        self._old: list[socket.socket] = []
        self._poll = select.poll()
        for sock in (self._inside, self._outside):
            self._poll.register(sock, select.POLLIN)

    @staticmethod
    def _open(address: Address) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(address)
        return sock

    def rebind(self, outside: Address) -> None:
        """The mapping has changed; what is under way to the old one still gets through."""
        self._old.append(self._outside)
        self._outside = self._open(outside)
        self._poll.register(self._outside, select.POLLIN)

    def turn(self) -> None:
        """Pass on what has come."""
        while self._poll.poll(0):
            for sock in (self._inside, self._outside, *self._old):
                self._pass(sock)

    def _pass(self, sock: socket.socket) -> None:
        while True:
            try:
                data, sender = sock.recvfrom(65536)
            except OSError:
                return
            self.passed += 1
            if sock is self._inside:
                self._client = sender
                self._outside.sendto(data, self.server)
            elif self._client is not None:
                self._inside.sendto(data, self._client)

    def close(self) -> None:
        for sock in (self._inside, self._outside, *self._old):
            sock.close()
