"""NEWSA: every refusal, in the order of the checks."""

from __future__ import annotations

from errno import EINVAL, ENOSYS, EPROTONOSUPPORT, ERANGE
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.xfrm import AF_INET6
from pyxfrm.wire.attrs import Attr, make
from tests.conformance.parts import (
    ANY,
    ANY4,
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
    sa,
    v6,
)
from tests.conformance.talk import Attrs, Talk, case

NEW = m.XFRM_MSG_NEWSA
ESP_NEEDS = "Missing required attribute for ESP: at least one of AUTH, AUTH_TRUNC, CRYPT, AEAD"
COADDR = (m.XFRMA_COADDR, v6(9))
MOBILITY: dict[str, Any] = {"daddr": v6(1), "saddr": v6(2), "mode": 2, "proto": 60}


def no(
    t: Talk,
    text: str,
    info: s.UserSaInfo | None = None,
    attrs: Attrs = (GCM,),
    errno: int = EINVAL,
) -> None:
    """A NEWSA that is refused with this text."""
    t.refuse(errno, text, NEW, info or sa(), attrs)


# -- the structure ---------------------------------------------------------------------------------


@case("NEWSA")
def short(t: Talk) -> None:
    """A structure cut short is refused before anything in it is looked at"""
    whole = t.encode(NEW, sa(family=7))
    for size in (16, 17, 100, 239):
        t.raw(size.to_bytes(4, "little") + whole[4:size])
    t.check(t.raw(whole)[-1].body.text == "Invalid address family", "not looked at")


@case("NEWSA")
def family(t: Talk) -> None:
    """The family must be IPv4 or IPv6"""
    for number in (0, 1, 7, 0xFFFF):
        no(t, "Invalid address family", sa(family=number))


@case("NEWSA")
def selector(t: Talk) -> None:
    """Prefix lengths must fit the selector's family, the SA's where it has none, none with AF_UNSPEC"""
    long4 = "Invalid prefix length in selector (must be <= 32 for IPv4)"
    long6 = "Invalid prefix length in selector (must be <= 128 for IPv6)"
    for field in ("prefixlen_d", "prefixlen_s"):
        too_long: dict[str, Any] = {field: 33}
        far_too_long: dict[str, Any] = {field: 129}
        no(t, long4, sa(sel=ANY4._replace(**too_long)))
        no(t, long4, sa(sel=ANY._replace(**too_long)))
        no(t, long6, sa(sel=ANY6._replace(**far_too_long)))
        no(t, long6, sa(daddr=v6(1), saddr=v6(2), sel=ANY._replace(**far_too_long)))
    no(t, "Invalid address family in selector", sa(sel=ANY._replace(family=3)))
    t.accept(NEW, sa(sel=ANY._replace(prefixlen_d=200), flags=32), [GCM])
    t.accept(NEW, sa(0x101, sel=ANY6._replace(prefixlen_d=128)), [GCM])


@case("NEWSA")
def protocol(t: Talk) -> None:
    """Only AH, ESP, IPComp and Mobile IPv6's two protocols make an SA"""
    for number in (0, 4, 17, 41, 132, 135, 255):
        no(t, "Unsupported protocol", sa(proto=number))


@case("NEWSA")
def order_of_checks(t: Talk) -> None:
    """Each refusal hides the ones behind it"""
    bad = ANY4._replace(prefixlen_d=99)
    tail: list[tuple[int, object]] = [
        (m.XFRMA_MTIMER_THRESH, 1),
        (m.XFRMA_REPLAY_ESN_VAL, bytes(24)),
    ]
    short_key = make(m.XFRMA_ALG_AEAD, alg("nothing", 160, 128)[0] + bytes(8))
    no(t, "Invalid address family", sa(family=1, sel=bad, proto=0, mode=9), tail)
    no(t, "Invalid prefix length in selector (must be <= 32 for IPv4)", sa(sel=bad, proto=0), tail)
    no(t, "Unsupported protocol", sa(proto=0, mode=9), tail)
    no(t, ESP_NEEDS, sa(mode=9, replay_window=1), tail)
    cut = Attr(short_key.type, short_key.payload[:64] + (1).to_bytes(4, "little") + bytes(4))
    no(t, "Invalid AEAD attribute length", sa(mode=9, replay_window=1), [*tail, cut])
    no(t, "ESN not compatible with legacy replay_window", sa(mode=9, replay_window=1), [*tail, GCM])
    no(t, "Unsupported mode", sa(mode=9), [*tail, GCM])
    no(t, "MTIMER_THRESH requires encapsulation", sa(flags=2), [*tail, OUT, GCM])
    no(t, "Flag DECAP_DSCP should not be set for output SA", sa(flags=2), [tail[1], OUT, GCM])


