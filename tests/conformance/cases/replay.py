"""Sequence numbers: ESN and legacy state of a new SA, NEWAE and GETAE."""

from __future__ import annotations

from errno import EINVAL, ESRCH
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REPLACE
from pyxfrm.abi.xfrm import AF_INET6
from pyxfrm.wire.attrs import make
from tests.conformance.parts import (
    GCM,
    IN,
    OUT,
    SHA1,
    add_sa,
    encap,
    mark,
    sa,
    sa_id,
    v4,
    v6,
)
from tests.conformance.talk import Attrs, Talk, case

NEW = m.XFRM_MSG_NEWSA
AE = m.XFRM_MSG_NEWAE
ESN_FLAG = 128
LAST = 0xFFFFFFFF
REPLACE = NLM_F_ACK | NLM_F_REPLACE


def state(**more: Any) -> s.ReplayStateEsn:
    """ESN state with a window of 32 packets."""
    bmp_len = more.pop("bmp_len", 1)
    bitmap = more.pop("bmp", None)
    if bitmap is None:
        bitmap = bytes(4 * bmp_len)
    made = s.ReplayStateEsn(bmp_len, 0, 0, 0, 0, 32, bitmap)
    return made._replace(**more)


def esn(**more: Any) -> tuple[int, s.ReplayStateEsn]:
    """XFRMA_REPLAY_ESN_VAL."""
    return m.XFRMA_REPLAY_ESN_VAL, state(**more)


def output(**more: Any) -> tuple[int, s.ReplayStateEsn]:
    """XFRMA_REPLAY_ESN_VAL of an output SA: no window, no bitmap."""
    return m.XFRMA_REPLAY_ESN_VAL, state(**{"bmp_len": 0, "replay_window": 0, **more})


def no(t: Talk, text: str, attrs: Attrs, info: s.UserSaInfo | None = None) -> None:
    """A NEWSA with AES-GCM that is refused with this text."""
    t.refuse(EINVAL, text, NEW, info or sa(flags=ESN_FLAG), [GCM, *attrs])


# -- a new SA ----------------------------------------------------------------------------------------


@case("NEWSA ESN")
def flag_and_attribute(t: Talk) -> None:
    """The flag needs the attribute; the attribute alone makes a large window without ESN"""
    no(t, "Missing required attribute for ESN", [])
    no(t, "Missing required attribute for ESN", [(m.XFRMA_REPLAY_VAL, s.ReplayState(0, 0, 0))])
    t.accept(NEW, sa(), [GCM, esn()])
    t.accept(NEW, sa(0x101, flags=ESN_FLAG), [GCM, esn()])
    t.dump_sas()


@case("NEWSA ESN")
def lengths(t: Talk) -> None:
    """The bitmap has at most 128 words, and is there whole or not at all"""
    no(t, "ESN bitmap length must be <= 128", [esn(bmp_len=129)])
    no(t, "ESN bitmap length must be <= 128", [make(m.XFRMA_REPLAY_ESN_VAL, b"\xff" * 24)])
    short = "ESN attribute is too short to fit the full bitmap length"
    for size in (1, 4, 7):
        no(t, short, [esn(bmp_len=2, bmp=bytes(size))])
    t.accept(NEW, sa(flags=ESN_FLAG), [GCM, esn(bmp_len=2, bmp=b"")])
    t.accept(NEW, sa(0x101, flags=ESN_FLAG), [GCM, esn(bmp_len=128, replay_window=4096)])
    t.accept(NEW, sa(0x102, flags=ESN_FLAG), [GCM, esn(bmp_len=1, bmp=bytes(range(12)))])
    t.dump_sas()


@case("NEWSA ESN")
def protocols_and_legacy_window(t: Talk) -> None:
    """Only ESP and AH count so; a legacy window beside it is refused, and its state is kept unused"""
    mobile = sa(0, v6(1), v6(2), proto=60, mode=2)
    text = "ESN only supported for ESP and AH"
    t.refuse(EINVAL, text, NEW, mobile, [(m.XFRMA_COADDR, v6(9)), esn()])
    no(t, "ESN not compatible with legacy replay_window", [esn()], sa(replay_window=1))
    t.accept(NEW, sa(proto=51, flags=ESN_FLAG), [SHA1, esn()])
    t.accept(NEW, sa(0x101), [GCM, esn(seq=9), (m.XFRMA_REPLAY_VAL, s.ReplayState(1, 2, 3))])
    t.dump_sas()


