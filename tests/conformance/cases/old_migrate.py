"""MIGRATE, the older message: through a policy, with all its SAs; as 7.2 does it, and (on its own lane) as 6.12 did."""

from __future__ import annotations

from errno import EAFNOSUPPORT, EINVAL, ENODATA, ENOENT, ERANGE
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_DUMP
from pyxfrm.abi.xfrm import AF_INET, AF_INET6
from tests.conformance.cases.policies import context, kind, net, tmpl
from tests.conformance.parts import (
    ANY,
    ANY6,
    add_sa,
    alg,
    encap,
    host,
    mark,
    policy,
    policy_id,
    sa,
    sa_id,
    template,
    v4,
    v6,
)
from tests.conformance.talk import Attrs, Talk, case

MIGRATE = m.XFRM_MSG_MIGRATE
NONE = bytes(16)
FLOW = host(v4(1, 9), v4(2, 9))  # every policy here is met by it


def entry(
    old: bytes = v4(1),
    old_s: bytes = v4(2),
    new: bytes = v4(11),
    new_s: bytes = v4(12),
    **more: Any,
) -> s.UserMigrate:
    """From one pair of addresses to another; tunnel ESP SAs of any reqid unless said otherwise."""
    of, nf = (AF_INET6 if a[:2] == b"\x20\x01" else AF_INET for a in (old, new))
    made = s.UserMigrate(old, old_s, new, new_s, 50, 1, 0, 0, of, nf)
    return made._replace(**more)


def back(**more: Any) -> s.UserMigrate:
    return entry(v4(11), v4(12), v4(1), v4(2), **more)


def ask(*entries: s.UserMigrate) -> list[tuple[int, Any]]:
    return [(m.XFRMA_MIGRATE, entries)]


def add_policy(t: Talk, *templates: s.UserTmpl, attrs: Attrs = (), **more: Any) -> None:
    t.accept(m.XFRM_MSG_NEWPOLICY, policy(**more), [tmpl(*(templates or (template(),))), *attrs])


def ready(t: Talk, *templates: s.UserTmpl) -> None:
    """One policy and one SA."""
    add_policy(t, *templates)
    add_sa(t, sa(reqid=7))


def look(t: Talk) -> None:
    """All SAs and policies, to be compared."""
    t.send(m.XFRM_MSG_GETSA, None, flags=NLM_F_DUMP)
    t.send(m.XFRM_MSG_GETPOLICY, None, flags=NLM_F_DUMP)


def go(t: Talk, *entries: s.UserMigrate, sel: s.Selector = FLOW, attrs: Attrs = ()) -> None:
    t.accept(MIGRATE, policy_id(1, sel), [*ask(*(entries or (entry(),))), *attrs])


def no(
    t: Talk,
    errno: int,
    text: str,
    *entries: s.UserMigrate,
    sel: s.Selector = FLOW,
    attrs: Attrs = (),
    direction: int = 1,
) -> None:
    t.refuse(
        errno, text, MIGRATE, policy_id(direction, sel), [*ask(*(entries or (entry(),))), *attrs]
    )


# -- what is refused ---------------------------------------------------------------------------------


@case("MIGRATE")
def the_list_is_checked_first(t: Talk) -> None:
    """present, policy type, one to six entries, no null address, no entry twice, direction"""
    t.refuse(EINVAL, "Missing required MIGRATE attribute", MIGRATE, policy_id(), [kind(9)])
    text = "Attribute failed policy validation"
    t.refuse(ERANGE, text, MIGRATE, policy_id(), [(m.XFRMA_MIGRATE, bytes(75))], at=m.XFRMA_MIGRATE)
    no(t, EINVAL, "Invalid policy type", entry(new=NONE), attrs=[kind(9)])
    text = "Invalid number of SAs to migrate, must be 0 < num <= XFRM_MAX_DEPTH (6)"
    no(t, EINVAL, text, *(entry(new=NONE),) * 7)
    null = "Addresses in the MIGRATE attribute's list cannot be null"
    no(t, EINVAL, null, entry(new=NONE))
    no(t, EINVAL, null, entry(new_s=NONE), entry())
    no(t, EINVAL, null, entry(new=b"\0\0\0\0" + bytes(range(12))))
    no(t, EINVAL, null, entry(new=NONE, new_family=AF_INET6))
    twice = "Entries in the MIGRATE attribute's list must be unique"
    no(t, EINVAL, twice, entry(), entry(new=NONE))
    no(t, EINVAL, null, entry(), entry(reqid=1, new=NONE), entry(reqid=1))
    no(t, EINVAL, "Invalid policy direction", direction=3)
    no(t, EINVAL, "Invalid policy direction", direction=255, sel=ANY)


