"""MIGRATE_STATE: every check in its order, everything inherited, replaced and removed, and the event."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ESRCH

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REPLACE
from pyxfrm.abi.xfrm import AF_INET6
from pyxfrm.wire.attrs import make
from tests.conformance.parts import (
    ANY,
    ANY4,
    ANY6,
    CBC,
    GCM,
    SHA256,
    add_sa,
    alg,
    encap,
    host,
    mark,
    move,
    sa,
    sa_id,
    v4,
    v6,
)
from tests.conformance.talk import Attrs, Talk, case

MS = m.XFRM_MSG_MIGRATE_STATE
KEEP_H2H = 2
CLEAR_OFFLOAD = 1


def moved(
    t: Talk, spi: int = 0x100, daddr: bytes = v4(11), attrs: Attrs = ()
) -> s.UserSaInfo | None:
    """The SA where it should be now, and no SA where it was."""
    t.check(t.get_sa(sa_id(spi)) is None or daddr == v4(1), "the old SA is still there")
    found = t.get_sa(sa_id(spi, daddr), attrs)
    t.check(found is not None, "no SA at the new place")
    return found.body if found else None


def attributes(t: Talk, daddr: bytes = v4(11)) -> dict[int, object]:
    """Attributes of the SA at the new place."""
    found = t.get_sa(sa_id(0x100, daddr))
    return {a.number: found.get(a.number) for a in found.attrs} if found else {}


# -- checks, in their order ------------------------------------------------------------------------


@case("MIGRATE_STATE", "LINUX_7_2")
def spi_zero(t: Talk) -> None:
    """SPI 0 is refused before anything else is looked at."""
    t.refuse(EINVAL, "Invalid SPI 0x0", MS, move(spi=0, reserved=1, flags=8, family=7))


@case("MIGRATE_STATE", "LINUX_7_2")
def reserved(t: Talk) -> None:
    """The reserved field must be zero."""
    t.refuse(EINVAL, "Reserved field must be zero", MS, move(reserved=1, flags=8, family=7))


@case("MIGRATE_STATE", "LINUX_7_2")
def unknown_flags(t: Talk) -> None:
    """Unknown flags are named in hexadecimal, without the known ones."""
    t.refuse(EINVAL, "Unknown flags: 0x4", MS, move(flags=7, family=7))
    t.refuse(EINVAL, "Unknown flags: 0x80000000", MS, move(flags=0x80000001))


@case("MIGRATE_STATE", "LINUX_7_2")
def new_family(t: Talk) -> None:
    """The new family must be IPv4 or IPv6."""
    for family in (0, 1, 7, 0xFFFF):
        t.refuse(EINVAL, "Invalid address family", MS, move(family=family))


@case("MIGRATE_STATE", "LINUX_7_2")
def selector(t: Talk) -> None:
    """The selector's family and prefix lengths are checked, unless it is to be made from the addresses."""
    long4 = "Invalid prefix length in selector (must be <= 32 for IPv4)"
    long6 = "Invalid prefix length in selector (must be <= 128 for IPv6)"
    t.refuse(EINVAL, long4, MS, move(sel=ANY4._replace(prefixlen_s=33)))
    t.refuse(EINVAL, long6, MS, move(sel=ANY6._replace(prefixlen_d=129)))
    t.refuse(EINVAL, "Invalid address family in selector", MS, move(sel=ANY._replace(family=3)))
    t.refuse(ESRCH, "Can not find state", MS, move(sel=ANY._replace(prefixlen_d=200)))
    t.refuse(ESRCH, "Can not find state", MS, move(sel=ANY._replace(family=3), flags=KEEP_H2H))


@case("MIGRATE_STATE", "LINUX_7_2")
def no_such_sa(t: Talk) -> None:
    """An SA is found by destination, SPI, protocol, family and mark together."""
    add_sa(t, attrs=[mark(5, 0xFF)])
    for other in (
        move(spi=0x101),
        move(old=v4(3)),
        move(proto=51),
        move(mark=(6, 0xFF)),
        move(mark=(5, 0xF0)),
        move()._replace(id=sa_id(family=AF_INET6)),
    ):
        t.refuse(ESRCH, "Can not find state", MS, other)
    t.accept(MS, move(mark=(5, 0xFFFF)))


