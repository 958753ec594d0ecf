"""One dump without IO: a port of its own, a request, and messages up to NLMSG_DONE. Entry by entry: the table is never held.

A dump may take many parts, each in a datagram of its own, and the table may change between them. Where a part says so (NLM_F_DUMP_INTR,
include/net/netlink.h: nl_dump_check_consistent) what was read may lack entries or have some twice, and the reader tells it at the end. (Linux 7.2 and
before never say it of XFRM's tables: nothing in net/xfrm sets the generation that is compared.) A part that is lost, or ends in the middle of a message, is an error at once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from pyxfrm.abi.netlink import (
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
)
from pyxfrm.client.request import Dump, Request
from pyxfrm.errors import InterruptedDumpError, RefusedError, TransportError
from pyxfrm.transport.base import LOST, Lost
from pyxfrm.wire.dialogue import ANSWERS
from pyxfrm.wire.messages import attr_name
from pyxfrm.wire.netlink import HEADER_SIZE, ErrorBody, decode_done, decode_error

__all__ = ["DumpReader", "refusal"]

_unpack = struct.Struct("=IHHII").unpack_from


def refusal(request: Request[Any], body: ErrorBody, seq: int) -> RefusedError:
    """The one error object of a refused request."""
    attribute = request.attribute_at(body.offset)
    if body.missing is not None:
        attribute = f"missing {attr_name(body.missing, request.type)}"
    return RefusedError(
        request.name,
        -body.error,
        body.text,
        attribute=attribute,
        offset=body.offset,
        seq=seq,
        subject=str(request.subject),
    )


class DumpReader:
    """One dump on a port of its own: the request to send, and what becomes of what is received.

    ``done``  its end was seen
    """

    def __init__(self, request: Dump[Any], portid: int) -> None:
        self.request = request
        self.portid = portid
        self.done = False
        self._interrupted = False

    def datagram(self) -> bytes:
        """The request; sequence number 1."""
        return self.request.numbered(1, self.portid, NLM_F_REQUEST | NLM_F_DUMP)

    def feed(self, datagram: bytes | Lost) -> Iterator[bytes]:
        """The entries in a datagram, each a whole message.

        Raises RefusedError if the dump was refused, InterruptedDumpError at its end if the table changed meanwhile,
        TransportError if a part of it is missing.
        """
        if datagram is LOST:
            raise self._missing()
        wanted, portid = ANSWERS[self.request.type], self.portid
        at, size = 0, len(datagram)
        while size - at >= HEADER_SIZE:
            length, kind, flags, seq, pid = _unpack(datagram, at)
            if length < HEADER_SIZE or length > size - at:
                break
            start, end = at, at + length
            at = end + 3 & ~3
            if seq != 1 or pid != portid:
                continue
            if flags & NLM_F_DUMP_INTR:
                self._interrupted = True
            if kind == wanted:
                yield datagram[start:end]
            elif kind in (NLMSG_DONE, NLMSG_ERROR):
                self._finish(kind, flags, datagram[start + HEADER_SIZE : end])
                return
        if at < size:
            raise self._missing()

    def _missing(self) -> TransportError:
        return TransportError(f"{self.request.name}: a part of the dump was lost; read it again")

    def _finish(self, kind: int, flags: int, payload: bytes) -> None:
        self.done = True
        if kind == NLMSG_ERROR:
            body = decode_error(flags, payload)
            if body.error:
                raise refusal(self.request, body, 1)
            return
        error = decode_done(flags, payload).error
        if error < 0:
            raise RefusedError(self.request.name, -error, subject=str(self.request.subject))
        if self._interrupted:
            raise InterruptedDumpError(
                f"{self.request.name}: the table changed while it was read; read it again"
            )
