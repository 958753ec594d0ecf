"""The core against answers made by hand: in order, out of order, doubled, lost, cut."""

from __future__ import annotations

import errno
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.client import verbs
from pyxfrm.client.batch import Part
from pyxfrm.client.core import Core
from pyxfrm.client.dump import DumpReader
from pyxfrm.client.request import Done, Request
from pyxfrm.errors import InterruptedDumpError, RefusedError, TransportError
from pyxfrm.model import Mark, Migration, Proto, SaId, Selector, ip, network
from pyxfrm.transport.base import LOST
from tests.transport.bytes import MULTI, NLMSG_DONE, ack, attr, error, message

NAME = SaId(ip("198.51.100.1"), Proto.ESP, 0x100, Mark(1, 1))
PORT = 77
SA = bytes(224)


def core() -> Core:
    return Core(PORT)


def split(datagram: bytes) -> list[bytes]:
    found = []
    while datagram:
        size = struct.unpack_from("=I", datagram)[0]
        found.append(datagram[:size])
        datagram = datagram[size + 3 & ~3 :]
    return found


def test_requests_are_numbered_and_ask_for_an_ack() -> None:
    made = core()
    for seq in (1, 2, 3):
        ticket, data = made.ask(verbs.delete_sa(NAME))
        assert struct.unpack_from("=IHHII", data) == (len(data), 0x11, 5, seq, PORT)
        assert ticket.seq == seq
        assert not ticket.done
    assert len(made.pending) == 3


def test_an_ack_is_success_and_its_text_a_warning() -> None:
    made = core()
    ticket, data = made.ask(verbs.flush_sas())
    assert made.feed(ack(data, text="Failed to send migration notification")) == []
    assert ticket.result() == Done("Failed to send migration notification")
    assert made.pending == []


def test_data_comes_before_the_ack() -> None:
    made = core()
    ticket, data = made.ask(verbs.get_sa(NAME))
    made.feed(message(0x10, 0, 1, PORT, SA))
    assert not ticket.done
    made.feed(ack(data))
    assert ticket.result().spi == 0


def test_an_ack_without_the_data_is_no_answer() -> None:
    made = core()
    ticket, data = made.ask(verbs.get_sa(NAME))
    made.feed(ack(data))
    with pytest.raises(TransportError, match="no data came"):
        ticket.result()


def test_a_refusal_says_everything() -> None:
    made = core()
    move = Migration(
        NAME, ip("192.0.2.1"), ip("192.0.2.2"), 0, Selector.hosts(NAME.daddr, NAME.daddr), Mark(9)
    )
    ticket, data = made.ask(verbs.migrate_sa(move))
    made.feed(error(-errno.EINVAL, data, text="No good", offset=16 + 132))
    with pytest.raises(RefusedError) as caught:
        ticket.result()
    no = caught.value
    assert (no.operation, no.errno, no.text) == ("XFRM_MSG_MIGRATE_STATE", errno.EINVAL, "No good")
    assert (no.attribute, no.offset, no.seq) == ("XFRMA_MARK", 148, 1)
    assert str(no) == (
        "XFRM_MSG_MIGRATE_STATE dst 198.51.100.1 proto esp spi 0x00000100 mark 0x1/0x1: "
        "EINVAL: No good [XFRMA_MARK]"
    )


@given(st.integers(0, 400))
def test_any_offset_names_an_attribute_or_nothing(offset: int) -> None:
    request = verbs.get_sa(NAME)
    expected = "XFRMA_MARK" if 40 <= offset < 52 else ""
    assert request.attribute_at(offset) == expected
    assert request.attribute_at(None) == ""


def test_a_missing_attribute_is_named() -> None:
    made = core()
    ticket, data = made.ask(verbs.delete_sa(NAME))
    plain = error(-errno.EINVAL, data)
    body = plain[16:] + attr(5, struct.pack("=I", 13))
    made.feed(message(2, 0x300, 1, PORT, body))
    assert isinstance(ticket.error, RefusedError)
    assert ticket.error.attribute == "missing XFRMA_SRCADDR"


