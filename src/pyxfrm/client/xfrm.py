"""The client: every message of XFRM as a method.

>>> from pyxfrm.client import Xfrm
>>> from pyxfrm.engine import Engine
>>> from pyxfrm.model import Algorithm, Migration, Mode, Proto, ReplayState, Sa, SaId, ip
>>> xfrm = Xfrm.engine(Engine())  # Xfrm() for this machine's kernel
>>> sa = Sa(
...     SaId(ip("198.51.100.1"), Proto.ESP, 0xC0FFEE01),
...     saddr=ip("192.0.2.10"),
...     mode=Mode.TUNNEL,
...     algorithms=(Algorithm.aes_gcm(bytes(range(20))),),
...     replay=ReplayState.of(128),
... )
>>> xfrm.add_sa(sa)
Done(warning='')
>>> moved = xfrm.migrate_sa(Migration.of(sa, saddr=ip("203.0.113.10")), verify=True)
>>> for record in xfrm.sas(Proto.ESP):
...     print(record.id, "from", record.saddr)
dst 198.51.100.1 proto esp spi 0xc0ffee01 from 203.0.113.10

A client asks one thing at a time, from one thread. Dumps and event streams have ports of their own, so requests may be asked in their middle.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pyxfrm.client import safety, verbs
from pyxfrm.client.batch import Batch, Part, Ticket
from pyxfrm.client.core import Core
from pyxfrm.client.dump import DumpReader
from pyxfrm.client.procedure import Peek, Procedure, Step
from pyxfrm.client.request import Done, Dump, Request
from pyxfrm.client.safety import Moved, Pick
from pyxfrm.closing import Closing
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
from pyxfrm.transport.base import ALL_GROUPS, LOST, Group, Transport
from pyxfrm.transport.kernel import KernelTransport
from pyxfrm.transport.tracer import traced

if TYPE_CHECKING:
    from pyxfrm.client.events import Acquire
    from pyxfrm.client.info import Aevent, Defaults, SadInfo, SpdInfo
    from pyxfrm.client.probe import Probe
    from pyxfrm.client.records import PolicyRecord, SaRecord
    from pyxfrm.client.stream import EventStream
    from pyxfrm.engine import Engine
    from pyxfrm.transport.local import EngineHost
    from pyxfrm.transport.netns import Netns

__all__ = ["GRACE", "TIMEOUT", "Xfrm"]

T = TypeVar("T")

TIMEOUT = 5.0  # seconds
GRACE = 0.25  # seconds: how much longer to wait where answers were lost


class Xfrm(Closing):
    """A client of a kernel's or an engine's XFRM.

    ``netns``      of the kernel: a name under /run/netns, a path, a pid; None: this thread's
    ``transport``  something else to talk to
    ``timeout``    seconds to wait for an answer
    """

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

    @classmethod
    def engine(cls, engine: Engine | EngineHost, *, timeout: float = TIMEOUT) -> Self:
        """A client of an engine in this process. An :class:`~pyxfrm.transport.local.EngineHost` may have many clients, and a clock of its own."""
        from pyxfrm.transport.local import EngineHost

        host = engine if isinstance(engine, EngineHost) else EngineHost(engine)
        return cls(transport=host.connect(), timeout=timeout)

    @classmethod
    def connect(cls, path: str | Path, *, timeout: float = TIMEOUT) -> Self:
        """A client of the engine that serves at ``path`` (:mod:`pyxfrm.transport.server`)."""
        from pyxfrm.transport.remote import RemoteTransport

        return cls(transport=RemoteTransport(path), timeout=timeout)

    # -- asking ----------------------------------------------------------------------------------

    def call(self, request: Request[T]) -> T:
        """Ask one thing. RefusedError if it is refused, TransportError if no answer comes."""
        ticket, data = self._core.ask(request)
        self._exchange(ticket, data)
        return ticket.result()

    def batch(self, requests: Iterable[Request[Any]]) -> Batch:
        """Ask many things, many in one send; one ticket each, in order, decided.

        A refusal does not stop those after it: look at each ticket's ``error``, or ask it for its ``result()``. Where answers stay out, the rest
        is not sent.
        """
        batch = Batch()
        parts = self._core.ask_all(requests)
        for part, data in parts:
            batch.add(part)
            if not self._exchange(part, data):
                break
        for part, _ in parts:
            batch.add(part)
            self._core.give_up(part, "not sent: the answers to requests before it are missing")
        return batch

    def _exchange(self, asked: Part | Ticket[Any], data: bytes) -> bool:
        """Send, and receive until all is decided; False if answers stayed out."""
        try:
            self.transport.send(data)
            return self._receive(asked.last if isinstance(asked, Part) else asked)
        finally:
            self._core.give_up(asked, f"no answer in {self.timeout:g} s: it may have been done")

    def _receive(self, last: Ticket[Any]) -> bool:
        transport, feed = self.transport, self._core.feed
        end, late = 0.0, False
        while not last.done:
            try:
                data = transport.recv()
            except InterruptedError:
                continue
            if data is not None:
                if LOST in feed(data):
                    end, late = time.monotonic() + min(GRACE, self.timeout), False
                continue
            if late:
                return False
            now = time.monotonic()
            end = end or now + self.timeout
            late = (
                now >= end
            )  # one more look: what came in time counts, however late this process is
            if not late:
                transport.wait(end - now)
        return True

    def dump(self, request: Dump[T]) -> Iterator[T]:
        """The entries of a table, as they come, over a port of their own.

        After the last, :class:`pyxfrm.errors.InterruptedDumpError` if the table changed meanwhile so that entries may be
        missing or doubled.
        """
        transport = self.transport.sibling()
        try:
            reader = DumpReader(request, transport.portid)
            transport.send(reader.datagram())
            read = request.read
            while not reader.done:
                entries = reader.feed(self._next_part(transport, request))
                yield from map(read, entries) if read else entries  # type: ignore[misc]  # T is bytes then
        finally:
            transport.close()

    def _next_part(self, transport: Transport, request: Request[Any]) -> Any:
        end = time.monotonic() + self.timeout
        while True:
            left = end - time.monotonic()
            try:
                data = transport.recv()
            except InterruptedError:
                continue
            if data is not None:
                return data
            if left <= 0:
                raise TransportError(f"{request.name}: the dump stopped in its middle")
            transport.wait(left)

    def run(self, procedure: Procedure[T]) -> T:
        """Carry a procedure out (:mod:`pyxfrm.client.procedure`)."""
        try:
            step = next(procedure)
            while True:
                try:
                    result = self._step(step)
                except XfrmError as why:
                    step = procedure.throw(why)
                else:
                    step = procedure.send(result)
        except StopIteration as end:
            value: T = end.value
            return value

    def _step(self, step: Step) -> Any:
        if isinstance(step, Peek):
            return list(islice(self.dump(step.dump), step.count))
        return self.call(step)

    def events(self, *groups: Group) -> EventStream:
        """Listen to these groups, to all of them if none is named; from now on.

        >>> from pyxfrm.engine import Engine
        >>> from pyxfrm.model import Mode, Proto, SaId, ip
        >>> xfrm = Xfrm.engine(Engine())
        >>> with xfrm.events(Group.SA) as events:
        ...     record = xfrm.allocate_spi(
        ...         SaId(ip("198.51.100.1"), Proto.ESP), ip("192.0.2.10"), Mode.TUNNEL
        ...     )
        ...     xfrm.delete_sa(record.id)
        ...     for event in events.drain():
        ...         print(type(event).__name__)
        Done(warning='')
        SaDeleted
        """
        from pyxfrm.client.stream import EventStream

        return EventStream(self.transport.sibling(groups or ALL_GROUPS))

    def close(self) -> None:
        """Close the port."""
        self.transport.close()

    # -- SAs -------------------------------------------------------------------------------------

    def sas(
        self,
        proto: Proto | None = None,
        *,
        saddr: Network | None = None,
        daddr: Network | None = None,
    ) -> Iterator[SaRecord]:
        """All SAs, newest first, as they come; the kernel picks those of a protocol and of addresses."""
        return self.dump(verbs.sas(proto, saddr=saddr, daddr=daddr))

    def add_sa(self, sa: Sa) -> Done:
        """Install an SA. RefusedError EEXIST if the kernel finds one of that name."""
        return self.call(verbs.add_sa(sa))

    def get_sa(self, name: SaId) -> SaRecord:
        """The SA that the kernel finds under this name. RefusedError ESRCH if there is none."""
        return self.call(verbs.get_sa(name))

    def update_sa(self, sa: Sa, *, check: bool = True) -> Done:
        """Grow a larval SA, or change the limits and encapsulation of a grown one.

        ``check``: refuse (ShadowedError) if the kernel would change another. An SA's mark is never changed.
        """
        return self.run(safety.update(sa)) if check else self.call(verbs.update_sa(sa))

    def delete_sa(self, name: SaId, *, check: bool = True) -> Done:
        """Delete an SA. ``check``: refuse (ShadowedError) if the kernel would take another."""
        return self.run(safety.delete(name)) if check else self.call(verbs.delete_sa(name))

    def allocate_spi(
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
        """A larval SA with a free SPI of ``low``..``high``; see :func:`pyxfrm.client.verbs.allocate_spi`."""
        return self.call(
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

    def flush_sas(self, proto: Proto | None = None) -> Done:
        """Delete all SAs of a protocol, or all."""
        return self.call(verbs.flush_sas(proto))

    def expire_sa(self, name: SaId, *, hard: bool) -> Done:
        """Have it told that an SA expired; ``hard``: and remove it."""
        return self.call(verbs.expire_sa(name, hard=hard))

    def replay_state(self, name: SaId, *, thresholds: bool = False) -> Aevent:
        """Where an SA stands: sequence numbers, window, counters."""
        return self.call(verbs.replay_state(name, thresholds=thresholds))

    def set_replay_state(
        self,
        name: SaId,
        *,
        replay: ReplayState | None = None,
        counters: Counters | None = None,
        replay_notify: int | None = None,
        notify_timer: int | None = None,
    ) -> Done:
        """Set where an SA stands, or when it tells of itself."""
        return self.call(
            verbs.set_replay_state(
                name,
                replay=replay,
                counters=counters,
                replay_notify=replay_notify,
                notify_timer=notify_timer,
            )
        )

    def look_up(self, name: SaId) -> Pick:
        """Which SA the kernel takes for this name, and what else would fit."""
        return self.run(safety.look_up(name))

    # -- moves -----------------------------------------------------------------------------------

    def migrate_sa(self, move: Migration, *, check: bool = True, verify: bool = False) -> Moved:
        """Move one SA (Linux 7.2), its sequence numbers with it.

        ``check``   refuse (ShadowedError) if the kernel would move another SA than the one named
        ``verify``  read back, and prove that it moved as asked (UnprovenError)

        RefusedError if the kernel refused, SaLostError if the SA is at neither place: it must be rekeyed.
        """
        return self.run(safety.migrate(move, check=check, verify=verify))

    def migrate(self, move: PolicyMigration) -> Done:
        """Move a policy's templates, and SAs by their addresses, mode and reqid: the old message."""
        return self.call(verbs.migrate(move))

    def probe(self) -> Probe:
        """What this kernel can do, without changing anything.

        Where there is no SA by which to tell how marks are matched, one is made in a network namespace of its own, if that is allowed.
        """
        from pyxfrm.client import probe as probing

        found = self.run(probing.probe())
        scratch = getattr(self.transport, "scratch", None)
        if found.exact_marks is None and scratch is not None:
            try:
                with Xfrm(transport=scratch()) as elsewhere:
                    marks = elsewhere.run(probing.probe_marks(may_add=True))
            except XfrmError:
                return found
            return probing.Probe(found.migrate_state, found.why, marks)
        return found

    # -- policies --------------------------------------------------------------------------------

    def policies(
        self,
        dir: Direction | None = None,  # noqa: A002  # the field's name
    ) -> Iterator[PolicyRecord]:
        """All policies, or those of a direction, as they come."""
        every = self.dump(verbs.policies())
        return every if dir is None else (p for p in every if p.info.dir == dir)

    def add_policy(self, policy: Policy) -> Done:
        """Install a policy. RefusedError EEXIST if there is one of that name."""
        return self.call(verbs.add_policy(policy))

    def update_policy(self, policy: Policy) -> Done:
        """Put a policy in the place of the one of its name, in one step; or add it."""
        return self.call(verbs.update_policy(policy))

    def get_policy(self, name: PolicyId) -> PolicyRecord:
        """One policy. RefusedError ENOENT if there is none."""
        return self.call(verbs.get_policy(name))

    def delete_policy(self, name: PolicyId) -> Done:
        """Delete a policy. RefusedError ENOENT if there is none."""
        return self.call(verbs.delete_policy(name))

    def flush_policies(self, type: PolicyType = PolicyType.MAIN) -> Done:  # noqa: A002
        """Delete all policies of a type."""
        return self.call(verbs.flush_policies(type))

    def expire_policy(self, policy: Policy, *, hard: bool) -> Done:
        """Have it told that a policy expired; ``hard``: and remove it."""
        return self.call(verbs.expire_policy(policy, hard=hard))

    def acquire(self, wanted: Acquire) -> Done:
        """Have the kernel ask its listeners for an SA."""
        return self.call(verbs.acquire(wanted))

    # -- tables and defaults ---------------------------------------------------------------------

    def sad_info(self) -> SadInfo:
        """How many SAs there are, and how they are hashed."""
        return self.call(verbs.sad_info())

    def spd_info(self) -> SpdInfo:
        """How many policies there are, and how they are hashed."""
        return self.call(verbs.spd_info())

    def set_spd_info(
        self, *, v4: tuple[int, int] | None = None, v6: tuple[int, int] | None = None
    ) -> Done:
        """From which prefix lengths on (local, remote) policies are hashed."""
        return self.call(verbs.set_spd_info(v4=v4, v6=v6))

    def defaults(self) -> Defaults:
        """What becomes of packets that no policy matches."""
        return self.call(verbs.get_defaults())

    def set_defaults(
        self,
        *,
        inbound: Default = Default.UNSPEC,
        forward: Default = Default.UNSPEC,
        outbound: Default = Default.UNSPEC,
    ) -> Done:
        """Set it; what is not named stays."""
        return self.call(verbs.set_defaults(inbound=inbound, forward=forward, outbound=outbound))