@case("MIGRATE")
def the_policy_must_be_met(t: Talk) -> None:
    """by a packet from the selector's source to its destination, with its protocol and ports"""
    lost = "Target policy not found"
    no(t, EAFNOSUPPORT, lost, sel=ANY)
    no(t, EAFNOSUPPORT, lost, sel=ANY._replace(family=7))
    no(t, ENOENT, lost)
    add_policy(t, sel=net(9))
    no(t, ENOENT, lost, direction=0)
    no(t, ENOENT, lost, sel=host(v4(1, 8), v4(2, 9)))
    no(t, ENOENT, lost, sel=ANY6)
    no(t, ENOENT, lost, attrs=[(m.XFRMA_IF_ID, 1)])
    no(t, ENOENT, lost, attrs=[kind(1)])
    go(t)
    add_policy(t, sel=net(8)._replace(proto=6, dport=80, dport_mask=0xFFFF), attrs=[mark(0, 1)])
    packet = host(v4(1, 8), v4(2))._replace(proto=6, dport=80, sport=9)
    no(t, ENOENT, lost, sel=packet._replace(proto=17))
    no(t, ENOENT, lost, sel=packet._replace(dport=81))
    no(t, ENOENT, lost, sel=packet._replace(proto=0))
    go(t, sel=packet)
    add_policy(t, sel=net(7), attrs=[mark(1, 1)])
    no(t, ENOENT, lost, sel=host(v4(1, 7), v4(2)))
    look(t)


@case("MIGRATE")
def the_interface_counts(t: Talk) -> None:
    """The packet leaves by the selector's interface, whatever its protocol, but for protocol 255"""
    lost = "Target policy not found"
    add_policy(t, sel=net(9)._replace(ifindex=7))
    packet = host(v4(1, 9), v4(2))
    for proto in (0, 17, 99):
        no(t, ENOENT, lost, sel=packet._replace(proto=proto))
        no(t, ENOENT, lost, sel=packet._replace(proto=proto, ifindex=8))
    no(t, ENOENT, lost, sel=packet._replace(proto=255, ifindex=7))
    go(t, sel=packet._replace(ifindex=7))
    add_policy(t, sel=net(8))
    go(t, sel=host(v4(1, 8), v4(2))._replace(proto=255, ifindex=7))
    look(t)


@case("MIGRATE")
def icmp_and_gre_have_ports_of_their_own(t: Talk) -> None:
    """type and code of ICMP, the key of GRE: all in what would be the ports of the packet"""
    for number, proto, dport, sport, first, second in (
        (1, 1, 0, 8, 0x0800, 0),
        (2, 1, 3, 5, 0x0503, 7),
        (3, 47, 2, 1, 1, 2),
        (4, 50, 0, 0, 1, 2),
        (5, 132, 1, 2, 1, 2),
    ):
        ports = net(number)._replace(dport=dport, dport_mask=0xFFFF, sport=sport, sport_mask=0xFFFF)
        add_policy(t, sel=ports._replace(proto=proto))
        flow = host(v4(1, number), v4(2))._replace(proto=proto, dport=first, sport=second)
        go(t, sel=flow)
        no(t, ENODATA, "", sel=flow)


@case("MIGRATE")
def no_template_fits(t: Talk) -> None:
    """mode, protocol, reqid, addresses: what was cloned is taken back"""
    ready(t, template(reqid=5))
    for wrong in (
        {"mode": 0},
        {"mode": 4},
        {"proto": 51},
        {"reqid": 7},
        {"old_daddr": v4(99)},
        {"old_saddr": v4(99)},
    ):
        no(t, ENODATA, "", entry(**wrong))
    t.accept(m.XFRM_MSG_UPDPOLICY, policy())
    no(t, ENODATA, "")
    t.check(t.get_sa(sa_id()) is not None, "the SA is where it was")
    look(t)


