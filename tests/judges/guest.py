"""Runs inside the lab's kernel: one life of a child SA, with the kernel's XFRM or with engines in its place, and what there is at each step.

What chance decides is left out: SPIs, keys, times, and the kernel's numbers of policies, which count on from whatever ran before.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyxfrm.abi.profiles import PROFILES, Profile
from pyxfrm.client import Xfrm
from pyxfrm.client.events import Event
from pyxfrm.model import Policy, Proto
from tests.judges.charon import Charon, Start, until
from tests.judges.network import Cable, Namespace
from tests.judges.pair import LEFT, RIGHT, Clock, End, Gateway, Side, establish
from tests.judges.place import standing_in

SECOND, OUTSIDE = "198.51.100.1", "192.0.2.77"
HOSTS = {LEFT: (LEFT.first, SECOND), RIGHT: (RIGHT.first,)}


def life(words: dict[str, Any]) -> list[Any]:
    """On the guest's own XFRM, or with the profile ``engine`` on engines; ``child``: settings of the child SA, of which there are ``sas`` at each end."""
    profile = PROFILES[words["engine"]] if words["engine"] else None
    with ends(profile, profile) as (left, right, cable):
        return _live(left, right, cable, words["sas"], words["child"])


@contextmanager
def ends(left: Profile | None, right: Profile | None) -> Iterator[tuple[End, End, Cable]]:
    """Two daemons, each on an engine of a profile, or on the guest's own XFRM."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = []
        for side, profile in ((LEFT, left), (RIGHT, right)):
            namespace = Namespace()
            end, start = _end(stack, side, namespace, profile)
            namespace.configure(HOSTS[side], side.routes)
            end.daemon = Charon(folder / side.name, namespace, start)
            stack.callback(end.daemon.stop)
            made.append(end)
        one, other = made
        cable = stack.enter_context(Cable(one.namespace.device, other.namespace.device))
        yield one, other, cable


def _end(
    stack: ExitStack, side: Side, namespace: Namespace, profile: Profile | None
) -> tuple[End, Start]:
    if profile is None:
        return stack.enter_context(End(side, namespace, Xfrm(namespace.path))), subprocess.Popen
    gateway = stack.enter_context(Gateway(side, namespace, profile, Clock()))
    return gateway, stack.enter_context(standing_in(gateway.host, profile))


def _live(left: End, right: End, cable: Cable, sas: int, child: dict[str, str]) -> list[Any]:
    seen: list[Any] = []

    def look(what: str) -> None:
        seen.extend((what, end.side.name, _there_is(end), _told(end)) for end in (left, right))

    establish(left, right, sas, child={**child, "rekey_time": "1000s", "rand_time": "0s"})
    look("established")
    cable.nat[SECOND] = OUTSIDE
    left.lose(LEFT.first)
    wait_for(left, SECOND)
    wait_for(right, OUTSIDE)
    look("a NAT appeared")
    left.gain(LEFT.first)
    left.lose(SECOND)
    wait_for(left, LEFT.first)
    wait_for(right, LEFT.first)
    look("the NAT is gone")
    old = esp_spis(left)
    left.daemon.swanctl("--rekey", "--child", "net")
    until("new SAs", lambda: all(replaced(end, old, sas) for end in (left, right)))
    look("rekeyed")
    left.daemon.swanctl("--terminate", "--ike", "gw")
    until("nothing", lambda: not any(end.sas() or end.policies() for end in (left, right)))
    look("terminated")
    return seen


def esp_spis(end: End) -> set[int]:
    return {sa.spi for sa in end.sas() if sa.proto is Proto.ESP}


def replaced(end: End, old: set[int], sas: int) -> bool:
    return len(end.sas()) == sas and not esp_spis(end) & old


def wait_for(end: End, host: str) -> None:
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
