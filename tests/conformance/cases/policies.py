"""NEWPOLICY, UPDPOLICY, DELPOLICY, GETPOLICY, FLUSHPOLICY, POLEXPIRE."""

from __future__ import annotations

from errno import EEXIST, EINVAL, EMSGSIZE, ENOENT, ENOMEM, ERANGE
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_DUMP
from pyxfrm.abi.xfrm import AF_INET6, XFRM_INF
from tests.conformance.parts import ANY, ANY4, ANY6, mark, policy, policy_id, template, v4, v6
from tests.conformance.talk import Attrs, Talk, case

NEW, UPD, DEL, GET = (
    m.XFRM_MSG_NEWPOLICY,
    m.XFRM_MSG_UPDPOLICY,
    m.XFRM_MSG_DELPOLICY,
    m.XFRM_MSG_GETPOLICY,
)
MAIN, SUB = 0, 1


def net(last: int, bits: int = 24) -> s.Selector:
    """192.0.<last>.0/<bits> to anywhere."""
    return ANY4._replace(daddr=v4(0, last), prefixlen_d=bits)


def tmpl(*templates: s.UserTmpl) -> tuple[int, Any]:
    return m.XFRMA_TMPL, templates


def kind(number: int) -> tuple[int, Any]:
    return m.XFRMA_POLICY_TYPE, s.UserPolicyType(number, 0, 0)


def context(text: bytes, *, size: int | None = None, alg: int = 1, doi: int = 1) -> tuple[int, Any]:
    whole = 8 + len(text) if size is None else size
    return m.XFRMA_SEC_CTX, s.UserSecCtx(whole, m.XFRMA_SEC_CTX, alg, doi, len(text), text)


def limits(*seconds: int) -> s.LifetimeCfg:
    """Soft and hard seconds since it was added, soft and hard since it was used."""
    return s.LifetimeCfg(*(XFRM_INF,) * 4, *seconds)


def dump(t: Talk) -> list[s.UserPolicyInfo]:
    read = t.send(GET, None, flags=NLM_F_DUMP)
    return [one.body for one in read[:-1]]


def indexes(t: Talk) -> list[int]:
    return [one.index for one in dump(t)]


def policy_expire(t: Talk, hard: int, info: s.UserPolicyInfo, attrs: Attrs = ()) -> None:
    t.accept(m.XFRM_MSG_POLEXPIRE, s.UserPolExpire(info, hard, b"padding"), attrs)


# -- what is refused ---------------------------------------------------------------------------------


@case("NEWPOLICY")
def fields_are_checked_in_order(t: Talk) -> None:
    """share, action, selector, direction, index: each has its text"""
    t.refuse(EINVAL, "Invalid policy share", NEW, policy(share=4, action=2, dir=3))
    t.refuse(EINVAL, "Invalid policy action", NEW, policy(action=2, dir=3))
    t.refuse(EINVAL, "Invalid selector family", NEW, policy(3, ANY))
    long4 = "Invalid prefix length in selector (must be <= 32 for IPv4)"
    t.refuse(EINVAL, long4, NEW, policy(3, ANY4._replace(prefixlen_d=33)))
    t.refuse(EINVAL, long4, NEW, policy(1, ANY4._replace(prefixlen_s=33)))
    long6 = "Invalid prefix length in selector (must be <= 128 for IPv6)"
    t.refuse(EINVAL, long6, NEW, policy(3, ANY6._replace(prefixlen_d=129)))
    t.refuse(EINVAL, long6, NEW, policy(1, ANY6._replace(prefixlen_s=129)))
    for direction in (3, 4, 255):
        t.refuse(EINVAL, "Invalid policy direction", NEW, policy(direction))
    for direction, index in ((2, 1), (1, 13), (0, 15)):
        text = "Policy index doesn't match direction"
        t.refuse(EINVAL, text, NEW, policy(direction, index=index))
    t.accept(NEW, policy(share=3, flags=0xFF, action=1))
    t.check(len(dump(t)) == 1, "one policy")


