"""Offload on devices that offer it, on those that don't, and on those that are not there."""

from __future__ import annotations

from errno import EINVAL, EOPNOTSUPP
from typing import Any

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2
from pyxfrm.engine.devices import Device
from pyxfrm.engine.offload import add_offload
from pyxfrm.engine.refusal import Refusal
from tests.engine.algos import AEAD, AUTH, IN, OUT, esn
from tests.engine.helpers import Talk, get_sa, sa_id, sa_info

NEWSA, UPDSA, DELSA = m.XFRM_MSG_NEWSA, m.XFRM_MSG_UPDSA, m.XFRM_MSG_DELSA
INBOUND, PACKET = 2, 4
NO_TYPE = (EINVAL, "Type doesn't support offload")


def on(ifindex: int, flags: int = 0) -> tuple[int, Any]:
    return m.XFRMA_OFFLOAD_DEV, s.UserOffload(ifindex, flags)


def machine(profile: Any = LINUX_7_2, **device: Any) -> tuple[Talk, Device]:
    talk = Talk(profile)
    return talk, talk.engine.devices.add(Device(7, "eth0", **device))


@pytest.mark.parametrize("ifindex", [1, 99])
def test_no_such_device_is_no_error_unless_packets_are_asked_for(ifindex: int) -> None:
    talk = Talk()
    talk.ok(NEWSA, sa_info(), [AEAD, on(ifindex)])
    assert get_sa(talk).get(m.XFRMA_OFFLOAD_DEV) is None
    assert talk.refused(NEWSA, sa_info(2), [AEAD, on(ifindex, PACKET)]) == (EINVAL, "")


def test_a_device_carries_an_sa_until_it_is_deleted() -> None:
    talk, device = machine(crypto=True, packet=True)
    talk.ok(NEWSA, sa_info(), [AEAD, on(7)])
    talk.ok(NEWSA, sa_info(2), [AEAD, IN, on(7, INBOUND | PACKET | 1)])
    assert get_sa(talk).get(m.XFRMA_OFFLOAD_DEV) == s.UserOffload(7, 0)
    assert get_sa(talk, sa_id(2)).get(m.XFRMA_OFFLOAD_DEV) == s.UserOffload(7, INBOUND | PACKET)
    assert len(device.states) == 2
    talk.ok(DELSA, sa_id())
    talk.ok(DELSA, sa_id(2))
    assert len(device.states) == 0


def test_a_refused_or_updating_sa_leaves_the_device() -> None:
    talk, device = machine(crypto=True)
    talk.ok(NEWSA, sa_info(), [AEAD, on(7)])
    talk.refused(NEWSA, sa_info(), [AEAD, on(7)])
    talk.ok(UPDSA, sa_info(), [AEAD, on(7)])
    assert len(device.states) == 1


@pytest.mark.parametrize(
    ("attrs", "flags", "text"),
    [
        ([], 8, "Unrecognized flags in offload request"),
        ([OUT], INBOUND, "Mismatched SA and offload direction"),
        ([IN], 0, "Mismatched SA and offload direction"),
        ([(m.XFRMA_IF_ID, 1)], INBOUND, "XFRM if_id is not supported in RX path"),
        ([(m.XFRMA_TFCPAD, 1)], 0, "TFC padding can't be offloaded"),
    ],
)
def test_requests_that_make_no_sense(attrs: Any, flags: int, text: str) -> None:
    for ifindex in (7, 99):
        talk, device = machine(crypto=True)
        assert talk.refused(NEWSA, sa_info(), [AEAD, *attrs, on(ifindex, flags)]) == (EINVAL, text)
        assert len(device.states) == 0


def test_what_a_device_cannot_do() -> None:
    failed = (EINVAL, "Device failed to offload this state")
    talk, _ = machine(crypto=True, refuses=EINVAL)
    assert talk.refused(NEWSA, sa_info(), [AEAD, on(7)]) == failed
    talk, _ = machine(crypto=True)
    assert talk.refused(NEWSA, sa_info(), [AEAD, on(7, PACKET)]) == failed
    talk, _ = machine(packet=True)
    assert talk.refused(NEWSA, sa_info(), [AEAD, on(7)]) == failed
    talk, _ = machine(crypto=True, packet=True, esn=False)
    attrs = [AEAD, esn(), on(7)]
    text = "Device doesn't support offload with ESN"
    assert talk.refused(NEWSA, sa_info(flags=128), attrs) == (EINVAL, text)
    talk.ok(NEWSA, sa_info(flags=128), [AEAD, esn(), on(7, PACKET)])


def test_a_driver_that_cannot_is_no_error_for_crypto_alone() -> None:
    talk, device = machine(crypto=True, packet=True, refuses=EOPNOTSUPP)
    talk.ok(NEWSA, sa_info(), [AEAD, on(7)])
    assert len(device.states) == 0
    failed = (EOPNOTSUPP, "Device failed to offload this state")
    assert talk.refused(NEWSA, sa_info(2), [AEAD, on(7, PACKET)]) == failed


def test_only_esp_can_be_offloaded() -> None:
    talk, _ = machine(crypto=True)
    assert talk.refused(NEWSA, sa_info(proto=51), [AUTH, on(7)]) == NO_TYPE
    talk.ok(NEWSA, sa_info(proto=51), [AUTH, on(99)])
    older = Talk(LINUX_6_12)
    assert older.refused(NEWSA, sa_info(proto=51), [AUTH, on(99, 8)]) == NO_TYPE


def test_a_clone_lost_its_type() -> None:
    for fixed in (False, True):
        talk, device = machine(LINUX_7_2._replace(clone_offload_type=fixed), crypto=True)
        talk.ok(NEWSA, sa_info(), [AEAD])
        (sa,) = talk.engine.sadb
        raw = b"\7" + bytes(7)
        if fixed:
            add_offload(talk.engine, sa, raw, cloned=True)
            assert len(device.states) == 1
        else:
            with pytest.raises(Refusal, match="Type doesn't support offload"):
                add_offload(talk.engine, sa, raw, cloned=True)
