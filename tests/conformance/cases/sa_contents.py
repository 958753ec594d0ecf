"""What a new SA is: everything that it keeps, what it meets, whom it replaces and who hears of it."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENODEV, ESRCH

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.wire.attrs import Attr, make
from tests.conformance.parts import (
    ANY,
    ANY6,
    CBC,
    DEFLATE,
    GCM,
    IN,
    OUT,
    SHA1,
    SHA256,
    add_sa,
    alg,
    encap,
    host,
    mark,
    sa,
    sa_id,
    v4,
    v6,
)
from tests.conformance.talk import Attrs, Talk, case

NEW = m.XFRM_MSG_NEWSA
ALLOC = m.XFRM_MSG_ALLOCSPI


def shown(t: Talk, attrs: Attrs, info: s.UserSaInfo | None = None) -> dict[int, object]:
    """The attributes of a new SA as GET shows them."""
    info = info or sa()
    t.accept(NEW, info, attrs)
    found = t.get_sa(sa_id(info.id.spi, info.id.daddr, info.id.proto))
    t.check(found is not None, "not there")
    return {a.number: found.get(a.number) for a in found.attrs} if found else {}


# -- what it keeps -----------------------------------------------------------------------------------


@case("NEWSA")
def everything_is_kept(t: Talk) -> None:
    """Every field and attribute of an input SA comes back as it was given"""
    lft = s.LifetimeCfg(1 << 40, 1 << 41, 1 << 30, 1 << 31, 10**6, 10**6 + 1, 10**6, 10**6 + 2)
    sel = host(v4(7), v4(8))._replace(
        proto=17, dport=500, dport_mask=0xFFFF, sport=9, ifindex=3, user=77
    )
    given = [
        CBC,
        SHA256,
        (m.XFRMA_SA_EXTRA_FLAGS, 8),
        encap(1, 2),
        (m.XFRMA_TFCPAD, 100),
        mark(5, 0xFF),
        (m.XFRMA_SET_MARK, 7),
        (m.XFRMA_SET_MARK_MASK, 0xF),
        (m.XFRMA_REPLAY_VAL, s.ReplayState(0, 17, 0x1FF)),
        (m.XFRMA_IF_ID, 42),
        (m.XFRMA_MTIMER_THRESH, 30),
        (m.XFRMA_SA_PCPU, 0),
        IN,
    ]
    info = sa(sel=sel, lft=lft, replay_window=32, reqid=7, flags=1 | 2 | 8 | 16 | 64, seq=9)
    t.accept(NEW, info, given)
    found = t.get_sa(sa_id(), [mark(5, 0xFF)])
    t.dump_sas()
    if found:
        for number, value in given:
            t.check(found.get(number) == value, f"attribute {number} is {found.get(number)}")
        now = found.body._replace(curlft=info.curlft)
        t.check(now == info, "the structure differs")


@case("NEWSA")
def output_sa_is_kept(t: Talk) -> None:
    """Every field and attribute of an output SA comes back as it was given"""
    given = [
        GCM,
        (m.XFRMA_SA_EXTRA_FLAGS, 3),
        encap(4500, 4501),
        (m.XFRMA_REPLAY_VAL, s.ReplayState(99, 0, 0)),
        (m.XFRMA_NAT_KEEPALIVE_INTERVAL, 20),
        OUT,
    ]
    now = shown(t, given, sa(flags=4))
    for number, value in given:
        t.check(now.get(number) == value, f"attribute {number} is {now.get(number)}")


@case("NEWSA")
def unused_bytes_of_addresses(t: Talk) -> None:
    """All sixteen bytes of an IPv4 address are kept, and four compared"""
    noisy = v4(1)[:4] + b"\xff" * 12
    t.accept(NEW, sa(0x100, noisy, v4(2)[:4] + b"\xee" * 12), [GCM])
    t.refuse(EEXIST, "", NEW, sa(), [GCM])
    t.get_sa(sa_id())
    t.dump_sas()


@case("NEWSA")
def what_is_not_read(t: Talk) -> None:
    """Counters and statistics of the structure are ignored, its padding is kept only in the identity"""
    cur = s.LifetimeCur(1, 2, 3, 4)
    info = sa(curlft=cur, stats=s.Stats(1, 2, 3), pad=b"\x55" * 7)
    info = info._replace(id=info.id._replace(pad=b"abc"), sel=info.sel._replace(pad=b"def"))
    t.accept(NEW, info, [GCM])
    t.get_sa(sa_id())
    t.dump_sas()


@case("NEWSA")
def selector_without_family(t: Talk) -> None:
    """A selector without a family takes the SA's, unless AF_UNSPEC is set"""
    add_sa(t, sa(sel=ANY))
    add_sa(t, sa(0x101, sel=ANY, flags=32))
    add_sa(t, sa(0x102, v6(1), v6(2), sel=ANY))
    families = [one.body.sel.family for one in t.dump_sas()]
    t.check(families == [10, 0, 2], f"families {families}")


