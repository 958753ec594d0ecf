"""Tickets that are made only where something was said, against an oracle that keeps one for each request."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.client import verbs
from pyxfrm.client.batch import Batch, Part
from pyxfrm.client.core import Core
from pyxfrm.client.request import Done, Request
from pyxfrm.errors import RefusedError, TransportError
from pyxfrm.model import Migration, Selector
from pyxfrm.transport.base import LOST
from tests.client.test_core import NAME, PORT, SA, split
from tests.transport.bytes import ack, error, message

MOVE = Migration(NAME, NAME.daddr, NAME.daddr, 0, Selector.hosts(NAME.daddr, NAME.daddr))
KINDS: dict[str, Callable[[], Request[Any]]] = {
    "delete": lambda: verbs.delete_sa(NAME),
    "get": lambda: verbs.get_sa(NAME),
    "move": lambda: verbs.migrate_sa(MOVE),
    "odd": lambda: Request(0x26, bytes(3)),  # SETDEFAULT: three bytes, so padding follows
}


@dataclass
class Slow:
    """One ticket for each request; every answer looks at all of them."""

    acked: list[bool]
    done: list[bool] = field(default_factory=list)
    doubtful: list[bool] = field(default_factory=list)
    answer: list[bool] = field(default_factory=list)
    error: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        count = len(self.acked)
        self.done, self.doubtful, self.answer = ([False] * count for _ in range(3))
        self.error = [""] * count

    def lost(self) -> None:
        for at, done in enumerate(self.done):
            self.doubtful[at] |= not done

    def said(self, at: int, refused: bool) -> None:
        if self.done[at]:
            return
        for earlier in range(at):
            if not self.done[earlier] and not self.acked[earlier]:
                self.done[earlier] = True
                if self.doubtful[earlier] and not self.answer[earlier]:
                    self.error[earlier] = "unknown"
        self.done[at] = True
        self.error[at] = "refused" if refused else ""

    def end(self) -> None:
        for at, done in enumerate(self.done):
            if not done:
                self.done[at], self.error[at] = True, "unknown"


def told(part: Part) -> list[str]:
    names = {RefusedError: "refused", TransportError: "unknown", type(None): ""}
    return [names[type(ticket.error)] for ticket in part]


@given(st.data())
def test_whatever_comes_the_tickets_are_those_of_the_oracle(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=12))
    core = Core(PORT)
    for _ in range(data.draw(st.integers(0, 3))):
        core.ask(verbs.flush_sas())
    ((part, datagram),) = core.ask_all([KINDS[kind]() for kind in kinds])
    requests = split(datagram)
    last = len(kinds) - 1
    oracle = Slow([kind == "move" or at == last for at, kind in enumerate(kinds)])
    assert [bool(struct.unpack_from("=H", r, 6)[0] & 4) for r in requests] == oracle.acked
    for _ in range(data.draw(st.integers(0, 16))):
        step = data.draw(st.sampled_from(["ack", "refuse", "show", "look", "lose"]))
        at = data.draw(st.integers(0, last))
        if step == "lose":
            oracle.lost()
            core.feed(LOST)
        elif step == "look":
            assert part[at].done == oracle.done[at]
        elif step == "show":
            if kinds[at] == "get" and not oracle.done[at]:
                oracle.answer[at] = True
                core.feed(message(0x10, 0, part.first + at, PORT, SA))
        else:
            oracle.said(at, step == "refuse")
            core.feed(error(-errno.ESRCH, requests[at]) if step == "refuse" else ack(requests[at]))
    open_now = {ticket.seq for ticket in core.pending} - {1, 2, 3}
    open_now |= {t.seq for t in part.open()}
    assert open_now == {part.first + at for at, done in enumerate(oracle.done) if not done}
    core.give_up(part, "no answer")
    oracle.end()
    assert told(part) == oracle.error
    assert list(part.refused) == [ticket for ticket in part if ticket.error]
    assert all(ticket.done for ticket in part)
    assert part.last not in core.pending


def batch(count: int, wrong: set[int]) -> tuple[Batch, Core]:
    core, made = Core(PORT), Batch()
    for part, datagram in core.ask_all([verbs.delete_sa(NAME)] * count):
        made.add(part)
        start = len(made) - len(part)
        requests = split(datagram)
        for at, request in enumerate(requests):
            if start + at in wrong:
                core.feed(error(-errno.ESRCH, request))
        if part.last.done is False:
            core.feed(ack(requests[-1]))
        core.give_up(part, "no answer")
    return made, core


def test_a_batch_is_a_sequence_of_tickets() -> None:
    made, core = batch(5000, {0, 1700, 4998, 4999})
    assert len(made) == len(list(made)) == 5000
    assert made[0] is made[-5000]
    assert made[4999] is made[-1] is made[4998:][1]
    assert [t.seq for t in made] == list(range(1, 5001))
    assert [t.seq for t in made.refused] == [1, 1701, 4999, 5000]
    assert made[1].result() == Done()
    with pytest.raises(IndexError):
        made[5000]
    with pytest.raises(RefusedError, match="ESRCH"):
        made.check()
    assert repr(made) == "<Batch of 5000, 4 with errors>"
    assert core.pending == []


def test_an_empty_batch_is_one_too() -> None:
    made, _ = batch(0, set())
    made.check()
    assert (len(made), list(made), made.refused, made[:]) == (0, [], [], [])


def test_numbers_start_again_before_they_would_wrap_in_a_part() -> None:
    core = Core(PORT)
    core._seq = 0xFFFFFFFE
    ((part, datagram),) = core.ask_all([verbs.delete_sa(NAME)] * 3)
    assert [struct.unpack_from("=I", r, 8)[0] for r in split(datagram)] == [1, 2, 3]
    core.feed(ack(split(datagram)[2]))
    assert all(ticket.done and not ticket.error for ticket in part)


def test_what_makes_the_requests_may_ask_in_between() -> None:
    core = Core(PORT)

    def requests() -> Iterator[Request[Done]]:
        for _ in range(3):
            core.ask(verbs.flush_sas())
            yield verbs.delete_sa(NAME)

    ((part, datagram),) = core.ask_all(requests())
    assert [ticket.seq for ticket in part] == [4, 5, 6]
    assert [struct.unpack_from("=I", r, 8)[0] for r in split(datagram)] == [4, 5, 6]
