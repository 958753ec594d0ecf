"""ALLOCSPI: an SPI that is free, and the larval SA that keeps it."""

from __future__ import annotations

from errno import EINVAL, ENOENT, ERANGE
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLMSG_ERROR
from pyxfrm.wire.messages import Message
from tests.conformance.parts import (
    DEFLATE,
    GCM,
    IN,
    OUT,
    SHA1,
    add_sa,
    encap,
    host,
    mark,
    sa,
    sa_id,
    v4,
    v6,
)
from tests.conformance.talk import Attrs, Talk, case

ALLOC = m.XFRM_MSG_ALLOCSPI
NO_SPI = "No SPI available in the requested range"


def ask(low: int = 0x100, high: int | None = None, **more: Any) -> s.UserSpiInfo:
    """A request for an SPI of a range, by default of one number."""
    return s.UserSpiInfo(sa(0, **more), low, low if high is None else high)


def alloc(t: Talk, asked: s.UserSpiInfo, attrs: Attrs = ()) -> Message:
    """Allocate; the SA that the kernel shows."""
    read = t.accept(ALLOC, asked, attrs)
    t.check(len(read) == 1 and read[0].header.nlmsg_type == m.XFRM_MSG_NEWSA, "not shown")
    return read[0]


@case("ALLOCSPI")
def refusals(t: Talk) -> None:
    """Protocol, the 16 bits of IPComp, then the order of the range are checked"""
    for proto in (0, 4, 60, 255):
        text = "Invalid protocol, must be one of AH, ESP, IPCOMP"
        t.refuse(EINVAL, text, ALLOC, ask(2, 1, proto=proto))
    t.refuse(EINVAL, "IPCOMP SPI must be <= 65535", ALLOC, ask(0x10001, 0x10000, proto=108))
    for proto in (50, 51, 108):
        t.refuse(EINVAL, "Invalid SPI range: min > max", ALLOC, ask(2, 1, proto=proto))
    t.check(t.dump_sas() == [], "a larval SA")


@case("ALLOCSPI")
def short(t: Talk) -> None:
    """A structure cut short is refused"""
    whole = t.encode(ALLOC, ask())
    t.raw((247).to_bytes(4, "little") + whole[4:247])


@case("ALLOCSPI")
def what_it_makes(t: Talk) -> None:
    """The larval SA has addresses, protocol, mode and reqid, a selector of two hosts without a family, and a hard limit"""
    shown = alloc(
        t, ask(reqid=7, mode=0, flags=0xFF, replay_window=32, sel=host(v4(8), v4(9)), seq=3)
    )
    body = shown.body
    t.check((body.id.spi, body.reqid, body.mode, body.flags) == (0x100, 7, 0, 0), "structure")
    t.check(body.sel == host(v4(1), v4(2))._replace(family=0), "selector")
    t.check(body.lft.hard_add_expires_seconds == 30, "limit")
    t.check(t.events() == [], "an event")
    t.dump_sas()


@case("ALLOCSPI")
def over_ipv6(t: Talk) -> None:
    """The same for IPv6"""
    alloc(t, ask(daddr=v6(1), saddr=v6(2), proto=51))
    t.get_sa(sa_id(daddr=v6(1), proto=51))


@case("ALLOCSPI")
def unknown_family(t: Talk) -> None:
    """A family that is none makes an SA without addresses that nobody can find"""
    for family in (0, 7):
        alloc(t, ask(0x100 + family, family=family))
        t.get_sa(sa_id(0x100 + family))
        t.get_sa(sa_id(0x100 + family, family=7))
    t.dump_sas()


@case("ALLOCSPI")
def unused_bytes_of_addresses(t: Talk) -> None:
    """Only four bytes of an IPv4 address are kept here"""
    alloc(t, ask(daddr=v4(1)[:4] + b"\xff" * 12, saddr=v4(2)[:4] + b"\xee" * 12))
    t.get_sa(sa_id())


@case("ALLOCSPI")
def life_time(t: Talk) -> None:
    """net.core.xfrm_acq_expires is the hard limit"""
    t.sysctl("net.core.xfrm_acq_expires", 165)
    shown = alloc(t, ask())
    t.check(shown.body.lft.hard_add_expires_seconds == 165, "another limit")


@case("ALLOCSPI")
def attributes(t: Talk) -> None:
    """Mark, if_id, direction and CPU are taken over, others are not"""
    given = [mark(0x15, 0xF), (m.XFRMA_IF_ID, 4), IN, (m.XFRMA_SA_PCPU, 0)]
    others = [GCM, encap(), (m.XFRMA_SET_MARK, 3), (m.XFRMA_TFCPAD, 3), (m.XFRMA_SA_EXTRA_FLAGS, 1)]
    shown = alloc(t, ask(), [*given, *others])
    t.check(shown.get(m.XFRMA_IF_ID) == 4 and shown.get(m.XFRMA_ENCAP) is None, "attributes")
    alloc(t, ask(0x101), [OUT])
    t.dump_sas()
    t.get_sa(sa_id(), [mark(5, 0xF)])
    t.get_sa(sa_id(), [mark(0x15)])


