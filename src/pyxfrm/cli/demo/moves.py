"""What is done to a tunnel while packets flow through it.

**As it should be** (:data:`JOURNEY`): each SA is named and moved by one MIGRATE_STATE; the receiving side first, and what a direction needs to receive in one batch; packets that find no SA while SA and policy do
not agree wait for a moment. **As Linux alone does it** (the first of :data:`CONTRAST`): the same messages, but nothing waits. **As it was done before** (the second): the daemon
reads each SA, deletes it and adds a copy at the new place.

Between any two calls there is a pause, since a daemon has other things to do as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pyxfrm.cli.demo.nat import Nat
from pyxfrm.cli.demo.scene import Scene, Script, Side, Stretch
from pyxfrm.cli.demo.sockets import free, has_ipv6
from pyxfrm.client import verbs
from pyxfrm.client.events import MappingChanged
from pyxfrm.client.request import Request
from pyxfrm.errors import TransportError
from pyxfrm.model import Direction
from pyxfrm.transport.base import Group
from pyxfrm.tunnel import Point, Static

__all__ = ["CONTRAST", "JOURNEY", "Move", "QUIET", "places", "play"]

QUIET = "no move"
_NOTICE = 2.0  # seconds that a NAT's new mapping is waited for


class Move(NamedTuple):
    """One move. ``act`` does it and yields the pauses between its calls; ``needs``: why it cannot be done here, or nothing."""

    name: str
    why: str
    act: Callable[[Scene, Stretch], Script]
    needs: Callable[[], str] = str


def places() -> tuple[Point, Point]:
    """Where the two ends begin."""
    return free("127.0.0.1"), free("127.0.0.2")


# -- the ways to do it -------------------------------------------------------------------------------


def _ask(scene: Scene, stretch: Stretch, side: Side, requests: Sequence[Request[Any]]) -> list[Any]:
    """Ask an engine; what it answers."""
    stretch.waited = max(stretch.waited, scene.waiting)
    answers = [ticket.result() for ticket in side.xfrm.batch(requests)]
    stretch.calls += len(requests)
    stretch.took = scene.now - stretch.begin.at
    return answers


def _relocate(
    scene: Scene,
    stretch: Stretch,
    *,
    left: Point | None = None,
    right: Point | None = None,
    seen_left: Point | None = None,
    seen_right: Point | None = None,
) -> Script:
    """Move both ends by MIGRATE_STATE. ``seen_*``: where the other one finds an end, if that is not where it is."""
    at_left = scene.left, scene.left.tunnel.moved(left, seen_right or right)
    at_right = scene.right, scene.right.tunnel.moved(right, seen_left or left)
    both = [(side, to) for side, to in (at_right, at_left) if not _same(side.tunnel, to)]
    for side, to in both:
        _, into = side.tunnel.migrations(to)
        _ask(scene, stretch, side, [verbs.migrate_sa(into), *_policies(side, to, out=False)])
    for side, to in reversed(both):
        yield scene.pause
        out, _ = side.tunnel.migrations(to)
        _ask(scene, stretch, side, [verbs.migrate_sa(out)])
        policies = _policies(side, to, out=True)
        if policies:
            yield scene.pause
            _ask(scene, stretch, side, policies)
        side.tunnel = to


def _copy(scene: Scene, stretch: Stretch, *, left: Point) -> Script:
    """Move the left end as daemons did: read, delete and add each SA, then tell the policies."""
    for side, to in (
        (scene.right, scene.right.tunnel.moved(there=left)),
        (scene.left, scene.left.tunnel.moved(here=left)),
    ):
        for old, new in reversed(list(zip(side.tunnel.sas(), to.sas(), strict=True))):
            (read,) = _ask(scene, stretch, side, [verbs.get_sa(old.id)])
            yield scene.pause
            _ask(scene, stretch, side, [verbs.delete_sa(old.id)])
            yield scene.pause
            _ask(scene, stretch, side, [verbs.add_sa(replace(new, replay=read.replay))])
            yield scene.pause
        for policy in to.policies():
            _ask(scene, stretch, side, [verbs.update_policy(policy)])
            yield scene.pause
        side.tunnel = to


def _same(one: Static, other: Static) -> bool:
    return (one.here, one.there) == (other.here, other.there)


def _policies(side: Side, to: Static, *, out: bool) -> list[Request[Any]]:
    """Updates of the policies of a direction; none if no address changes, since policies do not know ports."""
    if (side.tunnel.here.address, side.tunnel.there.address) == (to.here.address, to.there.address):
        return []
    wanted = [policy for policy in to.policies() if (policy.dir is Direction.OUT) == out]
    return [verbs.update_policy(policy) for policy in wanted]


# -- the moves ---------------------------------------------------------------------------------------


def _address(scene: Scene, stretch: Stretch) -> Script:
    yield from _relocate(scene, stretch, left=free("127.0.0.3"))


def _port(scene: Scene, stretch: Stretch) -> Script:
    yield from _relocate(scene, stretch, left=free(str(scene.left.tunnel.here.address)))


def _nat_comes(scene: Scene, stretch: Stretch) -> Script:
    left, right = scene.left.tunnel.here, scene.right.tunnel.here
    nat = Nat(scene.loop, free("127.0.0.4"), free("127.0.0.5"), left, right)
    scene.nats.append(nat)
    yield from _relocate(scene, stretch, seen_left=nat.outside, seen_right=nat.inside)


def _nat_rebinds(scene: Scene, stretch: Stretch) -> Script:
    nat = next(nat for nat in scene.nats if nat.sockets)
    with scene.right.xfrm.events(Group.MAPPING) as events:
        nat.rebind(free(str(nat.outside.address)))
        until = scene.now + _NOTICE
        while scene.now < until:
            yield 0.001
            seen = [event for event in events.drain() if isinstance(event, MappingChanged)]
            if seen:
                place = Point(seen[-1].new_saddr, seen[-1].new_sport)
                yield from _relocate(scene, stretch, seen_left=place)
                return
    raise TransportError(f"the NAT took another port, and no MAPPING came in {_NOTICE:g} s")


def _nat_goes(scene: Scene, stretch: Stretch) -> Script:
    left, right = scene.left.tunnel.here, scene.right.tunnel.here
    yield from _relocate(scene, stretch, seen_left=left, seen_right=right)
    yield 0.1  # for what is inside it
    for nat in scene.nats:
        nat.close()


def _to_ipv6(scene: Scene, stretch: Stretch) -> Script:
    yield from _relocate(scene, stretch, left=free("::1"), right=free("::1"))


def _to_ipv4(scene: Scene, stretch: Stretch) -> Script:
    left, right = places()
    yield from _relocate(scene, stretch, left=left, right=right)


def _no_ipv6() -> str:
    return "" if has_ipv6() else "this machine has no IPv6"


JOURNEY = (
    Move("another address", "The host on the left goes to another network.", _address),
    Move("another port", "Its UDP port for ESP changes.", _port),
    Move("a NAT appears", "From now on the right end sees the address of a NAT.", _nat_comes),
    Move(
        "the NAT takes another port",
        "Nobody is told. The right end sees packets from elsewhere (MAPPING), and follows.",
        _nat_rebinds,
    ),
    Move("the NAT goes", "Packets go straight again.", _nat_goes),
    Move("IPv4 to IPv6", "Both ends go to addresses of another family.", _to_ipv6, _no_ipv6),
    Move("IPv6 to IPv4", "And back.", _to_ipv4, _no_ipv6),
)
CONTRAST = (
    Move(
        "MIGRATE_STATE, no waiting",
        "As Linux takes the same messages: what finds no SA, or comes to the old place, is dropped.",
        _address,
    ),
    Move(
        "delete and add",
        "As it was done before: read each SA, delete it, add a copy at the new place.",
        lambda scene, stretch: _copy(scene, stretch, left=free("127.0.0.1")),
    ),
)


def play(moves: Sequence[Move], scene: Scene, seconds: float) -> Script:
    """A time without a move, then the moves, each with the same share of ``seconds``."""
    share = seconds / (len(moves) + 1)
    scene.mark(QUIET)
    yield share
    for move in moves:
        lacking = move.needs()
        stretch = scene.mark(move.name, move.why, skipped=lacking)
        if lacking:
            continue
        before = scene.way
        yield from move.act(scene, stretch)
        stretch.ways = before, scene.way
        yield max(0.0, share - (scene.now - stretch.begin.at))
