"""The addresses of an interface, from rtnetlink: what they are good for, and a socket that tells when something changed.

Of the notifications only *that* something changed is heard; what there is now is then looked up. So one that was lost, an interface that goes and comes back under another
number, and a hundred changes in a moment are no special cases.

Everything works in the calling thread's network namespace. Sources: rtnetlink(7), <linux/rtnetlink.h>, <linux/if_addr.h>, <linux/if_link.h>.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from enum import IntEnum

from pyxfrm.abi.netlink import (
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
)
from pyxfrm.errors import TransportError
from pyxfrm.model import Address, Family
from pyxfrm.transport.base import wait_readable
from pyxfrm.wire.attrs import spans
from pyxfrm.wire.netlink import HEADER_SIZE, frames

__all__ = ["Rank", "addresses", "listener", "rank_of", "wait_for_change"]

_NEWADDR, _GETADDR = 20, 22
_GROUPS = 0x1 | 0x10 | 0x100  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
_HEADER = struct.Struct("=IHHII")
_IFADDRMSG = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface
_U32 = struct.Struct("=I")
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_SECONDARY, _OPTIMISTIC, _DADFAILED, _DEPRECATED, _TENTATIVE = 0x01, 0x04, 0x08, 0x20, 0x40
_UNIVERSE = 0

_PATIENCE = 5.0  # seconds for a part of the table
_TRIES = 5  # of a table that changes while it is read


class Rank(IntEnum):
    """What an address of an interface is good for; the higher one is moved to first.

    ``UNUSABLE``  tentative, or a duplicate (RFC 4862 section 5.4): as if it were not there
    ``STAY``      deprecated (ibid. 5.5.4: no new use, the old one goes on), or not global: no place to move to
    ``SECOND``    secondary (IPv4: goes when its primary goes) or temporary (IPv6, RFC 8981)
    ``FIRST``     any other
    """

    UNUSABLE = 0
    STAY = 1
    SECOND = 2
    FIRST = 3


def rank_of(flags: int, scope: int) -> Rank:
    """What the flags and the scope of an address (``struct ifaddrmsg``, IFA_FLAGS) make of it."""
    if flags & _DADFAILED or (flags & _TENTATIVE and not flags & _OPTIMISTIC):
        return Rank.UNUSABLE
    if flags & _DEPRECATED or scope != _UNIVERSE:
        return Rank.STAY
    return Rank.SECOND if flags & _SECONDARY else Rank.FIRST


def addresses(interface: str) -> dict[Address, Rank] | None:
    """All addresses of an interface, in the kernel's order; None if there is no such interface. TransportError if the kernel does not tell."""
    try:
        index = socket.if_nametoindex(interface)
    except OSError:
        return None
    found: dict[Address, Rank] = {}
    for _ in range(_TRIES):
        rows, whole = _table()
        found = {address: rank for at, address, rank in rows if at == index}
        if whole:
            break
    return found


_Row = tuple[int, Address, Rank]


def _table() -> tuple[list[_Row], bool]:
    """Interface, address and rank of every address; whether nothing changed meanwhile."""
    rows: list[_Row] = []
    whole = True
    size = HEADER_SIZE + _IFADDRMSG.size
    head = _HEADER.pack(size, _GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
            sock.settimeout(_PATIENCE)
            sock.send(head + bytes(_IFADDRMSG.size))
            while True:
                part = sock.recv(1 << 16)
                for start, end in frames(part):
                    _, kind, flags, _, _ = _HEADER.unpack_from(part, start)
                    whole = whole and not flags & NLM_F_DUMP_INTR
                    if kind == NLMSG_DONE:
                        return rows, whole
                    if kind == NLMSG_ERROR:
                        code = -struct.unpack_from("=i", part, start + HEADER_SIZE)[0]
                        raise OSError(code, os.strerror(code))
                    if kind == _NEWADDR:
                        rows += _row(part, start + HEADER_SIZE, end)
    except OSError as why:
        raise TransportError(
            f"asking for the addresses of interfaces: {why.strerror or why}"
        ) from None


def _row(data: bytes, start: int, end: int) -> Iterator[_Row]:
    family, _, flags, scope, index = _IFADDRMSG.unpack_from(data, start)
    if family not in (Family.INET, Family.INET6):
        return
    attrs = {
        number: data[first:last]
        for _, number, first, last in spans(data, start + _IFADDRMSG.size, end)
    }
    # Of a point-to-point link IFA_ADDRESS is the other end's.
    raw = attrs.get(_IFA_LOCAL) or attrs.get(_IFA_ADDRESS)
    if raw is not None:
        if _IFA_FLAGS in attrs:
            (flags,) = _U32.unpack(attrs[_IFA_FLAGS])
        yield index, Address(Family(family), raw), rank_of(flags, scope)


def listener() -> socket.socket:
    """A socket that becomes readable when links or addresses change."""
    made = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
    )
    made.bind((0, _GROUPS))
    return made


def wait_for_change(changes: socket.socket, due: float | None) -> None:
    """Until something changes, or until ``due`` on the monotonic clock (None: for ever). What the messages say is not read."""
    poll = select.poll()
    poll.register(changes, select.POLLIN)
    wait_readable(poll, None if due is None else max(0.0, due - time.monotonic()))
    while True:
        try:
            changes.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as why:
            if why.errno != errno.ENOBUFS:  # some were lost, and the table is looked up anyway
                raise TransportError(f"listening to interfaces: {why.strerror}") from None
