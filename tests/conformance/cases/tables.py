"""GETSADINFO, GETSPDINFO, NEWSPDINFO, SETDEFAULT, GETDEFAULT."""

from __future__ import annotations

from errno import EINVAL, ERANGE
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from tests.conformance.cases.policies import net
from tests.conformance.parts import add_sa, mark, policy, policy_id, sa, sa_id, v4, v6
from tests.conformance.talk import Talk, case

BLOCK, ACCEPT = 1, 2


def info(t: Talk, kind: int, attr: int) -> Any:
    """One attribute of an info message, after the tables have had time to grow."""
    t.sleep(0.1)
    read = t.accept(kind, 0xABCDEF01)
    t.check(read[0].body == 0xABCDEF01, "the flags come back")
    return read[0].get(attr)


def counts(t: Talk) -> Any:
    return info(t, m.XFRM_MSG_GETSPDINFO, m.XFRMA_SPD_INFO)


def buckets(t: Talk) -> int:
    """Of the policy table by index, less one."""
    return int(info(t, m.XFRM_MSG_GETSPDINFO, m.XFRMA_SPD_HINFO).spdhcnt)


@case("GETSPDINFO")
def policies_are_counted_by_direction(t: Talk) -> None:
    """sub policies too; there are none of sockets"""
    t.check(counts(t) == (0, 0, 0, 0, 0, 0), "none")
    for number in range(6):
        t.accept(m.XFRM_MSG_NEWPOLICY, policy((0, 1, 1, 2, 2, 2)[number], net(number)))
    t.accept(
        m.XFRM_MSG_NEWPOLICY,
        policy(0, net(0)),
        [(m.XFRMA_POLICY_TYPE, s.UserPolicyType(1, 0, 0))],
    )
    t.accept(m.XFRM_MSG_UPDPOLICY, policy(0, net(0)))
    t.check(counts(t) == (2, 2, 3, 0, 0, 0), "two, two, three")
    t.accept(m.XFRM_MSG_DELPOLICY, policy_id(1, net(1)))
    t.check(counts(t) == (2, 1, 3, 0, 0, 0), "two, one, three")


@case("GETSPDINFO")
def the_policy_table_doubles(t: Talk) -> None:
    """when a direction fills its own table and all together fill the one by index; it never shrinks"""
    t.check(buckets(t) == 7, "8 buckets")
    for number in range(7):
        t.accept(m.XFRM_MSG_NEWPOLICY, policy(1, net(number)))
        t.accept(m.XFRM_MSG_NEWPOLICY, policy(0, net(number)))
    t.check(buckets(t) == 7, "14 policies, but no direction has 8")
    t.accept(m.XFRM_MSG_NEWPOLICY, policy(1, net(7)))
    t.check(buckets(t) == 15, "one of them has")
    t.accept(m.XFRM_MSG_UPDPOLICY, policy(0, net(0)))
    t.accept(m.XFRM_MSG_NEWPOLICY, policy(2, net(0)))
    t.check(buckets(t) == 15, "16 policies, but no direction has filled up")
    t.accept(m.XFRM_MSG_NEWPOLICY, policy(0, net(7)))
    t.check(buckets(t) == 31, "now one has")
    t.accept(m.XFRM_MSG_FLUSHPOLICY)
    t.check(buckets(t) == 31, "it stays")


@case("NEWSPDINFO")
def thresholds_are_set_and_shown(t: Talk) -> None:
    """one family or both; nothing at all is accepted too"""
    four, six = m.XFRMA_SPD_IPV4_HTHRESH, m.XFRMA_SPD_IPV6_HTHRESH
    new, get = m.XFRM_MSG_NEWSPDINFO, m.XFRM_MSG_GETSPDINFO
    t.accept(new, 7)
    t.accept(new, 7, [(four, s.SpdHthresh(24, 16))])
    t.check(info(t, get, four) == (24, 16), "24, 16")
    t.accept(new, 7, [(six, s.SpdHthresh(128, 0)), (four, s.SpdHthresh(0, 32))])
    t.check((info(t, get, four), info(t, get, six)) == ((0, 32), (128, 0)), "both")
    t.accept(new, 7, [(four, b"\1\2more"), (9, b"unknown")])
    info(t, get, four)


