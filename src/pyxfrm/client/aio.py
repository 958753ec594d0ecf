"""The client for asyncio: the same core, the same methods, awaited.

    async with AsyncXfrm() as xfrm:
        async for record in xfrm.sas():
            await xfrm.delete_sa(record.id)

Any number of tasks may ask at the same time: each waits for its own answer. Each method does what that of
:class:`pyxfrm.client.xfrm.Xfrm` does, which tells the rest.

Asking never holds up the event loop. Opening a port does, that of a client, a dump or a stream of events: for microseconds where there is a kernel or an engine in this process,
until its server has greeted (5 s at most) where there is an engine behind a socket.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pyxfrm.client import events, safety, verbs
from pyxfrm.client.batch import Batch, Part, Ticket
from pyxfrm.client.core import Core
from pyxfrm.client.dump import DumpReader
from pyxfrm.client.events import Event
from pyxfrm.client.probe import Probe, probe, probe_marks
from pyxfrm.client.procedure import Peek, Procedure, Step
from pyxfrm.client.request import Done, Dump, Request
from pyxfrm.client.safety import Moved, Pick
from pyxfrm.client.xfrm import GRACE, TIMEOUT
from pyxfrm.errors import TransportError, XfrmError
from pyxfrm.model import (
    Address,
    Counters,
    Default,
    Direction,
    Migration,
    Mode,
    Network,
    Policy,
    PolicyId,
    PolicyMigration,
    PolicyType,
    Proto,
    ReplayState,
    Sa,
    SaDir,
    SaId,
)
from pyxfrm.transport.base import ALL_GROUPS, LOST, Group, Lost, Transport
from pyxfrm.transport.kernel import KernelTransport
from pyxfrm.transport.tracer import traced

if TYPE_CHECKING:
    from pyxfrm.client.events import Acquire
    from pyxfrm.client.info import Aevent, Defaults, SadInfo, SpdInfo
    from pyxfrm.client.records import PolicyRecord, SaRecord
    from pyxfrm.engine import Engine
    from pyxfrm.transport.local import EngineHost
    from pyxfrm.transport.netns import Netns

__all__ = ["AsyncEventStream", "AsyncXfrm"]

T = TypeVar("T")

_NAP = 0.01  # seconds between two looks at a transport without a descriptor


class _Bell:
    """Wakes tasks when a transport may have something, or is closed. Any number of them may wait.

    It is the one that closes the transport: a descriptor that is closed while an event loop watches it never rings again, and its number may be
    somebody else's the next moment.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.closed = False
        self._waiting: set[asyncio.Future[None]] = set()
        self._hush: Callable[[], object] | None = None

    async def wait(self, timeout: float | None) -> None:
        """Until there may be something, ``timeout`` seconds at most."""
        naps = [x for x in (timeout, self.transport.deadline()) if x is not None]
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            if not self._watch():
                naps.append(_NAP)
            async with asyncio.timeout(min(naps, default=None)):
                await future
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(future)
            if not self._waiting:
                self._stop()

    def _watch(self) -> bool:
        """Have the event loop watch the descriptor; whether there is one."""
        fd = self.transport.fileno()
        if fd >= 0 and self._hush is None:
            loop = asyncio.get_running_loop()
            loop.add_reader(fd, self._ring)
            self._hush = partial(loop.remove_reader, fd)
        return fd >= 0

    def _ring(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def _stop(self) -> None:
        if self._hush is not None:
            self._hush()
            self._hush = None

    def close(self) -> None:
        """Close the transport; who waits is woken."""
        self.closed = True
        self._stop()
        self.transport.close()
        self._ring()


def _receive(transport: Transport) -> bytes | Lost | None:
    while True:
        with contextlib.suppress(InterruptedError):
            return transport.recv()


class AsyncEventStream:
    """An asynchronous iterator over events, from a port of its own. It ends when the stream is closed, also for tasks that wait then."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._bell = _Bell(transport)
        self._core = Core(transport.portid)
        self._ready: deque[Event] = deque()

    async def poll(self, timeout: float | None = 0.0) -> Event | None:
        """The next event, waiting ``timeout`` seconds at most (None: for ever); None if there is none."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while not self._ready:
            data = _receive(self.transport)
            if data is not None:
                self._ready += [events.read(message) for message in self._core.feed(data)]
                continue
            left = None if end is None else end - loop.time()
            if left is not None and left <= 0:
                return None
            await self._bell.wait(left)
        return self._ready.popleft()

    async def drain(self) -> list[Event]:
        """All events that are there now."""
        found = []
        while (event := await self.poll()) is not None:
            found.append(event)
        return found

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        try:
            event = None if self._bell.closed else await self.poll(None)
        except TransportError:
            if not self._bell.closed:
                raise
            event = None
        if event is None:
            raise StopAsyncIteration
        return event

    def close(self) -> None:
        """Stop listening."""
        self._bell.close()
        self._ready.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncXfrm:
    """A client of a kernel's or an engine's XFRM, for asyncio. Arguments as of :class:`~pyxfrm.client.xfrm.Xfrm`."""

    def __init__(
        self,
        netns: Netns | None = None,
        *,
        transport: Transport | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self.timeout = timeout
        self.transport = traced(KernelTransport(netns) if transport is None else transport)
        self._core = Core(self.transport.portid)
        self._waiting: list[tuple[Ticket[Any], asyncio.Future[None]]] = []
        self._watchers = 0
        self._hush: Callable[[], object] | None = None
        self._grace = 0.0

    @classmethod
    def engine(cls, engine: Engine | EngineHost, *, timeout: float = TIMEOUT) -> Self:
        """A client of an engine in this process, see :meth:`Xfrm.engine`."""
        from pyxfrm.transport.local import EngineHost

        host = engine if isinstance(engine, EngineHost) else EngineHost(engine)
        return cls(transport=host.connect(), timeout=timeout)

    @classmethod
    def connect(cls, path: str | Path, *, timeout: float = TIMEOUT) -> Self:
        """A client of the engine that serves at ``path``."""
        from pyxfrm.transport.remote import RemoteTransport

        return cls(transport=RemoteTransport(path), timeout=timeout)

    # -- asking ----------------------------------------------------------------------------------

    async def call(self, request: Request[T]) -> T:
        """Ask one thing."""
        ticket, data = self._core.ask(request)
        await self._exchange(ticket, data)
        return ticket.result()

    async def batch(self, requests: Iterable[Request[Any]]) -> Batch:
        """Ask many things, many in one send; one ticket each, in order, decided."""
        batch = Batch()
        parts = self._core.ask_all(requests)
        for part, data in parts:
            batch.add(part)
            if not await self._exchange(part, data):
                break
        for part, _ in parts:
            batch.add(part)
            self._core.give_up(part, "not sent: the answers to requests before it are missing")
        return batch

    async def _exchange(self, asked: Part | Ticket[Any], data: bytes) -> bool:
        """Send, and wait until all is decided; False if answers stayed out."""
        last = asked.last if isinstance(asked, Part) else asked
        loop = asyncio.get_running_loop()
        end = loop.time() + self.timeout
        self._watch()
        try:
            self.transport.send(data)
            self._pump()
            while not last.done:
                left = min(end, self._grace if last.doubtful else end) - loop.time()
                if left <= 0:
                    self._pump()  # what came in time counts, however late this process looks
                    return last.done
                await self._progress(last, left)
            return True
        finally:
            self._unwatch()
            self._core.give_up(asked, f"no answer in {self.timeout:g} s: it may have been done")

    async def _progress(self, ticket: Ticket[Any], left: float) -> None:
        """Wait until the ticket is decided or answers were lost, ``left`` seconds at most."""
        due = self.transport.deadline()
        nap = left if due is None else min(left, due)
        if self.transport.fileno() < 0:
            nap = min(nap, _NAP)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((ticket, future))
        try:
            async with asyncio.timeout(nap):
                await future
        except TimeoutError:
            self._pump()
        finally:
            self._waiting.remove((ticket, future))

    def _watch(self) -> None:
        fd = self.transport.fileno()
        if self._watchers == 0 and fd >= 0:
            loop = asyncio.get_running_loop()
            loop.add_reader(fd, self._pump_for_waiting)
            self._hush = partial(loop.remove_reader, fd)
        self._watchers += 1

    def _unwatch(self) -> None:
        self._watchers -= 1
        if self._watchers == 0:
            self._stop()

    def _stop(self) -> None:
        if self._hush is not None:
            self._hush()
            self._hush = None

    def _pump_for_waiting(self) -> None:
        """Called by the event loop; what goes wrong goes to those who wait."""
        try:
            self._pump()
        except XfrmError as why:
            self._fail(why)

    def _fail(self, why: XfrmError) -> None:
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(why)

    def _pump(self) -> None:
        """Take all that is there, for whoever asked, and wake who is decided."""
        lost = False
        while (data := _receive(self.transport)) is not None:
            lost |= LOST in self._core.feed(data)
        if lost:
            self._grace = asyncio.get_running_loop().time() + min(GRACE, self.timeout)
        for ticket, future in self._waiting:
            if (lost or ticket.done) and not future.done():
                future.set_result(None)

    async def dump(self, request: Dump[T]) -> AsyncGenerator[T, None]:
        """The entries of a table, as they come, over a port of their own."""
        bell = _Bell(self.transport.sibling())
        try:
            reader = DumpReader(request, bell.transport.portid)
            bell.transport.send(reader.datagram())
            read = request.read
            while not reader.done:
                for raw in reader.feed(await self._next_part(bell, request)):
                    yield read(raw) if read else raw  # type: ignore[misc]  # a dump has a reader
        finally:
            bell.close()

    async def _next_part(self, bell: _Bell, request: Request[Any]) -> bytes | Lost:
        loop = asyncio.get_running_loop()
        end = loop.time() + self.timeout
        while True:
            left = end - loop.time()
            data = _receive(bell.transport)
            if data is not None:
                return data
            if left <= 0:
                raise TransportError(f"{request.name}: the dump stopped in its middle")
            await bell.wait(left)

    async def run(self, procedure: Procedure[T]) -> T:
        """Carry a procedure out (:mod:`pyxfrm.client.procedure`)."""
        try:
            step = next(procedure)
            while True:
                try:
                    result = await self._step(step)
                except XfrmError as why:
                    step = procedure.throw(why)
                else:
                    step = procedure.send(result)
        except StopIteration as end:
            value: T = end.value
            return value

    async def _step(self, step: Step) -> Any:
        if not isinstance(step, Peek):
            return await self.call(step)
        found: list[Any] = []
        async with contextlib.aclosing(self.dump(step.dump)) as entries:
            async for entry in entries:
                found.append(entry)
                if len(found) == step.count:
                    break
        return found

    def events(self, *groups: Group) -> AsyncEventStream:
        """Listen to these groups, to all of them if none is named; from now on."""
        return AsyncEventStream(self.transport.sibling(groups or ALL_GROUPS))

    def close(self) -> None:
        """Close the port. Tasks that wait for an answer get a TransportError."""
        self._stop()
        self.transport.close()
        self._fail(TransportError("the client was closed before the answer came"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- SAs -------------------------------------------------------------------------------------

    def sas(
        self,
        proto: Proto | None = None,
        *,
        saddr: Network | None = None,
        daddr: Network | None = None,
    ) -> AsyncGenerator[SaRecord, None]:
        """All SAs, newest first, as they come."""
        return self.dump(verbs.sas(proto, saddr=saddr, daddr=daddr))

    async def add_sa(self, sa: Sa) -> Done:
        """Install an SA."""
        return await self.call(verbs.add_sa(sa))

    async def get_sa(self, name: SaId) -> SaRecord:
        """The SA that the kernel finds under this name."""
        return await self.call(verbs.get_sa(name))

    async def update_sa(self, sa: Sa, *, check: bool = True) -> Done:
        """Grow a larval SA, or change a grown one."""
        if check:
            return await self.run(safety.update(sa))
        return await self.call(verbs.update_sa(sa))

    async def delete_sa(self, name: SaId, *, check: bool = True) -> Done:
        """Delete an SA."""
        if check:
            return await self.run(safety.delete(name))
        return await self.call(verbs.delete_sa(name))

    async def allocate_spi(
        self,
        name: SaId,
        saddr: Address,
        mode: Mode,
        *,
        low: int = 0x100,
        high: int | None = None,
        reqid: int = 0,
        if_id: int = 0,
        dir: SaDir | None = None,  # noqa: A002  # the field's name
        cpu: int | None = None,
        acquire_seq: int = 0,
    ) -> SaRecord:
        """A larval SA with a free SPI."""
        return await self.call(
            verbs.allocate_spi(
                name,
                saddr,
                mode,
                low=low,
                high=high,
                reqid=reqid,
                if_id=if_id,
                dir=dir,
                cpu=cpu,
                acquire_seq=acquire_seq,
            )
        )

    async def flush_sas(self, proto: Proto | None = None) -> Done:
        """Delete all SAs of a protocol, or all."""
        return await self.call(verbs.flush_sas(proto))

    async def expire_sa(self, name: SaId, *, hard: bool) -> Done:
        """Have it told that an SA expired."""
        return await self.call(verbs.expire_sa(name, hard=hard))

    async def replay_state(self, name: SaId, *, thresholds: bool = False) -> Aevent:
        """Where an SA stands."""
        return await self.call(verbs.replay_state(name, thresholds=thresholds))

    async def set_replay_state(
        self,
        name: SaId,
        *,
        replay: ReplayState | None = None,
        counters: Counters | None = None,
        replay_notify: int | None = None,
        notify_timer: int | None = None,
    ) -> Done:
        """Set where an SA stands, or when it tells of itself."""
        return await self.call(
            verbs.set_replay_state(
                name,
                replay=replay,
                counters=counters,
                replay_notify=replay_notify,
                notify_timer=notify_timer,
            )
        )

    async def look_up(self, name: SaId) -> Pick:
        """Which SA the kernel takes for this name, and what else would fit."""
        return await self.run(safety.look_up(name))

    # -- moves -----------------------------------------------------------------------------------

    async def migrate_sa(
        self, move: Migration, *, check: bool = True, verify: bool = False
    ) -> Moved:
        """Move one SA, its sequence numbers with it."""
        return await self.run(safety.migrate(move, check=check, verify=verify))

    async def migrate(self, move: PolicyMigration) -> Done:
        """Move a policy's templates, and SAs: the old message."""
        return await self.call(verbs.migrate(move))

    async def probe(self) -> Probe:
        """What this kernel can do, without changing anything; see :meth:`pyxfrm.client.xfrm.Xfrm.probe`."""
        found = await self.run(probe())
        scratch = getattr(self.transport, "scratch", None)
        if found.exact_marks is None and scratch is not None:
            try:
                async with AsyncXfrm(transport=scratch()) as elsewhere:
                    marks = await elsewhere.run(probe_marks(may_add=True))
            except XfrmError:
                return found
            return Probe(found.migrate_state, found.why, marks)
        return found

    # -- policies --------------------------------------------------------------------------------

    async def policies(
        self,
        dir: Direction | None = None,  # noqa: A002  # the field's name
    ) -> AsyncGenerator[PolicyRecord, None]:
        """All policies, or those of a direction, as they come."""
        async with contextlib.aclosing(self.dump(verbs.policies())) as every:
            async for record in every:
                if dir is None or record.info.dir == dir:
                    yield record

    async def add_policy(self, policy: Policy) -> Done:
        """Install a policy."""
        return await self.call(verbs.add_policy(policy))

    async def update_policy(self, policy: Policy) -> Done:
        """Put a policy in the place of the one of its name; or add it."""
        return await self.call(verbs.update_policy(policy))

    async def get_policy(self, name: PolicyId) -> PolicyRecord:
        """One policy."""
        return await self.call(verbs.get_policy(name))

    async def delete_policy(self, name: PolicyId) -> Done:
        """Delete a policy."""
        return await self.call(verbs.delete_policy(name))

    async def flush_policies(self, type: PolicyType = PolicyType.MAIN) -> Done:  # noqa: A002
        """Delete all policies of a type."""
        return await self.call(verbs.flush_policies(type))

    async def expire_policy(self, policy: Policy, *, hard: bool) -> Done:
        """Have it told that a policy expired."""
        return await self.call(verbs.expire_policy(policy, hard=hard))

    async def acquire(self, wanted: Acquire) -> Done:
        """Have the kernel ask its listeners for an SA."""
        return await self.call(verbs.acquire(wanted))

    # -- tables and defaults ---------------------------------------------------------------------

    async def sad_info(self) -> SadInfo:
        """How many SAs there are, and how they are hashed."""
        return await self.call(verbs.sad_info())

    async def spd_info(self) -> SpdInfo:
        """How many policies there are, and how they are hashed."""
        return await self.call(verbs.spd_info())

    async def set_spd_info(
        self, *, v4: tuple[int, int] | None = None, v6: tuple[int, int] | None = None
    ) -> Done:
        """From which prefix lengths on policies are hashed."""
        return await self.call(verbs.set_spd_info(v4=v4, v6=v6))

    async def defaults(self) -> Defaults:
        """What becomes of packets that no policy matches."""
        return await self.call(verbs.get_defaults())

    async def set_defaults(
        self,
        *,
        inbound: Default = Default.UNSPEC,
        forward: Default = Default.UNSPEC,
        outbound: Default = Default.UNSPEC,
    ) -> Done:
        """Set it; what is not named stays."""
        return await self.call(
            verbs.set_defaults(inbound=inbound, forward=forward, outbound=outbound)
        )
