"""``tc`` rules that take packets for the old local address as if they were for the new one, too.

No SA answers at two addresses. But while an SA moves from one local address to another, packets for both are under way. The rule makes of each ESP packet for
the old address two: the packet as it came, by a mirror to a dummy device, and one whose destination is the new address. Wherever the SA is at that moment, one of the
two finds it; the other is counted as XfrmInNoStates. If the SA moves between the two, the replay window takes only one.

The mirror's device must be another one: mirrored to itself, the copy is caught by the loop check. Reverse-path filtering must not look at the dummy device.

Only stock modules: sch_ingress, cls_u32, act_mirred, act_nat, dummy. Packets in UDP encapsulation are matched by the old address, UDP and the port. The program ``tc`` is
needed: pyroute2 has no act_nat.

The filters stand early, because one that ends classification before them would hide them, and under a preference of their own, by which they are removed. Not under
49152: that is what the kernel gives to filters that were added without one (net/sched/cls_api.c: tcf_auto_prio).
"""

from __future__ import annotations

from dataclasses import dataclass

from pyxfrm.model import Address, Family

__all__ = ["DEVICE", "PREFERENCE", "Rule", "filters", "mirror_device", "removal", "supports"]

DEVICE = "pyxfrm-dual"
PREFERENCE = "72"


@dataclass(frozen=True, slots=True)
class Rule:
    """What to take.

    ``device``      where packets come in
    ``port``        UDP port of encapsulated packets; 0: plain ESP
    ``keep_qdisc``  the device had a clsact qdisc before: it stays
    """

    old: Address
    new: Address
    spis: tuple[int, ...]
    device: str
    port: int = 0
    keep_qdisc: bool = False


def supports(rule: Rule) -> bool:
    """act_nat rewrites IPv4 alone (net/sched/act_nat.c)."""
    return rule.old.family == rule.new.family == Family.INET


def mirror_device() -> list[list[str]]:
    """The commands that make the device that mirrored packets go to."""
    return [
        ["ip", "link", "add", DEVICE, "type", "dummy"],
        ["ip", "link", "set", DEVICE, "up"],
    ]


def filters(rule: Rule) -> list[list[str]]:
    """The commands that set the filters up, in order."""
    qdisc = [["tc", "qdisc", "add", "dev", rule.device, "clsact"]]
    return ([] if rule.keep_qdisc else qdisc) + [_filter(rule, match) for match in _matches(rule)]


def removal(rule: Rule) -> list[list[str]]:
    """The commands that take all of it away; those that find nothing to do may fail."""
    filters = ["tc", "filter", "del", "dev", rule.device, "ingress", "pref", PREFERENCE]
    qdisc = ["tc", "qdisc", "del", "dev", rule.device, "clsact"]
    return [filters if rule.keep_qdisc else qdisc, ["ip", "link", "del", DEVICE]]


def _matches(rule: Rule) -> list[list[str]]:
    """One filter an SPI, which is the first word after an IPv4 header without options."""
    if rule.port:
        words = ["match", "ip", "protocol", "17", "0xff", "match", "ip", "dport", str(rule.port)]
        return [[*words, "0xffff"]]
    esp = ["match", "ip", "protocol", "50", "0xff"]
    return [[*esp, "match", "u32", f"{spi:#x}", "0xffffffff", "at", "20"] for spi in rule.spis]


def _filter(rule: Rule, match: list[str]) -> list[str]:
    head = ["tc", "filter", "add", "dev", rule.device, "ingress", "protocol", "ip"]
    select = ["pref", PREFERENCE, "u32", *match, "match", "ip", "dst", f"{rule.old}/32"]
    mirror = ["action", "mirred", "ingress", "mirror", "dev", DEVICE, "pipe"]
    return [*head, *select, *mirror, "action", "nat", "ingress", f"{rule.old}/32", str(rule.new)]