@case("NEWSA")
def legacy_window(t: Talk) -> None:
    """A replay window without ESN state is at most 32"""
    for spi, window in ((0x100, 0), (0x101, 32), (0x102, 33), (0x103, 255)):
        add_sa(t, sa(spi, replay_window=window))
    windows = [one.body.replay_window for one in t.dump_sas()]
    t.check(windows == [32, 32, 32, 0], f"windows {windows}")


@case("NEWSA")
def counters(t: Talk) -> None:
    """LTIME_VAL sets counters and times; else an SA is as old as the clock says"""
    add_sa(t, attrs=[(m.XFRMA_LTIME_VAL, s.LifetimeCur(1000, 10, 1_600_000_000, 1_600_000_001))])
    add_sa(t, sa(0x101))
    found = t.get_sa(sa_id(0x101))
    t.check(found and found.body.curlft.add_time == int(t.now), "another time")
    t.dump_sas()


@case("NEWSA")
def mark_of_an_sa(t: Talk) -> None:
    """Value bits outside the mask are dropped (bad case 6); {0,0} is no mark"""
    add_sa(t, attrs=[mark(0x1F, 0x0F)])
    t.get_sa(sa_id(), [mark(0x0F)])
    t.get_sa(sa_id(), [mark(0x1F)])
    t.get_sa(sa_id(), [mark(0x1F, 0x0F)])
    add_sa(t, sa(0x101), [mark(0, 0)])
    add_sa(t, sa(0x102), [mark(0, 0xFF)])
    add_sa(t, sa(0x103), [mark(7, 0)])
    t.dump_sas()


@case("NEWSA")
def output_mark(t: Talk) -> None:
    """SET_MARK has a mask of all ones where none is given; a mask alone is nothing"""
    now = shown(t, [GCM, (m.XFRMA_SET_MARK, 7)])
    t.check(now.get(m.XFRMA_SET_MARK_MASK) == 0xFFFFFFFF, "another mask")
    now = shown(t, [GCM, (m.XFRMA_SET_MARK_MASK, 7)], sa(0x101))
    t.check(m.XFRMA_SET_MARK not in now and m.XFRMA_SET_MARK_MASK not in now, "taken")
    shown(t, [GCM, (m.XFRMA_SET_MARK, 0)], sa(0x102))
    shown(t, [GCM, (m.XFRMA_SET_MARK, 0), (m.XFRMA_SET_MARK_MASK, 0)], sa(0x103))


@case("NEWSA")
def interface_zero(t: Talk) -> None:
    """if_id 0 is taken, and is none (bad case 50)"""
    now = shown(t, [GCM, (m.XFRMA_IF_ID, 0)])
    t.check(m.XFRMA_IF_ID not in now, "kept")
    t.refuse(EEXIST, "", NEW, sa(), [GCM, (m.XFRMA_IF_ID, 9)])


