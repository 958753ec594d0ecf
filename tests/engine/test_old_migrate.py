"""The old MIGRATE on model devices and under every profile; what it refuses changes nothing."""

from __future__ import annotations

from errno import ENODATA, ENOPROTOOPT
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_DUMP, NLM_F_REQUEST
from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, LINUX_7_2_NOMIG, Profile
from pyxfrm.wire import messages
from tests.engine.helpers import (
    ANY4,
    ZERO,
    Talk,
    add_sa,
    get_sa,
    offload,
    policy,
    sa_id,
    sa_info,
    template,
    v4,
    with_devices,
)

NEW = m.XFRM_MSG_NEWPOLICY
GET = m.XFRM_MSG_GETPOLICY
PACKET = 4


def move(
    old: bytes = v4(1),
    old_s: bytes = v4(2),
    new: bytes = v4(11),
    new_s: bytes = v4(12),
    **more: Any,
) -> s.UserMigrate:
    return s.UserMigrate(old, old_s, new, new_s, 50, 1, 0, 0, 2, 2)._replace(**more)


def moves(*entries: s.UserMigrate) -> list[tuple[int, Any]]:
    return [(m.XFRMA_MIGRATE, entries)]


def everything(talk: Talk) -> list[bytes]:
    """All SAs and policies as bytes."""
    seen = []
    for kind in (m.XFRM_MSG_GETSA, GET):
        request = messages.build(kind, NLM_F_REQUEST | NLM_F_DUMP, seq=1)
        seen += talk.engine.handle(request.encode(), talk.port, talk.now)
    return seen


def test_the_old_migrate_offloads_what_it_moves() -> None:
    profile = LINUX_7_2._replace(clone_offload_type=True)
    talk = with_devices(profile)
    talk.ok(NEW, policy(), [(m.XFRMA_TMPL, (template(),))])
    add_sa(talk)
    talk.ok(m.XFRM_MSG_MIGRATE, s.UserPolicyId(ANY4, 0, 1), [*moves(move()), offload(3, 0)])
    assert get_sa(talk, sa_id(0x100, v4(11))).get(m.XFRMA_OFFLOAD_DEV) == s.UserOffload(3, 0)
    assert len(talk.engine.devices.get(3).states) == 1  # type: ignore[union-attr]
    back = move(v4(11), v4(12), v4(1), v4(2))
    text = "Device failed to offload this state"
    assert talk.refused(
        m.XFRM_MSG_MIGRATE, s.UserPolicyId(ANY4, 0, 1), [*moves(back), offload(4, PACKET)]
    ) == (ENODATA, text)
    talk.ok(m.XFRM_MSG_MIGRATE, s.UserPolicyId(ANY4, 0, 1), moves(back))
    assert get_sa(talk).get(m.XFRMA_OFFLOAD_DEV) is None
    assert talk.engine.devices.get(3).states == set()  # type: ignore[union-attr]


entries = st.builds(
    move,
    st.sampled_from([v4(1), v4(11), ZERO]),
    st.sampled_from([v4(2), v4(12)]),
    st.sampled_from([v4(1), v4(11), v4(21), ZERO]),
    st.sampled_from([v4(2), v4(12)]),
    proto=st.sampled_from([50, 51]),
    mode=st.sampled_from([0, 1, 4]),
    reqid=st.sampled_from([0, 1, 2]),
    new_family=st.sampled_from([2, 10, 7]),
    old_family=st.sampled_from([2, 10, 7]),
)


@given(
    st.lists(entries, min_size=1, max_size=3),
    st.sampled_from([LINUX_7_2, LINUX_6_12]),
    st.booleans(),
)
def test_what_migrate_refuses_it_leaves_alone(
    asked: list[s.UserMigrate], profile: Profile, encapsulated: bool
) -> None:
    talk = Talk(profile)
    talk.ok(NEW, policy(), [(m.XFRMA_TMPL, (template(), template(mode=0)))])
    for number in range(4):
        add_sa(talk, sa_info(0x100 + number, reqid=number // 2, mode=number % 2))
    before = everything(talk)
    talk.events()
    attrs = moves(*asked)
    if encapsulated:
        attrs.append((m.XFRMA_ENCAP, s.EncapTmpl(7, 1, 2, ZERO)))
    answer = talk.answer(
        m.XFRM_MSG_MIGRATE, s.UserPolicyId(ANY4._replace(daddr=v4(9)), 0, 1), attrs
    )
    if answer.error:
        assert everything(talk) == before
        assert talk.events() == []
    else:
        assert [one.name for one in talk.events()] == ["XFRM_MSG_MIGRATE"]
        assert len(talk.engine.sadb) == 4


def test_kernels_before_inherit_the_encapsulation_and_never_say_why() -> None:
    talk = Talk(LINUX_6_12)
    talk.ok(NEW, policy(), [(m.XFRMA_TMPL, (template(),))])
    wrapping = (m.XFRMA_ENCAP, s.EncapTmpl(2, 4500, 4500, ZERO))
    add_sa(talk, sa_info(), [wrapping])
    who = s.UserPolicyId(ANY4, 0, 1)
    broken = [*moves(move()), (m.XFRMA_ENCAP, s.EncapTmpl(7, 1, 2, ZERO))]
    assert talk.refused(m.XFRM_MSG_MIGRATE, who, broken) == (ENODATA, "")
    talk.ok(m.XFRM_MSG_MIGRATE, who, moves(move()))
    assert get_sa(talk, sa_id(0x100, v4(11))).get(m.XFRMA_ENCAP) == wrapping[1]


def test_a_kernel_built_without_migration_says_so() -> None:
    talk = Talk(LINUX_7_2_NOMIG)
    assert talk.refused(m.XFRM_MSG_MIGRATE, s.UserPolicyId(ANY4, 0, 1)) == (ENOPROTOOPT, "")
