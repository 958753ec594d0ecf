"""Receive buffers that overrun: what is lost, what ENOBUFS says, and when a socket hears again."""

from __future__ import annotations

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_DUMP, NLM_F_REPLACE, NLMSG_DONE, NLMSG_ERROR
from pyxfrm.wire.attrs import Attr
from pyxfrm.wire.messages import Message
from tests.conformance.parts import CBC, GCM, SHA256, add_sa, encap, policy, sa, sa_id, template, v4
from tests.conformance.talk import Talk, case

NEW = m.XFRM_MSG_NEWSA


def spis(read: list[Message]) -> list[int]:
    """The SPIs of the SAs that were read."""
    return [one.body.id.spi for one in read if one.header.nlmsg_type == NEW]


def lost(t: Talk) -> int:
    """How often the last read said ENOBUFS."""
    return sum(bool(one.errno) for one in t.notes[-1][1].received)


@case("ENOBUFS")
def events_are_lost(t: Talk) -> None:
    """What does not fit is lost, and so is all behind it until the queue has been read empty; ENOBUFS says so once, first"""
    t.open("l", 3000, (3,), attended=False, rcvbuf=4096)
    for spi in range(0x100, 0x10A):
        add_sa(t, sa(spi))
    t.check(spis(t.read("l", count=2)) == [0x100], "not one after the error")
    t.check(lost(t) == 1, "no error first")
    add_sa(t, sa(0x200))
    left = spis(t.read("l"))
    t.check(0x200 not in left and lost(t) == 0, "heard before the queue was empty")
    add_sa(t, sa(0x201))
    t.check(spis(t.read("l")) == [0x201] and lost(t) == 0, "deaf")


@case("ENOBUFS")
def how_much_fits(t: Talk) -> None:
    """Buffers of many sizes and events of many: how many fit"""
    long = sa(proto=51)
    key = (
        m.XFRMA_ALG_AUTH,
        b"hmac(sha1)".ljust(64, b"\0") + (2400).to_bytes(4, "little") + bytes(300),
    )
    requests = [
        (m.XFRM_MSG_UPDSA, sa(0x100), [GCM]),
        (m.XFRM_MSG_UPDSA, sa(0x101), [CBC, SHA256, encap()]),
        (m.XFRM_MSG_UPDSA, long, [key]),
        (m.XFRM_MSG_UPDPOLICY, policy(), [(m.XFRMA_TMPL, (template(),))]),
        (m.XFRM_MSG_UPDPOLICY, policy(), [(m.XFRMA_TMPL, (template(),) * 6)]),
        (m.XFRM_MSG_EXPIRE, s.UserExpire(sa(), 0), []),
    ]
    for _, info, attrs in requests[:3]:
        t.send(NEW, info, attrs)
    for number, size in enumerate((1152, 1280, 2240, 3000, 6000, 12000)):
        for kind, body, attrs in requests:
            t.open("l", 3000 + number, (2, 3, 4), attended=False, rcvbuf=size)
            one = t.encode(kind, body, attrs)
            t.raw(one * 30)
            t.read("l")
            t.close("l")


@case("ENOBUFS")
def one_always_fits(t: Talk) -> None:
    """Into an empty queue one datagram fits, however small the buffer is"""
    t.open("l", 3000, (3,), attended=False, rcvbuf=1)
    key = (
        m.XFRMA_ALG_AUTH,
        b"hmac(sha1)".ljust(64, b"\0") + (8000).to_bytes(4, "little") + bytes(1000),
    )
    for spi in (0x100, 0x101):
        t.accept(NEW, sa(spi, proto=51), [key])
    t.check(spis(t.read("l")) == [0x100] and lost(t) == 1, "not one")


@case("ENOBUFS")
def no_enobufs(t: Talk) -> None:
    """NETLINK_NO_ENOBUFS: nothing is said, and only what does not fit is lost"""
    t.open("l", 3000, (3,), attended=False, rcvbuf=4096, no_enobufs=True)
    for spi in range(0x100, 0x10A):
        add_sa(t, sa(spi))
    t.check(len(spis(t.read("l", count=2))) == 2 and lost(t) == 0, "an error")
    add_sa(t, sa(0x200))
    t.check(0x200 in spis(t.read("l")), "lost though there was room")


@case("ENOBUFS")
def others_hear(t: Talk) -> None:
    """One socket's overrun is not another's"""
    t.open("l", 3000, (3,), attended=False, rcvbuf=1)
    t.open("k", 3001, (3,), attended=False)
    for spi in (0x100, 0x101, 0x102):
        add_sa(t, sa(spi))
    t.check(spis(t.read("k")) == [0x100, 0x101, 0x102], "others lost something")
    t.check(spis(t.read("l")) == [0x100], "too many")


@case("ENOBUFS")
def acknowledgement_is_lost(t: Talk) -> None:
    """An ACK that does not fit is lost; what was asked for is done (bad case 36)"""
    t.open("r", 3000, attended=False, rcvbuf=1)
    for spi in range(0x100, 0x104):
        t.post(t.encode(NEW, sa(spi), [GCM]), "r")
    read = t.read("r")
    t.check(len(read) < 4 and lost(t) == 1, "nothing was lost")
    t.check(spis(t.dump_sas()) == [0x103, 0x102, 0x101, 0x100], "not done")


