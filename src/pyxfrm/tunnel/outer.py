"""Sockets of the outer side: UDP for encapsulated ESP, raw ones for ESP and AH themselves. The only IO towards the network.

**UDP.** A run of equal payloads is one ``sendmsg`` with UDP_SEGMENT: the kernel cuts it. With UDP_GRO it hands over what came in a row from one sender
as one buffer and says where to cut (linux/udp.h). Kernels without these, and drivers that refuse, get packet by packet.
DS field and DF bit of the packets are the socket's business: IP_TOS as ancillary data, IP_MTU_DISCOVER when it changes. Checksums are the
kernel's, too. Encapsulated ESP is an ordinary UDP payload, so no privilege is needed.

**Raw** sockets need CAP_NET_RAW. The kernel writes the header of what goes out; what comes in has it over IPv4 and has not over
IPv6. Until it is bound a raw socket gets what comes to every address, so each packet's destination is looked at. A kernel that has
SAs of its own sees those packets too, and counts what it does not know; that does no harm.

Nothing waits for long here: a packet that the kernel does not take within :data:`PATIENCE` is lost, as on a full queue, and counted by
the name of its errno.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections import Counter
from contextlib import suppress
from typing import Any, Protocol

from pyxfrm.tunnel.framing import Run
from pyxfrm.tunnel.place import UDP, Place, Via

__all__ = ["Outer", "PATIENCE", "RawOuter", "UdpOuter", "open_outer", "path_mtu"]

PATIENCE = 0.02  # seconds that a full socket is waited for
_BUFFER = 4 << 20  # bytes that a socket may hold, if the kernel lets us
_LARGEST = 65536
_MOST_READS = 32  # in one go, so that others get their turn
_UDP_SEGMENT, _UDP_GRO = 103, 104
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_IP_MTU_DISCOVER, _IP_MTU, _IPV6_MTU_DISCOVER, _IPV6_MTU = 10, 14, 23, 24
_PMTUDISC_DONT, _PMTUDISC_DO = 0, 2
_IP_RECVTOS, _IPV6_RECVTCLASS, _IPV6_TCLASS = 13, 66, 67
_IPV6_RECVPKTINFO, _IPV6_PKTINFO = 49, 50
_NOT_CUT = frozenset((errno.EINVAL, errno.EMSGSIZE, errno.EIO, errno.EOPNOTSUPP))
_int = struct.Struct("=i")
_short = struct.Struct("=H")
_ANCILLARY = socket.CMSG_SPACE(4) * 4 + socket.CMSG_SPACE(20)


class Outer(Protocol):
    """One socket at one place."""

    place: Place

    def fileno(self) -> int:
        """Readable when something has come."""

    def send(self, run: Run) -> Counter[str]:
        """Send a run; packets that could not be sent, by the name of the errno."""

    def receive(self) -> list[Run]:
        """What has come, in order."""

    def close(self) -> None:
        """Close it."""


def open_outer(place: Place) -> Outer:
    """A socket at a place. OSError where that cannot be: not our address, taken, not allowed."""
    return UdpOuter(place) if place.proto == UDP else RawOuter(place)


class _Socket:
    """What both kinds have in common."""

    def __init__(self, place: Place, kind: int, proto: int) -> None:
        self.place = place
        self.v6 = place.family == socket.AF_INET6
        self._level = socket.IPPROTO_IPV6 if self.v6 else socket.IPPROTO_IP
        self._tos = _IPV6_TCLASS if self.v6 else socket.IP_TOS
        self._sock = socket.socket(place.family, kind | socket.SOCK_CLOEXEC, proto)
        try:
            self._set_up()
            self._sock.bind((place.host, place.port))
        except BaseException:
            self._sock.close()
            raise
        self._df: bool | None = None

    def _set_up(self) -> None:
        sock = self._sock
        sock.setblocking(False)
        if self.v6 and sock.type == socket.SOCK_DGRAM:  # a raw socket is of one family anyway
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for force, plain in (
            (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
            (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
        ):
            try:
                sock.setsockopt(socket.SOL_SOCKET, force, _BUFFER)
            except PermissionError:
                sock.setsockopt(socket.SOL_SOCKET, plain, _BUFFER)
        sock.setsockopt(self._level, _IPV6_RECVTCLASS if self.v6 else _IP_RECVTOS, 1)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def _fragment(self, *, allowed: bool) -> None:
        """Set the DF bit of what follows."""
        if self._df is not (not allowed):
            self._df = not allowed
            option = _IPV6_MTU_DISCOVER if self.v6 else _IP_MTU_DISCOVER
            value = _PMTUDISC_DONT if allowed else _PMTUDISC_DO
            self._sock.setsockopt(self._level, option, value)

    def _ancillary(self, tos: int) -> list[tuple[int, int, bytes]]:
        return [(self._level, self._tos, _int.pack(tos))] if tos else []

    def _send(self, buffers: Any, ancillary: Any, address: tuple[str, int]) -> None:
        """``sendmsg``; a full socket is waited for, for a moment. OSError as the kernel gives it."""
        while True:
            try:
                self._sock.sendmsg(buffers, ancillary, 0, address)
                return
            except BlockingIOError:
                if not _writable(self._sock):
                    raise

    def _send_each(self, run: Run, address: tuple[str, int]) -> Counter[str]:
        failed: Counter[str] = Counter()
        ancillary = self._ancillary(run.tos)
        for payload in run.payloads:
            try:
                self._send((payload,), ancillary, address)
            except OSError as why:
                failed[name_of(why.errno)] += 1
        return failed

    def _notes(self, ancillary: list[tuple[int, int, bytes]]) -> tuple[int, int]:
        """(DS field, where to cut or 0)."""
        tos = cut = 0
        for level, kind, data in ancillary:
            if level == self._level and kind == self._tos:
                tos = data[0]
            elif level == UDP and kind == _UDP_GRO and len(data) >= 4:
                cut = _int.unpack_from(data)[0]
        return tos, cut


def _writable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    return bool(poll.poll(PATIENCE * 1000))


class UdpOuter(_Socket):
    """A UDP socket. ``batched``: runs go out in one piece, as long as the kernel can."""

    def __init__(self, place: Place) -> None:
        if not place.port:  # to bind this would mean any port
            raise OSError(errno.EADDRNOTAVAIL, "UDP has no port 0")
        super().__init__(place, socket.SOCK_DGRAM, 0)
        self.batched = True
        self._buffer = bytearray(_LARGEST)
        with suppress(OSError):  # before Linux 5.0
            self._sock.setsockopt(UDP, _UDP_GRO, 1)

    def send(self, run: Run) -> Counter[str]:
        """See :class:`Outer`."""
        self._fragment(allowed=not run.df)
        via, payloads = run.via, run.payloads
        address = (via.host, via.port)
        if len(payloads) == 1 or not self.batched:
            return self._send_each(run, address)
        ancillary = self._ancillary(run.tos)
        ancillary.append((UDP, _UDP_SEGMENT, _short.pack(run.size)))
        try:
            self._send(payloads, ancillary, address)
        except OSError as why:
            if why.errno not in _NOT_CUT:
                return Counter({name_of(why.errno): len(payloads)})
            failed = self._send_each(run, address)
            # Too long for the path; or, if nothing else was wrong, never possible here.
            self.batched = bool(failed)
            return failed
        return Counter()

    def receive(self) -> list[Run]:
        """See :class:`Outer`."""
        runs: list[Run] = []
        buffer, receive = self._buffer, self._sock.recvmsg_into
        view = memoryview(buffer)
        place = self.place
        for _ in range(_MOST_READS):
            try:
                length, ancillary, flags, address = receive((view,), _ANCILLARY)
            except BlockingIOError:
                break
            except OSError:  # an ICMP error about something sent before
                continue
            if flags & socket.MSG_TRUNC:
                continue
            tos, cut = self._notes(ancillary)
            data = bytes(view[:length])
            via = Via(place, socket.inet_pton(place.family, _plain(address[0])), address[1])
            if not cut or cut >= length:
                runs.append(Run(via, (data,), length, tos))
            else:
                parts = [data[at : at + cut] for at in range(0, length, cut)]
                runs.append(Run(via, parts, cut, tos))
        return runs


class RawOuter(_Socket):
    """A raw socket of an IP protocol."""

    def __init__(self, place: Place) -> None:
        super().__init__(place, socket.SOCK_RAW, place.proto)

    def _set_up(self) -> None:
        super()._set_up()
        if self.v6:
            self._sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)

    def send(self, run: Run) -> Counter[str]:
        """See :class:`Outer`."""
        self._fragment(allowed=not run.df)
        return self._send_each(run, (run.via.host, 0))

    def receive(self) -> list[Run]:
        """See :class:`Outer`."""
        runs: list[Run] = []
        for _ in range(_MOST_READS):
            try:
                data, ancillary, _, address = self._sock.recvmsg(_LARGEST, _ANCILLARY)
            except BlockingIOError:
                break
            except OSError:
                continue
            daddr = data[16:20]
            if self.v6:
                daddr = b"".join(d[:16] for _, kind, d in ancillary if kind == _IPV6_PKTINFO)
            else:
                data = data[(data[0] & 15) * 4 :]
            if daddr != self.place.address:
                continue
            tos, _ = self._notes(ancillary)
            sender = socket.inet_pton(self.place.family, _plain(address[0]))
            runs.append(Run(Via(self.place, sender), (data,), len(data), tos))
        return runs


def _plain(host: str) -> str:
    """An address without its zone (fe80::1%eth0)."""
    return host.partition("%")[0]


def path_mtu(address: bytes) -> int:
    """Bytes that the way to another host (4 or 16 bytes) carries, as the kernel knows it; 0 where it does not say."""
    v6 = len(address) == 16
    family = socket.AF_INET6 if v6 else socket.AF_INET
    level, option = (socket.IPPROTO_IPV6, _IPV6_MTU) if v6 else (socket.IPPROTO_IP, _IP_MTU)
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((socket.inet_ntop(family, address), 9))
        return sock.getsockopt(level, option)
    return 0


def name_of(code: int | None) -> str:
    """An errno's name."""
    return errno.errorcode.get(code or 0, os.strerror(code or 0))