# -- what a protocol needs and forbids ---------------------------------------------------------------


@case("NEWSA")
def ah(t: Talk) -> None:
    """AH needs an integrity algorithm and takes nothing else"""
    no(t, "Missing required attribute for AH: AUTH_TRUNC or AUTH", sa(proto=51), [GCM])
    for other in (GCM, CBC, DEFLATE, (m.XFRMA_TFCPAD, 0)):
        no(t, "Invalid attributes for AH: AEAD, CRYPT, COMP, TFCPAD", sa(proto=51), [SHA1, other])
    t.accept(NEW, sa(proto=51), [SHA1])
    t.accept(NEW, sa(0x101, proto=51), [SHA256])
    t.accept(NEW, sa(0x102, v6(1), v6(2), proto=51), [SHA1, SHA256])


@case("NEWSA")
def esp(t: Talk) -> None:
    """ESP needs an AEAD algorithm, or a cipher and perhaps a hash, not both"""
    no(t, "Invalid attribute for ESP: COMP", attrs=[GCM, DEFLATE])
    no(t, ESP_NEEDS, attrs=[])
    both = "Invalid attribute combination for ESP: AEAD can't be used with AUTH, AUTH_TRUNC, CRYPT"
    for other in (SHA1, SHA256, CBC):
        no(t, both, attrs=[GCM, other])
    no(t, "ESP: AEAD or CRYPT must be provided", attrs=[SHA1])
    t.accept(NEW, sa(), [CBC])
    t.accept(NEW, sa(0x101), [CBC, SHA1])


@case("NEWSA")
def traffic_flow_confidentiality(t: Talk) -> None:
    """TFC padding is for tunnels, and at most 65535 bytes"""
    no(t, "TFC padding can only be used in tunnel mode", sa(mode=0), [GCM, (m.XFRMA_TFCPAD, 0)])
    no(t, "TFC padding can only be used in tunnel mode", sa(mode=4), [GCM, (m.XFRMA_TFCPAD, 9)])
    no(t, "Excessive TFC padding", attrs=[GCM, (m.XFRMA_TFCPAD, 65536)])
    no(
        t,
        "Requested CRYPT algorithm not found",
        sa(),
        [*unknown("CRYPT"), (m.XFRMA_TFCPAD, 65536)],
        ENOSYS,
    )
    add_sa(t, attrs=[(m.XFRMA_TFCPAD, 65535)])


@case("NEWSA")
def ipcomp(t: Talk) -> None:
    """IPComp needs a compression algorithm, takes nothing else, and has SPIs of 16 bits"""
    no(t, "Missing required attribute for COMP: COMP", sa(proto=108), [GCM])
    only = "Invalid attributes for COMP: AEAD, AUTH, AUTH_TRUNC, CRYPT, TFCPAD"
    for other in (GCM, SHA1, SHA256, CBC, (m.XFRMA_TFCPAD, 0)):
        no(t, only, sa(proto=108), [DEFLATE, other])
    no(t, "SPI is too large for COMP (must be < 0x10000)", sa(0x10000, proto=108), [DEFLATE])
    t.accept(NEW, sa(0xFFFF, proto=108), [DEFLATE])


