"""EXPIRE and ACQUIRE from user space: what one key manager tells the others through the kernel."""

from __future__ import annotations

from errno import EINVAL, ENOENT
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.xfrm import AF_INET6, IPPROTO_IPIP
from pyxfrm.wire.messages import Message
from tests.conformance.parts import (
    ANY4,
    ANY6,
    DEFLATE,
    GCM,
    IN,
    add_sa,
    host,
    mark,
    policy,
    sa,
    sa_id,
    template,
    v4,
    v6,
)
from tests.conformance.talk import Talk, case

EXPIRE = m.XFRM_MSG_EXPIRE
ACQUIRE = m.XFRM_MSG_ACQUIRE


def told(t: Talk, kind: int) -> list[Message]:
    """The events of a kind."""
    return [e for e in t.events() if e.header.nlmsg_type == kind]


# -- EXPIRE ------------------------------------------------------------------------------------------


@case("EXPIRE")
def no_such_sa(t: Talk) -> None:
    """No such SA is ENOENT here; a larval one is not valid"""
    t.refuse(ENOENT, "", EXPIRE, s.UserExpire(sa(), 0))
    add_sa(t, attrs=[mark(1)])
    t.refuse(ENOENT, "", EXPIRE, s.UserExpire(sa(), 1))
    t.accept(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa(0), 0x101, 0x101))
    t.refuse(EINVAL, "SA must be in VALID state", EXPIRE, s.UserExpire(sa(0x101), 1))
    whole = t.encode(EXPIRE, s.UserExpire(sa(), 0))
    t.raw((247).to_bytes(4, "little") + whole[4:247])


@case("EXPIRE")
def soft(t: Talk) -> None:
    """A soft one is told to XFRMNLGRP_EXPIRE with the SA as it is, and may be repeated"""
    add_sa(t, sa(reqid=3), [mark(1), (m.XFRMA_IF_ID, 5), IN])
    t.events()
    for _ in range(2):
        t.accept(EXPIRE, s.UserExpire(sa(reqid=9, mode=0), 0), [mark(1)])
    heard = told(t, EXPIRE)
    t.check([(e.body.hard, e.body.state.reqid) for e in heard] == [(0, 3)] * 2, "events")
    t.check(t.get_sa(sa_id(), [mark(1)]) is not None, "it went")


@case("EXPIRE")
def hard(t: Talk) -> None:
    """A hard one deletes the SA; there is no DELSA"""
    for spi, value in ((0x100, 1), (0x101, 255)):
        add_sa(t, sa(spi))
        t.events()
        t.accept(EXPIRE, s.UserExpire(sa(spi), value))
        heard = t.events()
        t.check([e.header.nlmsg_type for e in heard] == [EXPIRE], "other events")
        t.check(heard[0].body.hard == 1, "not hard")
    t.check(t.dump_sas() == [], "still there")


@case("EXPIRE")
def event(t: Talk) -> None:
    """The event has sequence number 0 and the request's pid, and precedes the ACK"""
    add_sa(t)
    t.open("b", 1001, (2,))
    data = bytearray(t.encode(EXPIRE, s.UserExpire(sa(), 0)))
    data[12:16] = (4711).to_bytes(4, "little")
    read = t.raw(bytes(data), "b")
    t.check([one.header.nlmsg_type for one in read] == [EXPIRE, 2], "not event, ACK")
    t.check((read[0].header.nlmsg_seq, read[0].header.nlmsg_pid) == (0, 4711), "header")


@case("EXPIRE")
def helper_of_ipcomp(t: Talk) -> None:
    """The helper of IPComp has an SPI that can be named here, though only protocols with SPIs are looked for by it"""
    t.accept(m.XFRM_MSG_NEWSA, sa(proto=108), [DEFLATE])
    helper = sa(int.from_bytes(v4(2)[:4], "big"), proto=IPPROTO_IPIP)
    t.send(EXPIRE, s.UserExpire(helper, 0))
    t.send(EXPIRE, s.UserExpire(helper, 1))
    t.sleep(0.05)
    t.dump_sas()
    t.accept(EXPIRE, s.UserExpire(sa(proto=108), 1))
    t.sleep(0.05)
    t.dump_sas()


# -- ACQUIRE -----------------------------------------------------------------------------------------


def ask(info: s.UserPolicyInfo | None = None, **more: Any) -> s.UserAcquire:
    """struct xfrm_user_acquire for two hosts."""
    made = s.UserAcquire(
        s.Id(v4(7), 0x700, 50), v4(8), host(v4(1), v4(2)), info or policy(), 1, 2, 4, 99
    )
    return made._replace(**more)


