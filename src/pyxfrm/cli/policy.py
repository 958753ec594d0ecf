"""``xfrm policy``: one function a verb."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from pyxfrm.abi import structs as s
from pyxfrm.abi import xfrm as c
from pyxfrm.cli import as_json, build
from pyxfrm.cli.options import Options
from pyxfrm.cli.output import show_all, show_one
from pyxfrm.cli.parse import Parsed
from pyxfrm.cli.text.event import defaults as defaults_text
from pyxfrm.cli.text.policy import policy as text_of
from pyxfrm.client import PolicyRecord, Xfrm, verbs
from pyxfrm.model import Default, Family, Network, PolicyId, PolicyType, Selector

__all__ = [
    "add",
    "count",
    "delete",
    "deleteall",
    "flush",
    "get",
    "getdefault",
    "list",  # the verb's name
    "set",
    "setdefault",
    "update",
]


def add(options: Options, parsed: Parsed) -> int:
    """``policy add``."""
    policy = build.policy(parsed, options.family)
    with options.open() as xfrm:
        xfrm.add_policy(policy)
    return 0


def update(options: Options, parsed: Parsed) -> int:
    """``policy update``."""
    policy = build.policy(parsed, options.family)
    with options.open() as xfrm:
        xfrm.update_policy(policy)
    return 0


def delete(options: Options, parsed: Parsed) -> int:
    """``policy delete``."""
    name = build.policy_id(parsed, options.family)
    with options.open() as xfrm:
        xfrm.delete_policy(name)
    return 0


def get(options: Options, parsed: Parsed) -> int:
    """``policy get``."""
    name = build.policy_id(parsed, options.family)
    with options.open() as xfrm:
        record = xfrm.get_policy(name)
    show_one(options, "policy", record, text_of, as_json.policy)
    return 0


# -- many ----------------------------------------------------------------------------------------------


def _matcher(parsed: Parsed, family: Family | None) -> Callable[[PolicyRecord], bool]:
    """Whether a policy is one that the words ask for."""
    own = parsed.group("SELECTOR")
    src, dst = own.get("src"), own.get("dst")
    asked = build.selector(own, family, family or Family.UNSPEC)
    wanted = {
        "dir": parsed.get("dir"),
        "index": parsed.get("index"),
        "action": parsed.get("action"),
        "priority": parsed.get("priority"),
        "flags": build.flags_of(parsed, "flag") if "flag" in parsed else None,
    }

    def matches(record: PolicyRecord) -> bool:
        info = record.info
        if "nosock" in parsed and info.dir >= c.XFRM_POLICY_MAX:
            return False
        for name, value in wanted.items():
            if value is not None and getattr(info, name) != value:
                return False
        if "ptype" in parsed and record.policy.type != parsed.get("ptype"):
            return False
        return _selects(asked, src, dst, record.sel)

    return matches


def _selects(asked: Selector, src: Network | None, dst: Network | None, sel: Selector) -> bool:
    if asked.family != Family.UNSPEC and sel.family != asked.family:
        return False
    if src is not None and sel.saddr.address not in src:
        return False
    if dst is not None and sel.daddr.address not in dst:
        return False
    if asked.ifindex and sel.ifindex != asked.ifindex:
        return False
    if asked.proto and sel.proto != asked.proto:
        return False
    return all(
        not want.mask or (want.value ^ have.value) & want.mask == 0
        for want, have in ((asked.sport, sel.sport), (asked.dport, sel.dport))
    )


def _matching(xfrm: Xfrm, options: Options, parsed: Parsed) -> Iterator[PolicyRecord]:
    matches = _matcher(parsed, options.family)
    return (record for record in xfrm.policies() if matches(record))


def list(options: Options, parsed: Parsed) -> int:  # noqa: A001  # the verb's name
    """``policy list``."""
    with options.open() as xfrm:
        records = _matching(xfrm, options, parsed)
        show_all(options, "policies", records, text_of, as_json.policy)
    return 0


def deleteall(options: Options, parsed: Parsed) -> int:
    """``policy deleteall``: sockets keep theirs."""
    with options.open() as xfrm:
        names = [
            PolicyId(p.dir, None, p.index, p.mark, p.if_id, p.type)
            for p in (record.policy for record in _matching(xfrm, options, parsed))
            if p.dir < c.XFRM_POLICY_MAX
        ]
        for ticket in xfrm.batch(verbs.delete_policy(name) for name in names):
            ticket.result()
    return 0


def flush(options: Options, parsed: Parsed) -> int:
    """``policy flush``."""
    with options.open() as xfrm:
        if options.stats > 1:
            print("Flush policy", file=sys.stderr)
        xfrm.flush_policies(PolicyType(parsed.get("ptype", 0)))
    return 0


# -- tables and defaults -------------------------------------------------------------------------------


def count(options: Options, _: Parsed) -> int:
    """``policy count``."""
    with options.open() as xfrm:
        info = xfrm.spd_info()
    if options.json:
        print(as_json.document("count", as_json.spd(info)))
        return 0
    own, sock = info.policies, info.socket_policies
    text = f"\t SPD IN  {own.inbound} OUT {own.outbound} FWD {own.forward}"
    if options.stats:
        text += f" (Sock: IN {sock.inbound} OUT {sock.outbound} FWD {sock.forward})"
    print(text)
    if options.stats > 1:
        print(f"\t SPD buckets: count {info.buckets} Max {info.max_buckets}")
        for name, pair in (("IPv4", info.thresholds4), ("IPv6", info.thresholds6)):
            print(f"\t SPD {name} thresholds: local {pair.local} remote {pair.remote}")
    return 0


def set(options: Options, parsed: Parsed) -> int:  # noqa: A001  # the verb's name
    """``policy set``."""
    v4, v6 = parsed.last("hthresh4"), parsed.last("hthresh6")
    with options.open() as xfrm:
        xfrm.set_spd_info(
            v4=None if v4 is None else (v4.values[0], v4.values[1]),
            v6=None if v6 is None else (v6.values[0], v6.values[1]),
        )
    return 0


def setdefault(options: Options, parsed: Parsed) -> int:
    """``policy setdefault``: what is not named stays."""
    own = parsed.group("DEFAULTS")
    for word, each in own.keywords.items():
        if len(each) > 1:
            raise parsed.refuse(f'"{word}" is there twice')
    with options.open() as xfrm:
        xfrm.set_defaults(
            inbound=Default(own.get("in", 0)),
            forward=Default(own.get("fwd", 0)),
            outbound=Default(own.get("out", 0)),
        )
    return 0


def getdefault(options: Options, _: Parsed) -> int:
    """``policy getdefault``."""
    with options.open() as xfrm:
        found = xfrm.defaults()
    if options.json:
        print(as_json.document("defaults", as_json.defaults(found)))
    else:
        body = s.UserPolicyDefault(found.inbound, found.forward, found.outbound)
        sys.stdout.write(defaults_text(body))
    return 0
