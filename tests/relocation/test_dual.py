"""tc rules, in words that tc takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyxfrm.relocation.dual import DEVICE, Rule, filters, mirror_device, removal, supports
from tests.relocation.world import A6, C6, A, B

RULE = Rule(A, B, (0xC1, 0xC2), "eth0")


def test_one_filter_an_spi_mirror_first() -> None:
    """The packet as it came goes first: wherever the SA is, one of the two finds it."""
    qdisc, first, second = (" ".join(words) for words in filters(RULE))
    assert qdisc == "tc qdisc add dev eth0 clsact"
    assert "match ip protocol 50 0xff match u32 0xc1 0xffffffff at 20" in first
    assert "0xc2" in second
    assert first.index("mirror dev " + DEVICE) < first.index(f"nat ingress {A}/32 {B}")


def test_encapsulated_packets_by_port() -> None:
    (words,) = filters(replace(RULE, port=4500, keep_qdisc=True))
    assert "match ip protocol 17 0xff match ip dport 4500 0xffff" in " ".join(words)


def test_a_qdisc_that_was_there_stays() -> None:
    assert not any("qdisc" in words for words in filters(replace(RULE, keep_qdisc=True)))
    kept = [" ".join(words) for words in removal(replace(RULE, keep_qdisc=True))]
    assert kept[0].startswith("tc filter del dev eth0 ingress pref")
    assert removal(RULE)[0][:3] == ["tc", "qdisc", "del"]
    assert removal(RULE)[1] == ["ip", "link", "del", DEVICE]
    assert mirror_device()[0][:3] == ["ip", "link", "add"]


@pytest.mark.parametrize(("rule", "can"), [(RULE, True), (replace(RULE, old=A6, new=C6), False)])
def test_ipv4_alone(rule: Rule, can: bool) -> None:
    assert supports(rule) is can
