"""NEWAE, GETAE, EXPIRE and ACQUIRE from user space."""

from __future__ import annotations

from errno import EINVAL, ENOENT, ESRCH
from typing import Any

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REPLACE, NLM_F_REQUEST
from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2
from pyxfrm.abi.xfrm import XFRM_AE_CU, XFRM_AE_ETHR, XFRM_AE_RTHR
from pyxfrm.wire import messages
from pyxfrm.wire.attrs import Attr, make
from pyxfrm.wire.messages import Message
from tests.engine.algos import IN, comp, encap, esn
from tests.engine.helpers import (
    ANY4,
    NO_COUNTERS,
    NO_LIMITS,
    NOW,
    Talk,
    add_sa,
    get_sa,
    sa_id,
    sa_info,
    v4,
)

NEWAE, GETAE = m.XFRM_MSG_NEWAE, m.XFRM_MSG_GETAE
EXPIRE, ACQUIRE = m.XFRM_MSG_EXPIRE, m.XFRM_MSG_ACQUIRE
SET = NLM_F_ACK | NLM_F_REPLACE
LTIME, REPLAY, REPLAY_ESN = m.XFRMA_LTIME_VAL, m.XFRMA_REPLAY_VAL, m.XFRMA_REPLAY_ESN_VAL
MAXDIFF, MAXAGE = m.XFRMA_REPLAY_THRESH, m.XFRMA_ETIMER_THRESH
COUNTERS = s.LifetimeCur(1, 2, 3, 4)
FULL = 0xFFFFFFFF


def event_of(who: s.UserSaId | None = None, flags: int = 0) -> s.AeventId:
    return s.AeventId(who or sa_id(), v4(2), flags, 0)


def get_ae(talk: Talk, flags: int = 0, attrs: Any = ()) -> Message:
    (read,) = talk.send(GETAE, event_of(flags=flags), attrs, flags=0)
    assert read.header.nlmsg_type == NEWAE, read.body
    return read


def new_ae(talk: Talk, *attrs: Any, flags: int = SET) -> tuple[int, str]:
    body = talk.send(NEWAE, event_of(), attrs, flags)[-1].body
    return -body.error, body.text


# -- GETAE -----------------------------------------------------------------------------------------------


def test_get_ae_shows_state_counters_and_the_thresholds_asked_for() -> None:
    talk = Talk()
    add_sa(talk, sa_info(reqid=9), [(LTIME, COUNTERS), (REPLAY, s.ReplayState(5, 6, 7))])
    shown = get_ae(talk)
    assert shown.body == s.AeventId(sa_id(), v4(2), 0, 9)
    assert [attr.number for attr in shown.attrs] == [REPLAY, LTIME]
    assert (shown.get(REPLAY), shown.get(LTIME)) == (s.ReplayState(5, 6, 7), COUNTERS)
    shown = get_ae(talk, XFRM_AE_RTHR | XFRM_AE_ETHR | 0x4000)
    assert shown.body.flags == XFRM_AE_RTHR | XFRM_AE_ETHR | 0x4000
    assert (shown.get(MAXDIFF), shown.get(MAXAGE)) == (2, 10)


def test_get_ae_shows_mark_if_id_cpu_and_direction() -> None:
    talk = Talk()
    mark = (m.XFRMA_MARK, s.MarkVM(5, 0xFF))
    add_sa(talk, attrs=[mark, (m.XFRMA_IF_ID, 3), (m.XFRMA_SA_PCPU, 0), IN])
    shown = get_ae(talk, attrs=[mark])
    assert [attr.number for attr in shown.attrs][2:] == [
        m.XFRMA_MARK,
        m.XFRMA_IF_ID,
        m.XFRMA_SA_PCPU,
        m.XFRMA_SA_DIR,
    ]


@pytest.mark.parametrize(("profile", "pad"), [(LINUX_7_2, []), (LINUX_6_12, [m.XFRMA_PAD])])
def test_where_numbers_are_aligned_the_counters_are(profile: Any, pad: list[int]) -> None:
    talk = Talk(profile)
    add_sa(talk)
    assert [attr.number for attr in get_ae(talk).attrs] == [REPLAY, *pad, LTIME]
    add_sa(talk, sa_info(0x101), [esn(1, 0)])
    (shown,) = talk.send(GETAE, event_of(sa_id(0x101)), flags=0)
    aligned = (16 + 48 + 4 + 28) % 8 == 0
    assert [attr.number for attr in shown.attrs] == [REPLAY_ESN, *(pad if aligned else []), LTIME]


