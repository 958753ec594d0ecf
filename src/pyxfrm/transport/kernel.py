"""A port to a Linux kernel: an AF_NETLINK socket of NETLINK_XFRM, in this network namespace or another.

The socket asks for extended ACKs (why a request was refused) and capped ones (the request is not echoed), and for a receive buffer of
some megabytes: events and a batch's refusals come in bursts, and what does not fit is lost (ENOBUFS, handed on as LOST). Every request, even a GET,
needs CAP_NET_ADMIN in the user namespace that owns the network namespace.

The C module under :mod:`socket` is all that is needed, and it is there at once; every command that lists something loads this.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
from _socket import (
    AF_NETLINK,
    MSG_TRUNC,
    SO_RCVBUF,
    SO_SNDBUF,
    SOCK_CLOEXEC,
    SOCK_RAW,
    SOL_SOCKET,
    socket,
)
from collections.abc import Iterable
from typing import Any

from pyxfrm.abi.netlink import (
    NETLINK_ADD_MEMBERSHIP,
    NETLINK_CAP_ACK,
    NETLINK_EXT_ACK,
    NETLINK_XFRM,
    SOL_NETLINK,
)
from pyxfrm.errors import TransportError
from pyxfrm.transport.base import LOST, Lost, wait_readable
from pyxfrm.transport.netns import Netns, in_netns, in_new_netns, open_netns

__all__ = ["KernelTransport", "RECEIVE_BUFFER", "failed"]

RECEIVE_BUFFER = 8 << 20
_SEND_BUFFER = (
    1 << 17
)  # a batch's datagrams have 64 KiB; net.core.wmem_default may have been set to less
_DATAGRAM = 1 << 16  # a dump's parts have 32 KiB at most (net/netlink/af_netlink.c: netlink_dump)

# <asm-generic/socket.h>, <linux/sockios.h>: not in every Python's socket module
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_SIOCGSKNS = 0x894C


class KernelTransport:
    """A netlink socket.

    ``netns``           where: None for this thread's namespace, else see :func:`~pyxfrm.transport.netns.open_netns`
    ``groups``          multicast groups to listen to
    ``receive_buffer``  bytes asked for; without CAP_NET_ADMIN ``net.core.rmem_max`` is the most one gets
    """

    def __init__(
        self,
        netns: Netns | None = None,
        groups: Iterable[int] = (),
        *,
        receive_buffer: int = RECEIVE_BUFFER,
    ) -> None:
        self._receive_buffer = receive_buffer
        if netns is None:
            self._socket = _open()
        else:
            fd = open_netns(netns)
            try:
                self._socket = in_netns(fd, _open)
            finally:
                os.close(fd)
        self._set_up(groups)

    def _set_up(self, groups: Iterable[int]) -> None:
        try:
            self._prepare()
            self.join(groups)
        except BaseException:
            self._socket.close()
            raise

    def _prepare(self) -> None:
        sock = self._socket
        sock.setblocking(False)
        sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        if sock.getsockopt(SOL_SOCKET, SO_SNDBUF) < _SEND_BUFFER:
            with contextlib.suppress(PermissionError):
                sock.setsockopt(SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER)
        try:
            sock.setsockopt(SOL_SOCKET, _SO_RCVBUFFORCE, self._receive_buffer)
        except PermissionError:
            sock.setsockopt(SOL_SOCKET, SO_RCVBUF, self._receive_buffer)
        self._buffer = bytearray(_DATAGRAM)
        self._view = memoryview(self._buffer)
        self._portid: int = sock.getsockname()[0]
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    @property
    def portid(self) -> int:
        """The socket's address, which the kernel chose."""
        return self._portid

    def join(self, groups: Iterable[int]) -> None:
        """Listen to these groups from now on."""
        for group in groups:
            try:
                self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, int(group))
            except OSError as why:
                raise failed(f"listening to XFRM group {int(group)}", why) from None

    def send(self, data: bytes) -> None:
        """Send to the kernel, which has handled it when this returns."""
        try:
            self._socket.send(data)
        except OSError as why:
            raise failed(f"sending {len(data)} bytes to XFRM", why) from None

    def recv(self) -> bytes | Lost | None:
        """The next datagram from the kernel; what other processes send is passed over."""
        while True:
            try:
                size, sender = self._receive()
            except BlockingIOError:
                return None
            except OSError as why:
                if why.errno == errno.ENOBUFS:
                    return LOST
                raise failed("receiving from XFRM", why) from None
            if size > _DATAGRAM:
                raise TransportError(
                    f"receiving from XFRM: a datagram of {size} bytes was cut to {_DATAGRAM}"
                )
            if sender[0] == 0:
                return bytes(self._view[:size])

    def _receive(self) -> tuple[int, Any]:
        """Size and sender of the next datagram, which is in the buffer."""
        return self._socket.recvfrom_into(self._buffer, 0, MSG_TRUNC)

    def wait(self, timeout: float | None) -> bool:
        """Wait for a datagram, ``timeout`` seconds at most."""
        return wait_readable(self._poll, timeout)

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def deadline(self) -> float | None:
        """None: the descriptor tells everything."""
        return None

    def sibling(self, groups: Iterable[int] = ()) -> KernelTransport:
        """Another socket in the namespace of this one, whatever became of that namespace's name."""
        return self._around(self._open_beside(), groups)

    def scratch(self) -> KernelTransport:
        """A socket in a new, empty network namespace, to try things in. Needs CAP_SYS_ADMIN."""
        return self._around(in_new_netns(_open))

    def _around(self, sock: socket, groups: Iterable[int] = ()) -> KernelTransport:
        other = KernelTransport.__new__(KernelTransport)
        other._receive_buffer = self._receive_buffer
        other._socket = sock
        other._set_up(groups)
        return other

    def _open_beside(self) -> socket:
        import fcntl

        try:
            fd = fcntl.ioctl(self._socket, _SIOCGSKNS)
        except OSError as why:
            raise failed("opening a second NETLINK_XFRM socket", why) from None
        try:
            here = os.stat("/proc/thread-self/ns/net")  # noqa: PTH116
            there = os.fstat(fd)
            same = (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
            return _open() if same else in_netns(fd, _open)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _open() -> socket:
    try:
        sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_XFRM)
    except OSError as why:
        raise failed("opening a NETLINK_XFRM socket", why) from None
    try:
        sock.bind((0, 0))
    except OSError as why:
        sock.close()
        raise failed("binding a NETLINK_XFRM socket", why) from None
    return sock


_HINTS = {
    errno.EPROTONOSUPPORT: "this kernel has no XFRM netlink (CONFIG_XFRM_USER, module xfrm_user)",
    errno.EAFNOSUPPORT: "this is not Linux, or it has no netlink",
    errno.EPERM: "not permitted; run as root (CAP_NET_ADMIN)",
    errno.EACCES: "not permitted; run as root (CAP_NET_ADMIN)",
    errno.EMSGSIZE: "more than the socket's send buffer takes at once; send it in parts",
    errno.EBADF: "the transport is closed",
}


def failed(what: str, why: OSError) -> TransportError:
    """The error for what a socket refused, with what to do about it."""
    hint = _HINTS.get(why.errno or 0) or why.strerror or str(why)
    return TransportError(f"{what}: {hint}")
