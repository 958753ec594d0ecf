"""Adding, updating and deleting SAs: what meets what, which larval SA goes, and how little an update changes."""

from __future__ import annotations

from errno import EEXIST, EINVAL, EPERM, ESRCH
from typing import Any

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.profiles import EXACT_MARKS, LINUX_7_2
from pyxfrm.engine.larval import find_or_make
from pyxfrm.engine.sa import NO_PCPU
from tests.engine.algos import AEAD, AUTH, IN, OUT, comp, encap
from tests.engine.helpers import (
    NO_LIMITS,
    Talk,
    add_sa,
    get_sa,
    sa_id,
    sa_info,
    v4,
    v6,
)

NEWSA, UPDSA, DELSA = m.XFRM_MSG_NEWSA, m.XFRM_MSG_UPDSA, m.XFRM_MSG_DELSA
IF_ID, SET_MARK = m.XFRMA_IF_ID, m.XFRMA_SET_MARK


def mark(value: int, mask: int) -> tuple[int, Any]:
    return m.XFRMA_MARK, s.MarkVM(value, mask)


def alloc(talk: Talk, spi: int = 0, attrs: Any = (), **more: Any) -> None:
    """A larval SA, with an SPI if one is given."""
    low = spi or 0x777
    body = s.UserSpiInfo(sa_info(spi=0, **more), low, low)
    talk.send(m.XFRM_MSG_ALLOCSPI, body, attrs, flags=0)


def count(talk: Talk) -> int:
    return len(talk.engine.sadb)


# -- adding ------------------------------------------------------------------------------------------


def test_a_key_is_taken_once() -> None:
    talk = Talk()
    add_sa(talk)
    talk.events()
    assert talk.refused(NEWSA, sa_info(saddr=v4(9), reqid=4), [AEAD]) == (EEXIST, "")
    assert talk.events() == []
    for other in (
        sa_info(spi=0x101),
        sa_info(daddr=v4(3)),
        sa_info(family=10, daddr=v6(1), saddr=v6(2)),
    ):
        add_sa(talk, other)
    talk.ok(NEWSA, sa_info(proto=51), [AUTH])
    assert count(talk) == 5


def test_of_an_ipv4_address_four_bytes_count() -> None:
    talk = Talk()
    add_sa(talk)
    assert talk.refused(NEWSA, sa_info(daddr=v4(1)[:4] + b"x" * 12), [AEAD]) == (EEXIST, "")


@pytest.mark.parametrize(("profile", "met"), [(LINUX_7_2, True), (EXACT_MARKS, False)])
def test_a_broad_mark_hides_the_key(profile: Any, met: bool) -> None:
    talk = Talk(profile)
    add_sa(talk)
    if met:
        assert talk.refused(NEWSA, sa_info(), [AEAD, mark(5, 0xFF)]) == (EEXIST, "")
    else:
        add_sa(talk, attrs=[mark(5, 0xFF)])


def test_protocols_without_spi_meet_by_both_addresses() -> None:
    talk = Talk()
    body = sa_info(spi=0, proto=60, mode=2, family=10, daddr=v6(1), saddr=v6(2))
    care_of = [(m.XFRMA_COADDR, v6(9))]
    talk.ok(NEWSA, body, care_of)
    assert talk.refused(NEWSA, body, care_of) == (EEXIST, "")
    talk.ok(NEWSA, body._replace(saddr=v6(3)), care_of)


def test_spi_zero_is_never_met() -> None:
    talk = Talk()
    for _ in range(2):
        talk.ok(NEWSA, sa_info(spi=0), [AEAD])
    assert count(talk) == 2


def test_the_larval_sa_with_the_same_addresses_goes() -> None:
    talk = Talk()
    find_or_make(
        talk.engine,
        daddr=v4(1),
        saddr=v4(2),
        family=2,
        proto=50,
        mode=1,
        reqid=0,
        mark=(0, 0),
        if_id=0,
        pcpu_num=NO_PCPU,
    )
    add_sa(talk, sa_info(reqid=1))
    assert count(talk) == 2
    add_sa(talk, sa_info(spi=0x200))
    assert count(talk) == 2
    assert [event.header.nlmsg_type for event in talk.events()] == [NEWSA, NEWSA]


def test_one_that_has_an_spi_stays() -> None:
    talk = Talk()
    alloc(talk, 0x500)
    add_sa(talk)
    assert count(talk) == 2


# -- updating ------------------------------------------------------------------------------------------


def test_an_update_of_nothing() -> None:
    assert Talk().refused(UPDSA, sa_info(), [AEAD]) == (ESRCH, "")