@case("NEWSA")
def mobility(t: Talk) -> None:
    """Destination options and routing headers need a care-of address and nothing else"""
    for proto in (60, 43):
        info = sa(0, **{**MOBILITY, "proto": proto})
        no(t, "Missing required COADDR attribute for DSTOPTS/ROUTING", info, [])
        label = (m.XFRMA_SEC_CTX, s.UserSecCtx(9, 8, 1, 1, 1, b"x"))
        for other in (DEFLATE, SHA1, SHA256, GCM, CBC, encap(), label, (m.XFRMA_TFCPAD, 0)):
            no(t, "Invalid attributes for DSTOPTS/ROUTING", info, [COADDR, other])
        no(t, "SPI must be 0", sa(9, **{**MOBILITY, "proto": proto}), [COADDR])
        mode = "XFRM mode must be XFRM_MODE_ROUTEOPTIMIZATION"
        no(t, mode, sa(0, v6(1), v6(2), proto=proto), [COADDR])
        t.accept(NEW, info, [COADDR])
        t.send(m.XFRM_MSG_GETSA, s.UserSaId(v6(1), 0, AF_INET6, proto), [(m.XFRMA_SRCADDR, v6(2))])


# -- lengths inside attributes -----------------------------------------------------------------------


@case("NEWSA")
def key_lengths(t: Talk) -> None:
    """A key must be there in its whole length; more bytes than that are ignored"""
    common = "Invalid AUTH/CRYPT/COMP attribute length"
    for number, text, proto in (
        (m.XFRMA_ALG_AEAD, "Invalid AEAD attribute length", 50),
        (m.XFRMA_ALG_AUTH_TRUNC, "Invalid AUTH_TRUNC attribute length", 51),
        (m.XFRMA_ALG_AUTH, common, 51),
        (m.XFRMA_ALG_CRYPT, common, 50),
        (m.XFRMA_ALG_COMP, common, 108),
    ):
        head = b"nobody".ljust(64, b"\0") + (65).to_bytes(4, "little")
        if number in (m.XFRMA_ALG_AEAD, m.XFRMA_ALG_AUTH_TRUNC):
            head += (128).to_bytes(4, "little")
        no(t, text, sa(proto=proto), [make(number, head + bytes(8))])
        kind = m.ATTRIBUTES[number][0].removeprefix("XFRMA_ALG_")
        no(
            t,
            f"Requested {kind} algorithm not found",
            sa(proto=proto),
            [make(number, head + bytes(9))],
            ENOSYS,
        )
    longer = make(
        m.XFRMA_ALG_CRYPT, b"cbc(aes)".ljust(64, b"\0") + (128).to_bytes(4, "little") + bytes(99)
    )
    t.accept(NEW, sa(), [longer])


@case("NEWSA")
def key_length_wraps(t: Talk) -> None:
    """The last seven numbers of a 32-bit key length wrap to no bytes at all"""
    for bits in (0xFFFFFFF8, 0xFFFFFFF9, 0xFFFFFFFF):
        head = b"cbc(aes)".ljust(64, b"\0") + bits.to_bytes(4, "little")
        t.send(NEW, sa(), [make(m.XFRMA_ALG_CRYPT, head)])


@case("NEWSA")
def unterminated_name(t: Talk) -> None:
    """A name without its NUL is cut in the request itself: the echo shows it cut"""
    for number, size in (
        (m.XFRMA_ALG_AEAD, 72),
        (m.XFRMA_ALG_AUTH_TRUNC, 72),
        (m.XFRMA_ALG_CRYPT, 68),
    ):
        t.send(
            NEW,
            sa(proto=51 if number == m.XFRMA_ALG_AUTH_TRUNC else 50),
            [make(number, b"x" * 64 + bytes(size - 64))],
        )


def unknown(kind: str) -> list[tuple[int, object]]:
    """An algorithm of that kind that no kernel has."""
    made = {
        "AEAD": (m.XFRMA_ALG_AEAD, alg("rfc4106(gcm(des))", 160, 128)),
        "AUTH": (m.XFRMA_ALG_AUTH, alg("hmac(crc32)", 160)),
        "AUTH_TRUNC": (m.XFRMA_ALG_AUTH_TRUNC, alg("hmac(crc32)", 160, trunc=96)),
        "CRYPT": (m.XFRMA_ALG_CRYPT, alg("cbc(rot13)", 128)),
        "COMP": (m.XFRMA_ALG_COMP, alg("lzma", 0)),
    }
    return [made[kind]]


