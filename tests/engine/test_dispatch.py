"""The kernel's three tables: what is refused before any handler, in which order, with which bytes."""

from __future__ import annotations

import struct
from errno import EINVAL, EPERM, ERANGE, ESRCH
from typing import Any

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi.messages import ATTRIBUTES, MESSAGES
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REQUEST, NLMSGERR_ATTR_POLICY
from pyxfrm.abi.profiles import LINUX_6_12
from pyxfrm.engine.dispatch import TABLE, XFRMA_RULES
from pyxfrm.wire.attrs import Attr, make
from tests.engine.helpers import NOW, Talk, sa_id


@pytest.fixture
def talk() -> Talk:
    return Talk()


def header(kind: int, flags: int = NLM_F_REQUEST | NLM_F_ACK, length: int = 16) -> bytes:
    return struct.pack("=IHHII", length, kind, flags, 9, 0)


def test_every_message_has_a_row_and_every_attribute_a_rule() -> None:
    answers_only = {m.XFRM_MSG_NEWSADINFO}
    assert TABLE.keys() | answers_only == MESSAGES.keys()
    assert XFRMA_RULES.keys() == ATTRIBUTES.keys()


@pytest.mark.parametrize("kind", [0x2A, 0x50, 0xFFFF])
def test_an_unknown_type_is_refused_before_anybody_asks_for_privileges(
    talk: Talk, kind: int
) -> None:
    talk.port.capable = False
    answer = talk.raw(header(kind))[0].body
    assert (answer.error, answer.text) == (-EINVAL, "")


def test_migrate_state_is_an_unknown_type_to_linux_6_12() -> None:
    talk = Talk(LINUX_6_12)
    answer = talk.raw(header(m.XFRM_MSG_MIGRATE_STATE))[0].body
    assert (answer.error, answer.text) == (-EINVAL, "")


@pytest.mark.parametrize("kind", sorted(MESSAGES))
def test_every_message_needs_the_capability_gets_too(talk: Talk, kind: int) -> None:
    talk.port.capable = False
    assert talk.raw(header(kind))[0].body.error == -EPERM


@pytest.mark.parametrize("kind", sorted(k for k, row in TABLE.items() if row.size))
def test_a_structure_that_is_not_there(talk: Talk, kind: int) -> None:
    short = header(kind, length=16 + TABLE[kind].size - 1) + bytes(TABLE[kind].size)
    answer = talk.raw(short)[0].body
    assert (answer.error, answer.text) == (-EINVAL, "Invalid header length")


@pytest.mark.parametrize("kind", [m.XFRM_MSG_REPORT, m.XFRM_MSG_MAPPING, m.XFRM_MSG_NEWSADINFO])
def test_messages_that_only_the_kernel_sends(talk: Talk, kind: int) -> None:
    body = bytes(TABLE[kind].size)
    answer = talk.raw(header(kind, length=16 + len(body)) + body)[0].body
    assert (answer.error, answer.text) == (-EINVAL, "")


def test_control_messages_and_non_requests_are_only_acknowledged(talk: Talk) -> None:
    assert talk.raw(header(1))[0].body.error == 0
    assert talk.raw(header(m.XFRM_MSG_GETSA, flags=NLM_F_ACK))[0].body.error == 0
    assert talk.raw(header(m.XFRM_MSG_GETSA, flags=0)) == []


def test_a_datagram_is_read_up_to_the_first_bad_length(talk: Talk) -> None:
    good = header(1)
    assert len(talk.raw(good + good)) == 2
    assert len(talk.raw(good + header(1, length=17) + b"")) == 1
    assert len(talk.raw(good + header(1, length=15))) == 1
    assert talk.raw(good[:15]) == []


RULES: list[tuple[int, bytes, int, str]] = [
    (m.XFRMA_MARK, bytes(7), ERANGE, "Attribute failed policy validation"),
    (m.XFRMA_IF_ID, bytes(3), ERANGE, "Attribute failed policy validation"),
    (m.XFRMA_ENCAP, bytes(23), ERANGE, "Attribute failed policy validation"),
    (m.XFRMA_SA_DIR, bytes(2), EINVAL, "invalid attribute length"),
    (m.XFRMA_SA_DIR, b"\0", ERANGE, "integer out of range"),
    (m.XFRMA_SA_DIR, b"\3", ERANGE, "integer out of range"),
    (m.XFRMA_SA_PCPU, bytes(5), EINVAL, "invalid attribute length"),
    (m.XFRMA_IPTFS_DONT_FRAG, b"\0", ERANGE, "Attribute failed policy validation"),
]


