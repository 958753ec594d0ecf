"""Executes a script on an engine: the other side of :mod:`pyxfrm.lab.kernel`.

Time stands still but for ``Clock`` and ``Sleep`` steps, so a script that sets the clock to the middle of a second has the same times on
both sides as long as the kernel gets through it within that second.

What an engine has no part in is answered as far as it matters to XFRM: devices get the numbers that a fresh namespace gives them,
routes and addresses are taken without a word.
"""

from __future__ import annotations

import errno
from itertools import islice
from typing import TYPE_CHECKING, Any

from pyxfrm.abi.profiles import LINUX_7_2, Profile
from pyxfrm.engine import GROUPS, Engine, Port
from pyxfrm.engine.devices import Device
from pyxfrm.engine.port import LEAST_RCVBUF
from pyxfrm.lab import script as steps
from pyxfrm.lab.script import Outcome, Received, Script, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyxfrm.engine.chance import Chance

__all__ = ["Imitator", "run"]

_LARGEST_SEND = 212_992 - 32  # net.core.wmem_default, less what netlink keeps for itself
_SYSCTLS = {
    "net.core.xfrm_aevent_etime": "xfrm_aevent_etime",
    "net.core.xfrm_aevent_rseqth": "xfrm_aevent_rseqth",
    "net.core.xfrm_larval_drop": "xfrm_larval_drop",
    "net.core.xfrm_acq_expires": "xfrm_acq_expires",
    "net.ipv4.ip_no_pmtu_disc": "ip_no_pmtu_disc",
}


def run(script: Script, profile: Profile = LINUX_7_2, chance: Chance | None = None) -> Transcript:
    """Execute every step on a fresh engine."""
    imitator = Imitator(profile, chance)
    return Transcript(tuple(imitator.step(step) for step in script.steps))


class Imitator:
    """An engine and the sockets of one conversation, and how each kind of step is done."""

    def __init__(self, profile: Profile = LINUX_7_2, chance: Chance | None = None) -> None:
        self.engine = Engine(profile, chance=chance)
        self.now = 1_700_000_000.5
        self._ports: dict[str, Port] = {}
        self._opener: dict[str, bool] = {}
        self._does: dict[type[Any], Callable[[Any], Outcome | None]] = {
            steps.Open: self._open,
            steps.Close: self._close,
            steps.Send: self._send,
            steps.Receive: self._receive,
            steps.Link: self._link,
            steps.Route: lambda _: None,
            steps.Sysctl: self._sysctl,
            steps.Sleep: self._sleep,
            steps.Clock: self._clock,
        }

    def step(self, step: steps.Step) -> Outcome:
        """Do one step; EOPNOTSUPP for what needs packets or files."""
        does = self._does.get(type(step))
        if does is None:
            return Outcome(errno.EOPNOTSUPP)
        try:
            return does(step) or Outcome()
        except KeyError:  # a socket that was never opened, or whose opening failed
            return Outcome(errno.EBADF)

    def _open(self, step: steps.Open) -> Outcome | None:
        if step.rcvbuf and not step.privileged:
            return Outcome(errno.EPERM)  # SO_RCVBUFFORCE
        if step.port in self.engine.ports:
            return Outcome(errno.EADDRINUSE)
        for group in step.groups:
            if not step.privileged:
                return Outcome(errno.EPERM)
            if not 0 < group <= GROUPS:
                return Outcome(errno.EINVAL)
        port = self.engine.port(step.port, step.groups, ext_ack=step.ext_ack, cap_ack=step.cap_ack)
        if step.rcvbuf:
            port.rcvbuf = max(2 * step.rcvbuf, LEAST_RCVBUF)  # what the kernel makes of it
        self._ports[step.socket] = port
        self._opener[step.socket] = step.privileged
        port.no_enobufs = step.no_enobufs
        return None

    def _close(self, step: steps.Close) -> None:
        self.engine.close(self._ports.pop(step.socket))

    def _send(self, step: steps.Send) -> Outcome | None:
        port = self._ports[step.socket]
        port.capable = step.privileged and (step.addressed or self._opener[step.socket])
        if not step.data:
            return Outcome(errno.ENODATA)
        if len(step.data) > _LARGEST_SEND:
            return Outcome(errno.EMSGSIZE)
        self.engine.submit(step.data, port, self.now)
        return None

    def _receive(self, step: steps.Receive) -> Outcome:
        port = self._ports[step.socket]
        if step.wait and not port.inbox:
            self._pass(step.wait)
        return Outcome(received=tuple(islice(self._arrivals(step), step.count or None)))

    def _arrivals(self, step: steps.Receive) -> Iterator[Received]:
        """Every datagram until the socket is empty; a lost one shows as its errno."""
        port = self._ports[step.socket]
        while True:
            if port.take_overrun():
                yield Received(b"", errno=errno.ENOBUFS)
                continue
            taken = self.engine.receive_from(port, step.size)
            if taken is None:
                return
            group, data = taken
            yield Received(data[: step.size], groups=1 << group - 1 if group else 0)

    def _link(self, step: steps.Link) -> None:
        # A bond offers to offload, and has nobody to do it: its driver says ENODEV.
        refuses = errno.ENODEV if step.kind == "bond" else 0
        for name in (step.name, step.peer):
            if name and name not in (device.name for device in self.engine.devices):
                number = len(self.engine.devices) + 1
                self.engine.devices.add(Device(number, name, crypto=bool(refuses), refuses=refuses))

    def _sysctl(self, step: steps.Sysctl) -> Outcome | None:
        name = _SYSCTLS.get(step.name.replace("/", "."))
        if name is None:
            return Outcome(errno.ENOENT)
        setattr(self.engine.sysctl, name, int(step.value))
        return None

    def _sleep(self, step: steps.Sleep) -> None:
        self._pass(step.seconds)

    def _clock(self, step: steps.Clock) -> None:
        self.now = step.seconds

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.engine.expire(self.now)