@case("NEWSA")
def auth_before_truncated(t: Talk) -> None:
    """AUTH_TRUNC wins over AUTH; AUTH alone is truncated as it always was"""
    now = shown(t, [CBC, SHA1, SHA256])
    t.check(now[m.XFRMA_ALG_AUTH_TRUNC] == SHA256[1], "the other one")
    shown(t, [CBC, SHA1], sa(0x101))
    shown(t, [SHA256], sa(0x102, proto=51))
    shown(
        t,
        [
            (m.XFRMA_ALG_AUTH, alg("cmac(aes)", 128)),
            (m.XFRMA_ALG_AUTH_TRUNC, alg("hmac(sha1)", 160, trunc=96)),
        ],
        sa(0x103, proto=51),
    )
    shown(
        t,
        [
            (m.XFRMA_ALG_AUTH, alg("hmac(sha1)", 160)),
            (m.XFRMA_ALG_AUTH_TRUNC, alg("cmac(aes)", 128, trunc=96)),
        ],
        sa(0x104, proto=51),
    )


@case("NEWSA")
def repeated_attribute(t: Talk) -> None:
    """Of a repeated attribute the last one counts"""
    add_sa(t, attrs=[(m.XFRMA_IF_ID, 1), (m.XFRMA_IF_ID, 2), mark(1), mark(2)])
    found = t.get_sa(sa_id(), [mark(1), mark(2)])
    t.check(found and found.get(m.XFRMA_IF_ID) == 2, "the first one")


@case("NEWSA")
def attributes_of_others(t: Talk) -> None:
    """Attributes that mean nothing here are ignored"""
    others: list[tuple[int, object]] = [
        (m.XFRMA_SRCADDR, v4(9)),
        (m.XFRMA_LASTUSED, 77),
        (m.XFRMA_PROTO, 1),
        (m.XFRMA_POLICY_TYPE, s.UserPolicyType(1, 0, 0)),
        (m.XFRMA_PAD, b""),
        (m.XFRMA_KMADDRESS, s.KmAddress(v4(1), v4(2), 0, 2)),
        (m.XFRMA_ALG_COMP, alg("deflate", 0)),
    ]
    add_sa(t, attrs=others[:-1])
    t.refuse(EINVAL, "Invalid attribute for ESP: COMP", NEW, sa(), [GCM, others[-1]])
    t.get_sa(sa_id())


@case("NEWSA")
def care_of_address(t: Talk) -> None:
    """A care-of address is kept by any SA"""
    now = shown(t, [GCM, (m.XFRMA_COADDR, v6(9))])
    t.check(now.get(m.XFRMA_COADDR) == v6(9), "lost")


@case("NEWSA")
def path_mtu_setting(t: Talk) -> None:
    """net.ipv4.ip_no_pmtu_disc sets NOPMTUDISC on new IPv4 SAs that are not for input"""
    t.sysctl("net.ipv4.ip_no_pmtu_disc", 1)
    add_sa(t)
    add_sa(t, sa(0x101), [IN])
    add_sa(t, sa(0x102), [OUT])
    add_sa(t, sa(0x103, v6(1), v6(2)))
    flags = [one.body.flags for one in t.dump_sas()]
    t.check(flags == [0, 4, 0, 4], f"flags {flags}")


# -- security contexts, offload ----------------------------------------------------------------------


def label(text: bytes, doi: int = 1, kind: int = 1) -> tuple[int, object]:
    """XFRMA_SEC_CTX."""
    return m.XFRMA_SEC_CTX, s.UserSecCtx(8 + len(text), 8, kind, doi, len(text), text)