@case("NEWSA ESN")
def window(t: Talk) -> None:
    """The window fits the bitmap; with ESN it is not 0, unless the SA is for output"""
    large = "ESN replay window is too large for the chosen bitmap size"
    no(t, large, [esn(replay_window=33)])
    no(t, large, [esn(replay_window=33)], sa())
    no(t, large, [esn(bmp_len=0, replay_window=1)])
    no(t, "ESN replay window must be > 0", [esn(replay_window=0)])
    no(t, "ESN replay window must be > 0", [IN, esn(replay_window=0)])
    t.accept(NEW, sa(), [GCM, esn(replay_window=0)])
    t.accept(NEW, sa(0x101, flags=ESN_FLAG), [GCM, OUT, output()])
    t.accept(NEW, sa(0x102, flags=ESN_FLAG), [GCM, esn(replay_window=1)])
    t.dump_sas()


@case("NEWSA ESN")
def output_state(t: Talk) -> None:
    """An output SA has no window, no bitmap and no input numbers, and does not begin at the end"""
    no(t, "Replay window should be 0 for output SA", [OUT, output(replay_window=1, seq=1)])
    for wrong in ({"seq": 1}, {"seq_hi": 1}):
        more: dict[str, Any] = {**wrong, "oseq_hi": LAST, "oseq": LAST}
        no(t, "Replay seq and seq_hi should be 0 for output SA", [OUT, output(**more)])
    end = "Replay oseq and oseq_hi should be less than 0xFFFFFFFF for output SA"
    no(t, end, [OUT, output(oseq=LAST, oseq_hi=LAST, bmp_len=1)])
    no(t, "Replay bmp_len should 0 for output SA", [OUT, output(bmp_len=1)])
    plain = sa()
    high = "Replay oseq_hi should be 0 in non-ESN mode for output SA"
    no(t, high, [OUT, output(oseq=LAST, oseq_hi=1)], plain)
    last = "Replay oseq should be less than 0xFFFFFFFF in non-ESN mode for output SA"
    no(t, last, [OUT, output(oseq=LAST, bmp_len=1)], plain)
    t.accept(NEW, sa(flags=ESN_FLAG), [GCM, OUT, output(oseq=LAST, oseq_hi=LAST - 1)])
    t.accept(NEW, sa(0x101, flags=ESN_FLAG), [GCM, OUT, output(oseq=LAST - 1, oseq_hi=LAST)])
    t.accept(NEW, sa(0x102), [GCM, OUT, output(oseq=LAST - 1)])
    t.dump_sas()


@case("NEWSA ESN")
def input_state(t: Talk) -> None:
    """An input SA has no output numbers, and does not begin at the end"""
    for wrong in ({"oseq": 1}, {"oseq_hi": 1}):
        more: dict[str, Any] = {**wrong, "seq": LAST, "seq_hi": LAST}
        no(t, "Replay oseq and oseq_hi should be 0 for input SA", [IN, esn(**more)])
    end = "Replay seq and seq_hi should be less than 0xFFFFFFFF for input SA"
    no(t, end, [IN, esn(seq=LAST, seq_hi=LAST)])
    plain = sa()
    high = "Replay seq_hi should be 0 in non-ESN mode for input SA"
    no(t, high, [IN, esn(seq=LAST, seq_hi=1)], plain)
    last = "Replay seq should be less than 0xFFFFFFFF in non-ESN mode for input SA"
    no(t, last, [IN, esn(seq=LAST)], plain)
    t.accept(NEW, sa(flags=ESN_FLAG), [GCM, IN, esn(seq=LAST, seq_hi=LAST - 1)])
    t.accept(NEW, sa(0x101), [GCM, IN, esn(seq=LAST - 1)])
    t.dump_sas()