@case("NEWPOLICY")
def templates_are_checked_one_by_one(t: Talk) -> None:
    """count, optional, family change, mode, family, protocol: each has its text"""
    t.refuse(
        EINVAL,
        "Template count must be <= XFRM_MAX_DEPTH (6)",
        NEW,
        policy(),
        [tmpl(*(template(),) * 7)],
    )
    optional = "Mode in optional template not allowed in outbound policy"
    for mode in (1, 4, 5):
        t.refuse(EINVAL, optional, NEW, policy(), [tmpl(template(mode=mode, optional=1))])
    change = "Mode in template doesn't support a family change"
    other = template(mode=0, family=AF_INET6)
    t.refuse(EINVAL, change, NEW, policy(), [tmpl(other)])
    t.refuse(EINVAL, change, NEW, policy(), [tmpl(other._replace(mode=9))])
    inner = template(family=AF_INET6)
    t.refuse(EINVAL, change, NEW, policy(), [tmpl(inner, template(mode=0, family=0))])
    t.accept(NEW, policy(), [tmpl(inner, other)])
    text = "Mode in template must be < XFRM_MODE_MAX (6)"
    t.refuse(EINVAL, text, NEW, policy(), [tmpl(template(mode=6))])
    t.refuse(EINVAL, "Invalid family in template", NEW, policy(), [tmpl(template(family=7))])
    for proto in (0, 1, 17, 255):
        text = "Invalid XFRM protocol in template"
        t.refuse(EINVAL, text, NEW, policy(), [tmpl(template(proto=proto))])
    text = "Attribute failed policy validation"
    t.refuse(ERANGE, text, NEW, policy(), [(m.XFRMA_TMPL, bytes(63))], at=m.XFRMA_TMPL)


@case("NEWPOLICY")
def templates_that_are_taken(t: Talk) -> None:
    """every protocol and mode, six at most; what is behind the last whole one is not looked at"""
    for number, mode in enumerate((0, 1, 2, 3, 4, 5)):
        t.send(NEW, policy(1, net(number)), [tmpl(template(mode=mode))])
    for number, proto in enumerate((43, 50, 51, 60, 108)):
        t.accept(NEW, policy(2, net(number)), [tmpl(template(proto=proto, optional=1))])
    t.accept(NEW, policy(0), [tmpl(*(template(reqid=i) for i in range(6)))])
    t.accept(
        NEW, policy(0, net(9)), [(m.XFRMA_TMPL, bytes(64)[:20] + b"\x32" + bytes(43) + b"rest")]
    )
    dump(t)


@case("NEWPOLICY")
def a_template_without_a_family_gets_the_selectors(t: Talk) -> None:
    """the kernel writes it into the request: the echo of a refusal has it too"""
    attrs = [tmpl(template(family=0), template(family=0, proto=1), template(family=0))]
    t.refuse(EINVAL, "Invalid XFRM protocol in template", NEW, policy(), attrs)
    attrs = [tmpl(template(family=0)), tmpl(template(family=0, reqid=5))]
    t.accept(NEW, policy(), attrs)
    t.refuse(EEXIST, "", NEW, policy(), attrs)
    dump(t)


@case("NEWPOLICY")
def padding_is_kept_or_cleared(t: Talk) -> None:
    """of a selector and of a template's id it is kept, the rest is cleared"""
    sel = ANY4._replace(pad=b"abc")
    padded = template(pad=b"xyz")._replace(id=s.Id(v4(1), 0, 50, b"\1\2\3"))
    t.accept(NEW, policy(1, sel, pad=b"1234"), [tmpl(padded)])
    t.refuse(ENOENT, "", GET, policy_id())
    t.accept(NEW, policy(1), [tmpl(padded)])
    t.accept(GET, policy_id(1, sel))
    dump(t)


