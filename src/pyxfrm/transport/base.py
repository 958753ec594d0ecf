"""What a transport is: datagrams out, datagrams in, and whether there are any.

A transport knows nothing of what it carries. It never blocks in :meth:`~Transport.recv`, so that one shape serves a plain loop
(:meth:`~Transport.wait`) and an event loop (:meth:`~Transport.fileno`, :meth:`~Transport.deadline`).

A receiver that is too slow loses messages. The kernel says so with ENOBUFS, once; a transport hands that on as the marker :data:`LOST`, in
its place among the datagrams. It is no exception: what comes after it is as good as ever.

Anything around a transport (:class:`Wrapper`: tracer, recorder, fault injector) is a transport again.

Nobody sleeps for longer than :data:`BREATH` at once. Python notes a signal when it comes and runs its handler between two steps of the interpreter. One that comes
after the last such step and before the system call that sleeps is noted, and wakes nobody: Ctrl-C would wait for the next event, which may never come.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterable
from enum import Enum, IntEnum
from typing import Final, Literal, Protocol

from pyxfrm.abi import messages as m
from pyxfrm.abi import xfrm as c
from pyxfrm.closing import Closing

__all__ = [
    "ALL_GROUPS",
    "BREATH",
    "GROUP_OF",
    "Group",
    "LOST",
    "Lost",
    "Transport",
    "Wrapper",
    "wait_readable",
]

BREATH = 0.5  # seconds: the longest that one system call sleeps


class _Marker(Enum):
    LOST = "LOST"

    def __repr__(self) -> str:
        return self.value


Lost = Literal[_Marker.LOST]
LOST: Final = _Marker.LOST


class Group(IntEnum):
    """Multicast groups (``XFRMNLGRP_*``): what a port can listen to."""

    ACQUIRE = c.XFRMNLGRP_ACQUIRE
    EXPIRE = c.XFRMNLGRP_EXPIRE
    SA = c.XFRMNLGRP_SA
    POLICY = c.XFRMNLGRP_POLICY
    AEVENTS = c.XFRMNLGRP_AEVENTS
    REPORT = c.XFRMNLGRP_REPORT
    MIGRATE = c.XFRMNLGRP_MIGRATE
    MAPPING = c.XFRMNLGRP_MAPPING


ALL_GROUPS = tuple(Group)

# Which group an event goes to.
GROUP_OF: dict[int, Group] = {
    m.XFRM_MSG_ACQUIRE: Group.ACQUIRE,
    m.XFRM_MSG_EXPIRE: Group.EXPIRE,
    m.XFRM_MSG_POLEXPIRE: Group.EXPIRE,
    m.XFRM_MSG_NEWSA: Group.SA,
    m.XFRM_MSG_UPDSA: Group.SA,
    m.XFRM_MSG_DELSA: Group.SA,
    m.XFRM_MSG_FLUSHSA: Group.SA,
    m.XFRM_MSG_NEWPOLICY: Group.POLICY,
    m.XFRM_MSG_UPDPOLICY: Group.POLICY,
    m.XFRM_MSG_DELPOLICY: Group.POLICY,
    m.XFRM_MSG_FLUSHPOLICY: Group.POLICY,
    m.XFRM_MSG_GETDEFAULT: Group.POLICY,
    m.XFRM_MSG_NEWAE: Group.AEVENTS,
    m.XFRM_MSG_REPORT: Group.REPORT,
    m.XFRM_MSG_MIGRATE: Group.MIGRATE,
    m.XFRM_MSG_MIGRATE_STATE: Group.MIGRATE,
    m.XFRM_MSG_MAPPING: Group.MAPPING,
}


class Transport(Protocol):
    """One port to an XFRM: a kernel's or an engine's."""

    @property
    def portid(self) -> int:
        """The port's number: ``nlmsg_pid`` of what is sent, and of the answers to it."""

    def send(self, data: bytes) -> None:
        """One datagram of one or more requests. TransportError if it cannot be sent whole."""

    def recv(self) -> bytes | Lost | None:
        """The next datagram, LOST where some are missing, None if there is nothing now."""

    def wait(self, timeout: float | None) -> bool:
        """Wait until :meth:`recv` has something, ``timeout`` seconds at most; whether it has."""

    def fileno(self) -> int:
        """A file descriptor that is readable when :meth:`recv` has something."""

    def deadline(self) -> float | None:
        """Seconds until :meth:`recv` should be tried even if the descriptor stays quiet; None: never."""

    def join(self, groups: Iterable[int]) -> None:
        """Listen to these groups from now on."""

    def sibling(self, groups: Iterable[int] = ()) -> Transport:
        """Another port to the same XFRM."""

    def close(self) -> None:
        """Close the port. Closing twice is harmless."""


def wait_readable(poll: select.poll, timeout: float | None) -> bool:
    """Wait until a registered descriptor is ready, ``timeout`` seconds at most (None: for ever); whether one is."""
    end = None if timeout is None else time.monotonic() + timeout
    left = BREATH if timeout is None else timeout
    while not poll.poll(1000 * max(0.0, min(left, BREATH))):
        if end is not None:
            left = end - time.monotonic()
            if left <= 0:
                return False
    return True


class Wrapper(Closing):
    """A transport around a transport: hands everything through. Subclasses change what they are for."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner

    @property
    def portid(self) -> int:
        """The inner port's number."""
        return self.inner.portid

    def send(self, data: bytes) -> None:
        """See :meth:`Transport.send`."""
        self.inner.send(data)

    def recv(self) -> bytes | Lost | None:
        """See :meth:`Transport.recv`."""
        return self.inner.recv()

    def wait(self, timeout: float | None) -> bool:
        """See :meth:`Transport.wait`."""
        return self.inner.wait(timeout)

    def fileno(self) -> int:
        """See :meth:`Transport.fileno`."""
        return self.inner.fileno()

    def deadline(self) -> float | None:
        """See :meth:`Transport.deadline`."""
        return self.inner.deadline()

    def join(self, groups: Iterable[int]) -> None:
        """See :meth:`Transport.join`."""
        self.inner.join(groups)

    def sibling(self, groups: Iterable[int] = ()) -> Transport:
        """Another port, wrapped likewise."""
        return self.wrap(self.inner.sibling(groups))

    def wrap(self, inner: Transport) -> Transport:
        """``inner`` wrapped as this one is."""
        return type(self)(inner)

    def close(self) -> None:
        """See :meth:`Transport.close`."""
        self.inner.close()
