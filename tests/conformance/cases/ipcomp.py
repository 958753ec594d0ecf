"""IPComp: its modes, and the IP-in-IP SA behind a tunnel."""

from __future__ import annotations

from errno import EEXIST, EINVAL, EPROTONOSUPPORT, ESRCH

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.xfrm import AF_INET, AF_INET6, IPPROTO_IPIP, IPPROTO_IPV6
from tests.conformance.parts import (
    ANY,
    ANY6,
    DEFLATE,
    IN,
    OUT,
    alg,
    mark,
    sa,
    sa_id,
    v4,
    v6,
)
from tests.conformance.talk import Talk, case

NEW = m.XFRM_MSG_NEWSA
SETTLE = 0.05  # a kernel takes some of it away behind the caller's back


def helpers(t: Talk) -> list[s.UserSaInfo]:
    """The IP-in-IP SAs that there are."""
    t.sleep(SETTLE)
    return [one.body for one in t.dump_sas() if one.body.id.proto in (IPPROTO_IPIP, IPPROTO_IPV6)]


@case("NEWSA IPComp")
def modes(t: Talk) -> None:
    """Transport and tunnel only"""
    for addresses in ((v4(1), v4(2)), (v6(1), v6(2))):
        info = sa(0x100, *addresses, proto=108, mode=4)
        t.refuse(EINVAL, "Unsupported XFRM mode for IPcomp", NEW, info, [DEFLATE])
        t.accept(NEW, info._replace(mode=0), [DEFLATE])
    ro = sa(0x101, v6(1), v6(2), proto=108, mode=2)
    t.refuse(EINVAL, "Unsupported XFRM mode for IPcomp", NEW, ro, [DEFLATE])
    missing = "Requested mode not found"
    t.refuse(EPROTONOSUPPORT, missing, NEW, sa(proto=108, mode=2), [DEFLATE])


@case("NEWSA IPComp")
def transport_has_no_helper(t: Talk) -> None:
    """In transport mode there is no helper"""
    t.accept(NEW, sa(proto=108, mode=0), [DEFLATE])
    t.check(helpers(t) == [], "a helper")


@case("NEWSA IPComp")
def helper(t: Talk) -> None:
    """A tunnel makes an SA of protocol 4 whose SPI is the source address, and nobody hears of it"""
    info = sa(proto=108, reqid=7, flags=1)
    t.accept(NEW, info, [DEFLATE, mark(1, 3), (m.XFRMA_IF_ID, 5), (m.XFRMA_SA_EXTRA_FLAGS, 1), OUT])
    found = [(one.id.spi, one.reqid) for one in helpers(t)]
    t.check(found == [(int.from_bytes(v4(2)[:4], "big"), 0)], "another helper")
    t.check([e.body.id.proto for e in t.events()] == [108], "the helper was told")
    who = s.UserSaId(v4(1), 0, AF_INET, IPPROTO_IPIP)
    t.check(t.get_sa(who, [(m.XFRMA_SRCADDR, v4(2)), mark(1, 3)]), "GET does not find it")
    t.refuse(ESRCH, "", m.XFRM_MSG_GETSA, who, [(m.XFRMA_SRCADDR, v4(2))])


@case("NEWSA IPComp")
def helper_of_ipv6(t: Talk) -> None:
    """Over IPv6 it is of protocol 41, and its SPI a number of its own"""
    t.accept(NEW, sa(0x100, v6(1), v6(2), proto=108), [DEFLATE])
    t.accept(NEW, sa(0x100, v6(3), v6(2), proto=108), [DEFLATE])
    found = helpers(t)
    t.check([one.id.proto for one in found] == [IPPROTO_IPV6] * 2, "helpers")
    t.check(len({one.id.spi for one in found}) == 1, "one number a source address")