@case("NEWPOLICY")
def contexts_that_are_refused(t: Talk) -> None:
    """lengths that disagree, no text, too long a text, another module's"""
    text = "Invalid security context length"
    for message, body in ((NEW, policy()), (DEL, policy_id()), (GET, policy_id())):
        t.refuse(EINVAL, text, message, body, [context(b"abc", size=10)])
        t.refuse(EINVAL, text, message, body, [context(b"abc", size=12)])
        t.refuse(EINVAL, "", message, body, [context(b"")])
        t.refuse(EINVAL, "", message, body, [context(b"abc", alg=2)])
        t.refuse(EINVAL, "", message, body, [context(b"abc", doi=0)])
        t.refuse(ENOMEM, "", message, body, [context(b"z" * 4096)])


@case("NEWPOLICY")
def types_are_main_and_sub(t: Talk) -> None:
    """a main and a sub policy are two policies; there is no third type"""
    for number in (2, 3, 255):
        for message, body in ((NEW, policy()), (DEL, policy_id()), (GET, policy_id())):
            t.refuse(EINVAL, "Invalid policy type", message, body, [kind(number)])
        t.refuse(EINVAL, "Invalid policy type", m.XFRM_MSG_FLUSHPOLICY, None, [kind(number)])
    t.accept(NEW, policy(), [kind(SUB)])
    t.refuse(EEXIST, "", NEW, policy(), [kind(SUB)])
    t.refuse(ENOENT, "", GET, policy_id())
    t.accept(NEW, policy(), [kind(MAIN)])
    dump(t)
    t.accept(m.XFRM_MSG_FLUSHPOLICY, None, [kind(SUB)])
    t.check(len(dump(t)) == 1, "the main one is left")
    t.accept(m.XFRM_MSG_FLUSHPOLICY, None, [kind(SUB)])
    t.accept(m.XFRM_MSG_FLUSHPOLICY)
    t.check(dump(t) == [], "none is left")


@case("NEWPOLICY")
def offload_that_is_refused(t: Talk) -> None:
    """flags, a device that is not there, a device that cannot"""
    for flags in (0, 1, 2, 5, 6, 8):
        text = "Unrecognized flags in offload request"
        t.refuse(EINVAL, text, NEW, policy(), [(m.XFRMA_OFFLOAD_DEV, s.UserOffload(1, flags))])
    t.refuse(EINVAL, "", NEW, policy(), [(m.XFRMA_OFFLOAD_DEV, s.UserOffload(77, 4))])
    t.refuse(EINVAL, "", NEW, policy(), [(m.XFRMA_OFFLOAD_DEV, s.UserOffload(-1, 4))])
    text = "Policy offload is not supported"
    t.refuse(EINVAL, text, NEW, policy(), [(m.XFRMA_OFFLOAD_DEV, s.UserOffload(1, 4))])


# -- what names a policy -----------------------------------------------------------------------------


@case("NEWPOLICY")
def a_policy_is_named_by_all_of_its_selector(t: Talk) -> None:
    """direction, selector with its padding, mark, if_id, context; not priority"""
    variants = [
        ANY4,
        net(1),
        net(1, 23),
        ANY4._replace(proto=6, dport=80, dport_mask=0xFFFF),
        ANY4._replace(user=1000),
        ANY4._replace(ifindex=1),
        ANY4._replace(pad=b"\0\0\1"),
        ANY6,
    ]
    for sel in variants:
        for direction in (0, 1, 2):
            t.accept(NEW, policy(direction, sel))
            t.refuse(EEXIST, "", NEW, policy(direction, sel, priority=7))
    for attrs in ([mark(1, 1)], [mark(1, 3)], [(m.XFRMA_IF_ID, 7)], [context(b"abc")]):
        t.accept(NEW, policy(), attrs)
        t.refuse(EEXIST, "", NEW, policy(), attrs)
    t.check(len(dump(t)) == 28, "28 policies")