@case("MIGRATE_STATE", "LINUX_7_2")
def only_these_attributes(t: Talk) -> None:
    """Attributes that it does not take are refused at once, the lowest number first, with its offset."""
    text = "Unsupported attribute in XFRM_MSG_MIGRATE_STATE"
    t.refuse(EINVAL, text, MS, move(spi=0), [(m.XFRMA_IF_ID, 1)], at=m.XFRMA_IF_ID)
    t.refuse(EINVAL, text, MS, move(), [(m.XFRMA_IF_ID, 1), GCM], at=m.XFRMA_ALG_AEAD)
    t.refuse(EINVAL, text, MS, move(), [make(m.XFRMA_PAD, b"")], at=m.XFRMA_PAD)
    t.refuse(EINVAL, "Invalid attribute SA_DIR", MS, move(), [(m.XFRMA_SA_DIR, 1)])
    t.refuse(EINVAL, "Invalid attribute SA_PCPU", MS, move(), [(m.XFRMA_SA_PCPU, 0), GCM])


@case("MIGRATE_STATE", "LINUX_7_2")
def single_host_selector(t: Talk) -> None:
    """UPDATE_H2H_SEL wants an SA whose selector is just its own two addresses."""
    text = "SA selector is not a single-host match for SA addresses"
    add_sa(t)
    t.refuse(EINVAL, text, MS, move(flags=KEEP_H2H))
    add_sa(t, sa(0x101, sel=host(v4(1), v4(3)), mode=0))
    t.refuse(EINVAL, text, MS, move(0x101, flags=KEEP_H2H))
    add_sa(t, sa(0x102, sel=host(v4(1), v4(2))._replace(prefixlen_s=31), mode=0))
    t.refuse(EINVAL, text, MS, move(0x102, flags=KEEP_H2H))


@case("MIGRATE_STATE", "LINUX_7_2")
def host_to_host(t: Talk) -> None:
    """UPDATE_H2H_SEL makes the selector follow the addresses, its ports and protocol as they were."""
    sel = host(v4(1), v4(2))._replace(proto=17, dport=500, dport_mask=0xFFFF)
    add_sa(t, sa(sel=sel, mode=0))
    t.accept(MS, move(flags=KEEP_H2H, sel=ANY._replace(family=3)))
    info = moved(t)
    t.check(
        info and info.sel == sel._replace(daddr=v4(11), saddr=v4(12)), "selector did not follow"
    )
    t.check(t.events()[-1].body.new_sel == sel._replace(daddr=v4(11), saddr=v4(12)), "event lies")
    t.accept(MS, move(old=v4(11), daddr=v6(1), saddr=v6(2), flags=KEEP_H2H))
    info = moved(t, daddr=v6(1))
    t.check(
        info and (info.sel.family, info.sel.prefixlen_d) == (AF_INET6, 128), "family did not follow"
    )


@case("MIGRATE_STATE", "LINUX_7_2")
def encapsulation_type(t: Talk) -> None:
    """Only UDP encapsulation (2) can be given, or 0 to remove."""
    add_sa(t)
    for kind in (1, 3, 7, 0xFFFF):
        t.refuse(EINVAL, "Unsupported encapsulation type", MS, move(), [encap(kind=kind)])


@case("MIGRATE_STATE", "LINUX_7_2")
def mapping_threshold(t: Talk) -> None:
    """MTIMER_THRESH wants encapsulation, and an SA that is not outbound; 0 counts as given."""
    add_sa(t, attrs=[(m.XFRMA_SA_DIR, 2)])
    add_sa(t, sa(0x101), [encap(), (m.XFRMA_SA_DIR, 2)])
    thresh = (m.XFRMA_MTIMER_THRESH, 0)
    t.refuse(EINVAL, "MTIMER_THRESH requires encapsulation", MS, move(), [thresh])
    removed = [encap(kind=0), thresh]
    t.refuse(EINVAL, "MTIMER_THRESH requires encapsulation", MS, move(0x101), removed)
    t.refuse(EINVAL, "MTIMER_THRESH should not be set on output SA", MS, move(0x101), [thresh])


