"""``xfrm relocate`` on a real Linux 7.2: namespaces, SAs and packets; what it prints and draws."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.relocation.test_report import dots, shapes, texts

if TYPE_CHECKING:
    from pyxfrm.lab import Lab

GUEST = "tests.relocation.guest_cli:"
LANE = re.compile(
    r"(in|out) [\d.]+ > [\d.]+, SPI (0x\w+): (\d+) packets, (\d+) missing, (\d+) twice"
)


@pytest.mark.kernel
@pytest.mark.parametrize("strategy", ["gap", "hold", "migrate-state"])
def test_a_picture_of_what_arrived(lab72: Lab, strategy: str) -> None:
    words = ["--strategy", strategy]
    done = lab72.call(GUEST + "report", {"words": words, "rate": 300})
    assert (done["status"], done["err"]) == (0, "")
    assert done["out"].startswith("moved\n")
    picture = done["picture"]
    said = texts(picture)
    assert said[0] == f"local 192.0.2.10 -> 203.0.113.10, {strategy}"
    lanes = [found.groups() for line in said if (found := LANE.match(line))]
    assert {way for way, *_ in lanes} == {"in", "out"}
    assert {spi for _, spi, *_ in lanes} == {"0xc0000011", "0xc0000012"}
    for _, _, packets, missing, twice in lanes:
        assert int(packets) > 100
        assert int(twice) == 0
        if strategy != "migrate-state":
            assert int(missing) == 0  # not even where the copy jumped
    assert dots(picture) >= 400
    assert len(shapes(picture, "badge")) >= 1
    notes = " ".join(line for line in said if re.match(r"\d+: at ", line))
    assert ("copy 1 SA" in notes) is (strategy == "gap")
    for flow in ("there", "back"):
        assert done[flow]["twice"] == 0
        assert strategy == "migrate-state" or done[flow]["lost"] == 0
    assert (done["clear"], done["reused"]) == (0, 0)


@pytest.mark.kernel
def test_beet_changes_its_outer_family_under_traffic(lab72: Lab) -> None:
    found = lab72.call(GUEST + "beet", None)
    assert [done["status"] for done in found["done"]] == [0, 0], found["done"]
    v6 = ["2001:db8:1::10", "2001:db8:2::1"]
    assert found["outer"] == [v6, ["192.0.2.10", "198.51.100.1"]]
    for flow in ("there", "back"):
        assert found[flow]["sent"] > 100
        assert (found[flow]["lost"], found[flow]["twice"]) == (0, 0)
    assert (found["clear"], found["reused"]) == (0, 0)


@pytest.mark.kernel
def test_sas_of_an_ike_daemon_are_left_alone_unless_forced(lab72: Lab) -> None:
    """Found by its socket in this namespace; one in another namespace is somebody else's."""
    found = lab72.call(GUEST + "owned", None)
    assert (found["two"]["status"], found["two"]["err"]) == (0, "")
    assert found["one"]["status"] == 2
    (line,) = found["refused"]["err"].splitlines()
    assert line.startswith(
        "xfrm: relocation refused: a key manager owns the SAs of this namespace: "
    )
    assert "charon (netlink port " in line
    assert line.endswith("(--force moves them all the same)")
    assert (found["refused"]["status"], found["forced"]["status"]) == (2, 0)


@pytest.mark.kernel
def test_a_second_relocation_is_refused(lab72: Lab) -> None:
    found = lab72.call(GUEST + "busy", None)
    assert found["status"]["status"] == 4
    assert "another relocation is running" in found["second"]["err"]
    assert "another relocation is running" in found["resumed"]["err"]
    assert (found["second"]["status"], found["resumed"]["status"]) == (2, 2)
    assert found["elsewhere"]["out"].startswith("nothing is unfinished here (journal /")
    assert found["first"] == 0


@pytest.mark.kernel
def test_a_namespace_is_the_same_to_the_end_whatever_becomes_of_its_name(lab72: Lab) -> None:
    found = lab72.call(GUEST + "renamed", None)
    assert (found["status"], found["here"]) == (0, "1")
    assert found["there"] == "0"  # not ours to put back
    assert found["sources"] == ["198.51.100.1", "203.0.113.10"]


@pytest.mark.kernel
def test_a_later_namespace_is_another_one_even_if_it_gets_the_inode(lab72: Lab) -> None:
    first, second = lab72.call(GUEST + "renewed", None)
    assert first.split("-")[2:] != second.split("-")[2:]
