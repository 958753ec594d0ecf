"""The client without IO: requests become datagrams, datagrams become results and events.

House rules:

* Every request carries the port's number and the next sequence number. An answer belongs to the request whose numbers it repeats, if its type
  answers that request (:mod:`pyxfrm.wire.dialogue`); everything else with data in it is an event.
* A request is finished by its NLMSG_ERROR: error 0 is an ACK. Data that answers it comes before that.
* In a batch only the last message asks for an ACK, and errors come anyway. Requests are handled in order, so an answer to a later one says of every
  earlier one that stayed silent that it was done (:mod:`pyxfrm.client.batch`).
* Where messages were lost, silence proves nothing: what has no answer of its own then is *unknown*, which is a
  :class:`pyxfrm.errors.TransportError` and neither success nor refusal. Look before asking again.
* Answers to nothing (late ones, doubled ones) are dropped and counted.

A dump has a port of its own (:mod:`pyxfrm.client.dump`): so it need not be read to its end, and any number of requests may be asked while it is read.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from pyxfrm.abi.netlink import (
    NLM_F_ACK,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_NOOP,
    NLMSG_OVERRUN,
)
from pyxfrm.client.batch import UNKNOWN, Part, Ticket
from pyxfrm.client.dump import refusal
from pyxfrm.client.request import Request
from pyxfrm.transport.base import LOST, Lost
from pyxfrm.wire.dialogue import ANSWERS
from pyxfrm.wire.netlink import HEADER_SIZE, ErrorBody, decode_error, frames, leftover

__all__ = ["Core"]

T = TypeVar("T")

_HEADER = struct.Struct("=IHHII")
_unpack = _HEADER.unpack_from
_put_numbers = struct.Struct("=II").pack_into
_flags = struct.Struct("=H").pack

# A datagram must fit the socket's send buffer (212,992 bytes by default), the ACKs to it the receive buffer.
DATAGRAM = 1 << 16
COUNT = 256  # requests in one


class Core:
    """The requests of one port. ``strays``: answers that belonged to nothing."""

    def __init__(self, portid: int) -> None:
        self.portid = portid
        self.strays = 0
        self._seq = 0
        self._pending: dict[int, Ticket[Any]] = {}
        self._parts: list[Part] = []

    @property
    def pending(self) -> list[Ticket[Any]]:
        """What is not decided yet."""
        return [*self._pending.values(), *[t for part in self._parts for t in part.open()]]

    def ask(self, request: Request[T]) -> tuple[Ticket[T], bytes]:
        """One request: its ticket, and the datagram to send."""
        self._seq = seq = self._seq + 1 & 0xFFFFFFFF
        ticket = self._pending[seq] = Ticket(request, seq)
        return ticket, request.numbered(seq, self.portid)

    def ask_all(self, requests: Iterable[Request[Any]]) -> Iterator[tuple[Part, bytes]]:
        """Many requests: tickets and datagram of one part after the other.

        Send a part and have it answered before the next is taken.
        """
        source = iter(requests)
        while taken := list(islice(source, COUNT)):
            for group in _fitting(taken):
                yield self._part(group)

    def _part(self, requests: list[Request[Any]]) -> tuple[Part, bytes]:
        """What goes in one datagram."""
        if self._seq + len(requests) > 0xFFFFFFFF:
            self._seq = 0
        first = self._seq + 1
        self._seq += len(requests)
        acked = [at for at, request in enumerate(requests) if request.chatty]
        if not acked or acked[-1] != len(requests) - 1:
            acked.append(len(requests) - 1)
        part = Part(requests, first, acked)
        self._parts.append(part)
        return part, _numbered([request.message for request in requests], first, self.portid)

    def feed(self, datagram: bytes | Lost) -> list[bytes | Lost]:
        """Take what was received: tickets are decided; the events that were in it are returned."""
        if datagram is LOST:
            self._doubt()
            return [LOST]
        events: list[bytes | Lost] = []
        for start, end in frames(datagram):
            _, kind, flags, seq, pid = _unpack(datagram, start)
            owner = self._owner(seq) if pid == self.portid else None
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

    def _owner(self, seq: int) -> Ticket[Any] | None:
        """The open request of this number."""
        ticket = self._pending.get(seq)
        if ticket is None:
            for part in self._parts:
                at = part.place(seq)
                if 0 <= at < len(part):
                    ticket = part[at]
                    return None if ticket.done else ticket
        return ticket

    def _doubt(self) -> None:
        for ticket in self._pending.values():
            ticket.doubtful = True
        for part in self._parts:
            part.doubt()

    def _decide(self, ticket: Ticket[Any] | None, body: ErrorBody) -> None:
        if ticket is None:
            self.strays += 1
            return
        if body.error:
            ticket.error = refusal(ticket.request, body, ticket.seq)
        else:
            ticket.warning = body.text
        ticket.done = True
        self._pending.pop(ticket.seq, None)
        for part in self._parts:
            part.answered(ticket.seq)

    def give_up(self, tickets: Part | Ticket[Any], why: str) -> None:
        """No answer came in time: what is still open is unknown. After a part was decided, too: it is forgotten."""
        if isinstance(tickets, Part):
            tickets.give_up(why)
            if tickets in self._parts:
                self._parts.remove(tickets)
        elif self._pending.pop(tickets.seq, None) is not None:
            tickets.fail(UNKNOWN if tickets.doubtful else why)


def _fitting(requests: list[Request[Any]]) -> Iterator[list[Request[Any]]]:
    """In parts that are no larger than a datagram; a request that is larger goes alone."""
    if sum([len(request.message) for request in requests]) <= DATAGRAM:
        yield requests
        return
    taken: list[Request[Any]] = []
    size = 0
    for request in requests:
        if taken and size + len(request.message) > DATAGRAM:
            yield taken
            taken, size = [], 0
        taken.append(request)
        size += len(request.message)
    yield taken


def _numbered(messages: list[bytes], first: int, portid: int) -> bytes:
    """A datagram of these messages with their numbers; the last one asks for an ACK.

    The hot loop of a batch. Messages of one size, as most batches have, get their numbers all at once.
    """
    data = bytearray().join(messages)
    size = len(messages[0])
    if {*map(len, messages)} == {size}:
        words = memoryview(data).cast(
            "I"
        )  # the header is "=IHHII": length, type and flags, seq, pid
        words[2 :: size // 4] = memoryview(array("I", range(first, first + len(messages))))
        words[3 :: size // 4] = memoryview(array("I", [portid]) * len(messages))
        words.release()
        at = len(data) - size
    else:
        at = -size
        for seq, message in enumerate(messages, first):
            at += size
            size = len(message)
            _put_numbers(data, at + 8, seq, portid)
    data[at + 6 : at + 8] = _flags(_unpack(data, at)[2] | NLM_F_ACK)
    return bytes(data)