@case("MIGRATE_STATE", "LINUX_7_2")
def keepalive(t: Talk) -> None:
    """A keepalive interval wants encapsulation and an outbound SA; 0 is always fine."""
    add_sa(t)
    every = (m.XFRMA_NAT_KEEPALIVE_INTERVAL, 20)
    never = (m.XFRMA_NAT_KEEPALIVE_INTERVAL, 0)
    t.refuse(EINVAL, "NAT_KEEPALIVE_INTERVAL requires encapsulation", MS, move(), [every])
    outbound = "NAT keepalive is only supported for outbound SAs"
    t.refuse(EINVAL, outbound, MS, move(), [every, encap()])
    t.accept(MS, move(), [never])
    add_sa(t, sa(0x101), [(m.XFRMA_SA_DIR, 2)])
    t.accept(MS, move(0x101), [every, encap()])
    found = t.get_sa(sa_id(0x101, v4(11)))
    t.check(found and found.get(m.XFRMA_NAT_KEEPALIVE_INTERVAL) == 20, "no keepalive")


@case("MIGRATE_STATE", "LINUX_7_2")
def occupied(t: Talk) -> None:
    """An SA at the new tuple: EEXIST, and both stay as they were."""
    add_sa(t)
    add_sa(t, sa(0x100, v4(11)))
    t.refuse(EEXIST, "New SA tuple already occupied", MS, move())
    t.check(t.get_sa(sa_id()) and t.get_sa(sa_id(daddr=v4(11))), "an SA was lost")


@case("MIGRATE_STATE", "LINUX_7_2")
def occupied_in_another_way(t: Talk) -> None:
    """A false EEXIST: an SA with mark 0/0 at the new address takes every mark."""
    add_sa(t, attrs=[mark(5, 0xFF)])
    add_sa(t, sa(0x100, v4(11)))
    t.refuse(EEXIST, "New SA tuple already occupied", MS, move(mark=(5, 0xFF)))


@case("MIGRATE_STATE", "LINUX_7_2")
def occupied_by_a_larval_one(t: Talk) -> None:
    """A larval SA with that SPI at the new address occupies it too."""
    t.accept(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa(0, v4(11), v4(12)), 0x100, 0x100))
    add_sa(t)
    t.refuse(EEXIST, "New SA tuple already occupied", MS, move())


@case("MIGRATE_STATE", "LINUX_7_2")
def source_change_is_not_checked(t: Talk) -> None:
    """Where destination and family stay, nothing is checked: a mark-only move gives two identical SAs."""
    add_sa(t, attrs=[mark(1)])
    add_sa(t, attrs=[mark(2)])
    t.accept(MS, move(daddr=v4(1), mark=(1, 0xFFFFFFFF)), [mark(2)])
    t.send(m.XFRM_MSG_GETSA, None, flags=0x300)


@case("MIGRATE_STATE", "LINUX_7_2")
def larval(t: Talk) -> None:
    """A larval SA is found and cannot be cloned: EINVAL with the reason's text."""
    t.accept(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa(0), 0x100, 0x100))
    t.refuse(EINVAL, "ESP: AEAD or CRYPT must be provided", MS, move())
    t.accept(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa(0, proto=51), 0x100, 0x100))
    t.refuse(EINVAL, "AH requires a state with an AUTH algorithm", MS, move(proto=51))
    t.accept(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa(0, proto=108), 0x100, 0x100))
    t.refuse(EINVAL, "Missing required compression algorithm", MS, move(proto=108))