def test_get_ae_answers_with_the_port_that_the_request_names() -> None:
    talk = Talk()
    add_sa(talk)
    request = messages.build(GETAE, NLM_F_REQUEST, event_of(), seq=7, pid=55)
    (read,) = talk.raw(request.encode())
    assert (read.header.nlmsg_seq, read.header.nlmsg_pid) == (7, 55)


def test_get_ae_of_nothing() -> None:
    assert Talk().refused(GETAE, event_of()) == (ESRCH, "")


# -- NEWAE -----------------------------------------------------------------------------------------------


def test_new_ae_sets_and_tells() -> None:
    talk = Talk()
    add_sa(talk)
    talk.events()
    state = s.ReplayState(5, 6, 7)
    assert new_ae(talk, (LTIME, COUNTERS), (REPLAY, state), (MAXDIFF, 8), (MAXAGE, 900)) == (0, "")
    (event,) = talk.events()
    assert (event.header.nlmsg_type, event.header.nlmsg_seq) == (NEWAE, talk.seq)
    assert event.body.flags == XFRM_AE_CU
    assert (event.get(REPLAY), event.get(LTIME)) == (state, COUNTERS)
    shown = get_ae(talk, XFRM_AE_RTHR | XFRM_AE_ETHR)
    # The timer is set in ticks and shown in tenths of a second: the kernel's, not ours.
    assert (shown.get(MAXDIFF), shown.get(MAXAGE)) == (8, 90)


def test_a_timer_in_32_bits() -> None:
    talk = Talk()
    add_sa(talk)
    new_ae(talk, (MAXAGE, FULL))
    assert get_ae(talk, XFRM_AE_ETHR).get(MAXAGE) == ((FULL * 10) & FULL) // 100


def test_new_ae_must_say_something_and_replace() -> None:
    talk = Talk()
    missing = (EINVAL, "Missing required attribute for AE")
    assert new_ae(talk) == new_ae(talk, (m.XFRMA_MTIMER_THRESH, 1)) == missing
    assert new_ae(talk, (MAXDIFF, 1), flags=NLM_F_ACK) == (EINVAL, "NLM_F_REPLACE flag is required")
    assert new_ae(talk, (MAXDIFF, 1)) == (ESRCH, "")


def test_new_ae_wants_an_sa_with_keys() -> None:
    talk = Talk()
    talk.send(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa_info(spi=0), 0x100, 0x100), flags=0)
    assert new_ae(talk, (MAXDIFF, 1)) == (EINVAL, "SA must be in VALID state")


def test_new_ae_takes_a_mapping_threshold_unseen() -> None:
    talk = Talk()
    add_sa(talk)
    assert new_ae(talk, (MAXDIFF, 1), (m.XFRMA_MTIMER_THRESH, 5)) == (0, "")
    assert get_sa(talk).get(m.XFRMA_MTIMER_THRESH) == 5


def raw_esn(bmp_len: int, window: int, bitmap: bytes) -> Attr:
    words = (bmp_len, 1, 2, 3, 4, window)
    return make(REPLAY_ESN, b"".join(n.to_bytes(4, "little") for n in words) + bitmap)


TOO_SHORT = "ESN attribute is too short"
OTHER_SIZE = "New ESN size doesn't match the existing SA's ESN size"


@pytest.mark.parametrize(
    ("attr", "text"),
    [
        (raw_esn(4, 64, b""), TOO_SHORT),
        (raw_esn(2, 64, bytes(8)), OTHER_SIZE),
        (raw_esn(4, 129, bytes(16)), "ESN replay window is longer than the bitmap"),
        # Sizes are 32 bits in C, and compared as signed ones.
        (
            raw_esn(0x40000004, 64, bytes(16)),
            "New ESN bitmap size doesn't match the existing SA's ESN bitmap",
        ),
        (raw_esn(0x20000000, 64, b""), OTHER_SIZE),
        (raw_esn(0x1FFFFFF0, 64, b""), TOO_SHORT),
    ],
)
def test_new_ae_of_another_size(attr: Attr, text: str) -> None:
    talk = Talk()
    add_sa(talk, sa_info(flags=128), [esn(4, 64)])
    assert new_ae(talk, attr) == (EINVAL, text)


def test_new_ae_of_the_same_size() -> None:
    talk = Talk()
    add_sa(talk, sa_info(flags=128), [esn(4, 64)])
    bitmap = bytes(range(16))
    assert new_ae(talk, raw_esn(4, 128, bitmap + b"more")) == (0, "")
    assert get_sa(talk).get(REPLAY_ESN) == s.ReplayStateEsn(4, 1, 2, 3, 4, 128, bitmap)