@case("NEWSA")
def unknown_algorithms(t: Talk) -> None:
    """An algorithm that is not there is ENOSYS, with its kind"""
    for kind, proto in (
        ("AEAD", 50),
        ("AUTH", 51),
        ("AUTH_TRUNC", 51),
        ("CRYPT", 50),
        ("COMP", 108),
    ):
        no(t, f"Requested {kind} algorithm not found", sa(proto=proto), unknown(kind), ENOSYS)
    no(
        t,
        "Requested COMP algorithm not found",
        sa(proto=108),
        [(m.XFRMA_ALG_COMP, alg("lzs", 0))],
        ENOSYS,
    )
    no(
        t,
        "Requested COMP algorithm not found",
        sa(proto=108),
        [(m.XFRMA_ALG_COMP, alg("lzjh", 0))],
        ENOSYS,
    )
    no(
        t,
        "Requested AEAD algorithm not found",
        attrs=[(m.XFRMA_ALG_AEAD, alg("rfc4106(gcm(aes))", 160, 32))],
        errno=ENOSYS,
    )
    no(
        t,
        "Requested CRYPT algorithm not found",
        attrs=[(m.XFRMA_ALG_CRYPT, alg("CBC(AES)", 128))],
        errno=ENOSYS,
    )
    no(
        t,
        "Requested CRYPT algorithm not found",
        attrs=[(m.XFRMA_ALG_CRYPT, alg("", 128))],
        errno=ENOSYS,
    )


@case("NEWSA")
def truncation(t: Talk) -> None:
    """An ICV cannot be longer than the hash; a length of 0 means the algorithm's own"""
    too_long = (m.XFRMA_ALG_AUTH_TRUNC, alg("hmac(sha1)", 160, trunc=161))
    no(t, "Invalid length requested for truncated ICV", sa(proto=51), [too_long])
    for spi, bits in ((0x100, 0), (0x101, 1), (0x102, 8), (0x103, 96), (0x104, 160)):
        trunc = (m.XFRMA_ALG_AUTH_TRUNC, alg("hmac(sha1)", 160, trunc=bits))
        t.accept(NEW, sa(spi, proto=51), [trunc])
        t.send(NEW, sa(spi), [trunc, CBC])
    t.dump_sas()


@case("NEWSA")
def security_context_length(t: Talk) -> None:
    """The lengths inside a security context must agree"""
    for size, length, text in (
        (8, 1, b"x"),
        (9, 0, b"x"),
        (10, 2, b"x"),
        (9, 2, b"xy"),
        (7, 0, b""),
    ):
        label = (m.XFRMA_SEC_CTX, s.UserSecCtx(size, 8, 1, 1, length, text))
        no(t, "Invalid security context length", attrs=[GCM, label])


# -- mode, mapping threshold, keepalive, CPU ---------------------------------------------------------


@case("NEWSA")
def mode(t: Talk) -> None:
    """IN_TRIGGER and unknown modes are refused, a mode that the family lacks is not found"""
    for number in (3, 6, 7, 255):
        no(t, "Unsupported mode", sa(mode=number))
    no(t, "Requested mode not found", sa(mode=2), errno=EPROTONOSUPPORT)
    no(
        t,
        "Only tunnel modes can accommodate a change of family",
        sa(mode=2, sel=ANY6),
        errno=EPROTONOSUPPORT,
    )
    t.send(NEW, sa(0x100, v6(1), v6(2), mode=2), [GCM])
    t.send(NEW, sa(0x101, v6(1), v6(2), mode=2, sel=ANY4), [GCM])


@case("NEWSA")
def iptfs(t: Talk) -> None:
    """IP-TFS needs ESP and a direction, its options need IP-TFS; a kernel built without it forgets them"""
    drop = (m.XFRMA_IPTFS_DROP_TIME, 9)
    window = (m.XFRMA_IPTFS_REORDER_WINDOW, 3)
    frag: Attr = make(m.XFRMA_IPTFS_DONT_FRAG, b"")
    delay = (m.XFRMA_IPTFS_INIT_DELAY, 9)
    queue = (m.XFRMA_IPTFS_MAX_QSIZE, 9)
    size = (m.XFRMA_IPTFS_PKT_SIZE, 900)
    for option in (drop, window, frag, delay, queue, size):
        no(t, "IP-TFS options can only be used in IP-TFS mode", attrs=[GCM, option])
    no(t, "IP-TFS mode only supported with ESP", sa(proto=51, mode=5), [SHA1, drop])
    no(t, "IP-TFS mode requires in or out direction attribute", sa(mode=5))
    no(t, "IP-TFS drop time should not be set for output SA", sa(mode=5), [GCM, OUT, drop, window])
    no(t, "IP-TFS reorder window should not be set for output SA", sa(mode=5), [GCM, OUT, window])
    for option, name in (
        (frag, "don't fragment"),
        (delay, "initial delay"),
        (queue, "max queue size"),
        (size, "packet size"),
    ):
        no(t, f"IP-TFS {name} should not be set for input SA", sa(mode=5), [GCM, IN, option])
    t.send(NEW, sa(mode=5), [GCM, IN, drop, window])
    t.send(NEW, sa(0x101, mode=5), [GCM, OUT, frag, delay, queue, size])
    t.dump_sas()


