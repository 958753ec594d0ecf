"""Limits of age and use: soft and hard EXPIRE, the end of larval SAs. These cases take real seconds."""

from __future__ import annotations

from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REPLACE
from pyxfrm.abi.xfrm import XFRM_INF
from tests.conformance.parts import DEFLATE, GCM, IN, NO_LIMITS, add_sa, mark, sa, sa_id, v6
from tests.conformance.talk import Talk, case

LONG_AGO = 1_600_000_000


def limits(**more: int) -> s.LifetimeCfg:
    """Limits of which only these are set: soft_add, hard_add, soft_use, hard_use (seconds), bytes and packets by their full names."""
    names = {"soft_add", "hard_add", "soft_use", "hard_use"}
    fields: dict[str, Any] = {
        f"{n}_expires_seconds" if n in names else n: v for n, v in more.items()
    }
    return NO_LIMITS._replace(**fields)


def aged(t: Talk, spi: int, attrs: list[tuple[int, object]] | None = None, **more: int) -> None:
    """An SA with these limits."""
    add_sa(t, sa(spi, lft=limits(**more)), attrs or [])


def expired(t: Talk) -> list[tuple[int, int]]:
    """(SPI, hard) of the EXPIRE events since the last call."""
    return [
        (e.body.state.id.spi, e.body.hard)
        for e in t.events()
        if e.header.nlmsg_type == m.XFRM_MSG_EXPIRE
    ]


def present(t: Talk) -> list[int]:
    """The SPIs that there are."""
    return [one.body.id.spi for one in t.dump_sas()]


@case("EXPIRE by age")
def soft_then_hard(t: Talk) -> None:
    """Soft and hard limits of age are told when they are reached, each once; the hard one deletes without DELSA"""
    aged(t, 0x100, soft_add=1, hard_add=3)
    aged(t, 0x101, hard_add=1)
    aged(t, 0x102, soft_add=2)
    aged(t, 0x103, [mark(1), IN, (m.XFRMA_IF_ID, 7)], soft_add=1, hard_add=2)
    aged(t, 0x104, soft_add=2, hard_add=2)
    aged(t, 0x105, soft_add=3, hard_add=2)
    aged(t, 0x106)
    t.events()
    t.sleep(1.3)
    t.check(expired(t) == [(0x100, 0), (0x101, 1), (0x103, 0)], "first second")
    t.sleep(1.0)
    t.check(
        expired(t) == [(0x102, 0), (0x103, 1), (0x104, 1), (0x105, 1)],
        "second second",
    )
    t.check(present(t) == [0x106, 0x102, 0x100], "who is left")
    t.sleep(1.0)
    t.check(expired(t) == [(0x100, 1)], "third second")
    t.check(present(t) == [0x106, 0x102], "who is left")


@case("EXPIRE by age")
def never_is_now(t: Talk) -> None:
    """XFRM_INF in a limit of time is -1: reached at the first look (bad case 48)"""
    aged(t, 0x100, hard_add=XFRM_INF)
    aged(t, 0x101, soft_add=XFRM_INF)
    aged(t, 0x102, hard_use=XFRM_INF)
    aged(t, 0x103, soft_use=XFRM_INF)
    aged(t, 0x104, hard_add=(1 << 63) - 1)
    aged(t, 0x105, hard_add=1 << 62)
    aged(t, 0x106, soft_add=1 << 63)
    t.events()
    t.sleep(1.3)
    expired(t)
    present(t)


@case("EXPIRE by age")
def counted_from_the_time_given(t: Talk) -> None:
    """LTIME_VAL says from when age and use count; use that has not begun has no end, bytes and packets only count with packets"""
    old = (m.XFRMA_LTIME_VAL, s.LifetimeCur(0, 0, LONG_AGO, LONG_AGO))
    unused = (m.XFRMA_LTIME_VAL, s.LifetimeCur(0, 0, LONG_AGO, 0))
    future = (m.XFRMA_LTIME_VAL, s.LifetimeCur(0, 0, int(t.now) + 100, int(t.now) + 100))
    aged(t, 0x100, [old], hard_add=1000)
    aged(t, 0x101, [old], soft_use=1000, hard_use=1 << 40)
    aged(t, 0x102, [unused], hard_use=1, soft_use=1)
    aged(t, 0x103, [future], hard_add=1, hard_use=1, soft_add=1)
    aged(t, 0x104, hard_use=1, soft_use=1)
    aged(t, 0x105, [old], hard_byte_limit=0, hard_packet_limit=0)
    aged(t, 0x106, hard_byte_limit=0, soft_byte_limit=0)
    t.events()
    t.sleep(1.3)
    t.check(expired(t) == [(0x100, 1), (0x101, 0)], "events")
    t.check(present(t) == [0x106, 0x105, 0x104, 0x103, 0x102, 0x101], "who is left")