def test_an_error_that_echoes_the_whole_request_is_read_too() -> None:
    made = core()
    ticket, data = made.ask(verbs.delete_sa(NAME))
    made.feed(message(2, 0x200, 1, PORT, struct.pack("=i", -3) + data + attr(1, b"gone\0")))
    assert isinstance(ticket.error, RefusedError)
    assert (ticket.error.errno, ticket.error.text) == (3, "gone")


def test_late_and_doubled_answers_are_dropped() -> None:
    made = core()
    ticket, data = made.ask(verbs.flush_sas())
    made.give_up(ticket, "no answer in time")
    assert made.feed(ack(data)) == []
    assert made.strays == 1
    with pytest.raises(TransportError, match="no answer in time"):
        ticket.result()
    other, data = made.ask(verbs.flush_sas())
    made.feed(ack(data) + error(-1, data))
    assert other.result() == Done()
    assert made.strays == 2


def test_answers_to_another_port_are_not_ours() -> None:
    made = core()
    ticket, data = made.ask(verbs.flush_sas())
    made.feed(ack(data[:12] + struct.pack("=I", PORT + 1) + data[16:]))
    assert not ticket.done


def test_an_event_is_not_taken_for_an_answer() -> None:
    made = core()
    ticket, data = made.ask(verbs.delete_sa(NAME))
    event = message(0x10, 0, ticket.seq, PORT, SA)  # our number, but DELSA has no such answer
    other = message(0x10, 0, 0, 0, SA)
    assert made.feed(event) == [event]
    assert made.feed(other) == [other]
    assert made.feed(ack(data)) == []
    ticket.result()


def test_a_getsa_takes_only_the_newsa_of_its_own_numbers() -> None:
    made = core()
    ticket, data = made.ask(verbs.get_sa(NAME))
    others = [message(0x10, 0, 2, PORT, SA), message(0x10, 0, 1, 0, SA)]
    assert [e for raw in others for e in made.feed(raw)] == others
    made.feed(message(0x10, 0, 1, PORT, SA) + ack(data))
    assert ticket.done


# -- batches -------------------------------------------------------------------------------------


def batch(made: Core, count: int) -> tuple[Part, list[bytes]]:
    ((tickets, data),) = made.ask_all([verbs.delete_sa(NAME)] * count)
    return tickets, split(data)


def test_only_the_last_of_a_batch_asks_for_an_ack() -> None:
    _, requests = batch(core(), 4)
    flags = [struct.unpack_from("=H", r, 6)[0] for r in requests]
    assert flags == [1, 1, 1, 5]
    assert all(len(r) % 4 == 0 for r in requests)


def test_who_stays_silent_was_done_once_a_later_one_is_answered() -> None:
    made = core()
    tickets, requests = batch(made, 4)
    made.feed(error(-3, requests[1]))
    assert [t.done for t in tickets] == [True, True, False, False]
    made.feed(ack(requests[3]))
    assert [t.error is None for t in tickets] == [True, False, True, True]
    assert made.pending == []


def test_after_a_loss_silence_proves_nothing() -> None:
    made = core()
    tickets, requests = batch(made, 4)
    made.feed(error(-3, requests[0]))
    assert made.feed(LOST) == [LOST]
    made.feed(error(-3, requests[2]))
    made.feed(ack(requests[3]))
    kinds = [type(t.error) for t in tickets]
    assert kinds == [RefusedError, TransportError, RefusedError, type(None)]
    assert "look before you ask again" in str(tickets[1].error)


def test_a_large_batch_goes_in_parts() -> None:
    made = core()
    parts = list(made.ask_all([verbs.delete_sa(NAME)] * 5000))
    assert len(parts) > 3
    assert sum(len(tickets) for tickets, _ in parts) == 5000
    for tickets, data in parts:
        assert len(data) <= 1 << 16
        flags = [struct.unpack_from("=H", request, 6)[0] for request in split(data)]
        assert len(flags) == len(tickets)
        assert [at for at, each in enumerate(flags) if each & 4] == [len(flags) - 1]


