"""One look at a namespace: an engine's, and a real kernel's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, LINUX_7_2_NOMIG, Profile
from pyxfrm.lab.fetch import iproute2
from pyxfrm.model import Algorithm
from pyxfrm.relocation.facts import Features
from pyxfrm.relocation.survey import survey
from pyxfrm.relocation.ways.hold import LARVAL_DROP
from tests.relocation.world import A, C, World, child, sa

if TYPE_CHECKING:
    from pyxfrm.lab import Lab


@pytest.mark.parametrize(
    ("profile", "migrate_state", "migrate"),
    [(LINUX_7_2, True, True), (LINUX_6_12, False, True), (LINUX_7_2_NOMIG, False, False)],
    ids=lambda v: getattr(v, "name", str(v)),
)
def test_features_are_probed(
    tmp_path: Path, profile: Profile, migrate_state: bool, migrate: bool
) -> None:
    world = World(tmp_path, *child(), profile=profile)
    facts = survey(world.end())
    assert facts.features.migrate_state is migrate_state
    assert facts.features.migrate is migrate
    assert facts.features.keys
    assert facts.features.hold
    assert len(facts.sas) == 2
    assert len(facts.policies) == 6
    assert len(list(world.xfrm.sas())) == 2
    assert len(list(world.xfrm.policies())) == 6


def test_zeros_for_keys_are_no_keys(tmp_path: Path) -> None:
    world = World(tmp_path, [sa(A, C, 1, algorithms=(Algorithm.aes_gcm(bytes(20)),))], [])
    assert not survey(world.end()).features.keys


def test_without_the_setting_nothing_can_be_held(tmp_path: Path) -> None:
    world = World(tmp_path, *child())
    del world.settings[LARVAL_DROP]
    assert not survey(world.end()).features.hold


def test_rates_are_measured(tmp_path: Path) -> None:
    world = World(tmp_path, *child())

    def traffic(_: float) -> None:
        for each in world.engine.sadb:
            each.packets += 50

    facts = survey(world.end(), listen=0.5, sleep=traffic)
    assert set(facts.rates.values()) == {100.0}


GUEST = "tests.relocation.test_survey:look"


def look(words: dict[str, Any]) -> dict[str, Any]:
    """In the lab: a namespace with an address and, if asked for, a key manager in it."""
    import subprocess

    from pyxfrm.client import Group, Xfrm
    from pyxfrm.relocation.ends import KernelEnd

    for line in (
        "link add d0 type dummy",
        "addr add 192.0.2.10/24 dev d0",
        "link set d0 up",
    ):
        subprocess.run([*words["ip"], *line.split()], check=True)
    end = KernelEnd()
    with Xfrm() as other:
        events = other.events(Group.ACQUIRE, Group.EXPIRE) if words["daemon"] else None
        facts = survey(end)
        if events is not None:
            events.close()
    features: Features = facts.features
    return {
        "addresses": sorted(map(str, facts.addresses or ())),
        "owners": [[o.name, o.hears_acquire] for o in facts.owners],
        "features": [features.migrate_state, features.migrate, features.keys, features.hold],
        "identity": end.identity,
        "counters": end.counters()["InError"],
    }


@pytest.mark.kernel
@pytest.mark.parametrize("daemon", [False, True])
def test_a_real_namespace(lab72: Lab, daemon: bool) -> None:
    found = lab72.call(GUEST, {"daemon": daemon, "ip": list(iproute2().argv)})
    assert "192.0.2.10" in found["addresses"]
    assert [hears for _, hears in found["owners"]] == [True] * daemon
    assert all("python" in name for name, _ in found["owners"])
    assert found["features"] == [True, True, True, True]
    assert found["counters"] == 0
    assert "-" in found["identity"]