@case("ACQUIRE")
def passed_on(t: Talk) -> None:
    """It is passed on to XFRMNLGRP_ACQUIRE, one event a template, with numbers of the kernel's own; no larval SA comes"""
    templates = (template(spi=0x123, reqid=5), template(proto=51, mode=0, daddr=v4(3)))
    t.accept(ACQUIRE, ask(), [(m.XFRMA_TMPL, templates), mark(6, 7)])
    heard = told(t, ACQUIRE)
    t.check([e.body.id.proto for e in heard] == [50, 51], "events")
    t.check([e.body.seq for e in heard][1:] == [heard[0].body.seq + 1], "numbers")
    t.check(heard[0].body.policy.dir == 1 and heard[0].get(m.XFRMA_TMPL), "policy")
    t.check(t.dump_sas() == [], "a larval SA")


@case("ACQUIRE")
def nobody_listens(t: Talk) -> None:
    """That nobody hears it is no error, and neither is a policy without templates"""
    t.accept(ACQUIRE, ask())
    t.check(told(t, ACQUIRE) == [], "an event without a template")
    t.close("ev")
    t.accept(ACQUIRE, ask(), [(m.XFRMA_TMPL, (template(),))])


@case("ACQUIRE")
def policy_is_checked(t: Talk) -> None:
    """The policy inside is checked as a new one is; the kinds of algorithms go into the templates"""
    for info, text in (
        (policy(5), "Invalid policy direction"),
        (policy(share=4), "Invalid policy share"),
        (policy(action=2), "Invalid policy action"),
        (
            policy(sel=ANY4._replace(prefixlen_d=33)),
            "Invalid prefix length in selector (must be <= 32 for IPv4)",
        ),
        (policy(sel=ANY4._replace(family=1)), "Invalid selector family"),
        (policy(index=8), "Policy index doesn't match direction"),
    ):
        t.refuse(EINVAL, text, ACQUIRE, ask(info), [(m.XFRMA_TMPL, (template(),))])
    t.accept(ACQUIRE, ask(policy(0)), [(m.XFRMA_TMPL, (template(), template()))])
    t.accept(ACQUIRE, ask(policy(2, index=10)), [(m.XFRMA_TMPL, (template(),))])


@case("ACQUIRE")
def templates_are_checked(t: Talk) -> None:
    """Its templates are checked as those of a policy are"""
    wrong = template(proto=17)
    t.refuse(
        EINVAL, "Invalid XFRM protocol in template", ACQUIRE, ask(), [(m.XFRMA_TMPL, (wrong,))]
    )
    t.send(ACQUIRE, ask(), [(m.XFRMA_TMPL, (template(),) * 7)])
    t.send(ACQUIRE, ask(), [(m.XFRMA_TMPL, (template(mode=9),))])


@case("ACQUIRE")
def cpu_and_interface(t: Talk) -> None:
    """A CPU goes into the event, as do if_id, type and mark of the policy"""
    t.refuse(EINVAL, "pCPU number too big", ACQUIRE, ask(), [(m.XFRMA_SA_PCPU, 1)])
    given = [
        (m.XFRMA_TMPL, (template(),)),
        (m.XFRMA_SA_PCPU, 0),
        (m.XFRMA_IF_ID, 4),
        mark(0x1F, 0xF),
        (m.XFRMA_POLICY_TYPE, s.UserPolicyType(0, 0, 0)),
    ]
    t.accept(ACQUIRE, ask(), given)
    t.check(told(t, ACQUIRE)[0].get(m.XFRMA_SA_PCPU) == 0, "no CPU")


@case("ACQUIRE")
def security_context(t: Talk) -> None:
    """A security context of the policy is not that of the SA that is asked for"""
    label = (m.XFRMA_SEC_CTX, s.UserSecCtx(14, 8, 1, 1, 6, b"kernel"))
    t.accept(ACQUIRE, ask(), [(m.XFRMA_TMPL, (template(),)), label])
    cut = (m.XFRMA_SEC_CTX, s.UserSecCtx(13, 8, 1, 1, 6, b"kernel"))
    t.refuse(EINVAL, "Invalid security context length", ACQUIRE, ask(), [cut])


@case("ACQUIRE")
def over_ipv6(t: Talk) -> None:
    """Templates of IPv6; the family of the event is the template's, given or not"""
    info = policy(sel=ANY6)
    six = template(v6(1), v6(2))
    t.accept(ACQUIRE, ask(info, saddr=v6(8), sel=ANY6), [(m.XFRMA_TMPL, (six,))])
    t.accept(ACQUIRE, ask(info, sel=ANY6), [(m.XFRMA_TMPL, (six._replace(family=0),))])
    t.send(ACQUIRE, ask(info, sel=ANY6), [(m.XFRMA_TMPL, (template(family=AF_INET6),))])


@case("ACQUIRE")
def without_structure(t: Talk) -> None:
    """A structure cut short is refused"""
    whole = t.encode(ACQUIRE, ask())
    t.raw((len(whole) - 1).to_bytes(4, "little") + whole[4:-1])
    t.accept(m.XFRM_MSG_NEWSA, sa(), [GCM])