@case("MIGRATE")
def a_clone_that_cannot_be_made(t: Talk) -> None:
    """says why since 7.2; the errno is always the same"""
    ready(t)
    no(t, ENODATA, "Requested type not found", entry(new_family=7))
    no(t, ENODATA, "Unsupported encapsulation type for ESP", attrs=[encap(kind=7)])
    no(t, ENODATA, "Unsupported encapsulation type for ESP", attrs=[encap(kind=0)])
    inner = sa(0x200, mode=0, sel=host(v4(1), v4(2)))
    add_sa(t, inner)
    text = "Only tunnel modes can accommodate a change of family"
    no(t, ENODATA, text, entry(mode=0, new=v6(1), new_s=v6(2)))
    look(t)


@case("MIGRATE")
def the_new_place_is_taken(t: Talk) -> None:
    """nothing moves; those moved before are moved back; a larval SA that gave way stays away"""
    ready(t)
    add_sa(t, sa(0x200, reqid=8))
    add_sa(t, sa(0x200, v4(21), reqid=9))
    asked = s.UserSpiInfo(sa(0, v4(11), v4(12), reqid=7), 0x300, 0x300)
    t.send(m.XFRM_MSG_ALLOCSPI, asked)
    no(t, ENODATA, "Failed to add migrated state", entry(reqid=7), entry(reqid=8, new=v4(21)))
    look(t)


@case("MIGRATE")
def a_larval_sa_cannot_move(t: Talk) -> None:
    """it has no keys yet"""
    add_policy(t)
    t.send(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa(0), 0x300, 0x300))
    no(t, ENODATA, "ESP: AEAD or CRYPT must be provided")
    look(t)


@case("MIGRATE")
def offload_asked_for_where_there_is_none(t: Talk) -> None:
    """a request for packets is refused without a word, one for crypto is passed over"""
    ready(t)
    device = m.XFRMA_OFFLOAD_DEV
    no(t, ENODATA, "", attrs=[(device, s.UserOffload(1, 4))])
    no(t, ENODATA, "Unrecognized flags in offload request", attrs=[(device, s.UserOffload(1, 8))])
    look(t)
    go(t, attrs=[(device, s.UserOffload(1, 0))])
    look(t)


# -- what moves --------------------------------------------------------------------------------------


@case("MIGRATE")
def one_tunnel_there_and_back(t: Talk) -> None:
    """the template and the SA; no NEWSA, DELSA or UPDPOLICY tells it"""
    ready(t)
    t.events()
    go(t, entry(reserved=0x5555))
    t.check([one.name for one in t.events()] == ["XFRM_MSG_MIGRATE"], "one event")
    t.check(t.get_sa(sa_id()) is None, "gone")
    t.check(t.get_sa(sa_id(0x100, v4(11))) is not None, "there")
    look(t)
    go(t, back())
    look(t)


@case("MIGRATE")
def a_policy_without_sas(t: Talk) -> None:
    """only the template moves"""
    add_policy(t)
    go(t)
    no(t, ENODATA, "")
    look(t)


@case("MIGRATE")
def the_event_tells_what_was_asked(t: Talk) -> None:
    """selector, direction, addresses of the key manager, encapsulation, type, each entry; it names no cause"""
    ready(t)
    km = (m.XFRMA_KMADDRESS, s.KmAddress(v4(77), v4(88), 0xABCD, AF_INET, b"xy"))
    go(
        t,
        entry(),
        entry(reqid=99),
        entry(reqid=98),
        sel=FLOW._replace(user=9, pad=b"abc"),
        attrs=[km, encap()],
    )
    event = t.events()[-1]
    t.check((event.header.nlmsg_seq, event.header.nlmsg_pid) == (0, 0), "no cause")
    t.check([a.number for a in event.attrs] == [19, 4, 16, 17, 17, 17], "its attributes")


@case("MIGRATE")
def encapsulation_left_out_is_removed(t: Talk) -> None:
    """since 7.2; with what hangs on it. Given, it is taken, and what hangs on it is kept"""
    add_policy(t)
    nat: Attrs = [encap(), (m.XFRMA_NAT_KEEPALIVE_INTERVAL, 20), (m.XFRMA_SA_DIR, b"\2")]
    add_sa(t, sa(0x100), nat)
    look(t)
    go(t, attrs=[encap(4501, 4502)])
    look(t)
    go(t, back())
    look(t)
    go(t, attrs=[encap(4503, 4504)])
    look(t)


