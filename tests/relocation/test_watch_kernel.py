"""Following a real interface and a real peer behind a NAT, on Linux 7.2, by the command itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyxfrm.lab import Lab

GUEST = "tests.relocation.guest_watch:"
INBOUND = 0xC0000012


def run(lab: Lab, name: str, words: Any = None) -> dict[str, Any]:
    """What a watch did; it always ends cleanly by Ctrl-C."""
    found: dict[str, Any] = lab.call(GUEST + name, words)
    assert found["status"] == 130, found["said"]
    assert "Traceback" not in found["said"]
    assert found["unfinished"] == []
    return found


@pytest.mark.kernel
def test_an_address_that_is_replaced_is_followed_there_and_back(lab72: Lab) -> None:
    found = run(lab72, "replaced")
    assert found["moves"] == [
        "local 192.0.2.10 -> 203.0.113.10: moved",
        "local 203.0.113.10 -> 192.0.2.10: moved",
    ]
    assert found["first"] == ["198.51.100.1>203.0.113.10", "203.0.113.10>198.51.100.1"]
    assert found["places"] == ["192.0.2.10>198.51.100.1", "198.51.100.1>192.0.2.10"]
    assert "the endpoint is at 203.0.113.10" in found["said"]


@pytest.mark.kernel
def test_flaps_a_link_that_goes_down_and_a_deprecated_address_move_nobody(lab72: Lab) -> None:
    assert run(lab72, "flapping")["moves"] == []


@pytest.mark.kernel
def test_an_interface_that_vanishes_and_comes_back_with_another_address(lab72: Lab) -> None:
    found = run(lab72, "vanishing")
    assert found["none"] == []
    assert found["moves"] == ["local 192.0.2.10 -> 203.0.113.10: moved"]


@pytest.mark.kernel
def test_a_tentative_address_is_waited_for(lab72: Lab) -> None:
    found = run(lab72, "tentative")
    assert found["moves"] == ["local 2001:db8:1::10 -> 2001:db8:1::20: moved"]
    assert found["after"] >= 0.25


@pytest.mark.kernel
def test_a_peer_behind_a_nat_that_rebinds_is_followed_once(lab72: Lab) -> None:
    """Each packet makes an event until the SA has moved; one move comes of them, and our packets go to the new port."""
    found = run(lab72, "rebound", {"named": INBOUND})
    assert found["moves"] == ["local 192.0.2.10, remote 198.51.100.1, encap 4500:4501: moved"]
    assert found["encaps"] == {"198.51.100.1": [4500, 4501], "192.0.2.10": [4501, 4500]}
    assert found["back"]["lost"] == 0
    assert found["back"]["twice"] == found["there"]["twice"] == 0
    assert (found["clear"], found["reused"]) == (0, 0)


@pytest.mark.kernel
def test_a_packet_alone_moves_no_sa_that_was_not_named(lab72: Lab) -> None:
    found = run(lab72, "rebound", {"named": 0xDEAD})
    assert found["moves"] == []
    assert found["encaps"]["198.51.100.1"] == [4500, 4500]