@case("NEWPOLICY")
def value_bits_outside_the_mask_are_dropped(t: Talk) -> None:
    """and so a policy cannot be found with the mark it was made with"""
    t.accept(NEW, policy(), [mark(0xFF, 0x0F)])
    t.refuse(EEXIST, "", NEW, policy(), [mark(0x1F, 0x0F)])
    t.refuse(ENOENT, "", GET, policy_id(), [mark(0xFF, 0x0F)])
    t.accept(GET, policy_id(), [mark(0x0F, 0x0F)])
    t.accept(NEW, policy(), [mark(0x10, 0x0F)])
    t.refuse(ENOENT, "", DEL, policy_id(), [mark(0x10, 0x0F)])
    t.refuse(ENOENT, "", DEL, policy_id())
    t.accept(DEL, policy_id(), [mark(0, 0x0F)])
    dump(t)


@case("NEWPOLICY")
def contexts_that_mean_the_same_are_the_same(t: Talk) -> None:
    """without a SELinux policy all texts but a few initial names mean the same; the first one stays until an update"""
    t.accept(NEW, policy(), [context(b"abc")])
    t.refuse(EEXIST, "", NEW, policy(), [context(b"another")])
    t.refuse(EEXIST, "", NEW, policy(), [context(b"kernel")])
    t.refuse(EEXIST, "", NEW, policy(), [context(b"igmp_packet")])
    t.refuse(EEXIST, "", NEW, policy(), [context(b"kernel\0and more")])
    t.accept(NEW, policy())
    for text in (b"file", b"init", b"netif", b"port", b"node", b"unlabeled"):
        t.accept(NEW, policy(), [context(text)])
    t.refuse(EEXIST, "", NEW, policy(), [context(b"file\0")])
    t.refuse(EEXIST, "", NEW, policy(), [context(b"devnull")])
    t.accept(UPD, policy(), [context(b"kernel")])
    t.accept(GET, policy_id(), [context(b"whatever")])
    t.accept(DEL, policy_id(), [context(b"whatever")])
    dump(t)


# -- index, update, order -----------------------------------------------------------------------------


@case("NEWPOLICY")
def indexes_count_in_steps_of_eight(t: Talk) -> None:
    """over all directions; 0 is passed over; a free one that is asked for is given"""
    for number, direction in enumerate((0, 1, 2, 0)):
        t.accept(NEW, policy(direction, net(number)))
    t.check(indexes(t) == [24, 18, 9, 8], "8 inbound, then 8 more each, newest first")
    t.accept(NEW, policy(0, net(10), index=80))
    t.accept(NEW, policy(0, net(11), index=80))
    t.accept(NEW, policy(0, net(12), index=40))
    t.accept(NEW, policy(0, net(13)))
    t.accept(NEW, policy(0, net(14)))
    t.check(indexes(t)[:5] == [56, 48, 40, 32, 80], "a taken one is passed over")


@case("UPDPOLICY")
def an_update_is_a_new_policy_with_the_old_index(t: Talk) -> None:
    """its place in a dump is that of a new one; an index that is asked for counts only where there was no policy"""
    t.accept(UPD, policy(0, net(1), index=88))
    t.accept(UPD, policy(0, net(2)))
    t.accept(UPD, policy(0, net(1), index=96, priority=9, action=1))
    t.check(indexes(t) == [88, 8], "updated one first")
    t.accept(UPD, policy(0, net(2)), [tmpl(template())])
    t.check(indexes(t) == [8, 88], "updated one first")
    t.accept(GET, policy_id(0, index=88))


