"""GETSA: one SA, and dumps: what they show, in which order, in how many datagrams, and what happens meanwhile."""

from __future__ import annotations

from errno import EBUSY, EINVAL, EPERM, ERANGE, ESRCH

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_MULTI, NLMSG_DONE, NLMSG_ERROR
from pyxfrm.abi.xfrm import AF_INET, AF_INET6
from pyxfrm.wire.attrs import Attr, make
from pyxfrm.wire.messages import Message
from tests.conformance.parts import (
    CBC,
    DEFLATE,
    GCM,
    SHA1,
    SHA256,
    add_sa,
    alg,
    encap,
    mark,
    sa,
    sa_id,
    v4,
    v6,
)
from tests.conformance.talk import Talk, case

GET = m.XFRM_MSG_GETSA
COADDR = (m.XFRMA_COADDR, v6(9))
ROOT, MATCH = 0x100, 0x200


def dump_request(t: Talk, attrs: list[tuple[int, object] | Attr] | None = None) -> bytes:
    """The bytes of a dump request."""
    return t.encode(GET, None, attrs or [], NLM_F_DUMP)


def spis(read: list[Message]) -> list[int]:
    """The SPIs of the SAs that were read."""
    return [one.body.id.spi for one in read if one.header.nlmsg_type == m.XFRM_MSG_NEWSA]


# -- one SA ------------------------------------------------------------------------------------------


@case("GETSA")
def one(t: Talk) -> None:
    """One SA comes as NEWSA with the request's sequence number and the reader's port, then the ACK if asked for"""
    add_sa(t, attrs=[encap(), mark(3)])
    read = t.send(GET, sa_id(), [mark(3)])
    t.check([r.header.nlmsg_type for r in read] == [m.XFRM_MSG_NEWSA, NLMSG_ERROR], "no ACK")
    t.check(read[0].header.nlmsg_pid == 1000 and read[0].header.nlmsg_flags == 0, "header")
    t.check(len(t.send(GET, sa_id(), [mark(3)], flags=0)) == 1, "an ACK")
    t.check(t.events() != [] and t.events() == [], "an event")


@case("GETSA")
def not_there(t: Talk) -> None:
    """Destination, SPI, protocol, family and mark must all fit, or ESRCH without a text"""
    add_sa(t, attrs=[mark(5, 0xFF)])
    for who, attrs in (
        (sa_id(0x101), [mark(5)]),
        (sa_id(daddr=v4(3)), [mark(5)]),
        (sa_id(proto=51), [mark(5)]),
        (sa_id(family=AF_INET6), [mark(5)]),
        (sa_id(), []),
        (sa_id(), [mark(6)]),
    ):
        t.refuse(ESRCH, "", GET, who, attrs)
    t.check(t.get_sa(sa_id(), [mark(0x105, 0xFFF)]) is not None, "not found")


@case("GETSA")
def without_spi(t: Talk) -> None:
    """An SA of a protocol without SPIs is named by both addresses"""
    t.accept(m.XFRM_MSG_NEWSA, sa(0, v6(1), v6(2), proto=43, mode=2), [COADDR, mark(1)])
    who = s.UserSaId(v6(1), 0, AF_INET6, 43)
    t.refuse(EINVAL, "", GET, who)
    t.refuse(ESRCH, "", GET, who, [(m.XFRMA_SRCADDR, v6(2))])
    t.check(t.get_sa(who, [(m.XFRMA_SRCADDR, v6(2)), mark(1)]) is not None, "not found")


@case("GETSA")
def short(t: Talk) -> None:
    """A structure cut short is refused, unless it is a dump, which has none"""
    whole = t.encode(GET, sa_id())
    t.raw((39).to_bytes(4, "little") + whole[4:39])
    t.raw((16).to_bytes(4, "little") + whole[4:16])


@case("GETSA")
def too_large_for_one(t: Talk) -> None:
    """An SA that does not fit into a page can be made, but not shown"""
    key = (m.XFRMA_ALG_AUTH, alg("hmac(sha1)", 8 * 1500))
    add_long = sa(proto=51)
    t.accept(m.XFRM_MSG_NEWSA, add_long, [key])
    t.send(GET, sa_id(proto=51))
    key = (m.XFRMA_ALG_AUTH, alg("hmac(sha1)", 8 * 1900))
    t.send(m.XFRM_MSG_NEWSA, sa(0x101, proto=51), [key])
    t.send(GET, sa_id(0x101, proto=51))
    t.dump_sas()
    t.dump_sas()