@case("NEWSA")
def security_context(t: Talk) -> None:
    """SELinux keeps a context and shows it with a NUL behind it"""
    for spi, text in (
        (0x100, b"system_u:object_r:x_t:s0\0"),
        (0x101, b"kernel"),
        (0x102, b"x" * 200),
    ):
        add_sa(t, sa(spi), [label(text)])
    t.refuse(EINVAL, "", NEW, sa(0x103), [GCM, label(b"x", doi=2)])
    t.refuse(EINVAL, "", NEW, sa(0x103), [GCM, label(b"x", kind=2)])
    t.refuse(EINVAL, "", NEW, sa(0x103), [GCM, label(b"")])
    t.send(NEW, sa(0x103), [GCM, label(b"y" * 4096)])
    t.dump_sas()


@case("NEWSA")
def labels_do_not_tell_apart(t: Talk) -> None:
    """Two SAs that differ only in their labels are the same SA (bad case 7)"""
    add_sa(t, attrs=[label(b"kernel")])
    t.refuse(EEXIST, "", NEW, sa(), [GCM, label(b"unlabeled")])


@case("NEWSA")
def cpus_do_not_tell_apart(t: Talk) -> None:
    """SAs for one CPU and for all share an SPI only if their marks differ (bad case 7)"""
    add_sa(t, attrs=[OUT, (m.XFRMA_SA_PCPU, 0)])
    t.refuse(EEXIST, "", NEW, sa(), [GCM, OUT])
    add_sa(t, sa(0x101), [OUT])
    t.dump_sas()


def device(index: int, flags: int = 0) -> tuple[int, object]:
    """XFRMA_OFFLOAD_DEV."""
    return m.XFRMA_OFFLOAD_DEV, s.UserOffload(index, flags)


@case("NEWSA")
def offload_that_cannot_be(t: Talk) -> None:
    """A device that offloads nothing is no error, unless packet offload is asked for"""
    index = t.device()
    for spi, number in ((0x100, index), (0x101, 99), (0x102, 0), (0x103, 1)):
        add_sa(t, sa(spi), [device(number)])
        t.refuse(EINVAL, "", NEW, sa(spi + 0x100), [GCM, device(number, 4)])
    t.check(all(one.get(m.XFRMA_OFFLOAD_DEV) is None for one in t.dump_sas()), "offloaded")


@case("NEWSA")
def offload_checks(t: Talk) -> None:
    """Flags, direction, if_id and TFC padding are checked before the device is looked for"""
    t.refuse(EINVAL, "Unrecognized flags in offload request", NEW, sa(), [GCM, device(1, 8)])
    for direction, flags in ((IN, 0), (IN, 4), (OUT, 2), (OUT, 6)):
        text = "Mismatched SA and offload direction"
        t.refuse(EINVAL, text, NEW, sa(), [GCM, direction, device(1, flags)])
    rx = "XFRM if_id is not supported in RX path"
    t.refuse(EINVAL, rx, NEW, sa(), [GCM, device(1, 2), (m.XFRMA_IF_ID, 5)])
    tfc = "TFC padding can't be offloaded"
    t.refuse(EINVAL, tfc, NEW, sa(), [GCM, device(1), (m.XFRMA_TFCPAD, 5)])
    add_sa(t, attrs=[device(1), (m.XFRMA_IF_ID, 5)])
    t.accept(NEW, sa(0x101, proto=51), [SHA1, device(1)], warning="")


@case("NEWSA")
def offload_that_fails(t: Talk) -> None:
    """A device whose driver refuses makes NEWSA fail with the driver's errno"""
    t.device("bond0", kind="bond")
    for info, flags in ((sa(), 0), (sa(), 4), (sa(0x100, v6(1), v6(2)), 2)):
        t.refuse(ENODEV, "Device failed to offload this state", NEW, info, [GCM, device(2, flags)])
    for flags in (0, 4):
        t.refuse(
            EINVAL, "Type doesn't support offload", NEW, sa(proto=51), [SHA1, device(2, flags)]
        )
        t.refuse(
            EINVAL, "Type doesn't support offload", NEW, sa(proto=108), [DEFLATE, device(2, flags)]
        )
    t.sleep(0.1)  # a kernel takes the helper of IPComp away behind the caller's back
    t.check(t.dump_sas() == [], "something is left")


