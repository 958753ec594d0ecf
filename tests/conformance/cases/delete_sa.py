"""DELSA: whom it finds, and who hears of it."""

from __future__ import annotations

from errno import EINVAL, EPERM, ESRCH

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.xfrm import AF_INET, AF_INET6
from tests.conformance.parts import (
    DEFLATE,
    IN,
    add_sa,
    encap,
    mark,
    sa,
    sa_id,
    v4,
    v6,
)
from tests.conformance.talk import Talk, case

DEL = m.XFRM_MSG_DELSA
COADDR = (m.XFRMA_COADDR, v6(9))


@case("DELSA")
def short(t: Talk) -> None:
    """A structure cut short is refused"""
    whole = t.encode(DEL, sa_id())
    t.raw((39).to_bytes(4, "little") + whole[4:39])
    t.raw((16).to_bytes(4, "little") + whole[4:16])


@case("DELSA")
def whom_it_finds(t: Talk) -> None:
    """Destination, SPI, protocol, family and mark must all fit, or ESRCH without a text"""
    add_sa(t, attrs=[mark(5, 0xFF)])
    for who, attrs in (
        (sa_id(0x101), [mark(5)]),
        (sa_id(daddr=v4(3)), [mark(5)]),
        (sa_id(proto=51), [mark(5)]),
        (sa_id(proto=108), [mark(5)]),
        (sa_id(proto=255), [mark(5)]),
        (sa_id(family=AF_INET6), [mark(5)]),
        (sa_id(family=3), [mark(5)]),
        (sa_id(), []),
        (sa_id(), [mark(6)]),
        (sa_id(), [mark(5, 0xF0)]),
    ):
        t.refuse(ESRCH, "", DEL, who, attrs)
    t.accept(DEL, sa_id()._replace(pad=b"\7"), [mark(0x105, 0xFFF)])
    t.refuse(ESRCH, "", DEL, sa_id(), [mark(5)])


@case("DELSA")
def without_spi(t: Talk) -> None:
    """SAs of other protocols are named by both addresses: without SRCADDR it is EINVAL"""
    t.accept(m.XFRM_MSG_NEWSA, sa(0, v6(1), v6(2), proto=60, mode=2), [COADDR])
    who = s.UserSaId(v6(1), 0x999, AF_INET6, 60)
    t.refuse(EINVAL, "", DEL, who)
    t.refuse(ESRCH, "", DEL, who, [(m.XFRMA_SRCADDR, v6(3))])
    t.refuse(ESRCH, "", DEL, who._replace(proto=43), [(m.XFRMA_SRCADDR, v6(2))])
    t.refuse(EINVAL, "", DEL, who._replace(proto=0))
    for family in (0, AF_INET, 3):
        t.refuse(ESRCH, "", DEL, who._replace(family=family), [(m.XFRMA_SRCADDR, v6(2))])
    t.accept(DEL, who, [(m.XFRMA_SRCADDR, v6(2))])


@case("DELSA")
def helper_of_ipcomp(t: Talk) -> None:
    """The IP-in-IP SA behind IPComp is in use by tunnels; it goes with the last of them"""
    for spi in (0x100, 0x101):
        t.accept(m.XFRM_MSG_NEWSA, sa(spi, proto=108), [DEFLATE])
    helper = s.UserSaId(v4(1), 0, 2, 4)
    t.refuse(EPERM, "SA is in use by tunnels", DEL, helper, [(m.XFRMA_SRCADDR, v4(2))])
    t.accept(DEL, sa_id(0x100, proto=108))
    t.check(len(t.dump_sas()) == 2, "the helper went too early")
    t.accept(DEL, sa_id(0x101, proto=108))
    t.check(t.dump_sas() == [], "the helper stayed")


@case("DELSA")
def larval(t: Talk) -> None:
    """A larval SA is deleted like any other, and told"""
    t.accept(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa(0), 0x100, 0x100))
    t.accept(DEL, sa_id())
    t.check(t.dump_sas() == [], "still there")


@case("DELSA")
def event(t: Talk) -> None:
    """The event names the SA, and holds the SA itself and all its attributes; it precedes the ACK"""
    add_sa(t, sa(reqid=3), [IN, encap(), mark(1), (m.XFRMA_IF_ID, 3)])
    t.open("b", 1001, (3,))
    t.events()
    data = bytearray(t.encode(DEL, sa_id()._replace(pad=b"\1"), [mark(1)]))
    data[12:16] = (4711).to_bytes(4, "little")
    read = t.raw(bytes(data), "b")
    t.check([one.header.nlmsg_type for one in read] == [DEL, 2], "not event, ACK")
    inner = read[0].get(m.XFRMA_SA)
    t.check(inner and inner.reqid == 3 and read[0].body == sa_id(), "another SA")