@case("ALLOCSPI")
def cpu_number(t: Talk) -> None:
    """A CPU number that the machine cannot have is EINVAL here; no direction is asked for"""
    t.refuse(EINVAL, "pCPU number too big", ALLOC, ask(), [(m.XFRMA_SA_PCPU, 1)])
    alloc(t, ask(), [(m.XFRMA_SA_PCPU, 0)])
    t.refuse(ERANGE, "integer out of range", ALLOC, ask(), [(m.XFRMA_SA_DIR, 3)])


@case("ALLOCSPI")
def taken(t: Talk) -> None:
    """An SPI is taken by any SA of the protocol, wherever it goes; the larval SA stays without one"""
    add_sa(t, sa(0x100, v6(1), v6(2)))
    t.refuse(ENOENT, NO_SPI, ALLOC, ask())
    waiting = [one.body for one in t.dump_sas()]
    t.check(len(waiting) == 2 and waiting[0].id.spi == 0, "no larval SA waits")
    t.accept(m.XFRM_MSG_NEWSA, sa(0x101, proto=51), [SHA1])
    alloc(t, ask(0x101))
    t.check(len(t.dump_sas()) == 3, "the one that waited was not taken")


@case("ALLOCSPI")
def spi_zero(t: Talk) -> None:
    """0 is no SPI"""
    t.refuse(ENOENT, NO_SPI, ALLOC, ask(0))
    t.refuse(ENOENT, NO_SPI, ALLOC, ask(0))
    t.check(len(t.dump_sas()) == 1, "two larval SAs")


@case("ALLOCSPI")
def range_of_numbers(t: Talk) -> None:
    """Of a range a free number is taken at random"""
    drawn = []
    for number in range(8):
        shown = alloc(t, ask(0x1000, 0x1FFF, reqid=number))
        drawn.append(shown.body.id.spi)
    t.check(all(0x1000 <= spi <= 0x1FFF for spi in drawn), "outside of the range")
    t.check(len(set(drawn)) == 8, "one twice")
    t.dump_sas()


@case("ALLOCSPI")
def full_range(t: Talk) -> None:
    """The range of all numbers has no size, and so no SPI: a fault of shipped kernels"""
    t.refuse(ENOENT, NO_SPI, ALLOC, ask(0, 0xFFFFFFFF))
    alloc(t, ask(0xFFFFFFFF))


@case("ALLOCSPI")
def ipcomp(t: Talk) -> None:
    """IPComp has its own SPIs, of 16 bits"""
    alloc(t, ask(0xFFFF, proto=108))
    t.refuse(ENOENT, NO_SPI, ALLOC, ask(0xFFFF, proto=108, reqid=2))
    t.refuse(ENOENT, NO_SPI, ALLOC, ask(0x0, proto=108, reqid=3))
    t.accept(m.XFRM_MSG_UPDSA, sa(0xFFFF, proto=108), [DEFLATE])
    t.dump_sas()


@case("ALLOCSPI")
def asks_again(t: Talk) -> None:
    """A second request makes a second larval SA: one with an SPI waits for nobody"""
    alloc(t, ask(0x100))
    alloc(t, ask(0x101))
    t.check(len(t.dump_sas()) == 2, "the first one was taken")


@case("ALLOCSPI")
def who_waits(t: Talk) -> None:
    """A larval SA without an SPI is taken if addresses, protocol, mode, reqid, mark and CPU fit; if_id is not looked at"""
    add_sa(t, sa(0x300))
    t.refuse(ENOENT, NO_SPI, ALLOC, ask(0x300, reqid=1), [mark(1, 3), (m.XFRMA_IF_ID, 1)])
    others: list[tuple[dict[str, Any], Attrs]] = [
        ({"reqid": 2}, [mark(1, 3)]),
        ({"reqid": 1, "mode": 0}, [mark(1, 3)]),
        ({"reqid": 1, "saddr": v4(9)}, [mark(1, 3)]),
        ({"reqid": 1}, [mark(2, 3)]),
        ({"reqid": 1}, [mark(1, 3), (m.XFRMA_SA_PCPU, 0)]),
        ({"reqid": 1}, [mark(5, 7), (m.XFRMA_IF_ID, 9)]),
    ]
    for number, (more, attrs) in enumerate(others):
        alloc(t, ask(0x400 + number, **more), attrs)
    t.check(len(t.dump_sas()) == 7, "others were taken")


@case("ALLOCSPI")
def by_sequence_number(t: Talk) -> None:
    """A sequence number that no ACQUIRE has is as good as none"""
    alloc(t, ask(0x100, seq=12345))
    found = t.get_sa(sa_id())
    t.check(found and found.body.seq == 0, "kept")


@case("ALLOCSPI")
def without_ack(t: Talk) -> None:
    """Without NLM_F_ACK the SA is the whole answer; it repeats the sequence number"""
    read = t.send(ALLOC, ask(), flags=0)
    t.check([one.header.nlmsg_type for one in read] == [m.XFRM_MSG_NEWSA], "not the SA alone")
    t.check(read[0].header.nlmsg_seq == t.seq, "another sequence number")
    read = t.send(ALLOC, ask(), flags=0)
    t.check([one.header.nlmsg_type for one in read] == [NLMSG_ERROR], "no refusal")