@case("MIGRATE_STATE", "LINUX_7_2")
def family_and_mode(t: Talk) -> None:
    """A transport or BEET SA whose selector keeps the old family cannot change its own; a tunnel can."""
    only_tunnels = "Only tunnel modes can accommodate a change of family"
    six = {"daddr": v6(1), "saddr": v6(2)}
    add_sa(t, sa(0x100, mode=0))
    t.refuse(EINVAL, only_tunnels, MS, move(0x100, sel=ANY4, **six))
    t.accept(MS, move(0x100, sel=ANY6, **six))
    add_sa(t, sa(0x101, mode=4, sel=host(v4(1), v4(2))))
    t.accept(MS, move(0x101, sel=host(v4(1), v4(2)), **six))
    add_sa(t, sa(0x102))
    t.accept(MS, move(0x102, sel=ANY4, **six))
    t.accept(MS, move(0x102, old=v6(1), daddr=v4(1), saddr=v4(2), sel=ANY4))


# -- what is inherited, replaced, removed -----------------------------------------------------------


@case("MIGRATE_STATE", "LINUX_7_2")
def everything_else_stays(t: Talk) -> None:
    """Keys, flags, limits, direction, replay window, if_id, TFC and extra flags are those of the old SA."""
    lft = s.LifetimeCfg(1 << 40, 1 << 41, 1 << 30, 1 << 31, 10**6, 10**6 + 1, 10**6, 10**6 + 2)
    info = sa(flags=1 | 8, replay_window=32, reqid=7, lft=lft)
    replay = (m.XFRMA_REPLAY_VAL, s.ReplayState(9, 17, 0x1FF))
    extra = [(m.XFRMA_SA_EXTRA_FLAGS, 2), (m.XFRMA_TFCPAD, 100), (m.XFRMA_IF_ID, 42), replay]
    t.accept(m.XFRM_MSG_NEWSA, info, [CBC, SHA256, *extra])
    before = t.get_sa(sa_id())
    t.accept(MS, move(reqid=8))
    after = t.get_sa(sa_id(daddr=v4(11)))
    if before and after:
        t.check(before.attrs == after.attrs, "attributes differ")
        same = before.body._replace(
            id=after.body.id, saddr=after.body.saddr, reqid=8, sel=after.body.sel
        )
        t.check(same == after.body, "the structure differs")


@case("MIGRATE_STATE", "LINUX_7_2")
def sequence_numbers_go_over(t: Talk) -> None:
    """ESN state goes over whole: numbers, high halves, window and bitmap."""
    esn = s.ReplayStateEsn(4, 5, 1000, 1, 2, 128, bytes(range(16)))
    t.accept(m.XFRM_MSG_NEWSA, sa(flags=128), [GCM, (m.XFRMA_REPLAY_ESN_VAL, esn)])
    t.accept(MS, move())
    t.check(attributes(t).get(m.XFRMA_REPLAY_ESN_VAL) == esn, "ESN state changed")


@case("MIGRATE_STATE", "LINUX_7_2")
def counters_go_over(t: Talk) -> None:
    """Lifetime counters go over with their times."""
    curlft = s.LifetimeCur(1000, 10, 1_600_000_000, 1_600_000_001)
    add_sa(t, attrs=[(m.XFRMA_LTIME_VAL, curlft)])
    t.accept(MS, move())
    info = moved(t)
    t.check(info and info.curlft == curlft, "counters changed")


@case("MIGRATE_STATE", "LINUX_7_2")
def reqid_is_always_explicit(t: Talk) -> None:
    """The new reqid is what the request says: 0 means none, not to keep it."""
    add_sa(t, sa(reqid=9))
    t.accept(MS, move(reqid=0))
    info = moved(t)
    t.check(info and info.reqid == 0, "reqid kept")