# -- whom it meets -----------------------------------------------------------------------------------


@case("NEWSA")
def exists(t: Talk) -> None:
    """An SA is told by destination, SPI, protocol and family; a second one is EEXIST without a text"""
    add_sa(t)
    t.events()
    t.refuse(EEXIST, "", NEW, sa(saddr=v4(9), reqid=9, mode=0), [CBC])
    t.check(t.events() == [], "an event")
    add_sa(t, sa(0x101))
    add_sa(t, sa(0x100, v4(3)))
    t.accept(NEW, sa(proto=51), [SHA1])
    t.accept(NEW, sa(proto=108), [DEFLATE])
    add_sa(t, sa(0x100, v6(1), v6(2)))
    same_bytes = sa(0x100, v4(1), v4(2), family=10, sel=ANY6)
    add_sa(t, same_bytes)
    t.refuse(EEXIST, "", NEW, same_bytes, [GCM])
    t.dump_sas()


@case("NEWSA")
def marks_tell_apart(t: Talk) -> None:
    """SAs that share all else are told apart by mark: by what the new one's mark would find"""
    add_sa(t, sa(reqid=1), [mark(1, 1)])
    t.refuse(EEXIST, "", NEW, sa(reqid=2), [GCM, mark(3, 3)])
    add_sa(t, sa(reqid=3), [mark(2, 3)])
    add_sa(t, sa(reqid=4))
    t.refuse(EEXIST, "", NEW, sa(reqid=5), [GCM, mark(4, 4)])
    t.dump_sas()


@case("NEWSA")
def shadowed(t: Talk) -> None:
    """A later SA with a broad mark hides an exact one from every request (bad case 1)"""
    add_sa(t, sa(reqid=1), [mark(1, 1)])
    add_sa(t, sa(reqid=2))
    found = t.get_sa(sa_id(), [mark(1, 1)])
    t.check(found and found.body.reqid == 2, "the exact one was found")
    t.accept(
        m.XFRM_MSG_UPDSA, sa(reqid=1, lft=sa().lft._replace(hard_byte_limit=9)), [GCM, mark(1, 1)]
    )
    t.accept(m.XFRM_MSG_DELSA, sa_id(), [mark(1, 1)])
    t.dump_sas()


@case("NEWSA")
def order_of_insertion(t: Talk) -> None:
    """Of two SAs that a mark finds, the newer one is taken; in the other order there is no second (bad case 2)"""
    add_sa(t, sa(reqid=1), [mark(1, 3)])
    add_sa(t, sa(reqid=2), [mark(0, 4)])
    found = t.get_sa(sa_id(), [mark(1, 0xFF)])
    t.check(found and found.body.reqid == 2, "the older one was found")
    add_sa(t, sa(0x101, reqid=1), [mark(0, 4)])
    t.refuse(EEXIST, "", NEW, sa(0x101, reqid=2), [GCM, mark(1, 3)])


@case("NEWSA")
def lost_mask(t: Talk) -> None:
    """A mark of 0 with a mask is found without a mark, too (bad case 5)"""
    add_sa(t, attrs=[mark(0, 0xFF)])
    t.check(t.get_sa(sa_id()) is not None, "not found")
    t.check(t.get_sa(sa_id(), [mark(1, 0xFF)]) is None, "found by another mark")
    t.accept(m.XFRM_MSG_DELSA, sa_id())


@case("NEWSA")
def false_existence(t: Talk) -> None:
    """An SA without a mark keeps out those with one, not the other way round (bad case 4)"""
    add_sa(t)
    t.refuse(EEXIST, "", NEW, sa(), [GCM, mark(5, 0xFF)])
    add_sa(t, sa(0x101), [mark(5, 0xFF)])
    add_sa(t, sa(0x101))
    t.dump_sas()


