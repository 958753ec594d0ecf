"""Runs inside the lab's kernel: one life of a child SA, with the kernel's XFRM or with engines in its place, and what there is at each step.

What chance decides is left out: SPIs, keys, times, and the kernel's numbers of policies, which count on from whatever ran before.
"""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyxfrm.abi.profiles import PROFILES
from pyxfrm.client import Xfrm
from pyxfrm.client.events import Event
from pyxfrm.model import Policy, Proto
from tests.judges.charon import Charon, until
from tests.judges.network import Cable, Namespace
from tests.judges.pair import LEFT, RIGHT, Clock, End, Gateway, establish
from tests.judges.place import standing_in

SECOND, OUTSIDE = "198.51.100.1", "192.0.2.77"
HOSTS = {LEFT: (LEFT.first, SECOND), RIGHT: (RIGHT.first,)}


def life(words: dict[str, Any]) -> list[Any]:
    """On the guest's own XFRM, or with the profile ``engine`` on engines; ``child``: settings of the child SA, of which there are ``sas`` at each end."""
    profile = PROFILES[words["engine"]] if words["engine"] else None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ends: list[End] = []
        for side in (LEFT, RIGHT):
            namespace = Namespace()
            start: Any = subprocess.Popen
            if profile is None:
                end = stack.enter_context(End(side, namespace, Xfrm(namespace.path)))
            else:
                end = stack.enter_context(gateway := Gateway(side, namespace, profile, Clock()))
                start = stack.enter_context(standing_in(gateway.host, profile))
            namespace.configure(HOSTS[side], side.routes)
            end.daemon = Charon(folder / side.name, namespace, start)
            stack.callback(end.daemon.stop)
            ends.append(end)
        left, right = ends
        cable = stack.enter_context(Cable(left.namespace.device, right.namespace.device))
        return _live(left, right, cable, words["sas"], words["child"])


def _live(left: End, right: End, cable: Cable, sas: int, child: dict[str, str]) -> list[Any]:
    seen: list[Any] = []

    def look(what: str) -> None:
        seen.extend((what, end.side.name, _there_is(end), _told(end)) for end in (left, right))

    establish(left, right, sas, child={**child, "rekey_time": "1000s", "rand_time": "0s"})
    look("established")
    cable.nat[SECOND] = OUTSIDE
    left.lose(LEFT.first)
    _wait(left, SECOND)
    _wait(right, OUTSIDE)
    look("a NAT appeared")
    left.gain(LEFT.first)
    left.lose(SECOND)
    _wait(left, LEFT.first)
    _wait(right, LEFT.first)
    look("the NAT is gone")
    old = _esp(left)
    left.daemon.swanctl("--rekey", "--child", "net")
    until("new SAs", lambda: all(_replaced(end, old, sas) for end in (left, right)))
    look("rekeyed")
    left.daemon.swanctl("--terminate", "--ike", "gw")
    until("nothing", lambda: not any(end.sas() or end.policies() for end in (left, right)))
    look("terminated")
    return seen


def _esp(end: End) -> set[int]:
    return {sa.spi for sa in end.sas() if sa.proto is Proto.ESP}


def _replaced(end: End, old: set[int], sas: int) -> bool:
    return len(end.sas()) == sas and not _esp(end) & old


def _wait(end: End, host: str) -> None:
    """Until all is between this address of the left end and the right one's."""

    def there() -> bool:
        sas = end.sas()
        policies = [p for p in end.policies() if p.templates]
        natted = any(sa.encap for sa in sas) == (host != LEFT.first)
        return natted and len(policies) == 6 and all(_has(x, host) for x in (*sas, *policies))

    until(f"all goes by {host}", there)


def _has(what: Any, host: str) -> bool:
    places = getattr(what, "templates", (what,))
    return any(host in (str(place.saddr), str(place.daddr)) for place in places)


def _there_is(end: End) -> list[str]:
    sas = [replace(r.sa, id=replace(r.sa.id, spi=0)) for r in end.sas()]
    return [*map(repr, sas), *(repr(_without_chance(r.policy)) for r in end.policies())]


def _without_chance(policy: Policy) -> Policy:
    templates = tuple(replace(t, spi=int(t.spi > 0)) for t in policy.templates)
    return replace(policy, index=0, templates=templates)


def _told(end: End) -> list[str]:
    return [_name(event) for event in end.events()]


def _name(event: Event) -> str:
    sa, policy = getattr(event, "sa", None), getattr(event, "policy", None)
    way = getattr(event, "dir", None) or getattr(sa or policy, "dir", None)
    return f"{type(event).__name__} {way}"