@case("NEWSPDINFO")
def thresholds_that_are_refused(t: Talk) -> None:
    """IPv4 is looked at first, and nothing is changed"""
    four, six = m.XFRMA_SPD_IPV4_HTHRESH, m.XFRMA_SPD_IPV6_HTHRESH
    new = m.XFRM_MSG_NEWSPDINFO
    text4 = "Invalid hash threshold (must be <= 32 for IPv4)"
    text6 = "Invalid hash threshold (must be <= 128 for IPv6)"
    for bits in ((33, 0), (0, 33), (255, 255)):
        t.refuse(EINVAL, text4, new, 7, [(six, s.SpdHthresh(129, 0)), (four, s.SpdHthresh(*bits))])
    for bits in ((129, 0), (0, 129)):
        t.refuse(EINVAL, text6, new, 7, [(four, s.SpdHthresh(1, 1)), (six, s.SpdHthresh(*bits))])
    for number in (four, six):
        text = "Attribute failed policy validation"
        t.refuse(ERANGE, text, new, 7, [(number, b"\1")], at=number)
    t.check(info(t, m.XFRM_MSG_GETSPDINFO, four) == (32, 32), "as it was")


@case("GETSADINFO")
def sas_are_counted_and_the_table_doubles(t: Talk) -> None:
    """at the first SA beyond the buckets that meets another in its bucket"""
    get, count, hashes = m.XFRM_MSG_GETSADINFO, m.XFRMA_SAD_CNT, m.XFRMA_SAD_HINFO
    t.check(info(t, get, count) == 0, "none")
    for number in range(20):
        add_sa(t, sa(0x100 + number, v4(number + 1)))
        info(t, get, hashes)
    for number in range(16):
        add_sa(t, sa(0x200 + number, v6(number + 1), v6(200), reqid=number))
        info(t, get, hashes)
    t.check(info(t, get, count) == 36, "36")
    t.accept(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(0))
    t.check(info(t, get, count) == 0, "none")
    info(t, get, hashes)


@case("GETSADINFO")
def growth_turns_every_chain(t: Talk) -> None:
    """the buckets are emptied from the last to the first: what was in a lower one stands in front afterwards"""
    for spi in (1, 2, 3):
        for reqid in (1, 2, 3, 4):
            add_sa(
                t,
                sa(spi, v4(1), v4(spi * reqid), reqid=reqid * spi),
                [mark(1 << reqid, 1 << reqid)],
            )
            t.sleep(0.05)
    for number in range(30):
        add_sa(t, sa(0x100 + number, v4(number + 1)))
        t.sleep(0.05)
        for spi in (1, 2, 3):
            t.get_sa(sa_id(spi), [mark(0xFF)])


@case("SETDEFAULT")
def defaults_are_block_or_accept(t: Talk) -> None:
    """anything else leaves a direction as it was, and is told to all none the less"""
    get, put = m.XFRM_MSG_GETDEFAULT, m.XFRM_MSG_SETDEFAULT

    def now() -> tuple[int, ...]:
        made: tuple[int, ...] = t.accept(get, s.UserPolicyDefault(9, 9, 9))[0].body
        return made

    t.check(now() == (ACCEPT, ACCEPT, ACCEPT), "accept")
    t.accept(put, s.UserPolicyDefault(BLOCK, ACCEPT, 0))
    t.check(now() == (BLOCK, ACCEPT, ACCEPT), "in")
    t.accept(put, s.UserPolicyDefault(0, 3, 255))
    t.check(now() == (BLOCK, ACCEPT, ACCEPT), "unchanged")
    t.accept(put, s.UserPolicyDefault(ACCEPT, BLOCK, BLOCK))
    t.check(now() == (ACCEPT, BLOCK, BLOCK), "fwd and out")
    t.check(len(t.events()) == 3, "three events")
