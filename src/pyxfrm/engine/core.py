"""The engine: one network namespace's XFRM, as seen from its netlink sockets.

    engine = Engine(profile=LINUX_7_2)
    port = engine.port(portid=1234, groups=(XFRMNLGRP_SA,), ext_ack=True)
    replies = engine.handle(request_bytes, port, now=1_700_000_000.0)

:meth:`Engine.handle` takes a datagram as ``send`` would, and gives what that socket would read afterwards, in order: events of groups it has joined, replies,
ACK or error, whole dumps. What other ports get waits in their queues (:meth:`Engine.receive`). A transport that reads by itself uses
:meth:`Engine.submit` and :meth:`Engine.receive`.

Requests are handled one message after the other; a refused one does not stop those behind it in the same datagram.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from errno import EAGAIN
from typing import TYPE_CHECKING

from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REQUEST, NLMSG_MIN_TYPE
from pyxfrm.abi.profiles import LINUX_7_2, Profile
from pyxfrm.abi.xfrm import XFRMNLGRP_AEVENTS
from pyxfrm.engine import aevents, replies
from pyxfrm.engine.chance import Chance
from pyxfrm.engine.devices import Devices
from pyxfrm.engine.dispatch import dispatch
from pyxfrm.engine.ipcomp import TunnelSpis
from pyxfrm.engine.port import DEFAULT_RCVBUF, GROUPS, Port
from pyxfrm.engine.refusal import Refusal
from pyxfrm.engine.request import Request
from pyxfrm.engine.sadb import Sadb
from pyxfrm.engine.spd import Spd
from pyxfrm.engine.sysctl import Sysctl
from pyxfrm.engine.timers import Timers
from pyxfrm.errors import UsageError

__all__ = ["Engine"]

_HEADER = struct.Struct("=IHHII").unpack_from

if TYPE_CHECKING:
    from pyxfrm.engine.datapath import Datapath

Observer = Callable[[int, int, bytes], None]


class Engine:
    """One namespace.

    ``profile``   which kernel it behaves as
    ``chance``    what a kernel decides by chance or counter: SPIs, acquire sequence numbers
    ``sysctl``    net.core.xfrm_* and what else the rules ask for
    ``devices``   the network devices that offload may name
    ``datapath``  what moves packets through it, see :class:`pyxfrm.engine.datapath.Datapath`
    ``twins``     clones too many, see handlers/migrate.py
    ``observer``  called as ``observer(portid, group, datagram)`` for every datagram sent, in the kernel's order, before it is queued:
                  a unicast has group 0, a multicast port 0 (once, whoever listens)
    """

    def __init__(
        self,
        profile: Profile = LINUX_7_2,
        *,
        chance: Chance | None = None,
        sysctl: Sysctl | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.profile = profile
        self.chance = chance or Chance()
        self.sysctl = sysctl or Sysctl()
        self.devices = Devices()
        self.observer = observer
        self.timers = Timers()
        self.sadb = Sadb(exact_marks=profile.exact_marks)
        self.spd = Spd(self.chance.policy_index)
        self.tunnel_spis = TunnelSpis()
        self.datapath: Datapath | None = None
        self.twins = 0
        self.ports: dict[int, Port] = {}
        self.now = 0.0
        self._members: dict[int, list[Port]] = {g: [] for g in range(1, GROUPS + 1)}

    # -- ports ---------------------------------------------------------------------------------

    def port(
        self,
        portid: int,
        groups: Iterable[int] = (),
        *,
        ext_ack: bool = False,
        cap_ack: bool = False,
        capable: bool = True,
        rcvbuf: int = DEFAULT_RCVBUF,
    ) -> Port:
        """Open a socket bound to ``portid``; see :class:`~pyxfrm.engine.port.Port` for the rest."""
        if portid in self.ports:
            raise UsageError(f"port {portid} is taken: choose another")
        port = Port(portid, ext_ack=ext_ack, cap_ack=cap_ack, capable=capable, rcvbuf=rcvbuf)
        self.ports[portid] = port
        for group in groups:
            self.join(port, group)
        return port

    def close(self, port: Port) -> None:
        """Close a socket."""
        for group in list(port.groups):
            self.leave(port, group)
        self.ports.pop(port.portid, None)

    def join(self, port: Port, group: int) -> None:
        """NETLINK_ADD_MEMBERSHIP. Groups above XFRMNLGRP_MAX can be joined, and never say anything."""
        if group not in self._members:
            raise UsageError(f"multicast group {group} does not exist: 1 to {GROUPS}")
        if group == XFRMNLGRP_AEVENTS and not self._members[group]:
            aevents.watch(self)
        if port not in self._members[group]:
            self._members[group].insert(0, port)
        port.groups.add(group)

    def leave(self, port: Port, group: int) -> None:
        """NETLINK_DROP_MEMBERSHIP."""
        port.groups.discard(group)
        members = self._members.get(group, [])
        if port in members:
            members.remove(port)

    def listens(self, group: int) -> bool:
        """Whether any socket has joined the group."""
        return bool(self._members[group])

    # -- in --------------------------------------------------------------------------------------

    def handle(self, data: bytes, port: Port, now: float) -> list[bytes]:
        """A datagram from a socket; what it would read afterwards, whole dumps included."""
        self.submit(data, port, now)
        read: list[bytes] = []
        while port.dump is not None and (datagram := self.receive(port)) is not None:
            read.append(datagram)
        return read + port.pop_all()

    def submit(self, data: bytes, port: Port, now: float) -> None:
        """A datagram from a socket, as ``send``; answers wait in the queues of their ports."""
        self.now = now
        start, size = 0, len(data)
        while size - start >= 16:
            header = _HEADER(data, start)
            length = header[0]
            if length < 16 or length > size - start:
                break
            self._one(Request(self, port, data, start, header, now))
            start += (length + 3) & ~3
        self.sadb.settle()
        self.spd.settle()
        if self.datapath is not None:
            self.datapath.changed()

    def receive(self, port: Port, size: int = 32768) -> bytes | None:
        """One datagram from a socket's queue, as ``recv`` with a buffer of ``size`` bytes; None if empty."""
        taken = self.receive_from(port, size)
        return None if taken is None else taken[1]

    def receive_from(self, port: Port, size: int = 32768) -> tuple[int, bytes] | None:
        """As :meth:`receive`, with the multicast group it came through (0: it was sent to this port)."""
        taken = port.pop()
        if taken is not None:
            port.max_read = min(max(port.max_read, size), replies.LARGEST_DATAGRAM)
            goes_on = port.dump is not None and port.queued <= port.rcvbuf // 2
            if goes_on and not replies.continue_dump(self, port):
                port.overrun = True
        port.woken()
        return taken

    def _one(self, request: Request) -> None:
        errno = 0
        flags = request.flags
        if flags & NLM_F_REQUEST and request.type >= NLMSG_MIN_TYPE:
            try:
                if dispatch(request):
                    return
            except Refusal as no:
                errno = no.errno
                if no.text is not None:
                    request.text = no.text
                if no.attr is not None:
                    request.blame(no.attr)
        if errno or flags & NLM_F_ACK:
            self.unicast(request.port, replies.error(request, errno))

    # -- out -------------------------------------------------------------------------------------

    def unicast(self, port: Port, datagram: bytes) -> bool:
        """Send to one socket; False if it has no room."""
        if self.observer is not None:
            self.observer(port.portid, 0, datagram)
        return port.put(datagram)

    def answer(self, port: Port, datagram: bytes) -> None:
        """Send what a request asked for; EAGAIN if its socket has no room (nlmsg_unicast)."""
        if not self.unicast(port, datagram):
            raise Refusal(EAGAIN)

    def dumped(self, port: Port, datagram: bytes, size: int) -> None:
        """Send a datagram of a dump, for which ``size`` bytes were set aside."""
        if self.observer is not None:
            self.observer(port.portid, 0, datagram)
        port.put_part(datagram, size)

    def multicast(self, group: int, datagram: bytes) -> bool:
        """Send to a group; False if nobody has joined it, or none of them had room."""
        members = self._members[group]
        if not members:
            return False
        if self.observer is not None:
            self.observer(0, group, datagram)
        delivered = False
        for port in members:
            delivered |= port.put(datagram, group)
        return delivered

    # -- time ------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When :meth:`expire` has something to do next, in seconds since the epoch; None: never."""
        return self.timers.next_deadline()

    def expire(self, now: float) -> None:
        """Let the timers that are due at ``now`` run, in the order in which they are due."""
        while (due := self.timers.pop(now)) is not None:
            self.now = max(self.now, due.when)
            due.action(self, due.subject, due.when)
        self.now = max(self.now, now)
        if self.datapath is not None:
            self.datapath.changed()
