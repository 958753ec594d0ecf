"""FLUSHSA: what goes, and who hears of it."""

from __future__ import annotations

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from tests.conformance.parts import DEFLATE, GCM, SHA1, add_sa, mark, sa, v6
from tests.conformance.talk import Talk, case

FLUSH = m.XFRM_MSG_FLUSHSA
COADDR = (m.XFRMA_COADDR, v6(9))


@case("FLUSHSA")
def all_of_them(t: Talk) -> None:
    """Protocol 0 takes all SAs, larval ones too; only one event is told"""
    add_sa(t)
    t.accept(m.XFRM_MSG_NEWSA, sa(0x101, proto=51), [SHA1])
    t.accept(m.XFRM_MSG_NEWSA, sa(0, v6(1), v6(2), proto=60, mode=2), [COADDR])
    t.accept(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa(0), 0x200, 0x200))
    t.events()
    t.accept(FLUSH, s.UserSaFlush(0))
    t.check([e.header.nlmsg_type for e in t.events()] == [FLUSH], "other events")
    t.check(t.dump_sas() == [], "something is left")


@case("FLUSHSA")
def by_protocol(t: Talk) -> None:
    """A protocol takes its SAs, 255 takes AH, ESP and IPComp"""
    coaddr = sa(0, v6(1), v6(2), proto=60, mode=2)
    for wanted in (50, 51, 60, 255, 17, 4):
        add_sa(t)
        t.accept(m.XFRM_MSG_NEWSA, sa(0x101, proto=51), [SHA1])
        t.accept(m.XFRM_MSG_NEWSA, sa(0x102, proto=108), [DEFLATE])
        t.accept(m.XFRM_MSG_NEWSA, coaddr, [COADDR])
        t.send(FLUSH, s.UserSaFlush(wanted))
        t.dump_sas()
        t.send(FLUSH, s.UserSaFlush(0))
        t.dump_sas()


@case("FLUSHSA")
def nothing_there(t: Talk) -> None:
    """Where nothing is to be flushed, it is no error and no event"""
    t.accept(FLUSH, s.UserSaFlush(0))
    add_sa(t)
    t.events()
    t.accept(FLUSH, s.UserSaFlush(51))
    t.check(t.events() == [], "an event")


@case("FLUSHSA")
def helper_of_ipcomp(t: Talk) -> None:
    """A flush passes by the helper of IPComp, which goes with its users"""
    t.accept(m.XFRM_MSG_NEWSA, sa(proto=108), [DEFLATE])
    t.send(FLUSH, s.UserSaFlush(4))
    t.check(len(t.dump_sas()) == 2, "the helper went")
    t.accept(FLUSH, s.UserSaFlush(108))
    t.check(t.dump_sas() == [], "the helper stayed")


@case("FLUSHSA")
def event(t: Talk) -> None:
    """The event has the request's protocol, sequence number and pid"""
    add_sa(t)
    t.open("b", 1001, (3,))
    data = bytearray(t.encode(FLUSH, s.UserSaFlush(255)))
    data[12:16] = (4711).to_bytes(4, "little")
    read = t.raw(bytes(data), "b")
    t.check([one.header.nlmsg_type for one in read] == [FLUSH, 2], "not event, ACK")
    t.check((read[0].body.proto, read[0].header.nlmsg_pid) == (255, 4711), "another one")


@case("FLUSHSA")
def structure(t: Talk) -> None:
    """One byte is enough of a structure; none is too short"""
    add_sa(t)
    whole = t.encode(FLUSH, s.UserSaFlush(50))
    t.raw((16).to_bytes(4, "little") + whole[4:16])
    t.raw(whole)
    t.check(t.dump_sas() == [], "not flushed")
    t.accept(m.XFRM_MSG_NEWSA, sa(), [GCM])
    t.accept(FLUSH, s.UserSaFlush(50), [mark(7)])
    t.dump_sas()
