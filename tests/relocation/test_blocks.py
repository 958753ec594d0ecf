"""Which policy wins, and blocks that must."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.client import Xfrm
from pyxfrm.engine import Engine
from pyxfrm.model import Action, Direction, Mark, Policy, PolicyType, Port, Selector, network
from pyxfrm.relocation.blocks import BLOCK_USER, covers, in_place, overlaps, overlay, rivals
from tests.relocation.traffic import flow_of
from tests.relocation.world import A, C, policy

OUT = policy(Direction.OUT, ("10.1.0.0/16", "10.2.0.0/16"), (A, C))

networks = st.sampled_from(
    [
        "0.0.0.0/0",
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.0/24",
        "10.1.2.3/32",
        "10.2.0.0/16",
        "10.9.0.0/16",
    ]
).map(network)
selectors = st.builds(
    Selector,
    networks,
    networks,
    st.sampled_from([0, 6, 17]),
    st.sampled_from([Port(0, 0), Port(53)]),
    st.sampled_from([Port(0, 0), Port(53), Port(80)]),
)


@given(selectors, selectors)
def test_overlap_is_mutual_and_seen_by_an_example(a: Selector, b: Selector) -> None:
    assert overlaps(a, b) == overlaps(b, a)
    narrow = Selector(
        max(a.saddr, b.saddr, key=lambda n: n.prefix),
        max(a.daddr, b.daddr, key=lambda n: n.prefix),
        a.proto or b.proto,
        max(a.sport, b.sport, key=lambda p: p.mask),
        max(a.dport, b.dport, key=lambda p: p.mask),
    )
    inside = all(
        (net.address in other.saddr if side == "s" else net.address in other.daddr)
        for other in (a, b)
        for side, net in (("s", narrow.saddr), ("d", narrow.daddr))
    )
    words = all(o.proto in (0, narrow.proto) for o in (a, b))
    ports = all(
        not (getattr(narrow, n).value ^ getattr(o, n).value) & getattr(o, n).mask
        for o in (a, b)
        for n in ("sport", "dport")
    )
    assert overlaps(a, b) == (inside and words and ports)


def test_rivals_share_direction_if_id_and_some_mark() -> None:
    wide = replace(OUT, sel=Selector(network("0.0.0.0/0"), network("0.0.0.0/0")))
    assert rivals(OUT, [OUT, wide]) == [wide]
    assert rivals(OUT, [replace(wide, dir=Direction.IN)]) == []
    assert rivals(OUT, [replace(wide, if_id=5)]) == []
    assert rivals(replace(OUT, mark=Mark(1, 0xFF)), [replace(wide, mark=Mark(2, 0xFF))]) == []
    assert rivals(replace(OUT, mark=Mark(1, 0x0F)), [replace(wide, mark=Mark(0x10, 0xF0))]) != []


def test_a_block_in_place_keeps_its_name_and_its_templates() -> None:
    block = in_place(OUT)
    assert block.id == OUT.id
    assert block.templates == OUT.templates
    assert block.action == Action.BLOCK


def test_an_overlay_is_another_policy_of_the_same_packets() -> None:
    block, warning = overlay(OUT, [OUT])
    assert warning == ""
    assert block.id != OUT.id
    assert covers(block, OUT)
    assert block.sel.user == BLOCK_USER
    assert block.priority < OUT.priority


@pytest.mark.parametrize("types", [(PolicyType.MAIN,), (PolicyType.MAIN, PolicyType.SUB)])
def test_an_overlay_wins_in_an_engine(types: tuple[PolicyType, ...]) -> None:
    """26: over an allow policy above, and over a sub policy."""
    engine = Engine()
    xfrm = Xfrm.engine(engine)
    others = [
        Policy(
            Direction.OUT,
            Selector(network("10.1.2.0/24"), network("0.0.0.0/0")),
            priority=7,
            type=t,
        )
        for t in types
    ]
    for each in (OUT, *others):
        xfrm.add_policy(each)
    block, warning = overlay(OUT, [OUT, *others])
    assert warning == ""
    xfrm.add_policy(block)
    flow = flow_of(OUT.sel)
    found = [engine.spd.lookup(flow, int(Direction.OUT), int(t), 0) for t in reversed(types)]
    winner = next(p for p in found if p is not None)
    assert winner.action == Action.BLOCK


def test_where_no_block_can_win_it_is_said() -> None:
    """A policy with priority 0 is older than any block could be."""
    first = Policy(Direction.OUT, Selector(network("0.0.0.0/0"), network("0.0.0.0/0")), priority=0)
    _, warning = overlay(OUT, [OUT, first])
    assert "no block can win" in warning