@case("GETPOLICY")
def by_index_everything_else_must_agree(t: Talk) -> None:
    """direction, type, mark and if_id; selector and context are not looked at"""
    t.accept(NEW, policy(2, net(1)), [mark(1, 1), (m.XFRMA_IF_ID, 5), kind(SUB), context(b"abc")])
    full = [mark(1, 1), (m.XFRMA_IF_ID, 5), kind(SUB)]
    t.accept(GET, policy_id(2, ANY, index=2), full)
    t.accept(GET, policy_id(2, ANY, index=2), [*full, context(b"abc", size=3)])
    t.refuse(ENOENT, "", GET, policy_id(1, ANY, index=2), full)
    t.refuse(ENOENT, "", GET, policy_id(1, ANY, index=1), full)
    t.refuse(ENOENT, "", GET, policy_id(2, ANY, index=10), full)
    t.refuse(ENOENT, "", GET, policy_id(2, ANY, index=2), [mark(1, 3), *full[1:]])
    t.refuse(ENOENT, "", GET, policy_id(2, ANY, index=2), [full[0], full[2]])
    t.refuse(ENOENT, "", GET, policy_id(2, ANY, index=2), full[:2])
    t.refuse(EINVAL, "Invalid policy direction", GET, policy_id(3, ANY, index=2), full)
    t.refuse(ENOENT, "", DEL, policy_id(2, ANY, index=2))
    t.accept(DEL, policy_id(2, ANY, index=2), full)
    t.refuse(ENOENT, "", DEL, policy_id(2, ANY, index=2), full)


@case("DELPOLICY")
def the_event_names_a_policy_as_it_was_asked_for(t: Talk) -> None:
    """by its selector or by its index, with all of it in XFRMA_POLICY"""
    for number in (1, 2):
        t.accept(NEW, policy(1, net(number)), [tmpl(template()), mark(1), (m.XFRMA_IF_ID, 3)])
    t.events()
    attrs: Attrs = [mark(1), (m.XFRMA_IF_ID, 3)]
    t.accept(DEL, policy_id(1, net(1)), attrs)
    t.accept(DEL, policy_id(1, net(1), index=9), attrs)
    by_sel, by_index = t.events()
    t.check((by_sel.body.sel, by_sel.body.index) == (net(1), 0), "by selector")
    t.check((by_index.body.sel, by_index.body.index) == (ANY, 9), "by index")


@case("GETPOLICY")
def dumps_are_newest_first_and_take_no_attributes(t: Talk) -> None:
    """many datagrams; what follows the header is not even parsed"""
    for number in range(60):
        attrs = [tmpl(*(template(),) * (number % 6 + 1))] if number % 4 else []
        t.accept(NEW, policy(number % 3, net(number)), attrs)
    t.check(len(dump(t)) == 60, "all of them")
    t.send(GET, None, [(m.XFRMA_SA_DIR, b"\7"), kind(9)], NLM_F_DUMP)
    t.send(GET, policy_id(9), (), NLM_F_DUMP)


@case("GETPOLICY")
def a_policy_that_does_not_fit_ends_a_dump(t: Talk) -> None:
    """3776 bytes is all that an answer has; a dump says nothing and stops"""
    t.open("small", 3000)
    t.accept(NEW, policy(1, net(1)))
    for size in (3550, 3563, 3564, 3568, 3580):
        t.accept(UPD, policy(), [context(b"x" * size)])
        t.send(GET, policy_id(), [context(b"x")], flags=0)
    t.refuse(EMSGSIZE, "", GET, policy_id(), [context(b"x")])
    t.send(GET, None, flags=NLM_F_DUMP, socket="small")
    t.accept(NEW, policy(1, net(2)))
    dump(t)


# -- the end of a policy -----------------------------------------------------------------------------


@case("FLUSHPOLICY")
def flushing_nothing_is_no_event(t: Talk) -> None:
    """and no error either"""
    t.accept(m.XFRM_MSG_FLUSHPOLICY)
    t.check(t.events() == [], "no event")
    for number in range(3):
        t.accept(NEW, policy(number))
    t.accept(m.XFRM_MSG_FLUSHPOLICY)
    t.check(len(t.events()) == 4, "one event for all")