@case("NEWSA ESN")
def without_direction(t: Talk) -> None:
    """An SA without a direction may have all numbers at their end"""
    whole = {"oseq": LAST, "oseq_hi": LAST, "seq": LAST, "seq_hi": LAST}
    t.accept(NEW, sa(flags=ESN_FLAG), [GCM, esn(**whole, bmp=b"\xff" * 4)])
    t.accept(NEW, sa(0x101), [GCM, (m.XFRMA_REPLAY_VAL, s.ReplayState(LAST, LAST, LAST))])
    t.dump_sas()


@case("NEWSA ESN")
def everything_is_kept(t: Talk) -> None:
    """Numbers, high halves, window of 2048 packets and bitmap come back as they were given"""
    given = state(
        bmp_len=64, bmp=bytes(range(256)), oseq=1, seq=2, oseq_hi=3, seq_hi=4, replay_window=2048
    )
    t.accept(NEW, sa(flags=ESN_FLAG), [GCM, (m.XFRMA_REPLAY_ESN_VAL, given)])
    found = t.get_sa(sa_id())
    t.check(found and found.get(m.XFRMA_REPLAY_ESN_VAL) == given, "changed")


@case("NEWSA ESN")
def update_leaves_numbers(t: Talk) -> None:
    """UPDSA checks the state that it is given, and keeps the old one"""
    t.accept(NEW, sa(flags=ESN_FLAG), [GCM, esn(seq=9)])
    no_window = "ESN replay window must be > 0"
    upd = m.XFRM_MSG_UPDSA
    t.refuse(EINVAL, no_window, upd, sa(flags=ESN_FLAG), [GCM, esn(replay_window=0)])
    t.accept(upd, sa(flags=ESN_FLAG), [GCM, esn(seq=10, bmp_len=4)])
    found = t.get_sa(sa_id())
    t.check(found and found.get(m.XFRMA_REPLAY_ESN_VAL).seq == 9, "changed")


# -- NEWAE -------------------------------------------------------------------------------------------


def about(**more: Any) -> s.AeventId:
    """struct xfrm_aevent_id of what ``sa`` makes."""
    flags, reqid = more.pop("flags", 0), more.pop("reqid", 0)
    return s.AeventId(sa_id(**more), v4(2), flags, reqid)


VAL = (m.XFRMA_REPLAY_VAL, s.ReplayState(5, 6, 7))


@case("NEWAE")
def refusals(t: Talk) -> None:
    """Something to set, NLM_F_REPLACE, an SA, and one that is not larval: in this order"""
    t.refuse(EINVAL, "Missing required attribute for AE", AE, about(), [])
    t.refuse(EINVAL, "Missing required attribute for AE", AE, about(), [(m.XFRMA_MTIMER_THRESH, 1)])
    t.refuse(EINVAL, "NLM_F_REPLACE flag is required", AE, about(), [VAL])
    t.refuse(ESRCH, "", AE, about(), [VAL], flags=REPLACE)
    add_sa(t, attrs=[mark(1)])
    t.refuse(ESRCH, "", AE, about(), [VAL], flags=REPLACE)
    t.refuse(ESRCH, "", AE, about(family=AF_INET6), [VAL, mark(1)], flags=REPLACE)
    t.accept(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa(0), 0x101, 0x101))
    t.refuse(EINVAL, "SA must be in VALID state", AE, about(spi=0x101), [VAL], flags=REPLACE)


@case("NEWAE")
def short(t: Talk) -> None:
    """A structure cut short is refused"""
    whole = t.encode(AE, about(), flags=REPLACE)
    t.raw((63).to_bytes(4, "little") + whole[4:63])


