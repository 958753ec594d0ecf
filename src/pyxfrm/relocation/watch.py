"""Follow an address: when an interface gives up the address of an endpoint and has another one, relocate.

The deciding is in two small machines without IO, fed with what was seen and the time:

:class:`AddressTracker`  addresses of one interface. Break before make, make before break, an address that comes and goes: it waits until
                         nothing changed for ``quiet`` seconds, and moves only if the endpoint's address is gone and another one of its family is there.
:class:`MappingTracker`  MAPPING events: a NAT gave the peer another port or address. *A packet alone must never move an SA*: these events are made from
                         packets that were authentic, but may be replayed late, so this is off unless SAs are named, a source port of 0 means
                         nothing, and a flood of events ends in one move.

:func:`follow` and :func:`heed` feed them, from rtnetlink (:mod:`pyxfrm.relocation.interface`) and from a client's events.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pyxfrm.client import EventStream
from pyxfrm.client.events import MappingChanged
from pyxfrm.errors import UsageError
from pyxfrm.model import Address, Encap, SaId
from pyxfrm.relocation.interface import Rank, addresses, listener, wait_for_change
from pyxfrm.relocation.wish import Select, Wish
from pyxfrm.transport.netns import Netns, in_netns, open_netns

__all__ = ["AddressTracker", "MappingTracker", "Peer", "follow", "heed"]

T = TypeVar("T")
QUIET = 0.3  # seconds
PATIENCE = 3.0  # seconds: what never comes to rest is acted on after that


@dataclass
class AddressTracker:
    """Where the endpoint is, and where it could go.

    ``local``      its address now
    ``addresses``  of the interface, oldest first
    """

    local: Address
    quiet: float = QUIET
    addresses: dict[Address, Rank] = field(default_factory=dict)
    _due: float | None = None

    def see(self, now_there: Mapping[Address, Rank], now: float) -> None:
        """These are the addresses at ``now``. What was seen before, too, keeps its place in the order of age."""
        if now_there == self.addresses:
            return
        stay = {a: now_there[a] for a in self.addresses if a in now_there}
        self.addresses = stay | dict(now_there)
        self._due = now + self.quiet if self.target is not None else None

    @property
    def target(self) -> Address | None:
        """Where to go; None while the endpoint is where it belongs or there is nowhere to go.

        The best rank, and of that the newest.
        """
        if self.addresses.get(self.local, Rank.UNUSABLE) >= Rank.STAY:
            return None
        there = [
            a
            for a, rank in reversed(self.addresses.items())
            if a.family == self.local.family and rank >= Rank.SECOND
        ]
        return max(there, key=self.addresses.__getitem__, default=None)

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

    def moved(self, local: Address, now: float) -> None:
        """The relocation was done. If the new address is gone by now, the next one follows."""
        self.local = local
        self._due = now + self.quiet if self.target is not None else None

    def give_up(self) -> None:
        """The relocation was refused: not again before something changes."""
        self._due = None


@dataclass(frozen=True, slots=True)
class _Rebound:
    """One peer's new place. ``first``: when it was first seen elsewhere, ``due``: when to act."""

    first: float
    due: float
    event: MappingChanged

    @property
    def place(self) -> tuple[Address, int]:
        return self.event.new_saddr, self.event.new_sport


@dataclass(frozen=True, slots=True)
class Peer:
    """Where an inbound SA in UDP has its peer. ``port``, ``our_port``: UDP."""

    address: Address
    port: int
    our_port: int


def _to(event: MappingChanged, peer: Peer) -> Wish:
    return Wish(
        local=event.sa.daddr,
        remote=peer.address,
        new_remote=None if event.new_saddr == peer.address else event.new_saddr,
        encap=Encap(peer.our_port, event.new_sport),
        select=Select(reqids=frozenset({event.reqid})),
    )


@dataclass
class MappingTracker:
    """Peers that a NAT shows elsewhere.

    ``named``     the SAs that may be moved for it, by SPI
    ``quiet``     seconds that a new place must last
    ``patience``  seconds after which one that lasts no longer is taken all the same
    """

    named: frozenset[int]
    quiet: float = QUIET
    patience: float = PATIENCE
    _last: dict[tuple[Address, int], _Rebound] = field(default_factory=dict)

    def feed(self, event: MappingChanged, now: float) -> None:
        """An event came at ``now``. Each packet makes one until the SA has moved: the same again changes nothing."""
        if event.sa.spi not in self.named or not event.new_sport:
            return
        key = event.old_saddr, event.old_sport
        there = self._last.get(key)
        first = now if there is None else there.first
        if there is None or there.place != (event.new_saddr, event.new_sport):
            due = min(now + self.quiet, first + self.patience)
            self._last[key] = _Rebound(first, due, event)

    @property
    def due(self) -> float | None:
        """When the first of them is ripe."""
        return min((each.due for each in self._last.values()), default=None)

    def decide(self, now: float, seen: Callable[[SaId], Peer | None]) -> Wish | None:
        """The move to make now, if there is one. ``seen``: the SA as it is now, None if it is gone.

        Events that were on the way while the SA moved tell of a place where it is already.
        """
        for key, each in list(self._last.items()):
            if now < each.due:
                continue
            del self._last[key]
            peer = seen(each.event.sa)
            if peer is not None and (peer.address, peer.port) != each.place:
                return _to(each.event, peer)
        return None


# -- IO --------------------------------------------------------------------------------------------


def follow(
    interface: str,
    tracker: AddressTracker,
    move: Callable[[Address, Address], bool],
    *,
    netns: Netns | None = None,
) -> Iterator[Address]:
    """Watch an interface and make the moves; yields where each one went.

    ``move``: given the old and the new address, whether it was done. One that was refused is tried again at the next change. UsageError if there is no such interface now;
    one that vanishes later may come back.
    """
    if _within(netns, lambda: addresses(interface)) is None:
        raise UsageError(f"interface {interface!r}: there is none of that name")
    return _follow(interface, tracker, move, netns, _within(netns, listener))


def _follow(
    interface: str,
    tracker: AddressTracker,
    move: Callable[[Address, Address], bool],
    netns: Netns | None,
    changes: socket.socket,
) -> Iterator[Address]:
    with contextlib.closing(changes):
        while True:
            there = _within(netns, lambda: addresses(interface))
            tracker.see(there or {}, time.monotonic())
            ready = tracker.decide(time.monotonic())
            if ready is None:
                wait_for_change(changes, tracker.due)
            elif move(*ready):
                tracker.moved(ready[1], time.monotonic())
                yield ready[1]
            else:
                tracker.give_up()


def _within(netns: Netns | None, work: Callable[[], T]) -> T:
    if netns is None:
        return work()
    fd = open_netns(netns)
    try:
        return in_netns(fd, work)
    finally:
        os.close(fd)


def heed(
    events: EventStream,
    tracker: MappingTracker,
    seen: Callable[[SaId], Peer | None],
    move: Callable[[Wish], bool],
) -> Iterator[Wish]:
    """Listen to MAPPING events and make the moves; yields each that was made."""
    while True:
        due = tracker.due
        event = events.poll(None if due is None else max(0.0, due - time.monotonic()))
        if isinstance(event, MappingChanged):
            tracker.feed(event, time.monotonic())
        wish = tracker.decide(time.monotonic(), seen)
        if wish is not None and move(wish):
            yield wish
