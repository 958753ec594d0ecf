"""What every NETLINK_XFRM socket does: datagrams, acknowledgements, options, privilege, groups."""

from __future__ import annotations

import struct
from errno import EEXIST, EINVAL, EPERM, ESRCH

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR
from pyxfrm.lab.script import Open
from pyxfrm.wire.messages import Message
from tests.conformance.parts import GCM, add_sa, mark, move, policy, sa, sa_id, template, v4
from tests.conformance.talk import Talk, case

NEW = m.XFRM_MSG_NEWSA
GET = m.XFRM_MSG_GETSA
FLAGS = NLM_F_REQUEST | NLM_F_ACK


def header(length: int, kind: int, flags: int = FLAGS, seq: int = 7, pid: int = 0) -> bytes:
    """A netlink header."""
    return struct.pack("=IHHII", length, kind, flags, seq, pid)


def errors(read: list[Message]) -> list[int]:
    """The errnos of the acknowledgements that were read."""
    return [-one.body.error for one in read if one.header.nlmsg_type == NLMSG_ERROR]


# -- datagrams ---------------------------------------------------------------------------------------


@case("netlink")
def several_messages(t: Talk) -> None:
    """The messages of a datagram are done one after another, each with its own answer; a refusal stops nothing"""
    parts = [
        t.encode(NEW, sa(), [GCM]),
        t.encode(NEW, sa(), [GCM]),
        t.encode(GET, sa_id()),
        t.encode(NEW, sa(0x101), [GCM], flags=0),
        t.encode(GET, None, flags=NLM_F_DUMP),
        t.encode(m.XFRM_MSG_DELSA, sa_id()),
        t.encode(m.XFRM_MSG_DELSA, sa_id()),
    ]
    read = t.raw(b"".join(parts))
    t.check(errors(read) == [0, EEXIST, 0, 0, ESRCH], f"errors {errors(read)}")
    t.check(len(t.dump_sas()) == 1, "SAs")


@case("netlink")
def dumps_in_one_datagram(t: Talk) -> None:
    """Two dumps in one datagram: the second is busy if the first is not done at once"""
    dump = t.encode(GET, None, flags=NLM_F_DUMP)
    t.raw(dump + dump)
    add_sa(t)
    t.raw(dump + dump + t.encode(GET, sa_id()))


@case("netlink")
def padding_between_messages(t: Talk) -> None:
    """A message starts at a multiple of four, whatever the length of the one before"""
    odd = header(21, m.XFRM_MSG_FLUSHSA) + b"\0\7\7\7\0\0\0\0"
    one = t.encode(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(0))
    t.raw(header(17, m.XFRM_MSG_FLUSHSA) + b"\0" + b"\xee" * 3 + one)
    t.raw(odd + one)
    t.raw(header(17, m.XFRM_MSG_FLUSHSA) + b"\0")
    t.raw(header(18, m.XFRM_MSG_FLUSHSA) + b"\0\0" + b"\xee")


@case("netlink")
def bad_lengths(t: Talk) -> None:
    """A length below a header's or beyond the datagram's ends it: what was before is done, nobody is told"""
    good = t.encode(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(0))
    for length in (0, 1, 15, 1000, 0xFFFFFFFF):
        wrong = header(length, m.XFRM_MSG_FLUSHSA) + b"\0\0\0\0"
        t.check(t.raw(wrong) == [], f"length {length} answered")
        t.check(errors(t.raw(good + wrong)) == [0], "the first one was not done")
        t.check(errors(t.raw(wrong + good)) == [], "the one behind was done")


@case("netlink")
def short_datagrams(t: Talk) -> None:
    """Bytes too few for a header are nothing; none at all cannot be sent"""
    for size in (1, 4, 12, 15):
        t.check(t.raw(bytes(size)) == [], "answered")
    good = t.encode(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(0))
    for size in (1, 4, 12, 15):
        t.check(errors(t.raw(good + bytes(size))) == [0], "not done")
    t.raw(b"")