@case("GETSA")
def without_privilege(t: Talk) -> None:
    """Reading needs CAP_NET_ADMIN too (bad case 41)"""
    add_sa(t)
    for data in (t.encode(GET, sa_id()), dump_request(t)):
        read = t.raw(data, privileged=False)
        t.check(read[0].body.error == -EPERM, "allowed")


# -- dumps -------------------------------------------------------------------------------------------


@case("GETSA")
def empty_dump(t: Talk) -> None:
    """A dump of nothing is DONE alone"""
    read = t.raw(dump_request(t))
    t.check([r.header.nlmsg_type for r in read] == [NLMSG_DONE], "not DONE alone")
    t.check(read[0].header.nlmsg_flags == NLM_F_MULTI, "DONE is not part of many")


@case("GETSA")
def dump_flags(t: Talk) -> None:
    """One of the two dump flags is enough; ACK changes nothing"""
    add_sa(t)
    for flags in (ROOT, MATCH, NLM_F_DUMP, NLM_F_DUMP | NLM_F_ACK, NLM_F_DUMP | 0x400 | 0x800):
        read = t.send(GET, None, flags=flags)
        kinds = [r.header.nlmsg_type for r in read]
        t.check(kinds == [m.XFRM_MSG_NEWSA, NLMSG_DONE], f"{flags:#x}: {kinds}")
        t.check(read[0].header.nlmsg_flags == NLM_F_MULTI, "not part of many")


@case("GETSA")
def dump_order(t: Talk) -> None:
    """Newest first, whatever the protocol; an update leaves an SA in its place"""
    add_sa(t, sa(0x100))
    t.accept(m.XFRM_MSG_NEWSA, sa(0x101, proto=51), [SHA1])
    add_sa(t, sa(0x102, v6(1), v6(2)))
    t.accept(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa(0, v4(5)), 0x103, 0x103))
    t.accept(m.XFRM_MSG_UPDSA, sa(0x100), [GCM])
    t.check(spis(t.dump_sas()) == [0x103, 0x102, 0x101, 0x100], "another order")
    t.accept(m.XFRM_MSG_UPDSA, sa(0x103, v4(5)), [GCM])
    t.check(spis(t.dump_sas()) == [0x103, 0x102, 0x101, 0x100], "another order")


@case("GETSA")
def dump_by_protocol(t: Talk) -> None:
    """PROTO takes one protocol; 0 takes all, 255 AH, ESP and IPComp"""
    add_sa(t, sa(0x100))
    t.accept(m.XFRM_MSG_NEWSA, sa(0x101, proto=51), [SHA1])
    t.accept(m.XFRM_MSG_NEWSA, sa(0x102, proto=108), [DEFLATE])
    t.accept(m.XFRM_MSG_NEWSA, sa(0, v6(1), v6(2), proto=60, mode=2), [COADDR])
    for proto in (0, 50, 51, 108, 4, 60, 43, 17, 255):
        t.dump_sas([(m.XFRMA_PROTO, proto)])
    t.check(spis(t.dump_sas([(m.XFRMA_PROTO, 51)])) == [0x101], "others too")


@case("GETSA")
def dump_by_address(t: Talk) -> None:
    """ADDRESS_FILTER takes a family and two prefixes, compared from the first bit on"""
    for spi, daddr, saddr in (
        (0x100, v4(1), v4(2)),
        (0x101, v4(1, 3), v4(2)),
        (0x102, v4(129), v4(2, 4)),
        (0x103, v6(1), v6(2)),
        (0x104, v6(129), v6(2)),
    ):
        add_sa(t, sa(spi, daddr, saddr))
    wanted = (
        (s.AddressFilter(v4(2), v4(1), 0, 0, 0), [0x104, 0x103, 0x102, 0x101, 0x100]),
        (s.AddressFilter(v4(2), v4(1), AF_INET, 0, 0), [0x102, 0x101, 0x100]),
        (s.AddressFilter(v4(2), v4(1), AF_INET6, 0, 0), [0x104, 0x103]),
        (s.AddressFilter(v4(2), v4(1), 7, 32, 0), [0x101, 0x100]),
        (s.AddressFilter(v4(2), v4(1), AF_INET, 32, 32), [0x100]),
        (s.AddressFilter(v4(2), v4(9), AF_INET, 0, 24), [0x102, 0x100]),
        (s.AddressFilter(v4(2), v4(9), AF_INET, 0, 25), [0x100]),
        (s.AddressFilter(v4(2), v4(255), AF_INET, 0, 25), [0x102]),
        (s.AddressFilter(v4(3), v4(1), AF_INET, 31, 0), [0x101, 0x100]),
        (s.AddressFilter(v4(3), v4(1), AF_INET, 15, 7), [0x102, 0x101, 0x100]),
        (s.AddressFilter(v6(2), v6(129), AF_INET6, 128, 128), [0x104]),
        (s.AddressFilter(v6(2), v6(129), AF_INET6, 128, 121), [0x104]),
        (s.AddressFilter(v6(2), v6(1), 0, 0, 121), [0x103]),
        (s.AddressFilter(v4(2), v4(1), AF_INET, 128, 33), [0x100]),
    )
    for admit, expected in wanted:
        got = spis(t.dump_sas([(m.XFRMA_ADDRESS_FILTER, admit)]))
        t.check(got == expected, f"{admit}: {[hex(spi) for spi in got]}")
    t.dump_sas([(m.XFRMA_ADDRESS_FILTER, wanted[1][0]), (m.XFRMA_PROTO, 51)])