@case("NEWAE")
def numbers_and_counters(t: Talk) -> None:
    """Replay state, counters and thresholds are set; the event shows what they are now, with cause CU"""
    add_sa(t, sa(reqid=4))
    t.events()
    current = (m.XFRMA_LTIME_VAL, s.LifetimeCur(100, 10, 1_600_000_000, 1_600_000_001))
    given = [VAL, current, (m.XFRMA_REPLAY_THRESH, 9), (m.XFRMA_ETIMER_THRESH, 77)]
    t.accept(AE, about(flags=8, reqid=9), given, flags=REPLACE)
    heard = t.events()
    t.check([e.header.nlmsg_type for e in heard] == [AE], "other events")
    t.check((heard[0].body.flags, heard[0].body.reqid) == (64, 4), "cause and reqid")
    found = t.get_sa(sa_id())
    t.check(found and found.get(m.XFRMA_REPLAY_VAL) == VAL[1], "not set")
    t.check(found and found.body.curlft == current[1], "counters not set")
    t.send(m.XFRM_MSG_GETAE, about(flags=15))


@case("NEWAE")
def one_at_a_time(t: Talk) -> None:
    """What is not given stays; thresholds may be 0"""
    add_sa(t)
    for given in (
        [(m.XFRMA_REPLAY_THRESH, 0)],
        [(m.XFRMA_ETIMER_THRESH, 0)],
        [(m.XFRMA_LTIME_VAL, s.LifetimeCur(1, 1, 1, 0))],
        [VAL],
        [(m.XFRMA_ETIMER_THRESH, LAST)],
        [(m.XFRMA_REPLAY_THRESH, LAST), (m.XFRMA_MTIMER_THRESH, 5)],
    ):
        t.accept(AE, about(), given, flags=REPLACE)
        t.send(m.XFRM_MSG_GETAE, about(flags=15), flags=0)
    t.get_sa(sa_id())


@case("NEWAE")
def esn_sizes(t: Talk) -> None:
    """ESN state must be as large as it was, and its window fit"""
    t.accept(NEW, sa(flags=ESN_FLAG), [GCM, esn(bmp_len=4, replay_window=128)])

    def refuse(text: str, **more: Any) -> None:
        t.refuse(EINVAL, text, AE, about(), [esn(**more)], flags=REPLACE)

    refuse("ESN attribute is too short", bmp_len=4, bmp=bytes(15))
    refuse("New ESN size doesn't match the existing SA's ESN size", bmp_len=3)
    refuse("New ESN size doesn't match the existing SA's ESN size", bmp_len=5)
    wrapped = "New ESN bitmap size doesn't match the existing SA's ESN bitmap"
    refuse(wrapped, bmp_len=0x40000004, bmp=bytes(16))
    refuse("ESN replay window is longer than the bitmap", bmp_len=4, replay_window=129)
    given = esn(bmp_len=4, bmp=b"\5" * 16, oseq=1, seq=2, oseq_hi=3, seq_hi=4, replay_window=0)
    t.accept(AE, about(), [given], flags=REPLACE)
    found = t.get_sa(sa_id())
    t.check(found and found.get(m.XFRMA_REPLAY_ESN_VAL) == given[1], "not set")


@case("NEWAE")
def the_other_kind_of_state(t: Talk) -> None:
    """ESN state of an SA without is ignored; legacy state of an SA with ESN is taken and not shown"""
    add_sa(t)
    t.accept(NEW, sa(0x101, flags=ESN_FLAG), [GCM, esn()])
    t.accept(AE, about(), [esn(seq=9)], flags=REPLACE)
    t.accept(AE, about(spi=0x101), [VAL], flags=REPLACE)
    t.dump_sas()


@case("NEWAE")
def directions_are_not_checked(t: Talk) -> None:
    """What NEWSA would refuse of an SA with a direction, NEWAE takes"""
    add_sa(t, attrs=[OUT])
    add_sa(t, sa(0x101), [IN])
    everything = (m.XFRMA_REPLAY_VAL, s.ReplayState(LAST, LAST, LAST))
    for spi in (0x100, 0x101):
        t.accept(AE, about(spi=spi), [everything], flags=REPLACE)
    t.dump_sas()


