"""The attribute policy: what each attribute must look like before any handler sees it, and how a bad one is blamed."""

from __future__ import annotations

import struct
from errno import EINVAL, ERANGE

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.messages import ATTRIBUTES, Array, Flag, Int, Raw
from pyxfrm.abi.netlink import NLM_F_ACK, NLMSG_ERROR
from pyxfrm.wire.attrs import Attr, make
from pyxfrm.wire.codec import codec
from tests.conformance.parts import GCM, IN, OUT, add_sa, mark, move, policy_id, sa, sa_id, v4
from tests.conformance.talk import Talk, case

NEW = m.XFRM_MSG_NEWSA
FAILED = "Attribute failed policy validation"
NESTED, NET_ORDER = 0x8000, 0x4000


def least(number: int) -> int:
    """The least size of an attribute's payload."""
    kind = ATTRIBUTES[number][1]
    if isinstance(kind, Int | Raw):
        return kind.size
    if isinstance(kind, Flag):
        return 0
    return codec(kind.of if isinstance(kind, Array) else kind).size


@case("attributes")
def too_short(t: Talk) -> None:
    """Each attribute one byte short is ERANGE with its offset and, for an integer, its rule; new ones are EINVAL"""
    for number in ATTRIBUTES:
        size = least(number)
        for length in {0, size - 1}:
            if 0 <= length < size:
                read = t.send(m.XFRM_MSG_GETSA, sa_id(), [make(number, bytes(length))])
                wrong = read[-1].body.error
                if number not in range(33, 42) or t.reference:
                    expected = EINVAL if number >= m.XFRMA_SA_DIR else ERANGE
                    t.check(-wrong == expected, f"{number}: {wrong}")


@case("attributes")
def too_long(t: Talk) -> None:
    """Old attributes may be longer than they need to be; new ones may not"""
    for number in ATTRIBUTES:
        if number != m.XFRMA_PAD:
            t.send(m.XFRM_MSG_GETSA, sa_id(), [make(number, bytes(least(number) + 1))])
            t.send(m.XFRM_MSG_GETSA, sa_id(), [make(number, bytes(least(number) + 400))])


@case("attributes")
def exact(t: Talk) -> None:
    """Each attribute of the right size and all zeros: only directions, CPUs and padding are refused"""
    for number in ATTRIBUTES:
        t.send(m.XFRM_MSG_GETSA, sa_id(), [make(number, bytes(least(number)))])
        t.send(m.XFRM_MSG_NEWSA, sa(), [make(number, bytes(least(number)))])


@case("attributes")
def flags_of_the_type(t: Talk) -> None:
    """NLA_F_NESTED and NLA_F_NET_BYTEORDER are taken off old attributes; new ones may not be nested"""
    for number in ATTRIBUTES:
        for flag in (NESTED, NET_ORDER, NESTED | NET_ORDER):
            odd = Attr(number | flag, bytes(least(number)), bytes(-least(number) % 4))
            t.send(m.XFRM_MSG_GETSA, sa_id(), [odd])
    add_sa(t, attrs=[Attr(m.XFRMA_IF_ID | NET_ORDER, (5).to_bytes(4, "little"))])
    t.get_sa(sa_id())


@case("attributes")
def unknown_numbers(t: Talk) -> None:
    """Numbers that are none are ignored, 0 too"""
    for number in (0, 42, 43, 100, 0x3FFF, 0x3FFF | NESTED):
        t.send(NEW, sa(0x100 + number), [GCM, make(number, b"abcde")])
    t.dump_sas()


@case("attributes")
def the_first_bad_one_is_blamed(t: Talk) -> None:
    """Attributes are looked at in their order in the message; the first bad one is blamed, even if repeated well"""
    bad_mark, bad_id = make(m.XFRMA_MARK, bytes(7)), make(m.XFRMA_IF_ID, bytes(3))
    t.refuse(ERANGE, FAILED, NEW, sa(), [GCM, bad_id, bad_mark], at=m.XFRMA_IF_ID)
    t.refuse(ERANGE, FAILED, NEW, sa(), [bad_mark, GCM, bad_id], at=m.XFRMA_MARK)
    t.refuse(ERANGE, FAILED, NEW, sa(), [GCM, bad_mark, mark(1)], at=m.XFRMA_MARK)
    t.refuse(ERANGE, FAILED, NEW, sa(family=7), [bad_mark], at=m.XFRMA_MARK)


@case("attributes")
def odd_lengths(t: Talk) -> None:
    """A length below four or beyond the message ends the reading, with a warning"""
    add_sa(t, attrs=[mark(0, 0)])
    for length in (0, 1, 3, 13, 0xFFFF):
        wrong = struct.pack("=HH", length, m.XFRMA_IF_ID) + bytes(8)
        whole = t.encode(NEW, sa(0x200 + length), [GCM])
        t.raw(struct.pack("=I", len(whole) + len(wrong)) + whole[4:] + wrong)
        t.raw(struct.pack("=I", len(whole) + len(wrong)) + whole[4:] + wrong)
    t.dump_sas()


@case("attributes")
def leftover_bytes(t: Talk) -> None:
    """Up to three bytes behind the attributes leave a warning, which a refusal's own text replaces"""
    text = "bytes leftover after parsing attributes"
    for number in (1, 2, 3):
        whole = t.encode(NEW, sa(), [GCM])
        read = t.raw(struct.pack("=I", len(whole) + number) + whole[4:] + b"\5" * number)
        t.check(read[-1].body.text == text, f"{number}: {read[-1].body.text!r}")
    whole = t.encode(NEW, sa(family=7), [GCM])
    read = t.raw(struct.pack("=I", len(whole) + 1) + whole[4:] + b"\5")
    t.check(read[-1].body.text == "Invalid address family", "the warning stayed")
    whole = t.encode(m.XFRM_MSG_GETSA, sa_id(0x999))
    read = t.raw(struct.pack("=I", len(whole) + 1) + whole[4:] + b"\5")
    t.check(read[-1].body.text == text, "no warning on a refusal without a text")