@case("EXPIRE by age")
def limits_that_change(t: Talk) -> None:
    """UPDSA starts the timer anew and forgets that a soft limit was told; NEWAE moves the age"""
    aged(t, 0x100, soft_add=1, hard_add=100)
    aged(t, 0x101, hard_add=2)
    aged(t, 0x102, hard_add=2)
    aged(t, 0x103, hard_add=100)
    t.events()
    t.sleep(1.3)
    t.check(expired(t) == [(0x100, 0)], "first second")
    t.accept(m.XFRM_MSG_UPDSA, sa(0x100, lft=limits(soft_add=1, hard_add=100)), [GCM])
    t.accept(m.XFRM_MSG_UPDSA, sa(0x101, lft=limits(hard_add=100)), [GCM])
    t.accept(m.XFRM_MSG_UPDSA, sa(0x102, lft=NO_LIMITS), [GCM])
    who = s.AeventId(sa_id(0x103), bytes(16), 0, 0)
    age = (m.XFRMA_LTIME_VAL, s.LifetimeCur(0, 0, LONG_AGO, 0))
    t.accept(m.XFRM_MSG_NEWAE, who, [age], flags=NLM_F_ACK | NLM_F_REPLACE)
    t.events()
    t.sleep(1.3)
    t.check(expired(t) == [(0x100, 0)], "second second")
    present(t)


@case("EXPIRE by age")
def limits_cut_short(t: Talk) -> None:
    """A hard limit cut below what was left to the soft one makes the SA younger; where the soft limit is reached by that, both are told"""
    aged(t, 0x100, soft_add=5, hard_add=10)
    aged(t, 0x101, soft_add=5, hard_add=100)
    t.sleep(1.3)
    t.accept(m.XFRM_MSG_UPDSA, sa(0x100, lft=limits(soft_add=2, hard_add=1)), [GCM])
    t.accept(m.XFRM_MSG_UPDSA, sa(0x101, lft=limits(soft_add=5, hard_add=6)), [GCM])
    t.events()
    t.sleep(1.3)
    t.check(expired(t) == [(0x100, 0), (0x100, 1)], "soft and hard")
    t.check(present(t) == [0x101], "who is left")


@case("EXPIRE by use")
def updated_over_its_limits(t: Talk) -> None:
    """UPDSA looks at once whether an SA that was used is over its limits of bytes and packets"""
    used = (m.XFRMA_LTIME_VAL, s.LifetimeCur(100, 10, LONG_AGO, LONG_AGO))
    for spi in range(0x100, 0x106):
        add_sa(t, sa(spi), [used] if spi < 0x105 else [])
    upd = m.XFRM_MSG_UPDSA
    t.events()
    t.accept(upd, sa(0x100, lft=limits(soft_byte_limit=100)), [GCM])
    t.accept(upd, sa(0x101, lft=limits(soft_packet_limit=10)), [GCM])
    t.accept(upd, sa(0x102, lft=limits(hard_byte_limit=100)), [GCM])
    t.accept(upd, sa(0x103, lft=limits(hard_packet_limit=9)), [GCM])
    t.accept(upd, sa(0x104, lft=limits(hard_byte_limit=101, soft_packet_limit=11)), [GCM])
    t.accept(upd, sa(0x105, lft=limits(hard_byte_limit=0, hard_packet_limit=0)), [GCM])
    t.sleep(0.1)
    t.check(expired(t) == [(0x100, 0), (0x101, 0), (0x102, 1), (0x103, 1)], "events")
    t.check(present(t) == [0x105, 0x104, 0x101, 0x100], "who is left")


@case("EXPIRE by age")
def helper_of_ipcomp_goes_too(t: Talk) -> None:
    """An IPComp SA that expires takes its helper along"""
    t.accept(m.XFRM_MSG_NEWSA, sa(proto=108, lft=limits(hard_add=1)), [DEFLATE])
    t.events()
    t.sleep(1.3)
    t.check(expired(t) == [(0x100, 1)], "events")
    t.check(present(t) == [], "something is left")


@case("EXPIRE by age")
def larval(t: Talk) -> None:
    """A larval SA ends as net.core.xfrm_acq_expires said when it was made, with a hard EXPIRE; one that has become an SA does not"""
    alloc = m.XFRM_MSG_ALLOCSPI
    add_sa(t, sa(0x300))
    t.sysctl("net.core.xfrm_acq_expires", 2)
    t.accept(alloc, s.UserSpiInfo(sa(0, reqid=1), 0x103, 0x103))
    t.sysctl("net.core.xfrm_acq_expires", 1)
    t.accept(alloc, s.UserSpiInfo(sa(0), 0x100, 0x100), [mark(3)])
    t.accept(alloc, s.UserSpiInfo(sa(0, v6(1), v6(2), proto=51), 0x101, 0x101), [IN])
    t.accept(alloc, s.UserSpiInfo(sa(0, reqid=2), 0x102, 0x102))
    t.send(alloc, s.UserSpiInfo(sa(0, reqid=3), 0x300, 0x300))
    t.accept(m.XFRM_MSG_UPDSA, sa(0x102), [GCM])
    t.sysctl("net.core.xfrm_acq_expires", 0)
    t.accept(alloc, s.UserSpiInfo(sa(0, reqid=4), 0x104, 0x104))
    t.events()
    t.sleep(1.3)
    t.check(expired(t) == [(0x100, 1), (0x101, 1), (0, 1)], "first second")
    t.check(present(t) == [0x104, 0x102, 0x103, 0x300], "who is left")
    t.sleep(1.0)
    t.check(expired(t) == [(0x103, 1)], "second second")
    present(t)