@pytest.mark.parametrize(("number", "payload", "errno", "text"), RULES)
def test_an_attribute_against_its_rule(
    talk: Talk, number: int, payload: bytes, errno: int, text: str
) -> None:
    answer = talk.answer(m.XFRM_MSG_DELSA, sa_id(), [(m.XFRMA_LASTUSED, 1), make(number, payload)])
    assert (-answer.error, answer.text) == (errno, text)
    assert answer.offset == 16 + 24 + 12


def test_an_integer_may_be_too_long_before_sa_dir(talk: Talk) -> None:
    assert talk.answer(m.XFRM_MSG_DELSA, sa_id(), [make(m.XFRMA_IF_ID, bytes(8))]).error == -ESRCH


def test_the_nested_flag_matters_from_sa_dir_on(talk: Talk) -> None:
    nested = Attr(m.XFRMA_SA_PCPU | 0x8000, bytes(4))
    answer = talk.answer(m.XFRM_MSG_DELSA, sa_id(), [nested])
    assert (answer.error, answer.text) == (-EINVAL, "NLA_F_NESTED not expected")
    old = Attr(m.XFRMA_IF_ID | 0x8000, bytes(4))
    assert talk.answer(m.XFRM_MSG_DELSA, sa_id(), [old]).error == -ESRCH


def policy_of(answer: Any) -> bytes | None:
    return next((a.payload for a in answer.attrs if a.number == NLMSGERR_ATTR_POLICY), None)


def test_the_rule_is_told_with_the_refusal(talk: Talk) -> None:
    answer = talk.answer(m.XFRM_MSG_DELSA, sa_id(), [make(m.XFRMA_SA_DIR, b"\3")])
    fields = struct.pack("=HHQHHQHHI", 12, 4, 1, 12, 5, 2, 8, 1, 2)
    assert policy_of(answer) == fields
    answer = talk.answer(m.XFRM_MSG_DELSA, sa_id(), [make(m.XFRMA_MARK, b"")])
    assert policy_of(answer) is None


def test_unknown_attributes_are_ignored(talk: Talk) -> None:
    for number in (0, 42, 0x3FFF):
        assert talk.answer(m.XFRM_MSG_DELSA, sa_id(), [make(number, b"")]).error == -ESRCH


def test_bytes_that_are_no_attribute_leave_a_warning(talk: Talk) -> None:
    body = bytes(24)
    data = header(m.XFRM_MSG_DELSA, length=16 + 24 + 3) + body + b"\1\2\3"
    answer = talk.raw(data)[0].body
    # The handler's refusal has no text of its own, so the warning's is what is told.
    assert answer.text == "bytes leftover after parsing attributes"


def test_direction_and_cpu_are_for_new_sas_only(talk: Talk) -> None:
    answer = talk.answer(m.XFRM_MSG_DELSA, sa_id(), [(m.XFRMA_SA_DIR, 1)])
    assert (-answer.error, answer.text, answer.offset) == (EINVAL, "Invalid attribute SA_DIR", None)
    answer = talk.answer(m.XFRM_MSG_DELSA, sa_id(), [(m.XFRMA_SA_PCPU, 0)])
    assert (-answer.error, answer.text) == (EINVAL, "Invalid attribute SA_PCPU")


def test_the_request_is_echoed_unless_the_socket_caps_it() -> None:
    talk = Talk(cap_ack=False)
    request = header(m.XFRM_MSG_DELSA, length=40) + bytes(24)
    error = talk.engine.handle(request, talk.port, NOW)[0]
    assert struct.unpack_from("=IHH", error) == (36 + 24, 2, 0)
    assert error[20:60] == request
    capped = Talk(cap_ack=True)
    error = capped.engine.handle(request, capped.port, NOW)[0]
    assert struct.unpack_from("=IHH", error) == (36, 2, 0x100)
    assert error[20:36] == request[:16]
