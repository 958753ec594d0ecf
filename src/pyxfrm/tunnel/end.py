"""One end of a tunnel: an engine, its data path, an inner side, and sockets where the SAs of the moment need them.

    inner side ── packets ──► data path ── runs of sealed payloads ──► sockets, one a place
               ◄────────────           ◄──────────────────────────────
                              engine ◄── requests (any client of the served socket, or of this process)

An end is driven by :meth:`End.turn`: one thread, one epoll. The engine may be asked from any thread: turns and requests take turns under
the lock of its :class:`~pyxfrm.transport.local.EngineHost`.

**Moves.** Whatever a request did to SAs, the sockets have followed when its answer can be read: the data path tells of each change, and the set of places
is brought up to date in that moment (:mod:`pyxfrm.tunnel.keeper`). What an SA has left stays open for ``drain`` seconds, and the data path takes packets for the old
place as long. An SA that moves to an address that the host does not have yet is waited for: the socket is tried again and again.

**Never in clear.** What no policy protects is dropped here (``stats.clear_out``), as is what a policy protects but no SA carries (XfrmOutNoStates); what came
in under no SA is not delivered.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pyxfrm.client.xfrm import Xfrm
from pyxfrm.closing import Closing
from pyxfrm.engine import Engine
from pyxfrm.engine.datapath import Action, Datapath, Verdict
from pyxfrm.transport.base import BREATH
from pyxfrm.transport.local import EngineHost
from pyxfrm.transport.server import EngineServer
from pyxfrm.tunnel.framing import Run, datagrams, gather
from pyxfrm.tunnel.inner import Inner
from pyxfrm.tunnel.keeper import Keeper
from pyxfrm.tunnel.needs import Needs
from pyxfrm.tunnel.outer import Outer, open_outer, path_mtu
from pyxfrm.tunnel.place import UDP, Place, Via
from pyxfrm.tunnel.stats import Stats

__all__ = ["Clock", "End", "Ike", "Tap", "steady_clock"]

Clock = Callable[[], float]
Tap = Callable[[bool, Run], None]
Ike = Callable[[bytes, Via], None]

BATCH = 64  # packets that are read from the inner side in one go
_KEEPALIVE = b"\xff"
_MOST_WAITING = 4096
_MOST_MTUS = 4096
_MOST_LATE = 128  # reads in a row from a place that was left
_MTU_GOOD_FOR = 10.0  # seconds
_NEVER = float("inf")
_PATIENCE = 0.001  # seconds that who asks waits for packets that have come, or for one batch


def _make_clock() -> Clock:
    start = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    read = time.clock_gettime
    which = time.CLOCK_BOOTTIME
    return lambda: start + read(which)


steady_clock: Clock = _make_clock()
"""Seconds since the epoch, counted from when this program started: nobody sets it, and it goes on while the machine sleeps."""


class _Path(Datapath):
    """A data path that tells of each change, once it has seen to it itself."""

    def __init__(self, engine: Engine, told: Callable[[], None]) -> None:
        super().__init__(engine, mtu=self._route_mtu, encap_ports=())
        self._told = told
        self._mtus: dict[bytes, tuple[float, int]] = {}

    def _route_mtu(self, address: bytes) -> int:
        """What the kernel's route carries, looked up once in a while."""
        now = self.engine.now
        until, mtu = self._mtus.get(address, (0.0, 0))
        if until <= now:
            if len(self._mtus) >= _MOST_MTUS:
                self._mtus.clear()
            mtu = path_mtu(address)
            self._mtus[address] = now + _MTU_GOOD_FOR, mtu
        return mtu

    def changed(self) -> None:
        """See :meth:`Datapath.changed`."""
        super().changed()
        self._told()


