"""Counts and table sizes at a scale that the conformance cases do not reach."""

from __future__ import annotations

from typing import Any

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_REQUEST
from pyxfrm.wire import messages
from tests.engine.helpers import ANY4, GCM, NOW, Talk, policy, sa_info, v4


def ask(talk: Talk, kind: int, attr: int) -> Any:
    read = talk.send(kind, 0x01020304, flags=0)
    assert read[0].body == 0x01020304
    return read[0].get(attr)


@pytest.mark.parametrize(("count", "buckets"), [(7, 7), (8, 15), (16, 31), (100, 127), (600, 1023)])
def test_the_policy_table_grows_with_one_direction(count: int, buckets: int) -> None:
    talk = Talk()
    for number in range(count):
        sel = ANY4._replace(daddr=number.to_bytes(16, "little"))
        talk.ok(m.XFRM_MSG_NEWPOLICY, policy(sel=sel))
    assert ask(talk, m.XFRM_MSG_GETSPDINFO, m.XFRMA_SPD_HINFO) == (buckets, 1 << 20)
    assert ask(talk, m.XFRM_MSG_GETSPDINFO, m.XFRMA_SPD_INFO) == (0, count, 0, 0, 0, 0)


def test_a_table_doubles_once_a_datagram() -> None:
    talk = Talk()
    batch = b""
    for number in range(1, 101):
        sel = ANY4._replace(daddr=number.to_bytes(16, "little"))
        batch += messages.build(m.XFRM_MSG_NEWPOLICY, NLM_F_REQUEST, policy(sel=sel)).encode()
    talk.engine.handle(batch, talk.port, NOW)
    assert ask(talk, m.XFRM_MSG_GETSPDINFO, m.XFRMA_SPD_HINFO).spdhcnt == 15
    talk.ok(m.XFRM_MSG_NEWPOLICY, policy())
    assert ask(talk, m.XFRM_MSG_GETSPDINFO, m.XFRMA_SPD_HINFO).spdhcnt == 31


def test_the_sa_table_never_has_fewer_buckets_than_half_its_sas() -> None:
    talk = Talk()
    for number in range(300):
        info = sa_info(0x100 + number, v4(number % 250 + 1))
        talk.ok(m.XFRM_MSG_NEWSA, info, [(m.XFRMA_ALG_AEAD, GCM)])
        hashes = ask(talk, m.XFRM_MSG_GETSADINFO, m.XFRMA_SAD_HINFO)
        assert hashes.sadhmcnt == 1 << 20
        assert hashes.sadhcnt >= 8
        assert number + 1 <= 2 * hashes.sadhcnt
    assert ask(talk, m.XFRM_MSG_GETSADINFO, m.XFRMA_SAD_CNT) == 300


def test_refused_thresholds_and_defaults_leave_the_engine_as_it_was() -> None:
    talk = Talk()
    four = m.XFRMA_SPD_IPV4_HTHRESH
    bad = [(four, s.SpdHthresh(1, 2)), (m.XFRMA_SPD_IPV6_HTHRESH, s.SpdHthresh(129, 0))]
    talk.refused(m.XFRM_MSG_NEWSPDINFO, 0, bad)
    assert ask(talk, m.XFRM_MSG_GETSPDINFO, four) == (32, 32)
    talk.ok(m.XFRM_MSG_SETDEFAULT, s.UserPolicyDefault(0, 3, 9))
    assert talk.send(m.XFRM_MSG_GETDEFAULT, s.UserPolicyDefault(0, 0, 0))[0].body == (2, 2, 2)
    assert [one.name for one in talk.events()] == ["XFRM_MSG_GETDEFAULT"]