@case("attributes")
def padding_of_the_structure(t: Talk) -> None:
    """Attributes begin at a multiple of four behind the structure"""
    whole = t.encode(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(0), [mark(1)])
    t.raw(whole)
    body = whole[:17] + b"\xff\xff\xff" + whole[20:]
    t.raw(body)
    t.raw(struct.pack("=I", 19) + whole[4:17] + b"\1\2")


@case("attributes")
def direction(t: Talk) -> None:
    """SA_DIR is one byte, 1 or 2: each way to be wrong has its text, offset and rule"""
    number = m.XFRMA_SA_DIR
    for value in (b"\0", b"\3", b"\xff"):
        t.refuse(ERANGE, "integer out of range", NEW, sa(), [GCM, make(number, value)], at=number)
    for value in (b"", b"\1\0", b"\1\0\0\0"):
        text = "invalid attribute length"
        t.refuse(EINVAL, text, NEW, sa(), [GCM, make(number, value)], at=number)
    nested = Attr(number | NESTED, b"\1", bytes(3))
    t.refuse(EINVAL, "NLA_F_NESTED not expected", NEW, sa(), [GCM, nested], at=number)


@case("attributes")
def where_direction_and_cpu_may_be(t: Talk) -> None:
    """SA_DIR is for NEWSA, UPDSA and ALLOCSPI, SA_PCPU for ACQUIRE too; elsewhere they are refused"""
    val = (m.XFRMA_REPLAY_VAL, s.ReplayState(1, 1, 1))
    who = s.AeventId(sa_id(), v4(2), 0, 0)
    add_sa(t, attrs=[IN])
    for kind, body in (
        (m.XFRM_MSG_DELSA, sa_id(0x999)),
        (m.XFRM_MSG_GETSA, sa_id()),
        (m.XFRM_MSG_FLUSHSA, s.UserSaFlush(51)),
        (m.XFRM_MSG_EXPIRE, s.UserExpire(sa(), 0)),
        (m.XFRM_MSG_GETAE, who),
        (m.XFRM_MSG_NEWAE, who),
        (m.XFRM_MSG_GETPOLICY, policy_id()),
        (m.XFRM_MSG_FLUSHPOLICY, None),
        (m.XFRM_MSG_SETDEFAULT, s.UserPolicyDefault(9, 9, 9)),
        (m.XFRM_MSG_GETDEFAULT, s.UserPolicyDefault(0, 0, 0)),
        (m.XFRM_MSG_REPORT, s.UserReport(60, sa().sel)),
        (m.XFRM_MSG_MIGRATE, policy_id()),
    ):
        flags = NLM_F_ACK | 0x100 if kind == m.XFRM_MSG_NEWAE else NLM_F_ACK
        for attr, name in ((OUT, "SA_DIR"), ((m.XFRMA_SA_PCPU, 0), "SA_PCPU")):
            read = t.send(kind, body, [val, attr], flags)
            answer = [one for one in read if one.header.nlmsg_type == NLMSG_ERROR]
            text = answer[0].body.text if answer else ""
            t.check(text == f"Invalid attribute {name}", f"{kind:#x} {name}: {text!r}")
    both = [OUT, (m.XFRMA_SA_PCPU, 0)]
    t.refuse(EINVAL, "Invalid attribute SA_DIR", m.XFRM_MSG_GETSA, sa_id(), both)


@case("attributes")
def info_messages(t: Talk) -> None:
    """The messages about the tables have attributes of their own; those of others are not looked at"""
    wrong = make(m.XFRMA_SA_DIR, b"\7")
    for kind in (m.XFRM_MSG_GETSADINFO, m.XFRM_MSG_GETSPDINFO, m.XFRM_MSG_NEWSPDINFO):
        for attr in (wrong, make(3, b"\1"), make(4, b"\1\2\3"), make(1, b""), make(5, b"x")):
            t.send(kind, 0, [attr])


@case("attributes", "LINUX_7_2")
def of_migrate_state(t: Talk) -> None:
    """MIGRATE_STATE refuses what it does not take after the rules and after SA_DIR and SA_PCPU"""
    text = "Unsupported attribute in XFRM_MSG_MIGRATE_STATE"
    kind = m.XFRM_MSG_MIGRATE_STATE
    taken = {
        m.XFRMA_MARK,
        m.XFRMA_ENCAP,
        m.XFRMA_OFFLOAD_DEV,
        m.XFRMA_SET_MARK,
        m.XFRMA_SET_MARK_MASK,
        m.XFRMA_MTIMER_THRESH,
        m.XFRMA_NAT_KEEPALIVE_INTERVAL,
        m.XFRMA_SA_DIR,
        m.XFRMA_SA_PCPU,
    }
    for number in ATTRIBUTES:
        attr = make(number, bytes(least(number)))
        if number in taken:
            t.send(kind, move(), [attr])
        else:
            t.refuse(EINVAL, text, kind, move(), [attr], at=number)
    t.refuse(ERANGE, FAILED, kind, move(), [(m.XFRMA_IF_ID, 1), make(m.XFRMA_MARK, bytes(7))])
    t.refuse(EINVAL, text, kind, move(), [make(50, b""), (m.XFRMA_IF_ID, 1)])
    t.send(kind, move(), [make(50, b"abcd")])