@case("netlink")
def very_large_datagram(t: Talk) -> None:
    """A datagram may not be larger than the send buffer"""
    good = t.encode(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(0), flags=0)
    t.raw(good * 100 + t.encode(GET, sa_id()))
    t.raw(good * (213_000 // len(good)))


# -- kinds and flags ---------------------------------------------------------------------------------


@case("netlink")
def unknown_kinds(t: Talk) -> None:
    """A number above the last message is EINVAL without a text, whatever it holds"""
    for kind in (0x2A, 0x2B, 0x40, 0xFF, 0x110, 0xFFFF):
        for payload in (b"", bytes(300)):
            read = t.raw(header(16 + len(payload), kind) + payload)
            t.check(errors(read) == [EINVAL], f"{kind:#x}: {errors(read)}")
            t.check(read[0].body.text == "", "a text")


@case("netlink")
def kinds_without_a_handler(t: Talk) -> None:
    """Messages that only the kernel sends are EINVAL without a text, once their structure is there"""
    for kind in (m.XFRM_MSG_REPORT, m.XFRM_MSG_MAPPING, m.XFRM_MSG_NEWSADINFO):
        for size in (0, 4, 200):
            t.raw(header(16 + size, kind) + bytes(size))


@case("netlink")
def control_messages(t: Talk) -> None:
    """Numbers below the first message do nothing, and are acknowledged if they ask for it"""
    for kind in (0, 1, 2, 3, 4, 15):
        t.check(errors(t.raw(header(16, kind))) == [0], f"kind {kind}")
        t.check(t.raw(header(16, kind, NLM_F_REQUEST)) == [], f"kind {kind}")
        t.check(t.raw(header(20, kind, NLM_F_REQUEST) + bytes(4)) == [], f"kind {kind}")


@case("netlink")
def no_request(t: Talk) -> None:
    """What is no request is not done, but acknowledged if it asks for it"""
    add_sa(t)
    delete = t.encode(m.XFRM_MSG_DELSA, sa_id())
    for flags in (NLM_F_ACK, 0, NLM_F_DUMP, NLM_F_ACK | NLM_F_DUMP):
        t.raw(delete[:6] + flags.to_bytes(2, "little") + delete[8:])
    t.check(len(t.dump_sas()) == 1, "done")


@case("netlink")
def flags_that_mean_nothing(t: Talk) -> None:
    """MULTI, ECHO, ROOT and the rest change nothing of a request that has no dump"""
    for flags in (0x2, 0x8, 0x10, 0x100, 0x300, 0x400, 0xFF0A):
        t.send(NEW, sa(0x100 + flags), [GCM], flags=NLM_F_ACK | flags)
        t.send(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(51), flags=NLM_F_ACK | flags)
        t.send(m.XFRM_MSG_GETAE, s.AeventId(sa_id(0x100 + flags), v4(2), 0, 0), flags=flags)
    t.dump_sas()


# -- acknowledgements --------------------------------------------------------------------------------


@case("netlink")
def acknowledgement(t: Talk) -> None:
    """An ACK has the sequence number, the reader's port, and the request's header; a refusal the whole request"""
    request = header(40, m.XFRM_MSG_DELSA, FLAGS, 0xDEADBEEF, 0x12345678) + bytes(24)
    read = t.raw(request)
    t.check(read[0].header.nlmsg_seq == 0xDEADBEEF and read[0].header.nlmsg_pid == 1000, "header")
    flush = header(20, m.XFRM_MSG_FLUSHSA, FLAGS, 9, 0x12345678) + bytes(4)
    read = t.raw(flush)
    t.check(read[0].encode()[20:36] == flush[:16], "another header inside")


@case("netlink")
def options(t: Talk) -> None:
    """EXT_ACK adds text and offset, CAP_ACK leaves the request's body out of refusals"""
    t.close("ev")
    add_sa(t)
    for port, (ext, cap) in enumerate(
        ((False, False), (True, False), (False, True), (True, True)), 3000
    ):
        t.open("o", port, ext_ack=ext, cap_ack=cap)
        for kind, body, attrs in (
            (NEW, sa(0x101), [GCM]),
            (NEW, sa(0x101), [GCM]),
            (NEW, sa(family=7), [GCM]),
            (NEW, sa(), [(m.XFRMA_MARK, bytes(7))]),
            (NEW, sa(), [(m.XFRMA_SA_DIR, 9)]),
            (m.XFRM_MSG_MIGRATE_STATE, move(0x101), [(m.XFRMA_IF_ID, 1)]),
            (m.XFRM_MSG_MIGRATE_STATE, move(0x101), []),
            (m.XFRM_MSG_FLUSHSA, s.UserSaFlush(0), []),
        ):
            t.raw(t.encode(kind, body, attrs), "o")
        warned = t.encode(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(0))
        t.raw(struct.pack("=I", len(warned) + 2) + warned[4:] + b"\1\1", "o")
        admit = s.AddressFilter(v4(1), v4(2), 2, 200, 0)
        t.raw(t.encode(GET, None, [(m.XFRMA_ADDRESS_FILTER, admit)], NLM_F_DUMP), "o")
        t.close("o")


@case("netlink")
def strict_checking(t: Talk) -> None:
    """NETLINK_GET_STRICT_CHK changes nothing"""
    add_sa(t)
    t.open("o", 3000, strict=True)
    t.raw(t.encode(GET, None, [(m.XFRMA_PROTO, 50), (77, b"abcd")], NLM_F_DUMP), "o")
    t.raw(t.encode(GET, sa_id(), [(77, b"abcd")]), "o")


# -- privilege ---------------------------------------------------------------------------------------


@case("netlink")
def sender_without_privilege(t: Talk) -> None:
    """Every message needs CAP_NET_ADMIN, those that read too (bad case 41)"""
    bodies = {
        NEW: (sa(), [GCM]),
        m.XFRM_MSG_UPDSA: (sa(), [GCM]),
        m.XFRM_MSG_DELSA: (sa_id(), []),
        GET: (sa_id(), []),
        m.XFRM_MSG_ALLOCSPI: (s.UserSpiInfo(sa(0), 9, 9), []),
        m.XFRM_MSG_FLUSHSA: (s.UserSaFlush(0), []),
        m.XFRM_MSG_GETAE: (s.AeventId(sa_id(), v4(2), 0, 0), []),
        m.XFRM_MSG_NEWAE: (s.AeventId(sa_id(), v4(2), 0, 0), []),
        m.XFRM_MSG_EXPIRE: (s.UserExpire(sa(), 0), []),
        m.XFRM_MSG_NEWPOLICY: (policy(), [(m.XFRMA_TMPL, (template(),))]),
        m.XFRM_MSG_GETSADINFO: (0, []),
        m.XFRM_MSG_GETSPDINFO: (0, []),
        m.XFRM_MSG_GETDEFAULT: (s.UserPolicyDefault(0, 0, 0), []),
        m.XFRM_MSG_MIGRATE_STATE: (move(), []),
    }
    for kind, (body, attrs) in bodies.items():
        read = t.raw(t.encode(kind, body, attrs), privileged=False)
        if kind != m.XFRM_MSG_MIGRATE_STATE or t.reference:
            t.check(errors(read) == [EPERM], f"{kind:#x}: {errors(read)}")
        t.check(read[0].body.text == "", "a text")
    t.check(t.dump_sas() == [], "done")


@case("netlink")
def privilege_is_asked_for_early(t: Talk) -> None:
    """An unknown message is EINVAL before privilege is asked for, a short one EPERM"""
    t.check(errors(t.raw(header(16, 0x40), privileged=False)) == [EINVAL], "unknown")
    t.check(errors(t.raw(header(16, NEW), privileged=False)) == [EPERM], "short")
    read = t.raw(header(16, GET, FLAGS | NLM_F_DUMP), privileged=False)
    t.check(errors(read) == [EPERM], "dump")
    t.check(errors(t.raw(header(16, 1), privileged=False)) == [0], "control")


@case("netlink")
def opener_and_sender(t: Talk) -> None:
    """Where an address is given, the sender's privilege counts alone; else the opener's too"""
    t.open("u", 3000, privileged=False)
    dump = t.encode(GET, None, flags=NLM_F_DUMP)
    for privileged in (True, False):
        for addressed in (True, False):
            read = t.raw(dump, "u", privileged=privileged, addressed=addressed)
            allowed = privileged and addressed
            t.check((read[-1].header.nlmsg_type == NLMSG_DONE) == allowed, "allowed or not")
            t.raw(dump, "a", privileged=privileged, addressed=addressed)


@case("netlink")
def groups_need_privilege(t: Talk) -> None:
    """Joining a group needs CAP_NET_ADMIN"""
    t.open("u", 3000, (3,), privileged=False, attended=False)
    t.open("v", 3001, (), privileged=False)
    add_sa(t)


# -- sockets and groups ------------------------------------------------------------------------------


@case("netlink")
def ports(t: Talk) -> None:
    """A port has one socket"""
    outcome = t.do(Open("b", 1000))
    t.check(outcome.errno != 0, "bound twice")
    t.open("c", 0xFFFFFFFE)
    t.raw(t.encode(GET, sa_id()), "c")


@case("netlink")
def groups(t: Talk) -> None:
    """Each group hears its own events only, each socket once, whoever asked"""
    for number in range(1, 9):
        t.open(f"g{number}", 3000 + number, (number,))
    t.open("two", 3100, (3, 4, 3))
    add_sa(t, attrs=[mark(0, 0)])
    t.accept(m.XFRM_MSG_NEWPOLICY, policy(), [(m.XFRMA_TMPL, (template(),))])
    val = (m.XFRMA_REPLAY_VAL, s.ReplayState(1, 1, 1))
    t.accept(m.XFRM_MSG_NEWAE, s.AeventId(sa_id(), v4(2), 0, 0), [val], flags=NLM_F_ACK | 0x100)
    t.accept(m.XFRM_MSG_EXPIRE, s.UserExpire(sa(), 0))
    acquire = s.UserAcquire(s.Id(v4(1), 0, 50), v4(2), policy().sel, policy(), 0, 0, 0, 0)
    t.accept(m.XFRM_MSG_ACQUIRE, acquire, [(m.XFRMA_TMPL, (template(),))])
    t.raw(t.encode(m.XFRM_MSG_MIGRATE_STATE, move()))
    t.accept(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(0))
    t.accept(m.XFRM_MSG_FLUSHPOLICY)


@case("netlink")
def groups_that_are_not(t: Talk) -> None:
    """There are eight groups; more cannot be joined, 0 neither"""
    for number in (0, 9, 10, 32, 33, 64):
        t.open("g", 3000 + number, (number,), attended=False)
        t.close("g")
    add_sa(t)


@case("netlink")
def requester_is_a_member(t: Talk) -> None:
    """A requester that has joined hears its own event before its answer"""
    t.open("m", 3000, (3,))
    read = t.raw(t.encode(NEW, sa(), [GCM]), "m")
    t.check([one.header.nlmsg_type for one in read] == [NEW, NLMSG_ERROR], "not event, ACK")
    parts = [t.encode(NEW, sa(spi), [GCM]) for spi in (0x101, 0x102, 0x101)]
    read = t.raw(b"".join(parts), "m")
    kinds = [one.header.nlmsg_type for one in read]
    t.check(kinds == [NEW, NLMSG_ERROR, NEW, NLMSG_ERROR, NLMSG_ERROR], f"{kinds}")