@case("MIGRATE")
def a_mapping_threshold_goes_with_the_encapsulation(t: Talk) -> None:
    """inbound"""
    add_policy(t)
    add_sa(t, sa(0x100), [encap(), (m.XFRMA_MTIMER_THRESH, 60), (m.XFRMA_SA_DIR, b"\1")])
    go(t, attrs=[encap(4501, 4502)])
    look(t)
    go(t, back())
    look(t)


@case("MIGRATE")
def all_templates_that_fit(t: Talk) -> None:
    """a template may be moved by one entry after another; transport templates have no addresses to move"""
    add_policy(
        t, template(), template(reqid=7), template(mode=4), template(mode=0), template(proto=51)
    )
    go(t, entry(), back(mode=4), entry(mode=4), entry(mode=0))
    look(t)
    go(t, back(), entry(new=v4(31)))
    look(t)


@case("MIGRATE")
def several_sas_at_once(t: Talk) -> None:
    """each entry moves the first SA that it finds, one that was found before included; the table grows meanwhile"""
    add_policy(t, template(), template(mode=0))
    for number in range(4):
        add_sa(t, sa(0x100 + number, reqid=1 + number // 2, mode=number % 2))
    go(t, entry(), entry(reqid=1), entry(mode=0), entry(mode=0, reqid=1))
    look(t)
    t.sleep(0.05)
    go(t, back(), back(reqid=2))
    look(t)
    first = entry(new=v4(21))
    for second in (
        entry(reqid=1),
        entry(reqid=2, new=v4(21)),
        back(new_daddr=v4(21)),
        back(reqid=1),
    ):
        t.send(MIGRATE, policy_id(1, FLOW), ask(first, second))
        t.sleep(0.05)
        look(t)


@case("MIGRATE")
def the_source_alone(t: Talk) -> None:
    """with the destination the same, nobody looks whether the place is taken"""
    ready(t)
    for number in range(3):
        go(t, entry(v4(1), v4(2 + number), v4(1), v4(3 + number)))
        look(t)


@case("MIGRATE")
def the_family_changes(t: Talk) -> None:
    """since 7.2 the families are compared before the addresses"""
    ready(t)
    add_sa(t, sa(0x200, v6(1), v6(2), reqid=7))
    go(t, entry(new=v6(11), new_s=v6(12)))
    look(t)
    go(t, entry(v6(11), v6(12), v4(1), v4(2)))
    look(t)
    lookalike = v4(1)[:4] + v6(5)[4:]
    go(t, entry(new=lookalike, new_family=AF_INET6))
    look(t)


@case("MIGRATE")
def marks_and_if_id(t: Talk) -> None:
    """marks come along; an if_id picks policy and SA, none picks any SA but only a policy without"""
    add_policy(t)
    add_policy(t, attrs=[(m.XFRMA_IF_ID, 5)])
    add_policy(t, attrs=[(m.XFRMA_IF_ID, 6)])
    extra: Attrs = [mark(1, 0xFF), (m.XFRMA_SET_MARK, 5), (m.XFRMA_SET_MARK_MASK, 7)]
    add_sa(t, sa(0x100), [(m.XFRMA_IF_ID, 5), *extra])
    go(t, attrs=[(m.XFRMA_IF_ID, 6)])
    look(t)
    go(t, attrs=[(m.XFRMA_IF_ID, 5)])
    look(t)
    go(t)
    look(t)
    go(t, back())
    look(t)


@case("MIGRATE")
def counters_and_windows_come_along(t: Talk) -> None:
    """sequence numbers, replay window, ESN, lifetime counters; statistics start again"""
    add_policy(t, template(reqid=8), template(reqid=9))
    now = (m.XFRMA_LTIME_VAL, s.LifetimeCur(1, 2, 1_600_000_000, 1_600_000_001))
    old = (m.XFRMA_REPLAY_VAL, s.ReplayState(1, 2, 3))
    esn = s.ReplayStateEsn(4, 5, 6, 7, 8, 100, b"\xff\1" + bytes(14))
    add_sa(t, sa(0x100, reqid=8, replay_window=32), [now, old])
    add_sa(t, sa(0x200, reqid=9, flags=128), [now, (m.XFRMA_REPLAY_ESN_VAL, esn)])
    go(t, entry(reqid=9), entry(reqid=8))
    look(t)


@case("MIGRATE")
def a_security_context_gets_longer(t: Talk) -> None:
    """by a NUL each time; until it has a page, then the SA cannot be moved any more"""
    add_policy(t, template(), template(reqid=9))
    add_sa(t, sa(0x100), [context(b"abc")])
    go(t)
    go(t, back())
    look(t)
    add_sa(t, sa(0x200, reqid=9), [context(b"z" * 4094)])
    go(t, entry(reqid=9))
    text = "Failed to clone and setup state"
    t.check(t.get_sa(sa_id(0x200, v4(11))) is None, "too long for an answer")
    no(t, ENODATA, text, back(reqid=9))


@case("MIGRATE")
def an_ipcomp_tunnel_takes_its_helper_along(t: Talk) -> None:
    """the helper is made where the clone is tried: at the new addresses since 7.2, before at the old ones"""
    add_policy(t, template(proto=108))
    deflate = (m.XFRMA_ALG_COMP, alg("deflate", 0))
    t.accept(m.XFRM_MSG_NEWSA, sa(0x77, proto=108), [deflate])
    look(t)
    go(t, entry(proto=108))
    t.sleep(0.2)
    look(t)
    go(t, back(proto=108))
    t.sleep(0.2)
    look(t)


@case("MIGRATE")
def an_sa_of_another_family_in_the_same_bucket(t: Talk) -> None:
    """the family of an SA is never asked for, only where in the table it would be"""
    add_policy(t, template(), template(v6(1), v6(2)))
    for number in range(8):
        add_sa(t, sa(0x100 + number, reqid=number + 1))
    for number in range(16):
        reqid = number % 8 + 1
        t.send(MIGRATE, policy_id(1, FLOW), ask(entry(old_family=number, reqid=reqid)))
        t.send(MIGRATE, policy_id(1, FLOW), ask(entry(old_family=number)))
    look(t)


@case("MIGRATE")
def the_policy_that_wins(t: Talk) -> None:
    """lower priority value, then age; but an update of the same priority stays where it was in its list"""
    for number, bits in enumerate((0, 16, 20, 24, 28, 32)):
        add_policy(
            t, template(reqid=number + 1), sel=net(9, bits)._replace(daddr=v4(1, 9)), priority=5
        )
    for number in range(6):
        t.send(MIGRATE, policy_id(1, FLOW), ask(entry(reqid=number + 1, new=v4(1), new_s=v4(2))))
    t.accept(
        m.XFRM_MSG_UPDPOLICY,
        policy(1, net(9, 16)._replace(daddr=v4(1, 9)), priority=5),
        [tmpl(template(reqid=2))],
    )
    for number in range(6):
        t.send(MIGRATE, policy_id(1, FLOW), ask(entry(reqid=number + 1, new=v4(1), new_s=v4(2))))
    t.accept(m.XFRM_MSG_DELPOLICY, policy_id(1, net(9, 0)._replace(daddr=v4(1, 9))))
    for number in range(6):
        t.send(MIGRATE, policy_id(1, FLOW), ask(entry(reqid=number + 1, new=v4(1), new_s=v4(2))))


@case("MIGRATE")
def thresholds_sort_policies_anew(t: Talk) -> None:
    """by priority and age"""
    for number, bits in enumerate((24, 25, 26)):
        add_policy(t, template(reqid=number + 1), sel=net(9, bits), priority=5)
    t.accept(m.XFRM_MSG_UPDPOLICY, policy(1, net(9, 24), priority=5), [tmpl(template(reqid=1))])
    for bits in (32, 24, 8, 0, 25):
        t.accept(m.XFRM_MSG_NEWSPDINFO, 0, [(m.XFRMA_SPD_IPV4_HTHRESH, s.SpdHthresh(0, bits))])
        t.sleep(0.1)
        for number in range(3):
            same = entry(reqid=number + 1, new=v4(1), new_s=v4(2))
            t.send(MIGRATE, policy_id(1, FLOW), ask(same))
