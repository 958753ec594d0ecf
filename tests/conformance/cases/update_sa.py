"""UPDSA: it changes little of what is there, and takes the place of a larval SA."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ESRCH

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.xfrm import AF_INET6
from tests.conformance.parts import (
    CBC,
    DEFLATE,
    GCM,
    IN,
    OUT,
    SHA1,
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
from tests.conformance.talk import Talk, case

UPD = m.XFRM_MSG_UPDSA
LIMITS = s.LifetimeCfg(1000, 2000, 10, 20, 10**6, 10**6 + 1, 10**6, 10**6 + 2)


@case("UPDSA")
def nothing_to_update(t: Talk) -> None:
    """Where there is no such SA, ESRCH; its mark is part of its name"""
    t.refuse(ESRCH, "", UPD, sa(), [GCM])
    add_sa(t, attrs=[mark(1)])
    t.refuse(ESRCH, "", UPD, sa(), [GCM])
    t.refuse(ESRCH, "", UPD, sa(), [GCM, mark(2)])
    t.refuse(ESRCH, "", UPD, sa(proto=51), [SHA1, mark(1)])


@case("UPDSA")
def checks_are_those_of_new(t: Talk) -> None:
    """A request that NEWSA would refuse is refused with the same text, whether there is an SA or not"""
    for present in (False, True):
        if present:
            add_sa(t)
        t.refuse(EINVAL, "Unsupported mode", UPD, sa(mode=9), [GCM])
        t.refuse(EINVAL, "ESP: AEAD or CRYPT must be provided", UPD, sa(), [SHA1])
        t.refuse(EINVAL, "Unsupported encapsulation type for ESP", UPD, sa(), [GCM, encap(kind=1)])


@case("UPDSA")
def limits_change(t: Talk) -> None:
    """Limits are taken over"""
    add_sa(t)
    t.accept(UPD, sa(lft=LIMITS), [GCM])
    found = t.get_sa(sa_id())
    t.check(found and found.body.lft == LIMITS, "limits as before")


@case("UPDSA")
def what_stays(t: Talk) -> None:
    """Source, selector, keys, flags, mode, reqid, window, replay state and counters stay, though the event says otherwise"""
    lft_cur = (m.XFRMA_LTIME_VAL, s.LifetimeCur(9, 9, 1_600_000_000, 0))
    replay = (m.XFRMA_REPLAY_VAL, s.ReplayState(3, 4, 5))
    add_sa(
        t,
        sa(reqid=1, replay_window=32),
        [replay, (m.XFRMA_TFCPAD, 10), (m.XFRMA_SA_EXTRA_FLAGS, 1)],
    )
    before = t.get_sa(sa_id())
    t.events()
    other = sa(
        saddr=v4(9), reqid=2, mode=0, flags=3, replay_window=8, sel=host(v4(1), v4(9)), seq=5
    )
    t.accept(
        UPD,
        other,
        [
            CBC,
            SHA1,
            lft_cur,
            (m.XFRMA_REPLAY_VAL, s.ReplayState(30, 40, 50)),
            (m.XFRMA_COADDR, v4(8)),
        ],
    )
    heard = t.events()
    after = t.get_sa(sa_id())
    t.check(before and after and before.encode()[16:] == after.encode()[16:], "something changed")
    t.check(heard[0].body.reqid == 2 and heard[0].header.nlmsg_type == UPD, "another event")


@case("UPDSA")
def encapsulation_ports(t: Talk) -> None:
    """Ports of UDP encapsulation change; it can neither appear nor go (bad case 9 without MIGRATE_STATE)"""
    add_sa(t)
    t.refuse(EINVAL, "", UPD, sa(), [GCM, encap()])
    add_sa(t, sa(0x101), [encap(1, 2)])
    t.refuse(EINVAL, "", UPD, sa(0x101), [GCM])
    odd = encap(3, 4)[1]._replace(encap_oa=v4(7), pad=b"\1\2")
    t.accept(UPD, sa(0x101), [GCM, (m.XFRMA_ENCAP, odd)])
    t.dump_sas()


@case("UPDSA")
def output_mark_and_interface(t: Talk) -> None:
    """SET_MARK and if_id are taken over where they are given and not zero"""
    add_sa(t, attrs=[(m.XFRMA_SET_MARK, 1), (m.XFRMA_IF_ID, 1)])
    t.accept(UPD, sa(), [GCM])
    t.get_sa(sa_id())
    t.accept(
        UPD, sa(), [GCM, (m.XFRMA_SET_MARK, 2), (m.XFRMA_SET_MARK_MASK, 0xFF), (m.XFRMA_IF_ID, 2)]
    )
    found = t.get_sa(sa_id())
    t.check(
        found and (found.get(m.XFRMA_SET_MARK), found.get(m.XFRMA_IF_ID)) == (2, 2), "as before"
    )
    t.accept(
        UPD, sa(), [GCM, (m.XFRMA_SET_MARK, 0), (m.XFRMA_SET_MARK_MASK, 0), (m.XFRMA_IF_ID, 0)]
    )
    t.get_sa(sa_id())
    t.accept(UPD, sa(), [GCM, (m.XFRMA_SET_MARK, 0)])
    t.get_sa(sa_id())


@case("UPDSA")
def mark_never_changes(t: Talk) -> None:
    """An update never changes an SA's mark (bad case 43)"""
    add_sa(t, attrs=[mark(1, 1)])
    t.accept(UPD, sa(lft=LIMITS), [GCM, mark(3, 3)])
    t.dump_sas()
    t.check(t.get_sa(sa_id(), [mark(1, 1)]) is not None, "the mark changed")