@case("NEWSA")
def spi_zero(t: Talk) -> None:
    """An SA with SPI 0 can be made any number of times and is never found"""
    add_sa(t, sa(0))
    add_sa(t, sa(0))
    t.check(t.get_sa(sa_id(0)) is None, "found")
    t.refuse(ESRCH, "", m.XFRM_MSG_DELSA, sa_id(0))
    t.dump_sas()
    t.accept(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(50))
    t.dump_sas()


@case("NEWSA")
def larval_goes(t: Talk) -> None:
    """The larval SA with that SPI is met: NEWSA is refused, UPDSA takes its place"""
    t.accept(ALLOC, s.UserSpiInfo(sa(0), 0x100, 0x100))
    t.refuse(EEXIST, "", NEW, sa(), [GCM])
    t.accept(m.XFRM_MSG_UPDSA, sa(), [GCM])
    t.dump_sas()


@case("NEWSA")
def larval_without_spi_goes(t: Talk) -> None:
    """A new SA with the addresses, protocol, mode and reqid of a larval one without SPI takes its place silently"""
    add_sa(t, sa(0x300))
    waiting = (
        sa(0),
        sa(0, reqid=1),
        sa(0, mode=0),
        sa(0, saddr=v4(3)),
        sa(0, v4(3)),
        sa(0, proto=51),
    )
    for info in waiting:  # no SPI is free: the larval SA stays without one
        t.send(ALLOC, s.UserSpiInfo(info, 0x300, 0x300))
    before = len(t.dump_sas())
    t.events()
    add_sa(t)
    t.check(len(t.dump_sas()) == before, "no larval SA went, or more than one")
    t.check([e.header.nlmsg_type for e in t.events()] == [NEW], "more events")


# -- who hears of it ---------------------------------------------------------------------------------


@case("NEWSA")
def event(t: Talk) -> None:
    """XFRMNLGRP_SA hears NEWSA with the request's sequence number and pid, before the ACK"""
    t.open("b", 1001, (3,))
    data = bytearray(t.encode(NEW, sa(seq=77), [GCM, IN]))
    data[12:16] = (4711).to_bytes(4, "little")
    read = t.raw(bytes(data), "b")
    t.check([one.header.nlmsg_type for one in read] == [NEW, 2], "not event, ACK")
    heard = t.events()
    t.check(len(heard) == 1 and heard[0].header.nlmsg_pid == 4711, "another pid")
    found = t.get_sa(sa_id())
    t.check(found and heard[0].attrs == found.attrs, "another SA")


@case("NEWSA")
def without_ack(t: Talk) -> None:
    """Without NLM_F_ACK success is silent, a refusal is not; CREATE, EXCL and REPLACE mean nothing"""
    t.check(t.send(NEW, sa(), [GCM], flags=0) == [], "an answer")
    t.check(len(t.send(NEW, sa(), [GCM], flags=0)) == 1, "no refusal")
    t.accept(NEW, sa(0x101), [GCM], flags=4 | 0x700)
    t.refuse(EEXIST, "", NEW, sa(0x101), [GCM], flags=4 | 0x100)


@case("NEWSA")
def odd_attribute_sizes(t: Talk) -> None:
    """Old attributes may be longer than they need to be; what is too much is ignored"""
    longer = [
        make(m.XFRMA_MARK, bytes(12)),
        make(m.XFRMA_IF_ID, bytes((5, 0, 0, 0, 9))),
        make(m.XFRMA_ENCAP, bytes(24) + b"zz"),
    ]
    add_sa(t, attrs=longer[:2])
    t.get_sa(sa_id())
    t.refuse(EINVAL, "Unsupported encapsulation type for ESP", NEW, sa(0x101), [GCM, longer[2]])
    flagged = Attr(m.XFRMA_IF_ID | 0x8000, (7).to_bytes(4, "little"))
    add_sa(t, sa(0x102), [flagged])
    t.get_sa(sa_id(0x102))