class End(Closing):
    """One end.

    ``inner``   where packets in clear come from and go to; it is closed with the end
    ``engine``  whose SAs and policies rule; a fresh one unless given
    ``drain``   seconds that an SA's old place is kept
    ``hold``    seconds that packets wait for an SA on the move (see :class:`pyxfrm.engine.datapath.moves.Moves`); 0: not at all, as in Linux;
                while it is on, no key manager is asked for SAs
    ``ike``     gets what came with a non-ESP marker, without the marker, and its way; default: dropped
    ``tap``     sees every run of payloads on the network side: ``tap(out, run)``
    ``clock``   seconds since the epoch
    ``make``    opens sockets; for tests
    """

    def __init__(
        self,
        inner: Inner,
        *,
        engine: Engine | None = None,
        drain: float = 1.0,
        hold: float = 0.0,
        ike: Ike | None = None,
        tap: Tap | None = None,
        clock: Clock = steady_clock,
        make: Callable[[Place], Outer] = open_outer,
    ) -> None:
        self.inner = inner
        self.engine = engine or Engine()
        self.clock = clock
        self.host = EngineHost(self.engine, clock)
        self.stats = Stats()
        self.ike = ike
        self.tap = tap
        self.outer = Keeper(self._open, drain)
        self.server: EngineServer | None = None
        self.closed = False
        self._make = make
        self.needs = Needs(self.engine)
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stepping = False
        self._attended = 0.0
        self._sources: dict[int, Callable[[float], None]] = {}
        self._outers: dict[int, Outer] = {}
        self.engine.now = max(self.engine.now, clock())
        self.datapath = _Path(self.engine, self._changed)
        self.datapath.moves.accept_old = drain
        if hold:
            self.datapath.moves.wait(hold, _MOST_WAITING)
        self._register(self._wake, self._woken)
        if inner.fileno() >= 0:
            self._epoll.register(inner.fileno(), select.EPOLLIN)
        self._changed()

    # -- what the SAs need ---------------------------------------------------------------------------

    def _changed(self) -> None:
        """Something may have become of SAs or policies."""
        if self.closed:
            return
        now = self.clock()
        if self.needs.look(now) and self.outer.want(self.needs.places, now):
            self.stats.moves += 1
            self._ports()
        if self._stepping:
            self._ship(self.datapath.take())  # what waited goes before the answer
        else:
            os.eventfd_write(self._wake, 1)

    def _open(self, place: Place) -> Outer:
        outer = self._make(place)
        fd = outer.fileno()
        if fd >= 0:
            self._epoll.register(fd, select.EPOLLIN)
        return outer

    def _register(self, fd: int, action: Callable[[float], None]) -> None:
        self._sources[fd] = action
        self._epoll.register(fd, select.EPOLLIN)

    def _ports(self) -> None:
        """Other sockets are open: the data path takes encapsulated ESP at their ports."""
        self._outers = {outer.fileno(): outer for outer in self.outer}
        places = (place for place in self.outer.places if place.proto == UDP)
        self.datapath.encap_ports = {place.port for place in places}

    @property
    def problems(self) -> list[str]:
        """Lines about what the SAs want and cannot have: sockets that cannot be opened, and why."""
        return [f"{place}: {why}" for place, (_, why) in self.outer.missing.items()]

    # -- driving ---------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Readable when :meth:`turn` has something to do; see also :meth:`deadline`."""
        return self._epoll.fileno()

    def deadline(self) -> float | None:
        """When :meth:`turn` has something to do in any case, by the end's clock; None: never."""
        with self.host.changed:
            times = (
                self.engine.next_deadline(),
                self.inner.deadline(),
                self.outer.deadline(),
                self.needs.keepalives.deadline(),
            )
        return min((when for when in times if when is not None), default=None)

    def heed(self, fd: int) -> None:
        """Let :meth:`turn` wait no longer when this descriptor is readable; what it means is the caller's business."""
        self._epoll.register(fd, select.EPOLLIN)

    def turn(self, timeout: float | None = None) -> None:
        """Wait until there is something to do, ``timeout`` seconds at most, and do it; now and then there is nothing."""
        ready = self._epoll.poll(0 if timeout == 0 else self._patience(timeout))
        with self.host.changed:
            if not self.closed:
                self.step(self.clock(), [fd for fd, _ in ready])

    def _patience(self, timeout: float | None) -> float:
        due = self.deadline()
        left = BREATH if timeout is None else min(timeout, BREATH)
        return left if due is None else min(left, max(0.0, due - self.clock()))

    def step(self, now: float, ready: Iterable[int] = ()) -> None:
        """Do what is due at ``now``, and what these descriptors have."""
        self._stepping = True
        try:
            self._work(now, ready)
        finally:
            self._stepping = False
        self._ship(self.datapath.take())
        self._upkeep(now)
        if self.server is not None and self.server.has_news:
            self.server.serve_once(0)

    def _work(self, now: float, ready: Iterable[int]) -> None:
        due = self.engine.next_deadline()
        if due is not None and due <= now:
            self.host.tick()
        ready = set(ready)
        # Who asks does not wait for what has come by now: between the questions of a move packets wait, too.
        asked = ready & self._sources.keys()
        for fd in asked:
            self._sources[fd](now)
        self._attended = self.clock() if asked else now
        came = [self._outers[fd] for fd in ready if fd in self._outers]
        if self.inner.fileno() in ready:
            self._read_inner(now)
            if came:
                self._attend()
        # What came to a place that was left is older, and the replay window does not wait for it.
        for outer in sorted(came, key=lambda outer: self.outer.leaving.get(outer.place, _NEVER)):
            self._receive(outer, now)
        due = self.inner.deadline()
        if due is not None and due <= now:
            self._read_inner(now)

    def _attend(self) -> None:
        """Answer who has asked meanwhile, when packets have taken long: what was read to be sent has been sent."""
        if self.server is not None and self.clock() - self._attended >= _PATIENCE:
            self.server.serve_once(0)
            self._attended = self.clock()

    def _woken(self, _: float) -> None:
        os.eventfd_read(self._wake)

    def _upkeep(self, now: float) -> None:
        """Sockets to close or to try again, keepalives to send."""
        due = self.outer.deadline()
        if due is not None and due <= now and self.outer.expire(now):
            self._ports()
        due = self.needs.keepalives.deadline()
        if due is not None and due <= now:
            for via in self.needs.keepalives.take(now):
                self._send(Run(via, (_KEEPALIVE,), 1))
                self.stats.keepalives_out += 1

    # -- out -------------------------------------------------------------------------------------------

    def _read_inner(self, now: float) -> None:
        packets = self.inner.read(now, BATCH)
        if packets:
            self.protect(packets, now)

    def protect(self, packets: Sequence[bytes], now: float) -> None:
        """Packets in clear: send them sealed, or drop them."""
        self._ship(self.datapath.output_batch(packets, now))

    def _ship(self, verdicts: Sequence[Verdict]) -> None:
        """What has a verdict: on to the network if it is sealed, and by no means otherwise."""
        if not verdicts:
            return
        protected = Action.PROTECTED
        sealed = [verdict for verdict in verdicts if verdict.action is protected]
        if len(sealed) != len(verdicts):
            self._unsealed(verdicts)
        for run in gather(sealed):
            self._send(run)

    def _unsealed(self, verdicts: Sequence[Verdict]) -> None:
        """Some do not go: those in clear, and those that are too long, whose sender is told."""
        self.stats.clear_out += sum(verdict.action is Action.CLEAR for verdict in verdicts)
        errors = [verdict.icmp for verdict in verdicts if verdict.icmp]
        if errors:
            self.stats.too_big += len(errors)
            self.inner.write(errors, None, self.engine.now)

    def _send(self, run: Run) -> None:
        outer = self.outer.get(run.via.place)
        if outer is None:
            self.stats.unsent["no place"] += len(run.payloads)
            return
        if self.tap is not None:
            self.tap(True, run)
        failed = outer.send(run)
        if failed:
            self.stats.unsent.update(failed)
            if "EMSGSIZE" in failed:
                # A router has told the kernel. Those that follow get an answer.
                self.datapath.paths.learn(run.via.address, path_mtu(run.via.address))
        self.stats.packets_out += len(run.payloads) - failed.total()
        self.stats.wire_out += (len(run.payloads) - 1) * run.size + len(run.payloads[-1])

    # -- in --------------------------------------------------------------------------------------------

    def _receive(self, outer: Outer, now: float) -> None:
        leaving = outer.place in self.outer.leaving
        for _ in range(_MOST_LATE if leaving else 1):
            runs = outer.receive()
            for number, run in enumerate(runs):
                if number:
                    self._attend()
                if self.tap is not None:
                    self.tap(False, run)
                self.accept(run, now)
            if not runs:
                break

    def accept(self, run: Run, now: float) -> None:
        """Payloads from the network: deliver what is inside."""
        stats = self.stats
        stats.wire_in += (len(run.payloads) - 1) * run.size + len(run.payloads[-1])
        verdicts = self.datapath.input_batch(datagrams(run), now)
        delivered = Action.DELIVERED
        packets = [v.packet for v in verdicts if v.action is delivered and v.sas]
        if len(packets) != len(verdicts):
            self._sort_out(run, verdicts)
        if packets:
            stats.packets_in += len(packets)
            if run.via.place in self.outer.leaving:
                stats.late += len(packets)
            self.inner.write(packets, run.via, now)

    def _sort_out(self, run: Run, verdicts: Sequence[Verdict]) -> None:
        """What is not delivered; drops are counted by the data path."""
        stats = self.stats
        for payload, verdict in zip(run.payloads, verdicts, strict=True):
            if verdict.action is Action.KEEPALIVE:
                stats.keepalives_in += 1
            elif verdict.action is Action.IKE:
                stats.ike += 1
                if self.ike is not None and payload[:4] == bytes(4):
                    self.ike(payload[4:], run.via)
            elif verdict.action is not Action.DROPPED and not verdict.sas:
                stats.clear_in += 1

    # -- control ---------------------------------------------------------------------------------------

    def client(self) -> Xfrm:
        """A client of the engine; for any thread."""
        return Xfrm(transport=self.host.connect())

    def serve(self, path: str | Path) -> None:
        """Let other processes ask the engine, at a unix socket that only this user may open; it goes with the end."""
        server = self.server = EngineServer(self.host, path)
        self._register(server.fileno(), lambda _: server.serve_once(0))

    def close(self) -> None:
        """Close everything; closing twice is harmless."""
        with self.host.changed:
            if self.closed:
                return
            self.closed = True
            if self.server is not None:
                self.server.close()
            self.outer.close()
            self.inner.close()
            self._sources.clear()
            self._outers.clear()
            self._epoll.close()
            os.close(self._wake)