@case("ENOBUFS")
def answer_is_lost(t: Talk) -> None:
    """A reply without room makes its request fail with EAGAIN, which may be heard if that fits"""
    add_sa(t)
    for number, quiet in enumerate((False, True)):
        t.open("r", 3000 + number, attended=False, rcvbuf=1600, no_enobufs=quiet)
        ack = t.encode(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(51))
        t.post(ack + ack, "r")
        t.post(t.encode(m.XFRM_MSG_GETSA, sa_id()), "r")
        t.post(t.encode(m.XFRM_MSG_GETAE, s.AeventId(sa_id(), v4(2), 0, 0)), "r")
        t.post(t.encode(m.XFRM_MSG_GETSADINFO, 0), "r")
        t.read("r")
        t.read("r")
        t.close("r")


@case("ENOBUFS")
def listener_asks(t: Talk) -> None:
    """A member that does not read loses its own answers with the events of others"""
    t.open("l", 3000, (3, 5), attended=False, rcvbuf=3000)
    for spi in range(0x100, 0x106):
        add_sa(t, sa(spi))
    t.post(t.encode(m.XFRM_MSG_GETSA, sa_id()), "l")
    t.check(NLMSG_ERROR not in [one.header.nlmsg_type for one in t.read("l")], "an answer")
    t.post(t.encode(m.XFRM_MSG_GETSA, sa_id()), "l")
    t.check(spis(t.read("l")) == [0x100], "no answer")
    val = (m.XFRMA_REPLAY_VAL, s.ReplayState(1, 1, 1))
    about = s.AeventId(sa_id(), v4(2), 0, 0)
    for _ in range(6):
        t.post(t.encode(m.XFRM_MSG_NEWAE, about, [val], 4 | NLM_F_REPLACE), "l")
    t.read("l")


@case("ENOBUFS")
def move_that_nobody_had_room_for(t: Talk) -> None:
    """A notification that no listener has room for is one that nobody hears"""
    t.close("ev")
    t.open("l", 3000, (7,), attended=False, rcvbuf=1)
    add_sa(t)
    for _ in range(4):
        t.raw(t.encode(m.XFRM_MSG_MIGRATE_STATE, move_in_place()))
    t.read("l")


def move_in_place() -> s.UserMigrateState:
    """MIGRATE_STATE of an SA onto itself."""
    return s.UserMigrateState(sa_id(), v4(1), v4(2), s.MarkVM(0, 0), sa().sel, 0, 0, 2, 0)


@case("ENOBUFS")
def dump_without_room(t: Talk) -> None:
    """A dump that has no room for a datagram is ENOBUFS, and goes on when there is room again"""
    for spi in range(0x100, 0x114):
        add_sa(t, sa(spi))
    dump = t.encode(m.XFRM_MSG_GETSA, None, flags=NLM_F_DUMP)
    ack = t.encode(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(51))
    for number, size in enumerate((1152, 2600, 4000, 5000, 9000)):
        t.open("d", 3000 + number, attended=False, rcvbuf=size)
        t.post(ack, "d")
        t.post(dump, "d")
        for _ in range(30):
            if any(r.header.nlmsg_type == NLMSG_DONE for r in t.read("d", size=4096, count=1)):
                break
        t.read("d", size=4096)
        t.close("d")


@case("ENOBUFS")
def refused_dump_without_room(t: Talk) -> None:
    """A dump without room is ENOBUFS and no word of what else is wrong with it; that comes with DONE, when there is room"""
    t.open("d", 3000, attended=False, rcvbuf=1152)
    ack = t.encode(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(51))
    t.post(ack + ack, "d")
    short = Attr(m.XFRMA_ADDRESS_FILTER, b"short", bytes(3))
    t.post(t.encode(m.XFRM_MSG_GETSA, None, [short], NLM_F_DUMP), "d")
    read = t.read("d")
    t.check(read[-1].header.nlmsg_type == NLMSG_DONE, "no end")
    texts = [one.body.text for one in read if one.header.nlmsg_type == NLMSG_ERROR]
    t.check(not any(texts), f"told too early: {texts}")


@case("ENOBUFS")
def dump_in_a_small_buffer(t: Talk) -> None:
    """In a small buffer a dump waits until half of it is free"""
    for spi in range(0x100, 0x130):
        add_sa(t, sa(spi))
    dump = t.encode(m.XFRM_MSG_GETSA, None, flags=NLM_F_DUMP)
    for number, size in enumerate((1, 4096, 10000, 40000)):
        t.open("d", 3000 + number, attended=False, rcvbuf=size)
        t.post(dump, "d")
        t.read("d", size=16384)
        t.post(dump, "d")
        t.post(t.encode(m.XFRM_MSG_GETSA, sa_id()), "d")
        t.read("d", size=16384)
        t.close("d")