@case("MIGRATE_STATE", "LINUX_7_2")
def encapsulation(t: Talk) -> None:
    """Encapsulation is inherited if absent, replaced if given, removed by type 0; the event tells each."""
    add_sa(t)
    t.accept(MS, move(), [encap(4500, 4501)])
    t.accept(MS, move(old=v4(11), daddr=v4(21)))
    t.check(attributes(t, v4(21)).get(m.XFRMA_ENCAP) == encap(4500, 4501)[1], "not inherited")
    t.accept(MS, move(old=v4(21), daddr=v4(31)), [encap(9, 9, kind=0)])
    t.check(m.XFRMA_ENCAP not in attributes(t, v4(31)), "not removed")
    told = [e.get(m.XFRMA_ENCAP) for e in t.events() if e.header.nlmsg_type == MS]
    t.check(told == [encap(4500, 4501)[1]] * 2 + [encap(9, 9, kind=0)[1]], f"events told {told}")


@case("MIGRATE_STATE", "LINUX_7_2")
def encapsulation_padding(t: Talk) -> None:
    """The event repeats the encapsulation's padding, a dump does not."""
    add_sa(t)
    odd = encap()[1]._replace(pad=b"\xaa\xbb")
    t.accept(MS, move(), [(m.XFRMA_ENCAP, odd)])
    t.accept(MS, move(old=v4(11), daddr=v4(21)))
    attributes(t, v4(21))


@case("MIGRATE_STATE", "LINUX_7_2")
def removing_encapsulation_clears_timers(t: Talk) -> None:
    """Without encapsulation there is no mapping threshold and no keepalive any more."""
    add_sa(t, attrs=[encap(), (m.XFRMA_MTIMER_THRESH, 30), (m.XFRMA_SA_DIR, 1)])
    keep = [encap(), (m.XFRMA_NAT_KEEPALIVE_INTERVAL, 20), (m.XFRMA_SA_DIR, 2)]
    add_sa(t, sa(0x101), keep)
    t.accept(MS, move())
    t.check(attributes(t).get(m.XFRMA_MTIMER_THRESH) == 30, "threshold not inherited")
    t.accept(MS, move(old=v4(11), daddr=v4(21)), [(m.XFRMA_MTIMER_THRESH, 40)])
    t.check(attributes(t, v4(21)).get(m.XFRMA_MTIMER_THRESH) == 40, "threshold not replaced")
    t.accept(MS, move(old=v4(21), daddr=v4(31)), [encap(kind=0)])
    t.check(m.XFRMA_MTIMER_THRESH not in attributes(t, v4(31)), "threshold not cleared")
    t.accept(MS, move(0x101), [encap(kind=0)])
    t.get_sa(sa_id(0x101, v4(11)))


@case("MIGRATE_STATE", "LINUX_7_2")
def mask_is_lost(t: Talk) -> None:
    """Without MARK the new SA takes the request's old mark, so a mask can be lost: a fault of 7.2."""
    add_sa(t, attrs=[mark(0, 0xFF)])
    t.accept(MS, move(mark=(0, 0)))
    t.check(m.XFRMA_MARK not in attributes(t), "the mask was kept after all")
    event = t.events()[-1]
    t.check(event.get(m.XFRMA_MARK) is None, "an inherited mark is in the event")


@case("MIGRATE_STATE", "LINUX_7_2")
def mark_replaced_and_removed(t: Talk) -> None:
    """MARK replaces the mark, {0,0} removes it; bits outside the mask are dropped, but not in the event."""
    add_sa(t, attrs=[mark(1)])
    t.accept(MS, move(mark=(1, 0xFFFFFFFF)), [mark(0x1F, 0x0F)])
    t.check(t.events()[-1].get(m.XFRMA_MARK) == (0x1F, 0x0F), "the event tells another mark")
    t.get_sa(sa_id(daddr=v4(11)), [mark(0x0F, 0x0F)])
    t.accept(MS, move(old=v4(11), daddr=v4(21), mark=(0x0F, 0x0F)), [mark(0, 0)])
    t.check(m.XFRMA_MARK not in attributes(t, v4(21)), "not removed")


