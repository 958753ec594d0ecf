"""Policies through an engine: what the kernels of the lab cannot show."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENODEV

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST
from pyxfrm.wire import messages
from tests.engine.helpers import (
    NOW,
    Talk,
    net,
    offload,
    policy,
    template,
    with_devices,
)

NEW = m.XFRM_MSG_NEWPOLICY
UPD = m.XFRM_MSG_UPDPOLICY
GET = m.XFRM_MSG_GETPOLICY
DEL = m.XFRM_MSG_DELPOLICY
PACKET = 4


def test_policies_are_offloaded_by_devices_that_take_packets() -> None:
    talk = with_devices()
    assert talk.refused(NEW, policy(), [offload(2)]) == (EINVAL, "Policy offload is not supported")
    refusal = (ENODEV, "Device failed to offload this policy")
    assert talk.refused(NEW, policy(), [offload(4)]) == refusal
    for direction, shown in ((0, PACKET | 2), (1, PACKET), (2, PACKET)):
        talk.ok(NEW, policy(direction), [offload(3)])
        (event,) = talk.events()
        assert event.get(m.XFRMA_OFFLOAD_DEV) == s.UserOffload(3, shown)
    talk.ok(UPD, policy(0))
    (event,) = talk.events()
    assert event.get(m.XFRMA_OFFLOAD_DEV) is None


def test_a_dump_passes_over_what_is_gone_and_does_not_see_what_is_new() -> None:
    talk = Talk()
    for number in range(60):
        talk.ok(NEW, policy(sel=net(number)), [(m.XFRMA_TMPL, (template(),) * 6)])
    request = messages.build(GET, NLM_F_REQUEST | NLM_F_DUMP, seq=5).encode()
    talk.engine.submit(request, talk.port, NOW)
    first = talk.engine.receive(talk.port, 8192) or b""
    seen = [one.body.index for one in messages.decode_all(first)]
    other = talk.engine.port(3000)
    for number in range(30):
        gone = messages.build(DEL, NLM_F_REQUEST, s.UserPolicyId(net(number), 0, 1))
        talk.engine.submit(gone.encode(), other, NOW)
    made = messages.build(NEW, NLM_F_REQUEST, policy(sel=net(99)))
    talk.engine.submit(made.encode(), other, NOW)
    while (datagram := talk.engine.receive(talk.port, 8192)) is not None:
        seen += [
            one.body.index for one in messages.decode_all(datagram) if one.name != "NLMSG_DONE"
        ]
    assert seen == [1 + 8 * number for number in range(59, 29, -1)]


def test_a_filled_in_family_shows_in_the_echo() -> None:
    talk = Talk(cap_ack=False)
    attrs = [(m.XFRMA_TMPL, (template(family=0), template(family=0)))]
    talk.ok(NEW, policy(), attrs)
    made = messages.build(NEW, NLM_F_REQUEST | NLM_F_ACK, policy(), attrs, seq=9).encode()
    (answer,) = talk.raw(made)
    assert answer.body.error == -EEXIST
    filled = [(m.XFRMA_TMPL, (template(family=2), template(family=2)))]
    same = messages.build(NEW, NLM_F_REQUEST | NLM_F_ACK, policy(), filled, seq=9).encode()
    assert answer.body.echo == same[16:]
