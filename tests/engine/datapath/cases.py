"""What a packet comes to: cases that run on a kernel and on an engine alike. See :mod:`tests.engine.datapath.lane`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_DUMP
from pyxfrm.abi.xfrm import AF_INET, AF_INET6
from pyxfrm.esp import (
    Algorithm,
    Association,
    Encap,
    Mode,
    make_sealer,
)
from pyxfrm.esp import (
    Sequence as Numbers,
)
from pyxfrm.esp.ip import checksum
from tests.engine.datapath.lane import INSIDE, OUTSIDE, PEER, REMOTE, Lane
from tests.engine.datapath.support import (
    FWD,
    IN,
    OUT,
    limits,
    packet4,
    packet6,
    policy_info,
    tmpl,
    udp,
)
from tests.engine.helpers import ANY4, GCM, ZERO, sa_id, sa_info

__all__ = ["CASES"]

CASES: dict[str, Callable[[Lane], None]] = {}
OUT_SPI, IN_SPI = 0x100, 0x200
ME, YOU = OUTSIDE + bytes(12), PEER + bytes(12)
Attrs = Sequence[tuple[int, Any]]

OUT_SEL = ANY4._replace(daddr=REMOTE + bytes(12), prefixlen_d=24)
IN_SEL = ANY4._replace(saddr=REMOTE + bytes(12), prefixlen_s=24)


def case(function: Callable[[Lane], None]) -> Callable[[Lane], None]:
    """Register a case."""
    CASES[function.__name__] = function
    return function


def out_sa(lane: Lane, spi: int = OUT_SPI, attrs: Attrs = (), **more: Any) -> None:
    """NEWSA from here to the peer."""
    _sa(lane, spi, ME, YOU, attrs, more)


def in_sa(lane: Lane, spi: int = IN_SPI, attrs: Attrs = (), **more: Any) -> None:
    """NEWSA from the peer to here."""
    _sa(lane, spi, YOU, ME, attrs, more)


def _sa(lane: Lane, spi: int, saddr: bytes, daddr: bytes, attrs: Attrs, more: Any) -> None:
    keys = more.pop("keys", [(m.XFRMA_ALG_AEAD, GCM)])
    info = sa_info(spi, daddr, saddr, **{"reqid": 7, "replay_window": 32, **more})
    if "sel" not in more:
        info = info._replace(sel=info.sel._replace(family=0))
    lane.ask(m.XFRM_MSG_NEWSA, info, [*keys, *attrs])


def policy(
    lane: Lane,
    direction: int,
    *templates: s.UserTmpl,
    attrs: Attrs = (),
    noted: bool = True,
    **more: Any,
) -> None:
    """UPDPOLICY for what goes to, or comes from, 10.0.2.0/24."""
    sel = more.pop("sel", OUT_SEL if direction == OUT else IN_SEL)
    given = [(m.XFRMA_TMPL, list(templates))] if templates else []
    lane.ask(
        m.XFRM_MSG_UPDPOLICY, policy_info(direction, sel, **more), [*given, *attrs], noted=noted
    )


def out_tmpl(**more: Any) -> s.UserTmpl:
    return tmpl(ME, YOU, **more)


def in_tmpl(**more: Any) -> s.UserTmpl:
    return tmpl(YOU, ME, **more)


def get(lane: Lane, spi: int, daddr: bytes, proto: int = 50) -> None:
    """GETSA: what the packets have left in an SA."""
    lane.ask(m.XFRM_MSG_GETSA, sa_id(spi, daddr, AF_INET, proto), flags=0)


class Peer:
    """The other end: seals what arrives."""

    def __init__(self, spi: int = IN_SPI, *, start: int = 0, **more: Any) -> None:
        given = {"aead": Algorithm("rfc4106(gcm(aes))", bytes(range(20)), 128), **more}
        self.sealer = make_sealer(
            Association(spi=spi, saddr=PEER, daddr=OUTSIDE, **given), sequence=Numbers(start)
        )

    def __call__(self, data: bytes = b"hi", inner: bytes | None = None) -> bytes:
        packet = packet4(REMOTE, INSIDE, udp(1000, 2000, data)) if inner is None else inner
        return self.sealer.seal(packet)


def broken(packet: bytes) -> bytes:
    return packet[:-1] + bytes((packet[-1] ^ 1,))


PLAIN = packet4(REMOTE, INSIDE, udp(1000, 2000, b"plain"))


@case
def there_and_back(lane: Lane) -> None:
    out_sa(lane)
    in_sa(lane)
    policy(lane, OUT, out_tmpl())
    policy(lane, IN, in_tmpl())
    peer = Peer()
    lane.transmit(times=3)
    lane.now += 2
    lane.arrive(peer(b"one"), peer(b"two"))
    lane.transmit(b"x" * 900)
    get(lane, OUT_SPI, YOU)
    get(lane, IN_SPI, ME)


@case
def blocked_and_not(lane: Lane) -> None:
    lane.transmit()
    lane.arrive(PLAIN)
    policy(lane, OUT, action=1)
    policy(lane, IN, action=1)
    lane.transmit()
    lane.arrive(PLAIN)
    policy(lane, OUT)
    policy(lane, IN)
    lane.transmit()
    lane.arrive(PLAIN)


@case
def defaults(lane: Lane) -> None:
    lane.ask(m.XFRM_MSG_SETDEFAULT, s.UserPolicyDefault(1, 1, 1))
    lane.transmit()
    lane.arrive(PLAIN)
    lane.ask(m.XFRM_MSG_SETDEFAULT, s.UserPolicyDefault(2, 2, 2))
    lane.transmit()
    lane.arrive(PLAIN)


@case
def no_states(lane: Lane) -> None:
    policy(lane, OUT, out_tmpl())
    lane.transmit(times=2)
    lane.listen()
    lane.transmit(times=3)
    lane.transmit(dport=77)
    lane.ask(m.XFRM_MSG_GETSA, None, flags=NLM_F_DUMP)
    out_sa(lane)
    lane.transmit()
    lane.ask(m.XFRM_MSG_GETSA, None, flags=NLM_F_DUMP)


@case
def which_of_two(lane: Lane) -> None:
    policy(lane, OUT, out_tmpl())
    out_sa(lane, 0x100)
    lane.transmit()
    lane.now += 1
    out_sa(lane, 0x101)
    lane.transmit()
    out_sa(lane, 0x102)
    lane.transmit(times=2)
    lane.ask(m.XFRM_MSG_DELSA, sa_id(0x102, YOU))
    lane.transmit()
    lane.now -= 5
    out_sa(lane, 0x103)
    lane.transmit()


@case
def which_dying(lane: Lane) -> None:
    policy(lane, OUT, out_tmpl())
    out_sa(lane, 0x100)
    lane.now += 1
    out_sa(lane, 0x101, lft=limits(soft_packet_limit=2))
    lane.transmit(times=5)


@case
def which_source(lane: Lane) -> None:
    policy(lane, OUT, tmpl(ZERO, YOU))
    out_sa(lane, 0x100)
    lane.transmit()
    policy(lane, OUT, tmpl(ME, YOU, reqid=8))
    lane.transmit()
    policy(lane, OUT, tmpl(ME, YOU, spi=0x101))
    lane.transmit()
    out_sa(lane, 0x101)
    lane.transmit()


@case
def selectors_of_sas(lane: Lane) -> None:
    policy(lane, OUT, out_tmpl())
    policy(lane, IN, in_tmpl())
    narrow = OUT_SEL._replace(proto=17, dport=2000, dport_mask=0xFFFF)
    out_sa(lane, 0x100, sel=narrow)
    in_sa(lane, sel=IN_SEL._replace(proto=17, sport=1000, sport_mask=0xFFFF))
    lane.transmit()
    lane.transmit(dport=2001)
    peer = Peer()
    lane.arrive(peer(), peer(b"", packet4(REMOTE, INSIDE, udp(1001, 2000, b"no"))))


@case
def limits_out(lane: Lane) -> None:
    lane.listen()
    policy(lane, OUT, out_tmpl())
    out_sa(lane, lft=limits(soft_packet_limit=2, hard_packet_limit=4))
    lane.transmit(times=3)
    get(lane, OUT_SPI, YOU)
    lane.transmit(times=3)
    get(lane, OUT_SPI, YOU)
    out_sa(lane, 0x101, lft=limits(soft_byte_limit=50, hard_byte_limit=100))
    for _ in range(6):
        lane.transmit()


@case
def limits_in(lane: Lane) -> None:
    lane.listen()
    policy(lane, IN, in_tmpl())
    in_sa(lane, lft=limits(soft_packet_limit=2, hard_packet_limit=4))
    peer = Peer()
    first = peer()
    lane.arrive(first, peer(), peer(), first, broken(peer()), peer(), peer(), peer())
    get(lane, IN_SPI, ME)


@case
def refused_on_the_way_in(lane: Lane) -> None:
    policy(lane, IN, in_tmpl())
    in_sa(lane)
    peer = Peer()
    first = peer()
    lane.arrive(Peer(0x999)(), first, first, broken(peer()))
    lane.arrive(packet4(PEER, OUTSIDE, b"short", proto=50), packet4(PEER, OUTSIDE, b"", proto=51))
    lane.arrive(peer(inner=packet4(REMOTE, INSIDE, b"", proto=99)))
    far = Peer(start=100)
    lane.arrive(far(), peer())
    get(lane, IN_SPI, ME)
    in_sa(lane, 0x201, attrs=[(m.XFRMA_SA_DIR, 2)], replay_window=0)
    lane.arrive(Peer(0x201)())
    spi_info = s.UserSpiInfo(sa_info(0, ME, YOU, reqid=9), 0x300, 0x300)
    lane.ask(m.XFRM_MSG_ALLOCSPI, spi_info)
    lane.arrive(Peer(0x300)())


@case
def the_inside_does_not_fit(lane: Lane) -> None:
    policy(lane, IN, in_tmpl())
    in_sa(lane)
    for mode in (Mode.TRANSPORT, Mode.TUNNEL):
        lane.arrive(Peer(mode=mode)(inner=packet4(PEER, OUTSIDE, udp(1, 2))))
    get(lane, IN_SPI, ME)


@case
def templates_in(lane: Lane) -> None:
    in_sa(lane)
    peer = Peer()
    lane.arrive(peer(), PLAIN)
    for template in (
        in_tmpl(reqid=8),
        in_tmpl(reqid=0),
        tmpl(ZERO, ME),
        tmpl(ME, ME),
        in_tmpl(spi=IN_SPI),
        in_tmpl(spi=1),
        in_tmpl(mode=0),
        in_tmpl(proto=51),
        in_tmpl(algos=0),
        in_tmpl(algos=1),
        in_tmpl(optional=1),
    ):
        policy(lane, IN, template)
        lane.arrive(peer(), PLAIN)
    policy(lane, IN)
    lane.arrive(peer(), PLAIN)
    policy(lane, IN, in_tmpl(), in_tmpl())
    lane.arrive(peer())


@case
def marks(lane: Lane) -> None:
    given = [(m.XFRMA_MARK, s.MarkVM(5, 0xFF))]
    policy(lane, OUT, out_tmpl(), attrs=given)
    out_sa(lane, attrs=given)
    for mark in (0, 5, 0x105, 6):
        lane.transmit(mark=mark)
    policy(lane, OUT, out_tmpl())
    lane.transmit()


@case
def set_marks(lane: Lane) -> None:
    policy(lane, IN, in_tmpl())
    in_sa(lane, attrs=[(m.XFRMA_SET_MARK, 9)])
    peer = Peer()
    lane.arrive(peer())
    policy(lane, IN, action=1, attrs=[(m.XFRMA_MARK, s.MarkVM(9, 9))], priority=0)
    lane.arrive(peer())


@case
def if_ids(lane: Lane) -> None:
    policy(lane, OUT, out_tmpl(), attrs=[(m.XFRMA_IF_ID, 3)])
    policy(lane, IN, in_tmpl(), attrs=[(m.XFRMA_IF_ID, 3)])
    out_sa(lane, attrs=[(m.XFRMA_IF_ID, 3)])
    in_sa(lane, attrs=[(m.XFRMA_IF_ID, 3)])
    lane.transmit()
    lane.arrive(Peer()())
    policy(lane, OUT, out_tmpl())
    policy(lane, IN, in_tmpl())
    lane.transmit()
    lane.arrive(Peer(start=5)())


@case
def mappings(lane: Lane) -> None:
    lane.listen()
    policy(lane, IN, in_tmpl())
    given = (m.XFRMA_ENCAP, s.EncapTmpl(2, 4500, 4500, ZERO))
    quiet = (m.XFRMA_ETIMER_THRESH, 0)
    in_sa(lane, attrs=[given, quiet])
    in_sa(lane, 0x201, attrs=[given, quiet, (m.XFRMA_MTIMER_THRESH, 1)])
    for spi in (IN_SPI, 0x201):
        for start, port in enumerate((4500, 4501, 4501, 4502)):
            lane.arrive(Peer(spi, start=10 * start, encap=Encap(port, 4500))())
    lane.sleep(2.2)
    lane.arrive(Peer(0x201, start=90, encap=Encap(4502, 4500))())
    lane.arrive(Peer(0x201, start=95)(), Peer(0x201, start=50, encap=Encap(4502, 4500))())
    marker = packet4(PEER, OUTSIDE, udp(4500, 4500, bytes(4) + b"IKE" * 9))
    lane.arrive(packet4(PEER, OUTSIDE, udp(4500, 4500, b"\xff")), marker)


@case
def udp_lengths(lane: Lane) -> None:
    """What follows the end of a UDP datagram is not part of it."""
    policy(lane, IN, in_tmpl())
    in_sa(lane, attrs=[(m.XFRMA_ENCAP, s.EncapTmpl(2, 4500, 4500, ZERO))])
    peer = Peer(encap=Encap(4500, 4500))
    for extra in (0, 1, 40):
        whole = peer()
        lane.arrive(packet4(PEER, OUTSIDE, whole[20:] + bytes(extra), proto=17, flags=0))
    get(lane, IN_SPI, ME)


@case
def replay_events(lane: Lane) -> None:
    lane.listen()
    policy(lane, OUT, out_tmpl())
    policy(lane, IN, in_tmpl())
    thresholds = [(m.XFRMA_REPLAY_THRESH, 3), (m.XFRMA_ETIMER_THRESH, 0)]
    out_sa(lane, attrs=thresholds)
    in_sa(lane, attrs=thresholds)
    peer = Peer()
    for _ in range(5):
        lane.transmit()
        lane.arrive(peer())


@case
def numbers_used_up(lane: Lane) -> None:
    policy(lane, OUT, out_tmpl())
    out_sa(lane, attrs=[(m.XFRMA_REPLAY_VAL, s.ReplayState(0xFFFFFFFD, 0, 0))])
    lane.transmit(times=3)
    get(lane, OUT_SPI, YOU)
    wraps = [
        (m.XFRMA_REPLAY_VAL, s.ReplayState(0xFFFFFFFE, 0, 0)),
        (m.XFRMA_SA_EXTRA_FLAGS, 2),
    ]
    lane.ask(m.XFRM_MSG_DELSA, sa_id(OUT_SPI, YOU))
    out_sa(lane, attrs=wraps)
    lane.transmit(times=3)
    get(lane, OUT_SPI, YOU)


@case
def extended_numbers(lane: Lane) -> None:
    policy(lane, OUT, out_tmpl())
    policy(lane, IN, in_tmpl())
    state = s.ReplayStateEsn(2, 0xFFFFFFFE, 0, 0, 0, 64, bytes(8))
    out_sa(lane, attrs=[(m.XFRMA_REPLAY_ESN_VAL, state)], flags=128, replay_window=0)
    lane.transmit(times=4)
    get(lane, OUT_SPI, YOU)
    arrived = s.ReplayStateEsn(2, 0, 0, 0, 0, 64, bytes(8))
    in_sa(lane, attrs=[(m.XFRMA_REPLAY_ESN_VAL, arrived)], flags=128, replay_window=0)
    far = make_sealer(
        Association(
            spi=IN_SPI,
            saddr=PEER,
            daddr=OUTSIDE,
            flags=128,
            aead=Algorithm("rfc4106(gcm(aes))", bytes(range(20)), 128),
        ),
        sequence=Numbers(7, esn=True),
    )
    packets = [far.seal(PLAIN) for _ in range(3)]
    lane.arrive(packets[2], packets[0], packets[0])
    get(lane, IN_SPI, ME)


@case
def a_big_window(lane: Lane) -> None:
    policy(lane, IN, in_tmpl())
    state = s.ReplayStateEsn(3, 0, 0, 0, 0, 70, bytes(12))
    in_sa(lane, attrs=[(m.XFRMA_REPLAY_ESN_VAL, state)], replay_window=0)
    packets = [Peer(start=start)() for start in range(160)]
    for start in (1, 3, 90, 25, 20, 19, 90, 155, 156, 91):
        lane.arrive(packets[start])
    get(lane, IN_SPI, ME)


@case
def a_move_forgets_what_was_refused(lane: Lane) -> None:
    policy(lane, IN, in_tmpl())
    in_sa(lane)
    peer = Peer()
    first = peer()
    lane.arrive(first, first, broken(peer()))
    get(lane, IN_SPI, ME)
    lane.ask(m.XFRM_MSG_MIGRATE_STATE, _moved(IN_SPI, ME, YOU, ME))
    get(lane, IN_SPI, ME)
    lane.arrive(first)
    get(lane, IN_SPI, ME)


@case
def a_move_goes_on(lane: Lane) -> None:
    policy(lane, OUT, out_tmpl())
    policy(lane, IN, in_tmpl())
    out_sa(lane)
    in_sa(lane)
    peer = Peer()
    lane.transmit(times=2)
    old = peer()
    lane.arrive(old)
    other = bytes((192, 0, 2, 99)) + bytes(12)
    lane.ask(m.XFRM_MSG_MIGRATE_STATE, _moved(OUT_SPI, YOU, ME, other))
    lane.transmit()
    policy(lane, OUT, tmpl(ME, other))
    lane.transmit(times=2)
    get(lane, OUT_SPI, other)
    lane.ask(m.XFRM_MSG_MIGRATE_STATE, _moved(IN_SPI, ME, other, ME))
    lane.arrive(peer(), old)
    policy(lane, IN, tmpl(other, ME))
    lane.arrive(peer(), old)
    get(lane, IN_SPI, ME)


def _moved(spi: int, old: bytes, saddr: bytes, daddr: bytes) -> s.UserMigrateState:
    sel = ANY4._replace(family=0)
    return s.UserMigrateState(sa_id(spi, old), daddr, saddr, s.MarkVM(0, 0), sel, 7, 0, AF_INET, 0)


@case
def the_wrong_direction(lane: Lane) -> None:
    policy(lane, OUT, out_tmpl())
    out_sa(lane, attrs=[(m.XFRMA_SA_DIR, 1)])
    lane.transmit()


@case
def optional_out(lane: Lane) -> None:
    policy(lane, OUT, tmpl(ZERO, ZERO, mode=0, optional=1), out_tmpl())
    out_sa(lane)
    lane.transmit()
    policy(lane, OUT, tmpl(ZERO, ZERO, mode=0, optional=1))
    lane.transmit()


@case
def sub_policies(lane: Lane) -> None:
    policy(lane, OUT, out_tmpl())
    out_sa(lane)
    kind = [(m.XFRMA_POLICY_TYPE, bytes((1, 0, 0, 0, 0, 0)))]
    policy(lane, OUT, attrs=kind)
    lane.transmit()
    policy(lane, OUT, attrs=kind, action=1)
    lane.transmit()
    policy(lane, IN, attrs=kind)
    lane.arrive(PLAIN)
    policy(lane, IN, action=1)
    lane.arrive(PLAIN)


@case
def through_this_host(lane: Lane) -> None:
    in_sa(lane)
    peer = Peer()
    further = packet4(REMOTE, bytes((10, 0, 9, 9)), udp(1000, 2000, b"on"))
    lane.arrive(peer(inner=further), further)
    policy(lane, FWD, in_tmpl())
    lane.arrive(peer(inner=further), further)
    policy(lane, FWD)
    lane.arrive(further, packet4(bytes((10, 0, 9, 9)), REMOTE))
    policy(lane, OUT, out_tmpl())
    lane.arrive(packet4(bytes((10, 0, 9, 9)), REMOTE))
    out_sa(lane)
    lane.arrive(packet4(bytes((10, 0, 9, 9)), REMOTE))


COMP = (m.XFRMA_ALG_COMP, s.Algo(b"deflate".ljust(64, b"\0"), 0, b""))
SHA = (
    m.XFRMA_ALG_AUTH_TRUNC,
    s.AlgoAuth(b"hmac(sha256)".ljust(64, b"\0"), 256, 128, bytes(range(32))),
)


@case
def esp_over_ipcomp(lane: Lane) -> None:
    out_sa(lane, 0x1000, proto=108, keys=[COMP], replay_window=0)
    out_sa(lane, mode=0)
    policy(lane, OUT, out_tmpl(proto=108), tmpl(ZERO, ZERO, mode=0))
    lane.transmit()
    lane.transmit(b"a" * 500)
    get(lane, OUT_SPI, YOU)
    get(lane, 0x1000, YOU, 108)
    in_sa(lane, 0x1001, proto=108, keys=[COMP], replay_window=0)
    in_sa(lane, mode=0)
    policy(lane, IN, in_tmpl(proto=108, optional=1), tmpl(ZERO, ZERO, mode=0))
    comp = make_sealer(
        Association(
            proto=108, spi=0x1001, saddr=PEER, daddr=OUTSIDE, comp=Algorithm("deflate", b"")
        )
    )
    esp = Peer(mode=Mode.TRANSPORT)
    for data in (b"short", b"b" * 500):
        inner = packet4(REMOTE, INSIDE, udp(1000, 2000, data))
        lane.arrive(esp(inner=comp.seal(inner)))
    get(lane, IN_SPI, ME)
    get(lane, 0x1001, ME, 108)


@case
def ipcomp_around_another_family(lane: Lane) -> None:
    """Linux has nobody to give the packets to, but has opened them by then: the helper has counted those that did not get shorter."""
    in_sa(lane, 0x1001, proto=108, keys=[COMP], replay_window=0)
    in_sa(lane, mode=0)
    policy(
        lane,
        IN,
        in_tmpl(proto=108, optional=1),
        tmpl(ZERO, ZERO, mode=0),
        sel=ANY4._replace(family=AF_INET6),
    )
    comp = make_sealer(
        Association(
            proto=108, spi=0x1001, saddr=PEER, daddr=OUTSIDE, comp=Algorithm("deflate", b"")
        )
    )
    esp = Peer(mode=Mode.TRANSPORT)
    for data in (b"short", b"shorter", b"b" * 500):
        inner = packet6(bytes(15) + b"\x02", bytes(15) + b"\x03", udp(1000, 2001, data))
        lane.arrive(esp(inner=comp.seal(inner)))
    lane.ask(m.XFRM_MSG_GETSA, flags=NLM_F_DUMP)


# The same packet with 6 to 11 more zeros, compressed: by 0, 1, 3, 4 and 5 bytes shorter.
COMPRESSED = (
    "7365603063607060701054dec6c5c0c4c8c5c0c8c8fc82fd02831203838b4293cddf671f0f651bfce43b7e97f14947a9c92206300000",
    "7365603067607060701054decac5c0c4c8c5c0c8c8fc82fd02833203838b4293cddf671f0f651bfce43b7e97f14947a9c92206080000",
    "736560b064607060701054deccc5c0c4c8c5c0c8c8fc82fd02832a03838b4293cddf671f0f651bfce43b7e97f14947a9c92206180000",
    "736560b062607060701054dec4c5c0c4c8c5c0c8c8fc82fd02831a03838b4293cddf671f0f651bfce43b7e97f14947a9c92206380000",
    "736560b066607060701054dec8c5c0c4c8c5c0c8c8fc82fd02833a03838b4293cddf671f0f651bfce43b7e97f14947a9c92206040000",
)


@case
def ipcomp_that_saves_little(lane: Lane) -> None:
    in_sa(lane, 0x1001, proto=108, keys=[COMP], replay_window=0)
    policy(lane, IN, in_tmpl(proto=108))
    for data in COMPRESSED:
        header = bytes((4, 0)) + (0x1001).to_bytes(2, "big")
        lane.arrive(packet4(PEER, OUTSIDE, header + bytes.fromhex(data), proto=108))


@case
def ah_over_esp(lane: Lane) -> None:
    out_sa(lane)
    out_sa(lane, 0x101, proto=51, keys=[SHA], mode=0)
    policy(lane, OUT, out_tmpl(), tmpl(ZERO, ZERO, proto=51, mode=0))
    lane.transmit(times=2)
    get(lane, OUT_SPI, YOU)
    get(lane, 0x101, YOU, 51)
    in_sa(lane)
    in_sa(lane, 0x201, proto=51, keys=[SHA], mode=0)
    policy(lane, IN, in_tmpl(), tmpl(ZERO, ZERO, proto=51, mode=0))
    ah = make_sealer(
        Association(
            proto=51,
            spi=0x201,
            saddr=PEER,
            daddr=OUTSIDE,
            mode=Mode.TRANSPORT,
            auth=Algorithm("hmac(sha256)", bytes(range(32)), 128),
        )
    )
    esp = Peer()
    lane.arrive(ah.seal(esp()), esp(), broken(ah.seal(esp())))
    get(lane, 0x201, ME, 51)


@case
def the_queue(lane: Lane) -> None:
    lane.sysctl("net.core.xfrm_larval_drop", 0)
    policy(lane, OUT, out_tmpl())
    lane.transmit(times=2)
    out_sa(lane)
    lane.transmit()
    lane.sleep(0.4)
    lane.ask(m.XFRM_MSG_DELSA, sa_id(OUT_SPI, YOU))
    lane.transmit(times=103)
    out_sa(lane, 0x101)
    policy(lane, OUT, out_tmpl(), noted=False)
    lane.sleep(0.2)
    lane.ask(m.XFRM_MSG_DELSA, sa_id(0x101, YOU))
    lane.transmit(times=2)
    policy(lane, OUT, action=1, noted=False)
    lane.sleep(0.2)


def too_long(lane: Lane, longest: int) -> None:
    """What just fits, and one byte more, from elsewhere and from here."""
    for size in (longest, longest + 1):
        data = bytes(size - 28)
        lane.arrive(packet4(bytes((10, 0, 9, 9)), REMOTE, udp(1000, 2000, data)))
        lane.transmit(data, whole=True)


CBC = [
    (m.XFRMA_ALG_CRYPT, s.Algo(b"cbc(aes)".ljust(64, b"\0"), 128, bytes(16))),
    (m.XFRMA_ALG_AUTH, s.Algo(b"hmac(sha1)".ljust(64, b"\0"), 160, bytes(20))),
]


@case
def path_mtu(lane: Lane) -> None:
    policy(lane, OUT, out_tmpl())
    out_sa(lane)
    too_long(lane, 1446)
    lane.ask(m.XFRM_MSG_DELSA, sa_id(OUT_SPI, YOU))
    encap = (m.XFRMA_ENCAP, s.EncapTmpl(2, 4500, 4500, ZERO))
    out_sa(lane, 0x101, attrs=[encap])
    too_long(lane, 1438)
    lane.ask(m.XFRM_MSG_DELSA, sa_id(0x101, YOU))
    out_sa(lane, 0x102, keys=CBC)
    too_long(lane, 1438)
    get(lane, 0x102, YOU)


@case
def path_mtu_of_a_bundle(lane: Lane) -> None:
    policy(lane, OUT, out_tmpl(), tmpl(ZERO, ZERO, proto=51, mode=0))
    out_sa(lane)
    out_sa(lane, 0x101, proto=51, keys=[SHA], mode=0)
    too_long(lane, 1414)


def needs(quote: bytes, mtu: int) -> bytes:
    """A router on the way could carry no more than this."""
    message = b"\3\4\0\0\0\0" + mtu.to_bytes(2, "big") + quote
    message = message[:2] + checksum(message).to_bytes(2, "big") + message[4:]
    return packet4(bytes((192, 0, 2, 77)), OUTSIDE, message, proto=1, flags=0)


def sent_to_the_peer(spi: int) -> bytes:
    """The head of a sealed packet."""
    return packet4(OUTSIDE, PEER, spi.to_bytes(4, "big") + b"\0\0\0\1", proto=50)


@case
def path_mtu_learned(lane: Lane) -> None:
    policy(lane, OUT, out_tmpl())
    out_sa(lane)
    lane.transmit()
    lane.arrive(needs(sent_to_the_peer(0x999), 1300))
    too_long(lane, 1446)
    lane.arrive(needs(sent_to_the_peer(OUT_SPI), 1300))
    too_long(lane, 1246)
    lane.arrive(needs(sent_to_the_peer(OUT_SPI), 1400))
    too_long(lane, 1246)
    lane.arrive(needs(sent_to_the_peer(OUT_SPI), 100))
    too_long(lane, 498)
