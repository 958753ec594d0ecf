"""Templates and SAs, by the kernel's rules; Child SAs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyxfrm.model import Address, Direction, Family, Mode, Policy, Proto, Sa, SaDir, Template
from pyxfrm.relocation.belong import names, placed, sa_dir, turned
from pyxfrm.relocation.facts import Facts
from pyxfrm.relocation.footprint import Footprint
from pyxfrm.relocation.plan import make_plan
from pyxfrm.relocation.wish import Wish
from tests.relocation.world import A6, C6, A, B, C, D, child, policy, sa

OUT = policy(Direction.OUT, ("10.1.0.0/16", "10.2.0.0/16"), (A, C))
IN = policy(Direction.IN, ("10.1.0.0/16", "10.2.0.0/16"), (A, C))
ANY = Address.any(Family.INET)


def named(made: Policy, one: Sa) -> bool:
    return any(names(made, place, Footprint.of(one)) for place in placed(made))


def template(**more: object) -> Template:
    return replace(OUT.templates[0], **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "out", "into"),
    [
        ({}, True, True),
        ({"reqid": 2}, False, False),
        ({"reqid": 0}, False, True),
        ({"spi": 0xE1}, True, True),
        ({"spi": 0xE2}, False, False),
        ({"mode": Mode.BEET}, False, False),
        ({"proto": Proto.AH}, False, False),
        ({"saddr": ANY}, True, True),
        ({"saddr": D}, False, False),
    ],
)
def test_names(change: dict[str, object], out: bool, into: bool) -> None:
    """Inbound, zeros are wildcards; outbound, only addresses are."""
    assert named(replace(OUT, templates=(template(**change),)), sa(A, C, 0xE1)) is out
    turned_round = replace(IN, templates=(template(**change),))
    assert named(turned_round, sa(A, C, 0xE1)) is into


def test_if_id_is_exact_outbound_and_may_be_any_inbound() -> None:
    one = sa(A, C, 0xE1, if_id=7)
    assert not named(OUT, one)
    assert named(replace(OUT, if_id=7), one)
    assert named(replace(IN, templates=OUT.templates), one)


def test_transport_templates_take_the_packets_addresses() -> None:
    wide = replace(
        policy(Direction.OUT, ("192.0.2.0/24", "198.51.100.0/24"), (ANY, ANY), mode=Mode.TRANSPORT)
    )
    inside = sa(A, C, 0xE1, mode=Mode.TRANSPORT)
    assert named(wide, inside)
    assert not named(wide, replace(inside, saddr=B))


def test_directions() -> None:
    assert [sa_dir(Direction(n)) for n in range(4)] == [SaDir.IN, SaDir.OUT, SaDir.IN, None]


def test_any_addresses_stay_any_and_take_the_new_family() -> None:
    wish = Wish(local=A, new_local=A6, remote=C, new_remote=C6)
    made = turned(wish, SaDir.OUT, template(saddr=ANY))
    assert made.saddr == Address.any(Family.INET6)
    assert made.daddr == C6


def test_children_hang_together_by_reqid_or_by_addresses() -> None:
    sas, policies = child()
    more, others = child(number=2)
    loose = [replace(s, id=replace(s.id, spi=s.id.spi + 99), reqid=0) for s in sas]
    facts = Facts(tuple(sas + more + loose), tuple(policies + others))
    plan = make_plan(Wish(local=A, new_local=B), facts)
    groups = {
        number: sorted({m.old.reqid for m in plan.child(number).sas}) for number in plan.children
    }
    assert sorted(groups.values()) == [[0], [1], [2]]
    assert sorted(len(plan.child(n).policies) for n in plan.children) == [0, 6, 6]
    for number in plan.children:
        part = plan.child(number)
        for each in part.policies:
            assert {part.sas[i].child for i in each.sas} <= {number}