def test_an_update_of_a_larval_sa_is_a_new_one() -> None:
    talk = Talk()
    alloc(talk, 0x100)
    talk.ok(UPDSA, sa_info(reqid=3, mode=0), [AEAD])
    assert count(talk) == 1
    assert get_sa(talk).body.reqid == 3


@pytest.mark.parametrize(("had", "asked", "fine"), [((), [OUT], False), ([OUT], [], True)])
def test_a_larval_sa_s_direction(had: Any, asked: Any, fine: bool) -> None:
    talk = Talk()
    alloc(talk, 0x100, had)
    if fine:
        talk.ok(UPDSA, sa_info(), [AEAD, *asked])
    else:
        assert talk.refused(UPDSA, sa_info(), [AEAD, *asked]) == (ESRCH, "")


def test_a_direction_is_not_changed() -> None:
    talk = Talk()
    add_sa(talk, attrs=[IN])
    for attrs in ([], [OUT]):
        assert talk.refused(UPDSA, sa_info(), [AEAD, *attrs]) == (ESRCH, "")


def test_what_an_update_changes_and_what_not() -> None:
    talk = Talk()
    add_sa(talk, attrs=[encap(), (IF_ID, 1), (SET_MARK, 1), mark(5, 0xFF)])
    limits = NO_LIMITS._replace(hard_add_expires_seconds=99)
    body = sa_info(saddr=v4(9), reqid=9, mode=0, flags=1, replay_window=9, lft=limits)
    attrs = [AEAD, encap(sport=1), (IF_ID, 2), (SET_MARK, 2), mark(0x105, 0xFFF)]
    talk.ok(UPDSA, body, [*attrs, (m.XFRMA_REPLAY_VAL, s.ReplayState(1, 2, 3))])
    shown = get_sa(talk, attrs=[mark(5, 0xFF)])
    info = shown.body
    assert (info.lft, info.saddr, info.reqid, info.mode) == (limits, v4(2), 0, 1)
    assert (info.flags, info.replay_window) == (0, 0)
    assert shown.get(m.XFRMA_ENCAP).encap_sport == 1
    assert (shown.get(IF_ID), shown.get(SET_MARK)) == (2, 2)
    assert shown.get(m.XFRMA_MARK) == s.MarkVM(5, 0xFF)
    assert shown.get(m.XFRMA_REPLAY_VAL) == s.ReplayState(0, 0, 0)


def test_the_event_shows_what_was_asked_not_what_is() -> None:
    talk = Talk()
    add_sa(talk)
    talk.events()
    talk.ok(UPDSA, sa_info(reqid=9), [AEAD])
    (event,) = talk.events()
    assert (event.header.nlmsg_type, event.body.reqid) == (UPDSA, 9)
    assert get_sa(talk).body.reqid == 0


def test_an_update_without_if_id_or_set_mark_keeps_them() -> None:
    talk = Talk()
    add_sa(talk, attrs=[(IF_ID, 1), (SET_MARK, 1)])
    talk.ok(UPDSA, sa_info(), [AEAD])
    shown = get_sa(talk)
    assert (shown.get(IF_ID), shown.get(SET_MARK)) == (1, 1)


@pytest.mark.parametrize(("had", "asked"), [([encap()], []), ([], [encap()])])
def test_encapsulation_neither_comes_nor_goes(had: Any, asked: Any) -> None:
    talk = Talk()
    add_sa(talk, attrs=had)
    before = get_sa(talk)
    assert talk.refused(UPDSA, sa_info(), [AEAD, *asked]) == (EINVAL, "")
    assert get_sa(talk).attrs == before.attrs


def test_without_an_spi_the_selector_follows_too() -> None:
    talk = Talk()
    body = sa_info(spi=0, proto=43, mode=2, family=10, daddr=v6(1), saddr=v6(2))
    talk.ok(NEWSA, body, [(m.XFRMA_COADDR, v6(9))])
    sel = body.sel._replace(proto=6)
    talk.ok(UPDSA, body._replace(sel=sel), [(m.XFRMA_COADDR, v6(8))])
    (sa,) = talk.engine.sadb
    assert (sa.sel, sa.traits.coaddr) == (sel, v6(8))


# -- helpers of IPComp -----------------------------------------------------------------------------------


def test_a_helper_is_neither_updated_nor_deleted() -> None:
    talk = Talk()
    talk.ok(NEWSA, sa_info(proto=108), [comp()])
    who = sa_id(0xC0000202, proto=4)
    src = [(m.XFRMA_SRCADDR, v4(2))]
    assert talk.refused(DELSA, who, src) == (EPERM, "SA is in use by tunnels")
    assert talk.refused(DELSA, who) == (EINVAL, "")
