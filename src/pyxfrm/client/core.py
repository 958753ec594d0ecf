"""The client without IO: requests become datagrams, datagrams become results and events.

House rules:

* Every request carries the port's number and the next sequence number. An answer belongs to the request whose numbers it repeats, if its type
  answers that request (:mod:`pyxfrm.wire.dialogue`); everything else with data in it is an event.
* A request is finished by its NLMSG_ERROR: error 0 is an ACK. Data that answers it comes before that.
* In a batch only the last message asks for an ACK, and errors come anyway. Requests are handled in order, so an answer to a later one says of every
  earlier one that stayed silent that it was done.
* Where messages were lost, silence proves nothing: what has no answer of its own then is *unknown*, which is a
  :class:`pyxfrm.errors.TransportError` and neither success nor refusal. Look before asking again.
* Answers to nothing (late ones, doubled ones) are dropped and counted.

A dump has a port of its own (:class:`DumpReader`): so it need not be read to its end, and any number of requests may be asked while it is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from pyxfrm.abi.netlink import (
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_NOOP,
    NLMSG_OVERRUN,
)
from pyxfrm.client.request import Done, Dump, Request
from pyxfrm.errors import InterruptedDumpError, RefusedError, TransportError, XfrmError
from pyxfrm.transport.base import LOST, Lost
from pyxfrm.wire.dialogue import ANSWERS
from pyxfrm.wire.messages import attr_name
from pyxfrm.wire.netlink import HEADER_SIZE, ErrorBody, decode_done, decode_error, frames, leftover

__all__ = ["Core", "DumpReader", "Ticket"]

T = TypeVar("T")

_HEADER = struct.Struct("=IHHII")
_pack, _unpack = _HEADER.pack, _HEADER.unpack_from

# A datagram must fit the socket's send buffer (212,992 bytes by default), the ACKs to it the receive buffer.
DATAGRAM = 1 << 16
_UNKNOWN = "answers were lost: it may or may not have been done; look before you ask again"


class Ticket(Generic[T]):
    """A request on its way. ``done``: it is decided, and :meth:`result` tells how."""

    __slots__ = ("acked", "answer", "done", "doubtful", "error", "request", "seq", "warning")

    def __init__(self, request: Request[T], seq: int, *, acked: bool) -> None:
        self.request = request
        self.seq = seq
        self.acked = acked
        self.answer: bytes | None = None
        self.error: XfrmError | None = None
        self.warning = ""
        self.done = False
        self.doubtful = False

    def result(self) -> T:
        """What the request gave. RefusedError if it was refused, TransportError if nobody knows."""
        if self.error is not None:
            raise self.error
        read = self.request.read
        if read is None:
            return Done(self.warning)  # type: ignore[return-value]  # T is Done where nothing is read
        if self.answer is None:
            raise TransportError(f"{self.request.name}: it was acknowledged, but no data came")
        return read(self.answer)

    def fail(self, why: str) -> None:
        """Nobody knows what became of it."""
        subject = f" {self.request.subject}" if self.request.subject else ""
        self.error = TransportError(f"{self.request.name}{subject}: {why}")
        self.done = True


class Core:
    """The requests of one port. ``strays``: answers that belonged to nothing."""

    def __init__(self, portid: int) -> None:
        self.portid = portid
        self.strays = 0
        self._seq = 0
        self._pending: dict[int, Ticket[Any]] = {}

    @property
    def pending(self) -> list[Ticket[Any]]:
        """What is not decided yet, oldest first."""
        return list(self._pending.values())

    def ask(self, request: Request[T]) -> tuple[Ticket[T], bytes]:
        """One request: its ticket, and the datagram to send."""
        ticket = self._ticket(request, acked=True)
        return ticket, self._encode(ticket)

    def ask_all(
        self, requests: Iterable[Request[Any]]
    ) -> Iterator[tuple[list[Ticket[Any]], bytes]]:
        """Many requests: tickets and datagram of one part after the other.

        Send a part and have it answered before the next is taken.
        """
        tickets: list[Ticket[Any]] = []
        size = 0
        for request in requests:
            length = HEADER_SIZE + len(request.payload) + 3 & ~3
            if tickets and size + length > DATAGRAM:
                yield tickets, self._encode_all(tickets)
                tickets, size = [], 0
            tickets.append(self._ticket(request, acked=request.chatty))
            size += length
        if tickets:
            yield tickets, self._encode_all(tickets)

    def _ticket(self, request: Request[T], *, acked: bool) -> Ticket[T]:
        self._seq = self._seq + 1 & 0xFFFFFFFF
        ticket = self._pending[self._seq] = Ticket(request, self._seq, acked=acked)
        return ticket

    def _encode(self, ticket: Ticket[Any]) -> bytes:
        request = ticket.request
        flags = request.flags | (NLM_F_REQUEST | NLM_F_ACK if ticket.acked else NLM_F_REQUEST)
        size = HEADER_SIZE + len(request.payload)
        return _pack(size, request.type, flags, ticket.seq, self.portid) + request.payload

    def _encode_all(self, tickets: list[Ticket[Any]]) -> bytes:
        tickets[-1].acked = True
        parts = []
        for ticket in tickets:
            part = self._encode(ticket)
            parts.append(part if len(part) % 4 == 0 else part + bytes(-len(part) % 4))
        return b"".join(parts)

    def feed(self, datagram: bytes | Lost) -> list[bytes | Lost]:
        """Take what was received: tickets are decided; the events that were in it are returned."""
        if datagram is LOST:
            for ticket in self._pending.values():
                ticket.doubtful = True
            return [LOST]
        events: list[bytes | Lost] = []
        for start, end in frames(datagram):
            _, kind, flags, seq, pid = _unpack(datagram, start)
            owner = self._pending.get(seq) if pid == self.portid else None
            if kind == NLMSG_ERROR:
                self._decide(owner, decode_error(flags, datagram[start + HEADER_SIZE : end]))
            elif kind == NLMSG_OVERRUN:
                events += self.feed(LOST)
            elif owner is not None and ANSWERS.get(owner.request.type) == kind:
                owner.answer = datagram[start:end]
            elif kind not in (NLMSG_NOOP, NLMSG_DONE):
                events.append(datagram[start:end])
        if leftover(datagram):
            events += self.feed(LOST)
        return events

    def _decide(self, ticket: Ticket[Any] | None, body: ErrorBody) -> None:
        if ticket is None:
            self.strays += 1
            return
        silent = []
        for earlier in self._pending.values():
            if earlier is ticket:
                break
            if not earlier.acked:
                silent.append(earlier)
        for earlier in silent:
            self._infer(earlier)
        del self._pending[ticket.seq]
        if body.error:
            ticket.error = refusal(ticket.request, body, ticket.seq)
        else:
            ticket.warning = body.text
        ticket.done = True

    def _infer(self, ticket: Ticket[Any]) -> None:
        """It stayed silent, and a later one was answered."""
        del self._pending[ticket.seq]
        if ticket.doubtful and ticket.answer is None:
            ticket.fail(_UNKNOWN)
        ticket.done = True

    def give_up(self, tickets: Iterable[Ticket[Any]], why: str) -> None:
        """No answer came in time: what is still open is unknown."""
        for ticket in tickets:
            if self._pending.pop(ticket.seq, None) is not None:
                ticket.fail(_UNKNOWN if ticket.doubtful else why)


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
        request = self.request
        size = HEADER_SIZE + len(request.payload)
        flags = request.flags | NLM_F_REQUEST | NLM_F_DUMP
        return _pack(size, request.type, flags, 1, self.portid) + request.payload

    def feed(self, datagram: bytes | Lost) -> Iterator[bytes]:
        """The entries in a datagram, each a whole message.

        Raises RefusedError if the dump was refused, InterruptedDumpError at its end if the table changed meanwhile,
        TransportError if a part of it is missing.
        """
        name = self.request.name
        if datagram is LOST or leftover(datagram):
            raise TransportError(f"{name}: a part of the dump was lost; read it again")
        wanted = ANSWERS[self.request.type]
        for start, end in frames(datagram):
            _, kind, flags, seq, pid = _unpack(datagram, start)
            if seq != 1 or pid != self.portid:
                continue
            self._interrupted |= bool(flags & NLM_F_DUMP_INTR)
            if kind == wanted:
                yield datagram[start:end]
            elif kind == NLMSG_DONE:
                self._finish(flags, datagram[start + HEADER_SIZE : end])
                return
            elif kind == NLMSG_ERROR:
                self.done = True
                body = decode_error(flags, datagram[start + HEADER_SIZE : end])
                if body.error:
                    raise refusal(self.request, body, seq)

    def _finish(self, flags: int, payload: bytes) -> None:
        self.done = True
        error = decode_done(flags, payload).error
        if error < 0:
            raise RefusedError(self.request.name, -error, subject=str(self.request.subject))
        if self._interrupted:
            raise InterruptedDumpError(
                f"{self.request.name}: the table changed while it was read; read it again"
            )