@case("GETSA")
def filter_too_long(t: Talk) -> None:
    """A prefix longer than 128 bits makes the dump end at once with EINVAL in its DONE"""
    add_sa(t)
    for splen, dplen in ((129, 0), (0, 129), (255, 255)):
        admit = s.AddressFilter(v4(2), v4(1), AF_INET, splen, dplen)
        read = t.raw(dump_request(t, [(m.XFRMA_ADDRESS_FILTER, admit)]))
        t.check([r.header.nlmsg_type for r in read] == [NLMSG_DONE], "not DONE alone")
        t.check(read[0].body.error == -EINVAL, f"error {read[0].body.error}")
    t.check(len(t.dump_sas()) == 1, "no dump afterwards")


@case("GETSA")
def bad_attributes_of_a_dump(t: Talk) -> None:
    """An attribute that breaks its rule ends the dump with that errno, text and rule in its DONE"""
    add_sa(t)
    for attr in (
        make(m.XFRMA_PROTO, b""),
        make(m.XFRMA_ADDRESS_FILTER, bytes(35)),
        make(m.XFRMA_MARK, bytes(7)),
        make(m.XFRMA_SA_DIR, b"\0"),
        make(m.XFRMA_SA_DIR, b"\1\0"),
    ):
        read = t.raw(dump_request(t, [attr]))
        t.check([r.header.nlmsg_type for r in read] == [NLMSG_DONE], "not DONE alone")
        t.check(read[0].body.error in (-ERANGE, -EINVAL), f"error {read[0].body.error}")
    t.check(len(t.dump_sas([(m.XFRMA_SA_DIR, 1)])) == 1, "a direction is refused")
    t.raw(dump_request(t, [(m.XFRMA_SA_PCPU, 7)]))


@case("GETSA")
def leftover_bytes_of_a_dump(t: Talk) -> None:
    """Bytes after the attributes of a dump leave a warning, in the DONE if that comes at once"""
    add_sa(t)
    data = dump_request(t)
    longer = (len(data) + 3).to_bytes(4, "little") + data[4:] + b"\1\1\1"
    t.raw(longer)
    t.accept(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(0))
    t.raw(longer)


@case("GETSA")
def structure_of_a_dump(t: Talk) -> None:
    """A dump has no structure: what is sent as one is read as attributes"""
    add_sa(t)
    data = t.encode(GET, sa_id(), flags=NLM_F_DUMP)
    t.raw(data)
    t.raw(t.encode(GET, sa_id(daddr=bytes(16)), flags=NLM_F_DUMP))


# -- many datagrams ----------------------------------------------------------------------------------


def fill(t: Talk, number: int) -> None:
    """That many SAs, of different sizes."""
    for spi in range(0x100, 0x100 + number):
        if spi % 3:
            add_sa(t, sa(spi))
        else:
            t.accept(m.XFRM_MSG_NEWSA, sa(spi), [CBC, SHA256, encap(), (m.XFRMA_IF_ID, spi)])


@case("GETSA")
def several_datagrams(t: Talk) -> None:
    """A dump comes in datagrams as large as the reader's buffer, the first one a page; a small buffer truncates"""
    fill(t, 40)
    for size in (512, 2048, 4096, 5000, 8192, 16384, 32768, 65536):
        t.open("d", 1001)
        read = t.raw(dump_request(t), "d", size=size)
        if size >= 4096:
            t.check(len(spis(read)) == 40, f"{size}: {len(spis(read))} SAs")
            t.check(read[-1].header.nlmsg_type == NLMSG_DONE, "no end")
        t.close("d")