@case("MIGRATE_STATE", "LINUX_7_2")
def output_mark(t: Talk) -> None:
    """SET_MARK replaces, 0 with mask 0 clears, its mask alone is ignored, and defaults to all ones."""
    add_sa(t, attrs=[(m.XFRMA_SET_MARK, 7), (m.XFRMA_SET_MARK_MASK, 0xFF)])
    t.accept(MS, move())
    now = attributes(t)
    t.check(
        (now.get(m.XFRMA_SET_MARK), now.get(m.XFRMA_SET_MARK_MASK)) == (7, 0xFF), "not inherited"
    )
    t.accept(MS, move(old=v4(11), daddr=v4(21)), [(m.XFRMA_SET_MARK_MASK, 0xF)])
    now = attributes(t, v4(21))
    t.check(now.get(m.XFRMA_SET_MARK_MASK) == 0xFF, "a mask alone was taken")
    t.accept(MS, move(old=v4(21), daddr=v4(31)), [(m.XFRMA_SET_MARK, 9)])
    now = attributes(t, v4(31))
    t.check(now.get(m.XFRMA_SET_MARK_MASK) == 0xFFFFFFFF, "no default mask")
    t.accept(MS, move(old=v4(31), daddr=v4(41)), [(m.XFRMA_SET_MARK, 0)])
    attributes(t, v4(41))
    clear = [(m.XFRMA_SET_MARK, 0), (m.XFRMA_SET_MARK_MASK, 0)]
    t.accept(MS, move(old=v4(41), daddr=v4(51)), clear)
    t.check(m.XFRMA_SET_MARK not in attributes(t, v4(51)), "not cleared")


@case("MIGRATE_STATE", "LINUX_7_2")
def newest_hides_the_named_one(t: Talk) -> None:
    """A newer SA with a broad mark hides the one that is meant, and moves in its place: a fault of 7.2."""
    add_sa(t, sa(reqid=1), [mark(1, 1)])
    t.accept(m.XFRM_MSG_NEWSA, sa(0x100, reqid=2, daddr=v4(3)), [GCM])
    t.accept(MS, move(old=v4(3), daddr=v4(1), saddr=v4(2), mark=(0, 0)), [mark(0, 0)], warning="")
    t.send(m.XFRM_MSG_GETSA, None, flags=0x300)


@case("MIGRATE_STATE", "LINUX_7_2")
def order_of_insertion_decides(t: Talk) -> None:
    """Of two SAs that a mark finds, the newer one moves."""
    add_sa(t, sa(reqid=1), [mark(1, 3)])
    add_sa(t, sa(reqid=2), [mark(0, 4)])
    t.accept(MS, move(mark=(1, 0xFF)))
    info = t.get_sa(sa_id(daddr=v4(11)), [mark(1, 0xFF)])
    t.check(info and info.body.reqid == 0, "nobody moved")
    t.send(m.XFRM_MSG_GETSA, None, flags=0x300)


@case("MIGRATE_STATE", "LINUX_7_2")
def growth_turns_the_order(t: Talk) -> None:
    """When the table grows, the other one of two SAs that share a key is found."""
    add_sa(t, sa(reqid=1), [mark(1, 3)])
    add_sa(t, sa(reqid=1), [mark(0, 4)])
    for spi in range(0x200, 0x20A):
        add_sa(t, sa(spi, reqid=1))
        t.sleep(0.05)  # a kernel's table grows behind the caller's back
        t.get_sa(sa_id(), [mark(1, 0xFF)])
    t.send(m.XFRM_MSG_GETSADINFO, 0, flags=0)