@case("NEWSA")
def change_of_family(t: Talk) -> None:
    """A selector of the other family needs a tunnel"""
    only = "Only tunnel modes can accommodate a change of family"
    no(t, only, sa(sel=ANY6, mode=0), errno=EPROTONOSUPPORT)
    no(t, only, sa(0x100, v6(1), v6(2), sel=ANY4, mode=0), errno=EPROTONOSUPPORT)
    for spi, number in ((0x100, 1), (0x101, 4)):
        t.accept(NEW, sa(spi, sel=ANY6, mode=number), [GCM])
        t.accept(NEW, sa(spi, v6(1), v6(2), sel=ANY4, mode=number), [GCM])
    t.accept(NEW, sa(0x102, v6(1), v6(2), sel=ANY, mode=0), [GCM])
    t.accept(NEW, sa(0x103, v6(1), v6(2), sel=ANY, mode=0, flags=32), [GCM])


@case("NEWSA")
def type_not_found(t: Talk) -> None:
    """Mobile IPv6's protocols do not exist for IPv4"""
    for proto in (43, 60):
        info = sa(0, mode=1, proto=proto)
        no(t, "Requested type not found", info, [COADDR], EPROTONOSUPPORT)


@case("NEWSA")
def ah_over_ipv6_mode(t: Talk) -> None:
    """AH over IPv6 has no route optimisation"""
    text = "Invalid mode requested for AH, must be one of TRANSPORT, TUNNEL, BEET"
    no(t, text, sa(0x100, v6(1), v6(2), proto=51, mode=2), [SHA1])
    for spi, number in ((0x100, 0), (0x101, 1), (0x102, 4)):
        t.accept(NEW, sa(spi, v6(1), v6(2), proto=51, mode=number), [SHA1])


@case("NEWSA")
def encapsulation(t: Talk) -> None:
    """ESP takes UDP encapsulation of type 2 only, AH and IPComp none"""
    for info in (sa(), sa(0x100, v6(1), v6(2))):
        for kind in (0, 1, 3, 4, 5, 7, 0xFFFF):
            no(t, "Unsupported encapsulation type for ESP", info, [GCM, encap(kind=kind)])
        t.accept(NEW, info, [GCM, encap(0, 0)])
    six: dict[str, Any] = {"daddr": v6(1), "saddr": v6(2)}
    for addresses in ({}, six):
        no(t, "AH is not compatible with encapsulation", sa(proto=51, **addresses), [SHA1, encap()])
        comp = sa(proto=108, **addresses)
        no(t, "IPComp is not compatible with encapsulation", comp, [DEFLATE, encap()])


@case("NEWSA")
def mapping_threshold(t: Talk) -> None:
    """MTIMER_THRESH wants encapsulation and no output SA; 0 counts as given"""
    for value in (0, 30):
        thresh = (m.XFRMA_MTIMER_THRESH, value)
        no(t, "MTIMER_THRESH requires encapsulation", attrs=[GCM, thresh])
        no(t, "MTIMER_THRESH requires encapsulation", attrs=[GCM, thresh, OUT])
        outbound = "MTIMER_THRESH should not be set on output SA"
        no(t, outbound, attrs=[GCM, thresh, OUT, encap()])
    t.accept(NEW, sa(), [GCM, (m.XFRMA_MTIMER_THRESH, 30), IN, encap()])
    t.accept(NEW, sa(0x101), [GCM, (m.XFRMA_MTIMER_THRESH, 30), encap()])


