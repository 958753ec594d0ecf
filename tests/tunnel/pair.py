"""Two ends on loopback, for the tests: stations inside, one loop, and a watch on what is on the wire."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Any, Self

from pyxfrm.model import ip, network
from pyxfrm.tunnel import End, Keys, Loop, Point, Run, Static, Station
from pyxfrm.tunnel.station import MARK

LEFT4, RIGHT4 = ip("10.9.0.1"), ip("10.9.0.2")
LEFT6, RIGHT6 = ip("2001:db8:9::1"), ip("2001:db8:9::2")


def free_port() -> int:
    """A UDP port that nobody has."""
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind(("", 0))
        port: int = sock.getsockname()[1]
        return port


def point(address: str, port: int | None = 0) -> Point:
    """A place outside; port 0: a free one."""
    return Point(ip(address), free_port() if port == 0 else port)


class Pair:
    """``left`` and ``right``, their stations ``a`` and ``b``; ``wire``: every payload that left; ``leaks``: those that are readable."""

    def __init__(self, here: Point, there: Point, **options: Any) -> None:
        inner = [network("10.9.0.1"), network("2001:db8:9::1")]
        other = [network("10.9.0.2"), network("2001:db8:9::2")]
        self.view = Static(Keys.fresh(), here, there, inner, other)
        self.other = self.view.mirror()
        self.wire: list[bytes] = []
        self.leaks = 0
        self.a, self.b = Station(LEFT4, LEFT6), Station(RIGHT4, RIGHT6)
        options = {"hold": 1.0, "tap": self._tap, **options}
        self.left = End(self.a, **options)
        self.right = End(self.b, **options)
        self.loop = Loop(self.left, self.right)
        self.at_left, self.at_right = self.left.client(), self.right.client()
        self.view.install(self.at_left)
        self.other.install(self.at_right)

    def _tap(self, out: bool, run: Run) -> None:
        if out:
            self.wire += run.payloads
            self.leaks += sum(MARK in payload for payload in run.payloads)

    def move(self, here: Point | None = None, there: Point | None = None) -> None:
        """Both ends, the right one first."""
        self.other = self.other.move(self.at_right, here=there, there=here)
        self.view = self.view.move(self.at_left, here=here, there=there)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.loop.close()
        self.left.close()
        self.right.close()