def test_the_other_kind_of_state_changes_nothing_that_shows() -> None:
    talk = Talk()
    add_sa(talk)
    before = get_sa(talk)
    assert new_ae(talk, raw_esn(9, 9, b"")) == (0, "")
    assert get_sa(talk).attrs == before.attrs


# -- EXPIRE ------------------------------------------------------------------------------------------------


def test_expire_tells_and_a_hard_one_deletes() -> None:
    talk = Talk()
    add_sa(talk)
    talk.events()
    for hard, left in ((0, 1), (2, 0)):
        talk.ok(EXPIRE, s.UserExpire(sa_info(), hard))
        (event,) = talk.events()
        assert (event.header.nlmsg_type, event.header.nlmsg_seq) == (EXPIRE, 0)
        assert event.body.hard == min(hard, 1)
        assert len(talk.engine.sadb) == left


def test_expire_of_what_is_not_there_or_has_no_keys() -> None:
    talk = Talk()
    assert talk.refused(EXPIRE, s.UserExpire(sa_info(), 1)) == (ENOENT, "")
    talk.send(m.XFRM_MSG_ALLOCSPI, s.UserSpiInfo(sa_info(spi=0), 0x100, 0x100), flags=0)
    answer = talk.refused(EXPIRE, s.UserExpire(sa_info(), 1))
    assert answer == (EINVAL, "SA must be in VALID state")


def test_expire_of_an_ipcomp_sa_takes_its_helper_along() -> None:
    talk = Talk()
    talk.ok(m.XFRM_MSG_NEWSA, sa_info(proto=108), [comp()])
    talk.ok(EXPIRE, s.UserExpire(sa_info(proto=108), 1))
    assert len(talk.engine.sadb) == 0


# -- ACQUIRE -----------------------------------------------------------------------------------------------


def wanted(**more: Any) -> s.UserAcquire:
    policy = s.UserPolicyInfo(ANY4, NO_LIMITS, NO_COUNTERS, 0, 0, 0, 0, 0, 0)
    policy = policy._replace(**more)
    return s.UserAcquire(s.Id(v4(1), 9, 50), v4(2), ANY4, policy, 0xA, 0xE, 0xC, 99)


def template(reqid: int) -> s.UserTmpl:
    return s.UserTmpl(s.Id(v4(1), reqid, 50), 2, v4(3), reqid, 1, 0, 0, 1, 2, 3)


def test_acquire_is_passed_on_once_a_template() -> None:
    talk = Talk()
    templates = (template(1), template(2))
    attrs = [(m.XFRMA_TMPL, templates), (m.XFRMA_MARK, s.MarkVM(0x105, 0xFF)), (m.XFRMA_SA_PCPU, 0)]
    talk.ok(ACQUIRE, wanted(), attrs)
    first, second = talk.events()
    assert (first.body.id.spi, second.body.id.spi) == (1, 2)
    assert (first.body.seq, second.body.seq) == (1, 2)
    assert first.body.saddr == v4(2)
    assert (first.body.aalgos, first.body.ealgos, first.body.calgos) == (0xA, 0xE, 0xC)
    assert [one.aalgos for one in first.get(m.XFRMA_TMPL)] == [0xA, 1]
    assert [one.aalgos for one in second.get(m.XFRMA_TMPL)] == [0xA, 0xA]
    # Its direction is told as "out" whatever it is; its mark is not put right.
    assert first.body.policy.dir == 1
    assert first.get(m.XFRMA_MARK) == s.MarkVM(0x105, 0xFF)
    assert len(talk.engine.sadb) == 0


def test_acquire_without_templates_or_hearers() -> None:
    talk = Talk()
    talk.ok(ACQUIRE, wanted())
    assert talk.events() == []
    talk.engine.close(talk.listener)
    talk.ok(ACQUIRE, wanted(), [(m.XFRMA_TMPL, (template(1),))])
    assert talk.engine.chance.acquire_seq() == 2


def test_acquire_is_checked_as_a_policy_is() -> None:
    talk = Talk()
    text = "pCPU number too big"
    assert talk.refused(ACQUIRE, wanted(share=9), [(m.XFRMA_SA_PCPU, 1)]) == (EINVAL, text)
    assert talk.refused(ACQUIRE, wanted(share=9)) == (EINVAL, "Invalid policy share")
    wrong = template(1)._replace(family=7)
    assert talk.refused(ACQUIRE, wanted(), [(m.XFRMA_TMPL, (wrong,))])[0] == EINVAL
    assert talk.events() == []


def test_time_stands_still_meanwhile() -> None:
    talk = Talk()
    add_sa(talk, attrs=[encap()])
    talk.ok(EXPIRE, s.UserExpire(sa_info(), 0))
    assert get_sa(talk).body.curlft.add_time == int(NOW)