@case("NEWSA")
def keepalive(t: Talk) -> None:
    """A keepalive interval wants an output SA with UDP encapsulation; 0 is none"""
    every = (m.XFRMA_NAT_KEEPALIVE_INTERVAL, 20)
    outbound = "NAT keepalive is only supported for outbound SAs"
    no(t, outbound, attrs=[GCM, every])
    no(t, outbound, attrs=[GCM, every, encap(), IN])
    no(t, "NAT keepalive is only supported for UDP encapsulation", attrs=[GCM, every, OUT])
    t.accept(NEW, sa(), [GCM, every, OUT, encap()])
    t.accept(NEW, sa(0x101), [GCM, (m.XFRMA_NAT_KEEPALIVE_INTERVAL, 0)])
    t.dump_sas()


@case("NEWSA")
def cpu_number(t: Talk) -> None:
    """A CPU needs a direction, and must be one that the machine may have"""
    no(t, "SA_PCPU only supported with SA_DIR", attrs=[GCM, (m.XFRMA_SA_PCPU, 0)])
    no(t, "pCPU number too big", attrs=[GCM, IN, (m.XFRMA_SA_PCPU, 0xFFFFFFFF)], errno=ERANGE)
    no(t, "pCPU number too big", attrs=[GCM, OUT, (m.XFRMA_SA_PCPU, 1)], errno=ERANGE)
    t.accept(NEW, sa(), [GCM, IN, (m.XFRMA_SA_PCPU, 0)])
    t.accept(NEW, sa(0x101), [GCM, OUT, (m.XFRMA_SA_PCPU, 0)])
    t.dump_sas()


# -- directions --------------------------------------------------------------------------------------


@case("NEWSA")
def output_flags(t: Talk) -> None:
    """An output SA has no DECAP_DSCP, ICMP, WILDRECV and no replay window"""
    no(t, "Flag DECAP_DSCP should not be set for output SA", sa(flags=2 | 16 | 8), [GCM, OUT])
    no(
        t,
        "Flag ICMP should not be set for output SA",
        sa(flags=16 | 8, replay_window=1),
        [GCM, OUT],
    )
    no(t, "Flag WILDRECV should not be set for output SA", sa(flags=8, replay_window=1), [GCM, OUT])
    replay = (m.XFRMA_REPLAY_VAL, s.ReplayState(9, 1, 1))
    no(t, "Replay window should be 0 for output SA", sa(replay_window=1), [GCM, OUT, replay])
    for state in (s.ReplayState(9, 1, 0), s.ReplayState(9, 0, 1)):
        text = "Replay seq and bitmap should be 0 for output SA"
        no(t, text, attrs=[GCM, OUT, (m.XFRMA_REPLAY_VAL, state)])
    fine = [GCM, OUT, (m.XFRMA_REPLAY_VAL, s.ReplayState(9, 0, 0)), (m.XFRMA_SA_EXTRA_FLAGS, 3)]
    t.accept(NEW, sa(flags=1 | 4 | 64), fine)
    t.dump_sas()


@case("NEWSA")
def input_flags(t: Talk) -> None:
    """An input SA has no NOPMTUDISC, DONT_ENCAP_DSCP and OSEQ_MAY_WRAP"""
    extra = m.XFRMA_SA_EXTRA_FLAGS
    no(t, "Flag NOPMTUDISC should not be set for input SA", sa(flags=4), [GCM, IN, (extra, 3)])
    no(t, "Flag DONT_ENCAP_DSCP should not be set for input SA", attrs=[GCM, IN, (extra, 3)])
    no(t, "Flag OSEQ_MAY_WRAP should not be set for input SA", attrs=[GCM, IN, (extra, 2)])
    fine = [GCM, IN, (m.XFRMA_REPLAY_VAL, s.ReplayState(9, 1, 1)), (extra, 4)]
    t.accept(NEW, sa(flags=1 | 2 | 8 | 16, replay_window=32), fine)
    t.dump_sas()


@case("NEWSA")
def direction(t: Talk) -> None:
    """A direction is 1 or 2: anything else fails the attribute's own rule"""
    for value in (0, 3, 255):
        t.refuse(
            ERANGE,
            "integer out of range",
            NEW,
            sa(),
            [GCM, (m.XFRMA_SA_DIR, value)],
            at=m.XFRMA_SA_DIR,
        )