@case("MIGRATE_STATE", "LINUX_7_2")
def offload(t: Talk) -> None:
    """A device without offload is no error unless packet offload is asked for; the event names it all the same."""
    index = t.device()

    def on(ifindex: int, flags: int = 0) -> Attrs:
        return [(m.XFRMA_OFFLOAD_DEV, s.UserOffload(ifindex, flags))]

    add_sa(t)
    t.refuse(EINVAL, "Unrecognized flags in offload request", MS, move(), on(index, 8))
    t.refuse(EINVAL, "State migration clone failed", MS, move(), on(index, 4))
    t.accept(MS, move(flags=CLEAR_OFFLOAD), on(index))
    t.check(t.events()[-1].get(m.XFRMA_OFFLOAD_DEV), "the event is silent about it")
    t.check(m.XFRMA_OFFLOAD_DEV not in attributes(t), "offloaded")
    t.accept(MS, move(old=v4(11), daddr=v4(21)), on(99))
    t.accept(MS, move(old=v4(21), daddr=v4(31), flags=CLEAR_OFFLOAD))


@case("MIGRATE_STATE", "LINUX_7_2")
def per_cpu(t: Talk) -> None:
    """A per-CPU number goes over."""
    add_sa(t, attrs=[(m.XFRMA_SA_DIR, 2), (m.XFRMA_SA_PCPU, 0)])
    t.accept(MS, move())
    t.check(attributes(t).get(m.XFRMA_SA_PCPU) == 0, "CPU lost")


@case("MIGRATE_STATE", "LINUX_7_2")
def ah(t: Talk) -> None:
    """An AH SA moves; encapsulation is not for it."""
    auth = (m.XFRMA_ALG_AUTH, alg("hmac(sha1)", 160))
    t.accept(m.XFRM_MSG_NEWSA, sa(proto=51), [auth])
    t.refuse(EINVAL, "AH is not compatible with encapsulation", MS, move(proto=51), [encap()])
    t.accept(MS, move(proto=51))
    t.get_sa(sa_id(daddr=v4(11), proto=51))


@case("MIGRATE_STATE", "LINUX_7_2")
def ipcomp(t: Talk) -> None:
    """An IPComp SA moves, and gets a new IP-in-IP SA to lean on."""
    t.accept(m.XFRM_MSG_NEWSA, sa(proto=108), [(m.XFRMA_ALG_COMP, alg("deflate", 0))])
    t.accept(MS, move(proto=108))
    t.send(m.XFRM_MSG_GETSA, None, flags=0x300)
    t.refuse(
        EINVAL,
        "IPComp is not compatible with encapsulation",
        MS,
        move(old=v4(11), daddr=v4(21), proto=108),
        [encap()],
    )
    t.send(m.XFRM_MSG_GETSA, None, flags=0x300)


@case("MIGRATE_STATE", "LINUX_7_2")
def ipv4_uses_four_bytes(t: Talk) -> None:
    """Of an IPv4 address only four bytes count, and all sixteen are kept."""
    add_sa(t)
    noisy = v4(1)[:4] + b"\xff" * 12
    t.accept(MS, move(old=noisy, daddr=v4(11)[:4] + b"\xee" * 12))
    moved(t)


@case("MIGRATE_STATE", "LINUX_7_2")
def nothing_changes(t: Talk) -> None:
    """A move onto itself is a move: new SA, event and all."""
    add_sa(t)
    t.accept(MS, move(daddr=v4(1), saddr=v4(2)))
    t.check(t.get_sa(sa_id()), "gone")


@case("MIGRATE_STATE", "LINUX_7_2")
def dump_order(t: Talk) -> None:
    """A moved SA is the newest in a dump."""
    for spi in (0x100, 0x101, 0x102):
        add_sa(t, sa(spi))
    t.accept(MS, move(0x100))
    t.send(m.XFRM_MSG_GETSA, None, flags=0x300)


@case("MIGRATE_STATE", "LINUX_7_2")
def route_optimisation(t: Talk) -> None:
    """SAs of a protocol without SPIs cannot be named: their SPI must be 0, and 0 is refused here."""
    coaddr = (m.XFRMA_COADDR, v6(9))
    spi = "SPI must be 0"
    new = m.XFRM_MSG_NEWSA
    t.refuse(EINVAL, spi, new, sa(0x100, v6(1), v6(2), proto=60, mode=2), [coaddr])
    t.accept(new, sa(0, v6(1), v6(2), proto=60, mode=2), [coaddr])
    t.refuse(EINVAL, "Invalid SPI 0x0", MS, move(0, v6(1), v6(3), v6(2), proto=60, sel=ANY6))