@case("GETSA")
def largest_read_counts(t: Talk) -> None:
    """The largest buffer that a socket has ever read with decides"""
    fill(t, 40)
    t.open("d", 1001, attended=False)
    for size in (4096, 16384, 4096, 32768, 8192):
        t.post(dump_request(t), "d")
        t.read("d", size=size)
    t.read("d", size=1 << 17)
    t.post(dump_request(t), "d")
    t.read("d", size=4096)


@case("GETSA")
def one_dump_at_a_time(t: Talk) -> None:
    """A second dump on a socket that is in the middle of one is EBUSY; other requests are answered meanwhile"""
    fill(t, 30)
    t.open("d", 1001, attended=False)
    t.post(dump_request(t), "d")
    t.post(dump_request(t), "d")
    t.post(t.encode(GET, sa_id()), "d")
    first = t.read("d", size=4096, count=1)
    t.post(dump_request(t), "d")
    rest = t.read("d", size=4096)
    busy = [r.body.error for r in rest if r.header.nlmsg_type == NLMSG_ERROR]
    t.check(busy == [-EBUSY, 0, -EBUSY], f"errors {busy}")
    t.check(len(spis(first + rest)) == 31, "SAs are missing")
    t.post(dump_request(t), "d")
    t.check(len(spis(t.read("d"))) == 30, "no dump afterwards")


@case("GETSA")
def two_sockets_dump(t: Talk) -> None:
    """Two sockets dump at the same time without a difference"""
    fill(t, 30)
    t.open("d", 1001, attended=False)
    t.open("e", 1002, attended=False)
    t.post(dump_request(t), "d")
    t.post(dump_request(t), "e")
    read: dict[str, list[Message]] = {"d": [], "e": []}
    for turn in range(12):
        name = "de"[turn % 2]
        read[name] += t.read(name, size=4096, count=1)
    t.check(spis(read["d"]) == spis(read["e"]) and len(spis(read["d"])) == 30, "they differ")


@case("GETSA")
def changes_between_reads(t: Talk) -> None:
    """SAs deleted before they are reached are not shown, new ones are not either, changes are"""
    fill(t, 30)
    t.open("d", 1001, attended=False)
    t.post(dump_request(t), "d")
    first = spis(t.read("d", size=4096, count=1))
    t.check(bool(first) and min(first) > 0x108, "too much at once")
    add_sa(t, sa(0x200))
    t.accept(m.XFRM_MSG_DELSA, sa_id(0x103))
    t.accept(m.XFRM_MSG_DELSA, sa_id(max(first)))
    t.accept(m.XFRM_MSG_UPDSA, sa(0x101, lft=sa().lft._replace(hard_byte_limit=9)), [GCM])
    rest = t.read("d", size=4096)
    t.check(0x103 not in spis(rest) and 0x200 not in spis(rest), "wrong SAs")
    changed = [one.body.lft.hard_byte_limit for one in rest if spis([one]) == [0x101]]
    t.check(spis(rest)[-1] == 0x100 and changed == [9], "not all")


@case("GETSA")
def next_one_goes_between_reads(t: Talk) -> None:
    """The SAs that a dump would show next may go; the dump goes on behind them"""
    fill(t, 30)
    t.open("d", 1001, attended=False)
    t.post(dump_request(t), "d")
    first = spis(t.read("d", size=4096, count=1))
    second = spis(t.read("d", size=4096, count=1))
    waiting = min(second, default=0x110) - len(second)  # the third datagram is made already
    for spi in range(waiting - 3, waiting + 1):
        t.accept(m.XFRM_MSG_DELSA, sa_id(spi))
    rest = spis(t.read("d", size=4096))
    shown = first + second + rest
    t.check(shown == sorted(set(shown), reverse=True), "another order")
    t.check(26 <= len(shown) < 30 and shown[-1] == 0x100, "more are missing")


@case("GETSA")
def everything_goes_between_reads(t: Talk) -> None:
    """After a flush in the middle of a dump only its DONE is left, behind what waits"""
    fill(t, 30)
    t.open("d", 1001, attended=False)
    t.post(dump_request(t), "d")
    t.read("d", size=4096, count=1)
    t.accept(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(0))
    rest = t.read("d", size=4096)
    t.check(bool(rest) and rest[-1].header.nlmsg_type == NLMSG_DONE, "no end")
    t.check(t.dump_sas() == [], "something is left")


@case("GETSA")
def dump_left_unread(t: Talk) -> None:
    """A socket that closes in the middle of a dump leaves nothing behind"""
    fill(t, 30)
    t.open("d", 1001, attended=False)
    t.post(dump_request(t), "d")
    t.read("d", size=4096, count=1)
    t.close("d")
    t.check(len(t.dump_sas()) == 30, "no dump afterwards")