@case("NEWSA IPComp")
def helper_is_shared(t: Talk) -> None:
    """SAs with the same addresses and mark share a helper"""
    for spi in (0x100, 0x101, 0x102):
        t.accept(NEW, sa(spi, proto=108, reqid=spi), [DEFLATE])
    t.check(len(helpers(t)) == 1, "helpers")
    t.accept(NEW, sa(0x103, v4(3), proto=108), [DEFLATE])
    t.check(len(helpers(t)) == 2, "helpers")
    for spi in (0x100, 0x101):
        t.accept(m.XFRM_MSG_DELSA, sa_id(spi, proto=108))
    t.check(len(helpers(t)) == 2, "it went too early")
    t.accept(m.XFRM_MSG_DELSA, sa_id(0x102, proto=108))
    t.check(len(helpers(t)) == 1, "it stayed")


@case("NEWSA IPComp")
def helper_and_marks(t: Talk) -> None:
    """A helper is found by mark as any SA: one with a broad mark serves those with exact ones"""
    t.accept(NEW, sa(0x100, proto=108), [DEFLATE, mark(0, 0)])
    t.accept(NEW, sa(0x101, proto=108), [DEFLATE, mark(7)])
    t.check(len(helpers(t)) == 1, "helpers")
    t.accept(NEW, sa(0x102, v4(3), proto=108), [DEFLATE, mark(7)])
    t.accept(NEW, sa(0x103, v4(3), proto=108), [DEFLATE])
    t.check(len(helpers(t)) == 3, "helpers")


@case("NEWSA IPComp")
def selector_of_another_family(t: Talk) -> None:
    """Selector, AF_UNSPEC and source flags go over to the helper; of an IPv6 SA only the selector"""
    t.accept(NEW, sa(proto=108, sel=ANY6, flags=2), [DEFLATE])
    t.accept(NEW, sa(0x101, v4(3), proto=108, sel=ANY, flags=32), [DEFLATE])
    t.accept(NEW, sa(0x102, v6(1), v6(2), proto=108, sel=ANY, flags=33), [DEFLATE, IN])
    helpers(t)


@case("NEWSA IPComp")
def refused_one_leaves_no_helper(t: Talk) -> None:
    """An SA that is refused after its helper was made takes it along"""
    offload = (m.XFRMA_OFFLOAD_DEV, s.UserOffload(1, 8))
    t.refuse(
        EINVAL, "Unrecognized flags in offload request", NEW, sa(proto=108), [DEFLATE, offload]
    )
    t.check(helpers(t) == [], "it stayed")
    t.accept(NEW, sa(proto=108), [DEFLATE])
    t.refuse(EEXIST, "", NEW, sa(proto=108, saddr=v4(9)), [DEFLATE])
    t.check(len(helpers(t)) == 1, "it stayed")


@case("NEWSA IPComp")
def helper_after_flush(t: Talk) -> None:
    """All gone, a new SA makes a new helper; over IPv6 with the next number"""
    for _ in range(2):
        t.accept(NEW, sa(proto=108), [DEFLATE])
        t.accept(NEW, sa(0x100, v6(1), v6(2), proto=108), [DEFLATE])
        t.check(len(helpers(t)) == 2, "helpers")
        t.accept(m.XFRM_MSG_FLUSHSA, s.UserSaFlush(0))
        t.check(helpers(t) == [], "left")


@case("NEWSA IPComp")
def parameters(t: Talk) -> None:
    """Keys of a compression algorithm are read and not shown"""
    t.accept(NEW, sa(proto=108, mode=0), [(m.XFRMA_ALG_COMP, alg("deflate", 64))])
    t.get_sa(sa_id(proto=108))
    esn = s.ReplayStateEsn(1, 0, 0, 0, 0, 32, bytes(4))
    only = "ESN only supported for ESP and AH"
    t.refuse(EINVAL, only, NEW, sa(0x101, proto=108), [DEFLATE, (m.XFRMA_REPLAY_ESN_VAL, esn)])
    who = s.UserSaId(v6(1), 0, AF_INET6, IPPROTO_IPV6)
    t.refuse(ESRCH, "", m.XFRM_MSG_GETSA, who, [(m.XFRMA_SRCADDR, v6(2))])