# -- answers ---------------------------------------------------------------------------------------


@case("MIGRATE_STATE", "LINUX_7_2")
def event_then_ack(t: Talk) -> None:
    """A member of the group hears the event before its own ACK; no NEWSA or DELSA goes out."""
    add_sa(t)
    t.open("b", 1001, (7,))
    t.events()
    read = t.raw(t.encode(MS, move()), "b")
    t.check([one.header.nlmsg_type for one in read] == [MS, 2], "not event, ACK")
    t.check([one.header.nlmsg_type for one in t.events()] == [MS], "other events")


@case("MIGRATE_STATE", "LINUX_7_2")
def nobody_listens(t: Talk) -> None:
    """Where nobody listens, success carries a frightening text."""
    add_sa(t)
    t.close("ev")
    t.accept(MS, move(), warning="Failed to send migration notification")
    moved(t)


@case("MIGRATE_STATE", "LINUX_7_2")
def event_repeats_the_request(t: Talk) -> None:
    """The event has the request's sequence number and pid, structure and padding, with the SA's direction."""
    add_sa(t, attrs=[(m.XFRMA_SA_DIR, 1)])
    um = move()
    um = um._replace(
        id=um.id._replace(pad=b"\x77"), new_sel=ANY4._replace(pad=b"abc", user=5, ifindex=0)
    )
    data = bytearray(t.encode(MS, um))
    data[12:16] = (4711).to_bytes(4, "little")
    t.raw(bytes(data))
    event = t.events()[-1]
    t.check((event.header.nlmsg_pid, event.body) == (4711, um), "another structure")
    t.check(event.get(m.XFRMA_SA_DIR) == 1, "no direction")


@case("MIGRATE_STATE", "LINUX_7_2")
def without_ack(t: Talk) -> None:
    """Without NLM_F_ACK success is silent; other flags change nothing."""
    add_sa(t)
    t.check(t.send(MS, move(), flags=0) == [], "an answer")
    t.accept(MS, move(old=v4(11), daddr=v4(21)), flags=NLM_F_ACK | NLM_F_REPLACE)


@case("MIGRATE_STATE", "LINUX_7_2")
def short(t: Talk) -> None:
    """A structure cut short is refused; bytes after the attributes leave a warning."""
    add_sa(t)
    whole = t.encode(MS, move())
    cut = (len(whole) - 1).to_bytes(4, "little") + whole[4:-1]
    t.raw(cut)
    longer = (len(whole) + 3).to_bytes(4, "little") + whole[4:] + b"\1\1\1"
    t.raw(longer)


@case("MIGRATE_STATE", "LINUX_7_2")
def dual_stack_child(t: Talk) -> None:
    """Two calls move a whole dual-stack Child SA, whatever policies there are."""
    for direction, spi, here, there in ((1, 0x100, v4(1), v4(2)), (2, 0x200, v4(2), v4(1))):
        add_sa(t, sa(spi, here, there, sel=ANY, flags=32, reqid=1), [(m.XFRMA_SA_DIR, direction)])
    t.accept(MS, move(0x100, v4(1), v6(1), v6(2), sel=ANY, reqid=1))
    t.accept(MS, move(0x200, v4(2), v6(2), v6(1), sel=ANY, reqid=1))
    t.send(m.XFRM_MSG_GETSA, None, flags=0x300)


# -- kernels without it ------------------------------------------------------------------------------


@case("MIGRATE_STATE", "LINUX_6_12")
def unknown_to_older_kernels(t: Talk) -> None:
    """A kernel that does not know the message says EINVAL without a text, whatever it holds."""
    t.refuse(EINVAL, "", MS, move())
    t.refuse(EINVAL, "", MS, move(spi=0))
    t.refuse(EINVAL, "", MS, move(), [(m.XFRMA_MARK, s.MarkVM(0, 0))])
