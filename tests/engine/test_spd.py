"""The policy database against its rules told slowly: who is found, who is met, in which order, under which index."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi.structs import Selector
from pyxfrm.abi.xfrm import AF_INET, AF_INET6
from pyxfrm.engine.policy import Flow, Policy, flow_ports
from pyxfrm.engine.spd import Spd
from pyxfrm.engine.spd_chains import Node, Tree
from pyxfrm.wire.codec import codec
from tests.engine.helpers import NO_LIMITS

ZERO = bytes(16)
encode = codec(Selector).encode
NETS4 = [
    ("00000000", 0), ("00000000", 32), ("0a000000", 8), ("0a000000", 15), ("0a000000", 16),
    ("0a000000", 17), ("0a000100", 24), ("0a000180", 25), ("0a000105", 32), ("0a000104", 31),
    ("0a000200", 24), ("0a010000", 16),
]  # fmt: skip
HOSTS4 = ["0a000105", "0a000104", "0a000190", "0a000201", "0a018001", "01020304", "00000000"]
NETS6 = [("20010db8" + "0" * 24, n) for n in (0, 32, 47, 48, 64, 100)] + [
    ("20010db8" + "0" * 23 + "5", 128),
    ("20010db8" + "0" * 8 + "1" + "0" * 15, 96),
]
HOSTS6 = ["20010db8" + "0" * 23 + "5", "20010db8" + "0" * 24, "20010db8" + "0" * 8 + "1" + "0" * 15]


def raw(digits: str) -> bytes:
    return bytes.fromhex(digits).ljust(16, b"\0")


def make(
    to: tuple[str, int] = ("00000000", 0),
    come: tuple[str, int] = ("00000000", 0),
    *,
    family: int = AF_INET,
    direction: int = 1,
    priority: int = 0,
    kind: int = 0,
    if_id: int = 0,
    mark: tuple[int, int] = (0, 0),
) -> Policy:
    sel = Selector(raw(to[0]), raw(come[0]), 0, 0, 0, 0, family, to[1], come[1], 0, 0, 0)
    policy = Policy(direction, sel, encode(sel), NO_LIMITS)
    policy.priority, policy.type, policy.if_id, policy.mark = priority, kind, if_id, mark
    return policy


def slow_lookup(spd: Spd, flow: Flow, direction: int, kind: int, if_id: int) -> Policy | None:
    """Of all that admit the flow: the lowest priority value, then the oldest."""
    fit = [
        one
        for one in spd
        if (one.dir, one.type, one.if_id) == (direction, kind, if_id) and one.covers(flow)
    ]
    return min(fit, key=lambda one: (one.priority, one.serial), default=None)


@given(seed=st.integers(0, 1 << 32), priorities=st.integers(1, 3), family=st.sampled_from([2, 10]))
def test_a_flow_meets_the_best_policy(seed: int, priorities: int, family: int) -> None:
    """While nobody is replaced at equal priority, lists and trees do not show."""
    rng = random.Random(seed)
    nets, hosts = (NETS4, HOSTS4) if family == AF_INET else (NETS6, HOSTS6)
    spd = Spd()
    for _ in range(60):
        step = rng.random()
        if step < 0.6:
            new = make(
                rng.choice(nets),
                rng.choice(nets),
                family=family,
                direction=rng.randrange(2),
                priority=rng.randrange(priorities),
                kind=rng.randrange(2),
                if_id=rng.randrange(2),
                mark=rng.choice(((0, 0), (1, 1))),
            )
            there = spd.find(new.identity)
            if there is None or there.priority != new.priority:
                assert spd.insert(new) is there
        elif step < 0.85 and len(spd):
            gone = rng.choice(list(spd))
            spd.remove(gone, prune=rng.random() < 0.5)
            assert spd.find(gone.identity) is None
            assert spd.by_index(gone.index) is None
        elif step < 0.9:
            bits = rng.choice((0, 8, 16, 24, 32)) * (1 if family == AF_INET else 4)
            spd.set_thresholds({family: (bits, rng.choice((0, bits)))})
        for _ in range(4):
            flow = Flow(
                family, raw(rng.choice(hosts)), raw(rng.choice(hosts)), mark=rng.randrange(2)
            )
            asked = flow, rng.randrange(2), rng.randrange(2), rng.randrange(2)
            assert spd.lookup(*asked) is slow_lookup(spd, *asked)


def test_a_replaced_policy_keeps_its_place_in_its_list_only() -> None:
    """The same update decides differently where the two stand in one list and where they do not."""
    flow = Flow(AF_INET, raw("0a000105"), raw("01020304"))
    for narrow, same_list in ((("0a000100", 24), True), (("00000000", 0), False)):
        spd = Spd()
        wide, other = make(("0a000000", 16)), make(narrow)
        spd.insert(wide)
        spd.insert(other)
        assert spd.lookup(flow, 1, 0, 0) is wide
        again = make(("0a000000", 16))
        assert spd.insert(again) is wide
        assert spd.lookup(flow, 1, 0, 0) is (again if same_list else other)
        spd.set_thresholds({AF_INET: (32, 32)})
        assert spd.lookup(flow, 1, 0, 0) is other


def test_narrow_prefixes_are_taken_over_with_their_sources() -> None:
    spd = Spd()
    made: list[Policy] = []
    for to in (("0a000180", 25), ("0a000100", 25), ("0a000300", 24), ("0a000105", 32)):
        for come in (("0a010100", 24), ("0a010200", 24), ("0a010000", 16), ("00000000", 0)):
            made.append(make(to, come, priority=len(made) % 3))
            spd.insert(made[-1])
    wide = make(("0a000000", 16), ("0a010100", 24), priority=1)
    spd.insert(wide)
    for daddr in ("0a000105", "0a000190", "0a000301", "0a000909"):
        for saddr in ("0a010101", "0a010201", "0a019901", "01020304"):
            flow = Flow(AF_INET, raw(daddr), raw(saddr))
            assert spd.lookup(flow, 1, 0, 0) is slow_lookup(spd, flow, 1, 0, 0)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 8)), max_size=30))
def test_prefixes_of_a_tree_never_overlap(prefixes: list[tuple[int, int]]) -> None:
    tree = Tree(8)
    for address, length in prefixes:
        node = tree.node(address, length)
        assert node.length <= length
        assert tree.find(address) is node
        taken = [set(range(n.first, n.first + (1 << 8 - n.length))) for n in tree]
        assert sum(map(len, taken)) == len(set().union(*taken))
    for address in range(256):
        found = tree.find(address)
        inside = [n for n in tree if n.first <= address < n.first + (1 << 8 - n.length)]
        assert inside == ([] if found is None else [found])


def test_offloaded_policies_stand_in_front() -> None:
    flow = Flow(AF_INET, raw("0a000105"), raw("01020304"))
    spd = Spd()
    soft, hard, late = make(priority=1), make(("0a000000", 8), priority=9), make(("0a000000", 9))
    hard.offload = (2, 4)
    for one in (soft, hard):
        spd.insert(one)
    assert spd.lookup(flow, 1, 0, 0) is hard
    spd.insert(late)
    assert spd.lookup(flow, 1, 0, 0) is late
    spd.remove(hard)
    spd.remove(late)
    assert spd.lookup(flow, 1, 0, 0) is soft


class SlowList:
    """A list of policies whose places are found by walking it (xfrm_policy_insert_list, xfrm_policy_inexact_list_reinsert)."""

    def __init__(self) -> None:
        self.policies: list[Policy] = []

    def insert(self, new: Policy, replaced: Policy | None) -> None:
        place, passed = 0, False
        for at, one in enumerate([] if new.offload else self.policies):
            if one is replaced:
                passed = True
                if new.priority > one.priority:
                    continue
            elif new.priority >= one.priority:
                place = at + 1
                continue
            if passed:
                break
        self.policies.insert(place, new)
        if replaced is not None:
            self.policies.remove(replaced)

    def take_over(self, policies: list[Policy]) -> None:
        for new in sorted(policies, key=lambda one: one.serial):
            age = new.priority, new.serial
            later = [at for at, one in enumerate(self.policies) if age < (one.priority, one.serial)]
            place = min(later, default=len(self.policies))
            self.policies.insert(0 if new.offload else place, new)


@given(seed=st.integers(0, 1 << 32), offloaded=st.booleans())
def test_a_list_keeps_the_order_that_walking_it_gives(seed: int, offloaded: bool) -> None:
    rng = random.Random(seed)
    pairs = [(Node(), SlowList()) for _ in range(3)]
    for serial in range(1, 80):
        node, slow = pairs[rng.randrange(len(pairs))]
        there = list(slow.policies)
        step = rng.random()
        if step < 0.3 and there:
            gone = rng.choice(there)
            node.remove(gone)
            slow.policies.remove(gone)
        elif step < 0.33 and len(pairs) > 1:
            pairs.remove((node, slow))
            heir, slow_heir = pairs[0]
            heir.take_over(there)
            slow_heir.take_over(there)
            assert all(one.node is heir for one in there)
        else:
            new = make(priority=rng.randrange(3))
            new.serial = serial
            new.offload = (1, 4) if offloaded and rng.random() < 0.2 else None
            replaced = rng.choice(there) if there and rng.random() < 0.4 else None
            if replaced is not None and rng.random() < 0.7:
                new.priority = replaced.priority
            node.insert(new, replaced)
            slow.insert(new, replaced)
            if replaced is not None:
                node.remove(replaced)
        for node, slow in pairs:
            assert node.policies == slow.policies


# -- indexes, order, sizes ------------------------------------------------------------------------------


def test_indexes_count_over_all_directions_and_pass_over_taken_ones() -> None:
    spd = Spd()
    made = [make((f"0a00{i:02x}00", 24), direction=i % 3) for i in range(6)]
    made[3].index = 24
    for one in made:
        spd.insert(one)
    assert [one.index for one in made] == [8, 9, 18, 24, 25, 34]
    wished = make(("0b000000", 24), direction=0)
    wished.index = 24
    spd.insert(wished)
    assert wished.index == 40
    assert list(spd) == [wished, *made[::-1]]


def test_an_index_can_be_chosen_from_outside() -> None:
    told = iter([800, 800, None])
    spd = Spd(lambda direction: next(told))
    made = [make((f"0a00{i:02x}00", 24)) for i in range(3)]
    for one in made:
        spd.insert(one)
    assert [one.index for one in made] == [800, 1, 9]


def test_the_counter_of_indexes_wraps() -> None:
    spd = Spd()
    spd.next_index = 0xFFFFFFF8
    first, second = make(direction=0), make(("0a000000", 8), direction=0)
    spd.insert(first)
    spd.insert(second)
    assert (first.index, second.index) == (0xFFFFFFF8, 8)


@given(st.integers(0, 1 << 32))
def test_counts_and_order_follow_every_change(seed: int) -> None:
    rng = random.Random(seed)
    spd = Spd()
    order: list[Policy] = []
    for _ in range(80):
        if order and rng.random() < 0.3:
            gone = order.pop(rng.randrange(len(order)))
            spd.remove(gone)
            assert gone.dead
        else:
            new = make((f"0a00{rng.randrange(30):02x}00", 24), direction=rng.randrange(3))
            replaced = spd.insert(new)
            if replaced is not None:
                assert (replaced.dead, replaced.index) == (True, new.index)
                order.remove(replaced)
            order.insert(0, new)
        assert list(spd) == order
        assert len(spd) == len(order)
        assert spd.counts == [sum(one.dir == d for one in order) for d in range(3)]
        assert all(spd.by_index(one.index) is one for one in order)


def test_the_index_table_doubles_once_a_settling_and_only_if_a_direction_filled_up() -> None:
    spd = Spd()
    for i in range(14):
        spd.insert(make((f"0a00{i:02x}00", 24), direction=i % 2))
        spd.settle()
    assert spd.buckets == 8
    for i in range(14, 60):
        spd.insert(make((f"0a00{i:02x}00", 24), direction=1))
    spd.settle()
    assert spd.buckets == 16
    spd.insert(make(direction=1))
    spd.settle()
    assert spd.buckets == 32


@pytest.mark.parametrize(
    ("proto", "expected"),
    [(6, (1, 2)), (17, (1, 2)), (132, (1, 2)), (136, (1, 2)), (1, (1, 0)), (58, (1, 0)),
     (135, (0, 0)), (47, (2, 1)), (50, (0, 0)), (0, (0, 0))],
)  # fmt: skip
def test_what_stands_for_ports(proto: int, expected: tuple[int, int]) -> None:
    assert flow_ports(proto, 1, 2) == expected


def test_icmp_type_and_code_stand_for_source_and_destination_port() -> None:
    assert flow_ports(1, 0x0803, 0) == (3, 8)
    assert flow_ports(135, 0x0500, 0) == (0, 5)


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_a_selector_covers_prefixes_ports_protocol_interface_and_mark(family: int) -> None:
    to = ("0a000100", 24) if family == AF_INET else (NETS6[3][0], 48)
    policy = make(to, family=family, mark=(1, 3))
    policy.sel = policy.sel._replace(proto=6, dport=0x50, dport_mask=0xFFF0, ifindex=2)
    flow = Flow(family, raw(to[0]), raw(HOSTS4[0]), dport=0x5F, sport=9, proto=6, oif=2, mark=5)
    assert policy.covers(flow)
    for other in (
        {"family": AF_INET6 if family == AF_INET else AF_INET},
        {"daddr": raw("0a00020000000000")},
        {"dport": 0x60},
        {"proto": 17},
        {"oif": 1},
        {"mark": 6},
    ):
        assert not policy.covers(flow._replace(**other)), other
