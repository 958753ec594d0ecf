"""Executes a script on the kernel this process runs on: in the guest, or the host's own.

The caller provides the empty network namespace (the lab's worker does). Every step's failure is an
errno in its outcome, never an exception; sockets are closed and the clock is put back at the end.

Without privilege means: with effective user id 65534, which drops the effective capabilities
until the id is put back (capabilities(7)).
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyxfrm.abi import netlink as nl
from pyxfrm.lab import rtnetlink
from pyxfrm.lab import script as steps
from pyxfrm.lab.script import Outcome, Received, Script, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Executor", "run", "run_json"]

_SO_RCVBUFFORCE = 33
_SO_MARK = 36
_NOBODY = 65534


def run_json(value: Any) -> Any:
    """`run` for a script and a transcript in JSON, on a kernel whose clock may be set."""
    return run(Script.from_json(value), own_clock=True).to_json()


def run(script: Script, *, own_clock: bool = False) -> Transcript:
    """Execute every step in this thread's network namespace."""
    executor = Executor(own_clock=own_clock)
    try:
        return Transcript(tuple(executor.step(step) for step in script.steps))
    finally:
        executor.close()


class Executor:
    """The sockets of one conversation, and how each kind of step is done."""

    def __init__(self, *, own_clock: bool = False) -> None:
        self._sockets: dict[str, socket.socket] = {}
        self._own_clock = own_clock
        self._started: tuple[float, float] | None = None
        self._does: dict[type[Any], Callable[[Any], Outcome | None]] = {
            steps.Open: self._open,
            steps.Close: self._close,
            steps.Send: self._send,
            steps.Receive: self._receive,
            steps.Link: self._link,
            steps.Route: self._route,
            steps.Sysctl: self._sysctl,
            steps.Sleep: self._sleep,
            steps.ReadFile: self._read_file,
            steps.Clock: self._clock,
            steps.Udp: self._udp,
        }

    def step(self, step: steps.Step) -> Outcome:
        """Do one step."""
        try:
            return self._does[type(step)](step) or Outcome()
        except KeyError:  # a socket that was never opened, or whose opening failed
            return Outcome(errno.EBADF)
        except OSError as problem:
            return Outcome(problem.errno or errno.EIO)

    def close(self) -> None:
        """Close all sockets, put the clock back."""
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()
        if self._started is not None:
            real, steady = self._started
            time.clock_settime(time.CLOCK_REALTIME, real + time.monotonic() - steady)
            self._started = None

    def _open(self, step: steps.Open) -> None:
        with _privilege(step.privileged):
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, step.protocol)
            try:
                self._prepare(sock, step)
            except OSError:
                sock.close()
                raise
        sock.setblocking(False)
        self._sockets[step.socket] = sock

    @staticmethod
    def _prepare(sock: socket.socket, step: steps.Open) -> None:
        options = (
            (nl.NETLINK_EXT_ACK, step.ext_ack),
            (nl.NETLINK_CAP_ACK, step.cap_ack),
            (nl.NETLINK_GET_STRICT_CHK, step.strict),
            (nl.NETLINK_NO_ENOBUFS, step.no_enobufs),
        )
        for option, wanted in options:
            if wanted:
                sock.setsockopt(nl.SOL_NETLINK, option, 1)
        if step.rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, step.rcvbuf)
        sock.bind((step.port, 0))
        for group in step.groups:
            sock.setsockopt(nl.SOL_NETLINK, nl.NETLINK_ADD_MEMBERSHIP, group)

    def _close(self, step: steps.Close) -> None:
        self._sockets.pop(step.socket).close()

    def _send(self, step: steps.Send) -> None:
        sock = self._sockets[step.socket]
        with _privilege(step.privileged):
            if step.addressed:
                sock.sendto(step.data, (0, 0))
            else:
                sock.send(step.data)

    def _receive(self, step: steps.Receive) -> Outcome:
        sock = self._sockets[step.socket]
        if step.wait:
            select.select([sock], [], [], step.wait)
        return Outcome(received=tuple(islice(_arrivals(sock, step.size), step.count or None)))

    def _link(self, step: steps.Link) -> None:
        if step.name not in (name for _, name in socket.if_nameindex()):
            rtnetlink.add_link(step.name, step.kind, step.peer)
        rtnetlink.set_link(step.name, up=step.up, mtu=step.mtu)
        if step.peer:
            rtnetlink.set_link(step.peer, up=step.up, mtu=step.mtu)
        for address in step.addresses:
            rtnetlink.add_address(step.name, address)

    def _route(self, step: steps.Route) -> None:
        rtnetlink.add_route(step.destination, step.device, step.gateway)

    def _sysctl(self, step: steps.Sysctl) -> None:
        path = Path("/proc/sys", step.name if "/" in step.name else step.name.replace(".", "/"))
        with path.open("r+b", buffering=0) as file:
            file.write(step.value.encode())

    def _sleep(self, step: steps.Sleep) -> None:
        time.sleep(step.seconds)

    def _read_file(self, step: steps.ReadFile) -> Outcome:
        return Outcome(text=Path(step.path).read_text(errors="replace"))

    def _clock(self, step: steps.Clock) -> None:
        if not self._own_clock:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        if self._started is None:
            self._started = (time.time(), time.monotonic())
        time.clock_settime(time.CLOCK_REALTIME, step.seconds)

    def _udp(self, step: steps.Udp) -> None:
        family = socket.AF_INET6 if ":" in step.daddr else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            if step.mark:
                sock.setsockopt(socket.SOL_SOCKET, _SO_MARK, step.mark)
            if step.saddr or step.source_port:
                sock.bind((step.saddr, step.source_port))
            sock.setblocking(False)
            sock.sendto(step.data, (step.daddr, step.port))


def _arrivals(sock: socket.socket, size: int) -> Iterator[Received]:
    """Every datagram until the socket is empty; a lost one shows as its errno."""
    while True:
        try:
            data, (port, groups) = sock.recvfrom(size)
        except BlockingIOError:
            return
        except OSError as problem:
            yield Received(b"", errno=problem.errno or errno.EIO)
            if problem.errno != errno.ENOBUFS:
                return
        else:
            yield Received(data, port, groups)


@contextlib.contextmanager
def _privilege(wanted: bool) -> Iterator[None]:
    """With CAP_NET_ADMIN, or without."""
    if wanted:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
