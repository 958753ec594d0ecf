"""What goes with a device: everything that it carries, nothing else, and nobody is told."""

from __future__ import annotations

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.engine.links import bring_down, remove_device
from pyxfrm.errors import UsageError
from tests.engine.helpers import Talk, add_sa, net, offload, policy, sa_info, v4, with_devices


def loaded() -> Talk:
    """Two SAs and two policies on device 3, one SA on device 2, one of each in software."""
    talk = with_devices()
    for number, attrs in enumerate(([offload(3)], [offload(3, 0)], [offload(2, 0)], [])):
        add_sa(talk, sa_info(0x100 + number, v4(number + 1)), attrs)
    for number, attrs in enumerate(([offload(3)], [offload(3)], [])):
        talk.ok(m.XFRM_MSG_NEWPOLICY, policy(number, net(number)), attrs)
    talk.events()
    return talk


def left(talk: Talk) -> tuple[int, int]:
    return len(talk.engine.sadb), len(talk.engine.spd)


def test_a_device_that_goes_down_takes_along_what_it_carries() -> None:
    talk = loaded()
    bring_down(talk.engine, 3)
    assert left(talk) == (2, 1)
    assert not talk.engine.devices.get(3).up  # type: ignore[union-attr]
    assert talk.engine.devices.get(3).states == set()  # type: ignore[union-attr]
    bring_down(talk.engine, 2)
    assert left(talk) == (1, 1)
    bring_down(talk.engine, 1)
    assert left(talk) == (1, 1)
    assert talk.events() == []


def test_a_device_that_is_removed_too() -> None:
    talk = loaded()
    remove_device(talk.engine, 3)
    assert left(talk) == (2, 1)
    assert talk.engine.devices.get(3) is None
    assert talk.refused(m.XFRM_MSG_NEWPOLICY, policy(), [offload(3)])[0] == 22
    assert talk.events() == []


def test_a_device_that_is_not_there() -> None:
    talk = Talk()
    with pytest.raises(UsageError, match="device 9"):
        bring_down(talk.engine, 9)
    with pytest.raises(UsageError, match="device 9"):
        remove_device(talk.engine, 9)
