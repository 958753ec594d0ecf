"""Both addresses at once on a real Linux 7.2: what is under way arrives, what is replayed does not, and tc is left as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.relocation.guest_dual import REPLAYED

if TYPE_CHECKING:
    from pyxfrm.lab import Lab

REPLAY = "tests.relocation.guest_dual:replay"
KILL = "tests.relocation.guest_dual:kill"
REPLAYS = ("old_to_old", "old_to_new", "new_to_old", "new_to_new")
NOTHING = {"filters": "", "dummy": ""}


@pytest.mark.kernel
@pytest.mark.parametrize("encap", [False, True], ids=["esp", "udp"])
def test_a_replayed_packet_is_refused_at_both_addresses(lab72: Lab, encap: bool) -> None:
    found = lab72.call(REPLAY, {"dual": True, "encap": encap})
    assert (found["state"], found["troubles"]) == ("moved", [])
    assert "mirred" in found["tc"]["filters"]
    for name in REPLAYS:
        assert found[name] == [REPLAYED, REPLAYED], name
    assert (found["lost"], found["twice"], found["clear"], found["reused"]) == (0, 0, 0, 0)
    assert found["sent"] > 400
    assert NOTHING.items() <= found["after"].items()
    assert "clsact" not in found["after"]["qdiscs"]


@pytest.mark.kernel
def test_without_tc_a_new_packet_is_taken_once_at_the_old_address(lab72: Lab) -> None:
    """What the plan says under "is not carried over"; and the proof that these replays are real."""
    found = lab72.call(REPLAY, {"dual": False})
    assert found["state"] == "moved"
    assert found["new_to_old"] == [REPLAYED, 0]
    assert found["twice"] == REPLAYED
    for name in set(REPLAYS) - {"new_to_old"}:
        assert found[name] == [REPLAYED, REPLAYED], name
    assert (found["lost"], found["reused"]) == (0, 0)


@pytest.mark.kernel
@pytest.mark.parametrize("keep", [False, True], ids=["bare", "own-filters"])
@pytest.mark.parametrize("abort", [False, True], ids=["resume", "abort"])
def test_tc_is_put_back_after_sigkill(lab72: Lab, keep: bool, abort: bool) -> None:
    found = lab72.call(KILL, {"dual": True, "keep": keep, "abort": abort})
    assert found["signal"] == 9
    assert found["cut"]["dummy"] == "there"
    assert "mirred" in found["cut"]["filters"]
    assert found["restored"]
    assert ("drop" in found["after"]["filters"]) is keep
    assert found["state"] == ("as before" if abort else "moved")
    assert not found["unfinished"]


@pytest.mark.kernel
def test_filters_of_somebody_else_with_our_preference(lab72: Lab) -> None:
    found = lab72.call(KILL.replace("kill", "taken"), None)
    assert found["state"] == "as before"
    assert found["troubles"] == ["tc: w has other filters with preference 72"]
    assert found["restored"]