@case("UPDSA")
def direction_must_agree(t: Talk) -> None:
    """An SA of another direction is not found"""
    add_sa(t, attrs=[IN])
    add_sa(t, sa(0x101))
    t.refuse(ESRCH, "", UPD, sa(), [GCM])
    t.refuse(ESRCH, "", UPD, sa(), [GCM, OUT])
    t.refuse(ESRCH, "", UPD, sa(0x101), [GCM, IN])
    t.accept(UPD, sa(), [GCM, IN])


@case("UPDSA")
def care_of_address(t: Talk) -> None:
    """A care-of address is replaced, but not added"""
    info = sa(0, v6(1), v6(2), proto=60, mode=2)
    who = [(m.XFRMA_SRCADDR, v6(2))]
    t.accept(m.XFRM_MSG_NEWSA, info, [(m.XFRMA_COADDR, v6(9))])
    changed = info._replace(sel=info.sel._replace(proto=17), lft=LIMITS, reqid=5)
    t.accept(UPD, changed, [(m.XFRMA_COADDR, v6(8))])
    found = t.get_sa(s.UserSaId(v6(1), 0, AF_INET6, 60), who)
    t.check(found and found.get(m.XFRMA_COADDR) == v6(8), "not replaced")
    t.check(found and found.body.sel.proto == 17, "the selector stayed")
    add_sa(t)
    t.accept(UPD, sa(), [GCM, (m.XFRMA_COADDR, v4(9))])
    t.get_sa(sa_id())


@case("UPDSA")
def replaces_larval(t: Talk) -> None:
    """On a larval SA an update is a new SA: it takes its place, with its own event"""
    t.accept(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa(0, reqid=1), 0x100, 0x100))
    t.events()
    t.accept(UPD, sa(reqid=2, mode=0, flags=1), [CBC, SHA1])
    t.check([e.header.nlmsg_type for e in t.events()] == [UPD], "other events")
    found = t.get_sa(sa_id())
    t.check(found and found.body.reqid == 2 and len(t.dump_sas()) == 1, "not replaced")


@case("UPDSA")
def larval_direction(t: Talk) -> None:
    """A larval SA with a direction wants it repeated or left out"""
    for spi in (0x100, 0x101, 0x102):
        t.accept(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa(0, reqid=spi), spi, spi), [IN])
    t.refuse(ESRCH, "", UPD, sa(0x100), [GCM, OUT])
    t.accept(UPD, sa(0x101), [GCM])
    t.accept(UPD, sa(0x102), [GCM, IN])
    t.accept(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa(0, reqid=9), 0x103, 0x103))
    t.refuse(ESRCH, "", UPD, sa(0x103), [GCM, IN])
    t.dump_sas()


@case("UPDSA")
def helper_of_ipcomp(t: Talk) -> None:
    """The IP-in-IP SA behind IPComp cannot be named by an update; IPComp itself can be updated"""
    t.accept(m.XFRM_MSG_NEWSA, sa(proto=108), [DEFLATE])
    t.accept(UPD, sa(proto=108, lft=LIMITS), [DEFLATE])
    t.refuse(EINVAL, "Unsupported protocol", UPD, sa(0, proto=4), [])
    t.dump_sas()


@case("UPDSA")
def event(t: Talk) -> None:
    """The event shows the request's SA, not what came of it, and goes out before the ACK"""
    add_sa(t, attrs=[encap(1, 1)])
    t.open("b", 1001, (3,))
    t.events()
    read = t.raw(t.encode(UPD, sa(reqid=9, lft=LIMITS), [GCM, encap(2, 2), mark(7, 0)]), "b")
    t.check([one.header.nlmsg_type for one in read] == [UPD, 2], "not event, ACK")
    t.check(read[0].body.reqid == 9, "the old reqid")
    t.refuse(EEXIST, "", m.XFRM_MSG_NEWSA, sa(), [(m.XFRMA_ALG_CRYPT, alg("cbc(aes)", 256))])