@case("NEWAE")
def without_ack(t: Talk) -> None:
    """Without NLM_F_ACK success is silent; the event repeats sequence number and pid"""
    add_sa(t, attrs=[(m.XFRMA_IF_ID, 5), mark(1), IN, (m.XFRMA_SA_PCPU, 0), encap()])
    t.events()
    data = bytearray(t.encode(AE, about(), [VAL, mark(1)], flags=NLM_F_REPLACE))
    data[12:16] = (4711).to_bytes(4, "little")
    t.check(t.raw(bytes(data)) == [], "an answer")
    heard = t.events()
    t.check(heard[0].header.nlmsg_pid == 4711 and heard[0].get(m.XFRMA_IF_ID) == 5, "event")


# -- GETAE -------------------------------------------------------------------------------------------


@case("GETAE")
def flags(t: Talk) -> None:
    """The flags say which thresholds are shown, and come back"""
    add_sa(t, sa(reqid=3), [(m.XFRMA_REPLAY_THRESH, 7), (m.XFRMA_ETIMER_THRESH, 50), mark(1), OUT])
    for value in (0, 1, 2, 4, 8, 9, 15, 64, LAST):
        read = t.send(m.XFRM_MSG_GETAE, about(flags=value), [mark(1)], flags=0)
        t.check(len(read) == 1 and read[0].body.flags == value, "flags")
        shown = {a.number for a in read[0].attrs}
        t.check((m.XFRMA_REPLAY_THRESH in shown) == bool(value & 1), "replay threshold")
        t.check((m.XFRMA_ETIMER_THRESH in shown) == bool(value & 8), "timer threshold")


@case("GETAE")
def answer_has_the_pid_of_the_request(t: Talk) -> None:
    """The answer repeats the pid that the request claims, not the reader's port"""
    add_sa(t)
    data = bytearray(t.encode(m.XFRM_MSG_GETAE, about()))
    data[12:16] = (4711).to_bytes(4, "little")
    read = t.raw(bytes(data))
    t.check([r.header.nlmsg_pid for r in read] == [4711, 1000], "pids")


@case("GETAE")
def not_there(t: Talk) -> None:
    """No such SA: ESRCH; a larval SA is shown"""
    t.refuse(ESRCH, "", m.XFRM_MSG_GETAE, about())
    t.accept(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa(0), 0x100, 0x100))
    t.send(m.XFRM_MSG_GETAE, about(flags=15))
    t.refuse(ESRCH, "", m.XFRM_MSG_GETAE, about(spi=0x101))


@case("GETAE")
def thresholds_of_the_namespace(t: Talk) -> None:
    """New SAs take the thresholds of net.core.xfrm_aevent_*, in tenths of a second"""
    t.sysctl("net.core.xfrm_aevent_etime", 25)
    t.sysctl("net.core.xfrm_aevent_rseqth", 33)
    add_sa(t)
    read = t.send(m.XFRM_MSG_GETAE, about(flags=15), flags=0)
    shown = read[0].get(m.XFRMA_ETIMER_THRESH), read[0].get(m.XFRMA_REPLAY_THRESH)
    t.check(shown == (25, 33), f"thresholds {shown}")


@case("GETAE")
def ticks(t: Talk) -> None:
    """A timer threshold is kept in ticks of the kernel's clock and shown in tenths of a second, in 32 bits"""
    for spi, value in enumerate((0, 1, 10, 11, 12, 100, 1 << 29, 1 << 31, LAST), 0x100):
        add_sa(t, sa(spi), [(m.XFRMA_ETIMER_THRESH, value)])
        t.send(m.XFRM_MSG_GETAE, about(spi=spi, flags=8), flags=0)


@case("GETAE")
def esn_and_ipv6(t: Talk) -> None:
    """ESN state and IPv6 addresses"""
    info = sa(0x100, v6(1), v6(2), flags=ESN_FLAG)
    t.accept(NEW, info, [GCM, esn(bmp_len=3, seq=5, seq_hi=6)])
    who = s.AeventId(sa_id(daddr=v6(1)), v6(2), 0, 0)
    read = t.send(m.XFRM_MSG_GETAE, who)
    t.check(read[0].get(m.XFRMA_REPLAY_ESN_VAL) == state(bmp_len=3, seq=5, seq_hi=6), "state")