def test_a_move_in_a_batch_has_an_ack_of_its_own() -> None:
    move = Migration(NAME, NAME.daddr, NAME.daddr, 0, Selector.hosts(NAME.daddr, NAME.daddr))
    requests: list[Request[Any]] = [verbs.migrate_sa(move), verbs.delete_sa(NAME)]
    ((_, data),) = core().ask_all(requests)
    assert [struct.unpack_from("=H", r, 6)[0] for r in split(data)] == [5, 5]


@given(st.data())
def test_any_mixture_of_errors_goes_to_the_right_tickets(data: st.DataObject) -> None:
    made = core()
    count = data.draw(st.integers(1, 20))
    errors = data.draw(st.lists(st.sampled_from([0, 2, 3, 17, 22]), min_size=count, max_size=count))
    tickets, requests = batch(made, count)
    said = [error(-n, r) for n, r in zip(errors, requests, strict=True) if n]
    if not errors[-1]:
        said.append(ack(requests[-1]))
    cut = data.draw(st.integers(1, 5))
    for i in range(0, len(said), cut):
        made.feed(b"".join(said[i : i + cut]))
    for ticket, number in zip(tickets, errors, strict=True):
        assert ticket.done
        assert getattr(ticket.error, "errno", 0) == number


@given(st.binary(max_size=200))
def test_any_bytes_can_be_fed(data: bytes) -> None:
    made = core()
    made.ask(verbs.get_sa(NAME))
    made.feed(data)


def test_a_cut_datagram_is_a_loss() -> None:
    made = core()
    ticket, data = made.ask(verbs.flush_sas())
    assert made.feed(ack(data)[:-4]) == [LOST]
    assert ticket.doubtful
    assert made.feed(message(4, 0, 0, 0)) == [LOST]


# -- dumps ---------------------------------------------------------------------------------------


def reader() -> DumpReader:
    return DumpReader(verbs.sas(), PORT)


def part(flags: int = MULTI, kind: int = 0x10, body: bytes = SA, seq: int = 1) -> bytes:
    return message(kind, flags, seq, PORT, body)


DONE = message(NLMSG_DONE, MULTI, 1, PORT, bytes(4))


def test_a_dump_asks_for_itself() -> None:
    request = verbs.sas(Proto.ESP, saddr=network("10.0.0.0/8"))
    data = DumpReader(request, PORT).datagram()
    assert struct.unpack_from("=IHHII", data) == (len(data), 0x12, 0x301, 1, PORT)
    filtered = bytes((10, 0, 0, 0)) + bytes(12 + 16) + struct.pack("=HBB", 2, 8, 0)
    assert data[16:] == attr(25, b"\x32") + attr(26, filtered)


def test_entries_come_part_by_part_up_to_done() -> None:
    made = reader()
    assert list(made.feed(part() + part())) == [part(), part()]
    assert not made.done
    assert list(made.feed(part() + DONE + part())) == [part()]
    assert made.done


def test_what_belongs_to_another_request_is_passed_over() -> None:
    made = reader()
    other = message(0x10, 0, 0, 0, SA)
    assert list(made.feed(other + part(seq=9) + part())) == [part()]


def test_an_interrupted_dump_says_so_at_its_end() -> None:
    made = reader()
    assert list(made.feed(part(MULTI | 0x10))) == [part(MULTI | 0x10)]
    with pytest.raises(InterruptedDumpError, match="read it again"):
        list(made.feed(DONE))


@pytest.mark.parametrize("bad", [LOST, part()[:-4], DONE[:10]])
def test_a_part_that_is_missing_is_told(bad: Any) -> None:
    with pytest.raises(TransportError, match="part of the dump was lost"):
        list(reader().feed(bad))


def test_a_dump_can_be_refused_at_its_start_and_at_its_end() -> None:
    made = reader()
    with pytest.raises(RefusedError) as caught:
        list(made.feed(error(-1, made.datagram())))
    assert caught.value.errno == 1
    with pytest.raises(RefusedError) as caught:
        list(reader().feed(message(NLMSG_DONE, MULTI, 1, PORT, struct.pack("=i", -12))))
    assert caught.value.errno == 12


@given(st.binary(max_size=300))
def test_a_dump_of_any_bytes_is_entries_or_an_error(data: bytes) -> None:
    try:
        list(reader().feed(data))
    except (TransportError, RefusedError):
        return
