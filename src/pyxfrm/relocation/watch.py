"""Follow an address: when an interface gives up the address of an endpoint and has another one, relocate.

The deciding is in two small machines without IO, fed with what was seen and the time:

:class:`AddressTracker`  addresses of one interface. Break before make, make before break, an address that comes and goes: it waits until
                         nothing changed for ``quiet`` seconds, and moves only if the endpoint's address is gone and another one of its family is there.
:class:`MappingTracker`  MAPPING events: a NAT gave the peer another port or address. *A packet alone must never move an SA*: these events are made from
                         packets that were authentic, but may be replayed late, so this is off unless SAs are named, a source port of 0 means
                         nothing, and a flood of events ends in one move.

:func:`follow` and :func:`heed` feed them, from rtnetlink and from a client's events.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pyxfrm.client import EventStream
from pyxfrm.client.events import MappingChanged
from pyxfrm.errors import UsageError
from pyxfrm.model import Address, Encap, SaId, ip
from pyxfrm.relocation.wish import Select, Wish

__all__ = ["AddressTracker", "Change", "MappingTracker", "follow", "heed"]

QUIET = 0.3  # seconds


@dataclass(frozen=True, slots=True)
class Change:
    """An interface got an address, or lost it. ``usable``: not tentative, not deprecated, not link-local."""

    address: Address
    added: bool
    usable: bool = True


@dataclass
class AddressTracker:
    """Where the endpoint is, and where it could go.

    ``local``      its address now
    ``addresses``  of the interface, oldest first
    """

    local: Address
    addresses: list[Address] = field(default_factory=list)
    quiet: float = QUIET
    _due: float | None = None

    def feed(self, change: Change, now: float) -> None:
        """Something changed at ``now``."""
        if change.address in self.addresses:
            self.addresses.remove(change.address)
        if change.added and change.usable:
            self.addresses.append(change.address)
        self._due = now + self.quiet if self.target is not None else None

    @property
    def target(self) -> Address | None:
        """Where to go; None while the endpoint is where it belongs or there is nowhere to go."""
        if self.local in self.addresses:
            return None
        family = [a for a in self.addresses if a.family == self.local.family]
        return family[-1] if family else None

    @property
    def due(self) -> float | None:
        """When :meth:`decide` has something to say, if nothing changes until then."""
        return self._due

    def decide(self, now: float) -> tuple[Address, Address] | None:
        """The move to make now, from and to, if there is one."""
        target = self.target
        if self._due is None or now < self._due or target is None:
            return None
        return self.local, target

    def moved(self, local: Address) -> None:
        """The relocation was done."""
        self.local = local
        self._due = None

    def give_up(self) -> None:
        """The relocation was refused: not again before something changes."""
        self._due = None


@dataclass
class MappingTracker:
    """Peers that a NAT shows elsewhere. ``named``: the SAs that may be moved for it, by SPI."""

    named: frozenset[int]
    quiet: float = QUIET
    _last: dict[tuple[Address, int], tuple[float, MappingChanged]] = field(default_factory=dict)

    def feed(self, event: MappingChanged, now: float) -> None:
        """An event came at ``now``."""
        if event.sa.spi in self.named and event.new_sport:
            self._last[event.old_saddr, event.old_sport] = (now + self.quiet, event)

    @property
    def due(self) -> float | None:
        """When the first of them is ripe."""
        return min((due for due, _ in self._last.values()), default=None)

    def decide(self, now: float, port_of: Callable[[SaId], int]) -> Wish | None:
        """The move to make now, if there is one. ``port_of``: our own UDP port for an SA."""
        for key, (due, event) in list(self._last.items()):
            if now >= due:
                del self._last[key]
                return Wish(
                    local=event.sa.daddr,
                    remote=event.old_saddr,
                    new_remote=event.new_saddr,
                    encap=Encap(port_of(event.sa), event.new_sport),
                    select=Select(reqids=frozenset({event.reqid})),
                )
        return None


# -- IO --------------------------------------------------------------------------------------------

_TENTATIVE = 0x40 | 0x20 | 0x08  # IFA_F_TENTATIVE, IFA_F_DEPRECATED, IFA_F_DADFAILED
_UNIVERSE = 0


def read_change(message: Any, ifindex: int) -> Change | None:
    """What an rtnetlink message says of an interface; None if it is of another one or of something else."""
    if message.get("event") not in ("RTM_NEWADDR", "RTM_DELADDR") or message["index"] != ifindex:
        return None
    attrs = dict(message["attrs"])
    text = attrs.get("IFA_LOCAL") or attrs.get("IFA_ADDRESS")
    if text is None:
        return None
    flags = attrs.get("IFA_FLAGS", message["flags"])
    usable = not flags & _TENTATIVE and message["scope"] == _UNIVERSE
    return Change(ip(text), message["event"] == "RTM_NEWADDR", usable)


def follow(
    interface: str,
    tracker: AddressTracker,
    move: Callable[[Address, Address], bool],
    *,
    netns: str | None = None,
) -> Iterator[Address]:
    """Watch an interface and make the moves; yields where each one went.

    ``move``: given the old and the new address, whether it was done. One that was refused is tried again at the next change.
    """
    try:
        from pyroute2 import IPRoute  # type: ignore[import-untyped]
    except ImportError:
        raise UsageError(
            "watching an interface needs pyroute2: pip install 'pyxfrm[net]'"
        ) from None
    with IPRoute(netns=netns) if netns else IPRoute() as route:
        found = route.link_lookup(ifname=interface)
        if not found:
            raise UsageError(f"interface {interface!r}: there is none of that name")
        route.bind()
        for message in route.get_addr(index=found[0]):
            _feed(tracker, message, found[0])
        while True:
            for message in _messages(route, tracker.due):
                _feed(tracker, message, found[0])
            ready = tracker.decide(time.monotonic())
            if ready is None:
                continue
            if move(*ready):
                tracker.moved(ready[1])
                yield ready[1]
            else:
                tracker.give_up()


def _feed(tracker: AddressTracker, message: Any, ifindex: int) -> None:
    change = read_change(message, ifindex)
    if change is not None:
        tracker.feed(change, time.monotonic())


def _messages(route: Any, due: float | None) -> list[Any]:
    left = None if due is None else max(0.0, due - time.monotonic())
    readable, _, _ = select.select([route.fileno()], [], [], left)
    return list(route.get()) if readable else []


def heed(
    events: EventStream,
    tracker: MappingTracker,
    port_of: Callable[[SaId], int],
    move: Callable[[Wish], bool],
) -> Iterator[Wish]:
    """Listen to MAPPING events and make the moves; yields each that was made."""
    while True:
        due = tracker.due
        event = events.poll(None if due is None else max(0.0, due - time.monotonic()))
        if isinstance(event, MappingChanged):
            tracker.feed(event, time.monotonic())
        wish = tracker.decide(time.monotonic(), port_of)
        if wish is not None and move(wish):
            yield wish
