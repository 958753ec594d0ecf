"""The helper SA behind IPComp in tunnel mode: one for all that share it, gone with the last, unseen by events."""

from __future__ import annotations

from errno import EEXIST, EINVAL
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.engine.ipcomp import TunnelSpis
from pyxfrm.engine.sa import Sa
from tests.engine.algos import IN, comp, encap, sec_ctx
from tests.engine.helpers import ALL_GROUPS, Talk, sa_id, sa_info, v4, v6

NEWSA, DELSA, FLUSHSA = m.XFRM_MSG_NEWSA, m.XFRM_MSG_DELSA, m.XFRM_MSG_FLUSHSA
EXPIRE = m.XFRM_MSG_EXPIRE
V6: dict[str, Any] = {"family": 10, "daddr": v6(1), "saddr": v6(2)}
LAST = 0xFFFFFFFF


def compressed(talk: Talk, spi: int = 0x100, attrs: Any = (), **more: Any) -> None:
    talk.ok(NEWSA, sa_info(spi, proto=108, **more), [comp(), *attrs])


def helpers(talk: Talk) -> list[Sa]:
    return [sa for sa in talk.engine.sadb if sa.proto in (4, 41)]


def test_a_helper_for_ipv4() -> None:
    talk = Talk()
    compressed(talk, attrs=[(m.XFRMA_IF_ID, 7), (m.XFRMA_MARK, s.MarkVM(0x105, 0xFF))], flags=1)
    (helper,) = helpers(talk)
    assert (helper.proto, helper.family, helper.spi) == (4, 2, v4(2)[:4])
    assert (helper.daddr, helper.saddr, helper.reqid) == (v4(1), v4(2), 0)
    assert (helper.traits.if_id, helper.mark, helper.traits.flags) == (7, (5, 0xFF), 1)
    assert helper.tunnel_users == 2
    assert [event.body.id.proto for event in talk.events()] == [108]


def test_a_helper_for_ipv6_does_not_take_the_flags() -> None:
    talk = Talk()
    compressed(talk, flags=1, **V6)
    (helper,) = helpers(talk)
    assert (helper.proto, helper.spi, helper.traits.flags) == (41, b"\0\0\0\1", 0)


def test_transport_mode_needs_none() -> None:
    talk = Talk()
    compressed(talk, mode=0)
    assert helpers(talk) == []


def test_modes_and_encapsulation() -> None:
    talk = Talk()
    for mode in (4, 2):
        family = V6 if mode == 2 else {}
        answer = talk.refused(NEWSA, sa_info(proto=108, mode=mode, **family), [comp()])
        assert answer == (EINVAL, "Unsupported XFRM mode for IPcomp")
    answer = talk.refused(NEWSA, sa_info(proto=108), [comp(), encap()])
    assert answer == (EINVAL, "IPComp is not compatible with encapsulation")


def test_it_is_shared_and_goes_with_the_last() -> None:
    talk = Talk()
    for spi in (1, 2, 3):
        compressed(talk, spi)
    (helper,) = helpers(talk)
    assert helper.tunnel_users == 4
    for spi, left in ((2, 1), (1, 1), (3, 0)):
        talk.ok(DELSA, sa_id(spi, proto=108))
        assert len(helpers(talk)) == left


def test_another_mark_needs_another_helper() -> None:
    talk = Talk()
    compressed(talk, 1, [(m.XFRMA_MARK, s.MarkVM(1, 0xFF))])
    compressed(talk, 2, [(m.XFRMA_MARK, s.MarkVM(2, 0xFF))])
    assert len(helpers(talk)) == 2


def test_whoever_is_refused_gives_it_back() -> None:
    talk = Talk()
    body = sa_info(proto=108)
    assert talk.refused(NEWSA, body, [comp(), sec_ctx(b"x", doi=0)]) == (EINVAL, "")
    assert helpers(talk) == []
    keepalive = (m.XFRMA_NAT_KEEPALIVE_INTERVAL, 5)
    assert talk.refused(NEWSA, body, [comp(), keepalive])[0] == EINVAL
    assert helpers(talk) == []
    compressed(talk)
    assert talk.refused(NEWSA, body, [comp()])[0] == EEXIST
    talk.ok(m.XFRM_MSG_UPDSA, body, [comp()])
    (helper,) = helpers(talk)
    assert helper.tunnel_users == 2


def test_a_flush_passes_it_by_but_takes_its_users() -> None:
    talk = Talk()
    compressed(talk)
    talk.ok(FLUSHSA, s.UserSaFlush(4))
    assert len(helpers(talk)) == 1
    talk.ok(FLUSHSA, s.UserSaFlush(0))
    assert len(talk.engine.sadb) == 0


def test_a_hard_expire_from_user_space_kills_even_a_helper() -> None:
    talk = Talk()
    compressed(talk, **V6)
    (old,) = helpers(talk)
    body = sa_info(1, proto=41, **V6)
    talk.ok(EXPIRE, s.UserExpire(body, 1))
    assert helpers(talk) == []
    compressed(talk, 2, **V6)
    (new,) = helpers(talk)
    assert new is not old
    assert new.spi == old.spi
    for spi in (0x100, 2):
        talk.ok(DELSA, sa_id(spi, v6(1), 10, 108))
    assert len(talk.engine.sadb) == 0
    compressed(talk, **V6)
    assert helpers(talk)[0].spi == b"\0\0\0\2"


def test_no_path_mtu_discovery_reaches_the_helper_of_an_inbound_sa() -> None:
    talk = Talk()
    talk.engine.sysctl.ip_no_pmtu_disc = 1
    compressed(talk, attrs=[IN])
    (helper,) = helpers(talk)
    assert helper.traits.flags == 4
    assert helper.tunnel_users == 2


def test_nobody_is_told() -> None:
    talk = Talk()
    heard: list[int] = []
    talk.engine.observer = lambda _port, group, _data: heard.append(group)
    compressed(talk)
    talk.ok(DELSA, sa_id(proto=108))
    assert [group for group in heard if group] == [3, 3]
    assert set(heard) <= {0, *ALL_GROUPS}


# -- SPIs of IPv6 helpers ------------------------------------------------------------------------------------


def test_spis_count_up_and_are_kept_while_used() -> None:
    spis = TunnelSpis()
    one, two = v6(1), v6(2)
    assert [spis.take(a) for a in (one, two, one)] == [b"\0\0\0\1", b"\0\0\0\2", b"\0\0\0\1"]
    spis.drop(one)
    assert spis.find(one) == b"\0\0\0\1"
    spis.drop(one)
    assert spis.find(one) is None
    assert spis.take(one) == b"\0\0\0\3"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=60))
def test_no_two_addresses_share_an_spi(steps: list[tuple[bool, int]]) -> None:
    spis = TunnelSpis()
    users = [0] * 4
    for take, host in steps:
        if take:
            spis.take(v6(host))
            users[host] += 1
        elif users[host]:
            spis.drop(v6(host))
            users[host] -= 1
        held = [spis.find(v6(i)) for i in range(4)]
        assert [spi is not None for spi in held] == [n > 0 for n in users]
        used = [spi for spi in held if spi is not None]
        assert len(used) == len(set(used))


def test_after_the_last_number_comes_the_first_free() -> None:
    spis = TunnelSpis()
    spis.take(v6(1))
    spis._last = LAST - 1
    assert spis.take(v6(2)) == b"\xff\xff\xff\xff"
    assert spis.take(v6(3)) == b"\0\0\0\2"