@case("POLEXPIRE")
def user_space_says_that_a_policy_expired(t: Talk) -> None:
    """soft: an event; hard: it is gone, and no DELPOLICY"""
    attrs: Attrs = [mark(1, 3), (m.XFRMA_IF_ID, 3)]
    t.accept(NEW, policy(1, net(1)), [tmpl(template()), *attrs])
    t.accept(NEW, policy(1, ANY4), [context(b"abc")])
    policy_expire(t, 0, policy(1, net(1)), attrs)
    policy_expire(t, 0, policy(1, ANY, index=1), attrs)
    policy_expire(t, 0, policy(), [context(b"abc")])
    t.check(len(dump(t)) == 2, "both are there")
    policy_expire(t, 2, policy(1, net(1)), attrs)
    policy_expire(t, 255, policy(), [context(b"abc")])
    t.check(dump(t) == [], "both are gone")
    for body in (policy(1, net(1)), policy(1, index=1)):
        t.refuse(ENOENT, "", m.XFRM_MSG_POLEXPIRE, s.UserPolExpire(body, 1), attrs)
    text = "Invalid policy direction"
    t.refuse(EINVAL, text, m.XFRM_MSG_POLEXPIRE, s.UserPolExpire(policy(3), 1))
    text = "Invalid policy type"
    t.refuse(EINVAL, text, m.XFRM_MSG_POLEXPIRE, s.UserPolExpire(policy(), 1), [kind(2)])
    text = "Invalid security context length"
    t.refuse(
        EINVAL, text, m.XFRM_MSG_POLEXPIRE, s.UserPolExpire(policy(), 1), [context(b"a", size=1)]
    )


@case("POLEXPIRE")
def time_limits_run_off(t: Talk) -> None:
    """first look after a second; without use, use counts from the start; XFRM_INF seconds are in the past; in one tick the last set is first"""
    lifetimes = [(0, 1, 0, 0), (0, 0, 0, 2), (1, 2, 0, 0), (0, XFRM_INF, 0, 0), (0, 0, 2, 0)]
    lifetimes += [(XFRM_INF >> 1, XFRM_INF >> 1, 0, 0), (0, 0, 0, 0)]
    batch = b""
    for number, one in enumerate(lifetimes):
        batch += t.encode(
            NEW, policy(1, net(number), lft=limits(*one)), [tmpl(template())], flags=0
        )
    t.raw(batch)
    for seconds in (0.5, 1, 1):  # between the ticks: a busy machine may be late
        t.sleep(seconds)
    t.events()
    t.check(len(dump(t)) == 3, "three are left")


@case("UPDPOLICY")
def an_update_starts_the_time_again(t: Talk) -> None:
    """add time and limits are the new policy's"""
    t.accept(NEW, policy(lft=limits(0, 1, 0, 0)))
    t.sleep(0.5)
    t.accept(UPD, policy(lft=limits(0, 1, 0, 0)))
    t.sleep(0.7)
    t.check(len(dump(t)) == 1, "still there")
    t.accept(UPD, policy())
    t.sleep(1.2)
    t.check(len(dump(t)) == 1, "there for good")


@case("NEWPOLICY")
def addresses_of_both_families(t: Talk) -> None:
    """IPv6 selectors and templates as IPv4 ones"""
    sel = ANY6._replace(daddr=v6(1), prefixlen_d=128, saddr=v6(2), prefixlen_s=127)
    t.accept(NEW, policy(0, sel), [tmpl(template(v6(3), v6(4)))])
    t.accept(NEW, policy(2, sel), [tmpl(template(v4(3), v4(4)))])
    t.accept(NEW, policy(1, net(1)), [tmpl(template(v6(3), v6(4)), template(v6(5), v6(6), mode=0))])
    dump(t)
