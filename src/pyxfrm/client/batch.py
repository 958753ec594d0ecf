"""Many requests in few datagrams, and which answer belongs to which.

A :class:`Part` is what went in one datagram: its requests have sequence numbers in a row, and only the last of them asks for an ACK (and those that
are ``chatty``). Requests are handled in order, so whatever answers one of them says of those before it that they were done. That makes a part cheap:
it remembers how far it is *settled*, and makes a :class:`Ticket` only where something was said, or where somebody looks.

    requests   r0  r1  r2  r3  r4  r5          an error for r3 came: r0, r1, r2 were done (no ticket was made for them),
    settled    ----------------->              r3 has a ticket with the error, of r4 and r5 nothing is known yet

Where messages were lost silence proves nothing, and every request that was open then gets a ticket which remembers that it is doubtful.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

from pyxfrm.client.request import Done, Request
from pyxfrm.errors import TransportError, XfrmError

__all__ = ["Batch", "Part", "Ticket", "UNKNOWN"]

T = TypeVar("T")

UNKNOWN = "answers were lost: it may or may not have been done; look before you ask again"


class Ticket(Generic[T]):
    """A request on its way. ``done``: it is decided, and :meth:`result` tells how."""

    __slots__ = ("answer", "done", "doubtful", "error", "request", "seq", "warning")

    def __init__(self, request: Request[T], seq: int) -> None:
        self.request = request
        self.seq = seq
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

    def infer(self) -> None:
        """It stayed silent, and a later one was answered."""
        if self.doubtful and self.answer is None:
            self.fail(UNKNOWN)
        self.done = True


class Part(Sequence[Ticket[Any]]):
    """The tickets of one datagram.

    ``first``   the first one's sequence number; ``last``: the last ticket, which is answered last
    ``acked``   places of those that ask for an ACK, in order; the last of all is one
    """

    __slots__ = ("_awaited", "_settled", "_silent", "_tickets", "first", "last", "requests")

    def __init__(self, requests: Sequence[Request[Any]], first: int, acked: Sequence[int]) -> None:
        self.requests = requests
        self.first = first
        self._settled = 0  # those before are decided, save the ones that are awaited
        self._tickets: dict[int, Ticket[Any]] = {}  # those that were made, by place
        self._silent: dict[int, Ticket[Any]] = {}  # of these the open ones that may stay silent
        self._awaited: dict[int, Ticket[Any]] = {}  # and those that must be answered
        for at in acked:
            seq = first + at & 0xFFFFFFFF
            self._awaited[at] = self._tickets[at] = Ticket(requests[at], seq)
        self.last = self._tickets[acked[-1]]

    def __len__(self) -> int:
        return len(self.requests)

    @overload
    def __getitem__(self, at: int) -> Ticket[Any]: ...

    @overload
    def __getitem__(self, at: slice) -> list[Ticket[Any]]: ...

    def __getitem__(self, at: int | slice) -> Ticket[Any] | list[Ticket[Any]]:
        places = range(len(self.requests))[at]
        if isinstance(places, range):
            return [self._ticket(place) for place in places]
        return self._ticket(places)

    def __iter__(self) -> Iterator[Ticket[Any]]:
        return (self._ticket(at) for at in range(len(self.requests)))

    def _ticket(self, at: int) -> Ticket[Any]:
        ticket = self._tickets.get(at)
        if ticket is None:
            ticket = Ticket(self.requests[at], self.first + at & 0xFFFFFFFF)
            self._tickets[at] = ticket
            if at < self._settled:
                ticket.done = True
            else:
                self._silent[at] = ticket
        return ticket

    def place(self, seq: int) -> int:
        """Which request has this sequence number; less than 0 or too much: none."""
        distance = seq - self.first & 0xFFFFFFFF
        return distance - (1 << 32) if distance >> 31 else distance

    def answered(self, seq: int) -> None:
        """This request was answered, of this part or another: so the silent ones of this part that were sent before it are done."""
        at = self.place(seq)
        own = 0 <= at < len(self.requests)
        end = min(at, len(self.requests))
        if self._silent:
            for earlier in [place for place in self._silent if place < end]:
                self._silent.pop(earlier).infer()
        if own:
            self._awaited.pop(at, None)
            self._silent.pop(at, None)
        self._settled = max(self._settled, end + own)

    def doubt(self) -> None:
        """Answers were lost: nothing can be said of those that stay silent."""
        for ticket in self.open():
            ticket.doubtful = True

    def open(self) -> list[Ticket[Any]]:
        """What is not decided yet, in order."""
        places = {*self._awaited, *range(self._settled, len(self.requests))}
        return [self._ticket(at) for at in sorted(places)]

    def give_up(self, why: str) -> None:
        """No answer came in time: what is still open is unknown."""
        for ticket in self.open():
            ticket.fail(UNKNOWN if ticket.doubtful else why)
        self._settled = len(self.requests)
        self._awaited.clear()
        self._silent.clear()

    @property
    def refused(self) -> Iterator[Ticket[Any]]:
        """Those that have an error, in order."""
        return (self._tickets[at] for at in sorted(self._tickets) if self._tickets[at].error)


class Batch(Sequence[Ticket[Any]]):
    """One :class:`Ticket` for each request of a batch, in order, all of them decided."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._ends: list[int] = []

    def add(self, part: Part) -> None:
        """The next part."""
        self._parts.append(part)
        self._ends.append(len(self) + len(part))

    @property
    def refused(self) -> list[Ticket[Any]]:
        """The tickets with an error (refused, or nobody knows), in order: empty if all went well.

        Cheaper than to look at each ticket: a ticket that nobody looks at is not even made.
        """
        return [ticket for part in self._parts for ticket in part.refused]

    def check(self) -> None:
        """Raise the first error, if there is one."""
        for ticket in self.refused[:1]:
            ticket.result()

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, at: int) -> Ticket[Any]: ...

    @overload
    def __getitem__(self, at: slice) -> list[Ticket[Any]]: ...

    def __getitem__(self, at: int | slice) -> Ticket[Any] | list[Ticket[Any]]:
        places = range(len(self))[at]
        if isinstance(places, range):
            return [self[place] for place in places]
        from bisect import bisect

        part = bisect(self._ends, places)
        return self._parts[part][places - (self._ends[part - 1] if part else 0)]

    def __iter__(self) -> Iterator[Ticket[Any]]:
        for part in self._parts:
            yield from part

    def __repr__(self) -> str:
        return f"<Batch of {len(self)}, {len(self.refused)} with errors>"
