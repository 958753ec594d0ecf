"""The one place that acts: runs a procedure over clients, a journal and a clock.

The order of every effect is: into the journal, then out to the kernel. A procedure that is cut anywhere (an exception, SIGKILL, power) leaves a journal that says what may have been done,
and a kernel that shows what was done; :meth:`Driver.resume` goes on from these two.

Settings that a procedure changes are written down before they are changed and put back on every way out, by this process or by the one that resumes.

While a :class:`~pyxfrm.relocation.commands.Script` runs, it is in a hurry (:mod:`pyxfrm.relocation.haste`): a pause between two batches is time that packets wait.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import singledispatchmethod
from typing import Any, TypeVar

from pyxfrm.client import Request, Ticket, verbs
from pyxfrm.errors import RefusedError, TransportError, UsageError, XfrmError
from pyxfrm.model import PolicyId, SaId
from pyxfrm.relocation import haste
from pyxfrm.relocation.commands import (
    DONE,
    UNKNOWN,
    AddSa,
    Answer,
    Batch,
    Below,
    Block,
    Command,
    DualAccept,
    Failed,
    InstallPolicy,
    Journal,
    KernelCommand,
    Look,
    Migrate,
    MigrateByPolicy,
    ReadCounters,
    ReadSa,
    RemovePolicy,
    RemoveSa,
    Script,
    SetSysctl,
    Sight,
    Unblock,
    UpdatePolicy,
    Wait,
)
from pyxfrm.relocation.ends import End
from pyxfrm.relocation.footprint import Footprint, whole
from pyxfrm.relocation.journal import Entry
from pyxfrm.relocation.journal import Journal as JournalFile
from pyxfrm.relocation.moves import Plan
from pyxfrm.relocation.run import Steps
from pyxfrm.relocation.settings import Settings
from pyxfrm.relocation.steps import Outcome, relocate, resume

__all__ = ["Driver", "Listener", "Moment", "outcome_json", "request_for"]


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Moment:
    """One step, for who watches. ``at``: seconds since the procedure began; ``took``: seconds."""

    number: int
    at: float
    took: float
    command: Command
    reply: Any


Listener = Callable[[Moment], None]


def request_for(command: KernelCommand) -> Request[Any]:
    """The netlink request that a kernel command stands for."""
    return _REQUESTS[type(command)](command)


_REQUESTS: dict[type[Any], Callable[[Any], Request[Any]]] = {
    Block: lambda c: (verbs.add_policy if c.overlay else verbs.update_policy)(c.policy),
    Unblock: lambda c: verbs.delete_policy(c.policy),
    InstallPolicy: lambda c: verbs.add_policy(c.policy),
    UpdatePolicy: lambda c: verbs.update_policy(c.policy),
    RemovePolicy: lambda c: verbs.delete_policy(c.policy),
    Migrate: lambda c: verbs.migrate_sa(c.migration),
    MigrateByPolicy: lambda c: verbs.migrate(c.migration),
    AddSa: lambda c: verbs.add_sa(c.sa),
    RemoveSa: lambda c: verbs.delete_sa(c.sa),
    Below: lambda c: verbs.get_sa(c.sa),
}


def _answer(command: KernelCommand, ticket: Ticket[Any]) -> Answer:
    if ticket.error is None:
        return _below(command, ticket) if isinstance(command, Below) else DONE
    if isinstance(ticket.error, RefusedError):
        return Failed(ticket.error.errno, str(ticket.error))
    return UNKNOWN


def _below(command: Below, ticket: Ticket[Any]) -> Answer:
    try:
        found = ticket.result()
    except XfrmError:
        return UNKNOWN
    if found.id != command.sa:  # found by its mark, in place of the one that was named
        return Failed(errno.ESRCH, f"{command.sa}: another SA stands before it")
    if found.replay.oseq >= command.number:
        text = f"{command.sa}: it has sent {found.replay.oseq}, and would outrun the gap"
        return Failed(errno.EAGAIN, text)
    return DONE


class Driver:
    """Relocates over ``ends`` (one machine, or the two of a pair), with a journal.

    ``listener``  is told of every step. What it raises does not stop a relocation: it is among the outcome's troubles, and the
                  listener is told no more
    ``on_lost``   is told of an outcome with SAs that must be re-established at the IKE level, whoever finds that out: the one
                  that relocates or the one that resumes. All is in the journal and the lock is free by then, so it may take
                  its time, raise, or start another relocation
    ``hurry``     rest the collector and take real-time priority while a script runs
    ``sleep``     how to wait
    """

    def __init__(
        self,
        ends: Sequence[End],
        journal: JournalFile,
        *,
        listener: Listener | None = None,
        on_lost: Callable[[Outcome], None] | None = None,
        hurry: bool = True,
        sleep: Callable[[float], None] = haste.wait,
    ) -> None:
        self.ends = tuple(ends)
        self.journal = journal
        self.listener = listener
        self.on_lost = on_lost
        self.hurry = hurry
        self.sleep = sleep
        self._number = 0
        self._settings = Settings(self.ends, journal, 0)
        self._deaf = ""
        self._steps = 0
        self._began = 0.0

    # -- what callers ask --------------------------------------------------------------------------

    def relocate(self, *plans: Plan) -> Outcome:
        """Carry a plan out, one an end. UsageError if it is refused, or if another one is unfinished."""
        if len(plans) != len(self.ends):
            raise UsageError(f"relocation: {len(plans)} plans for {len(self.ends)} ends")
        for plan in plans:
            plan.check()
        with self._alone():
            self._number = self.journal.begin(self._places, plans)
            outcome = self._finish(relocate(plans))
        return self._report(outcome)

    def resume(self, *, abort: bool = False) -> Outcome:
        """Finish what was cut off; ``abort``: undo it. UsageError if nothing was."""
        with self._alone():
            entry = self.unfinished()
            if entry is None:
                verb = "abort" if abort else "resume"
                raise UsageError(f"nothing to {verb}: no relocation is unfinished here")
            if entry.netns != self._places:
                raise UsageError(
                    f"relocation {entry.id} is one of a pair: name both ends, as when it was begun"
                )
            self._number = entry.id
            outcome = self._finish(resume(entry.plans, entry.state, entry.cuts, abort=abort))
        return self._report(outcome)

    def _report(self, outcome: Outcome) -> Outcome:
        if outcome.lost and self.on_lost is not None:
            self.on_lost(outcome)
        return outcome

    def unfinished(self) -> Entry | None:
        """The relocation that was cut off here, if there is one. It may have another end, too."""
        for place in self._places:
            entry = self.journal.unfinished(place)
            if entry is not None:
                return entry
        return None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.journal.locked(self._places))
            for end in self.ends:
                stack.enter_context(end.alone())
            yield

    @property
    def _places(self) -> tuple[str, ...]:
        return tuple(end.identity for end in self.ends)

    # -- the loop ----------------------------------------------------------------------------------

    def _finish(self, steps: Steps[Outcome]) -> Outcome:
        """To the end, with settings put back on every way out."""
        self._settings = Settings(self.ends, self.journal, self._number)
        self._deaf = ""
        try:
            outcome = self.run(steps)
        except BaseException:
            self._settings.put_back()
            raise
        troubles = (*self._settings.put_back(), *filter(None, (self._deaf,)))
        outcome = replace(outcome, troubles=(*outcome.troubles, *troubles))
        try:
            self.journal.conclude(self._number, outcome_json(outcome))
        except TransportError as why:  # it is over all the same
            return replace(outcome, troubles=(*outcome.troubles, f"not in the history: {why}"))
        return outcome

    def run(self, steps: Steps[T]) -> T:
        """Do what a procedure asks for until it ends; its result."""
        self._began = time.monotonic()
        self._steps = 0
        try:
            command = next(steps)
            while True:
                began = time.monotonic()
                reply = self._do(command)
                self._tell(command, reply, began)
                command = steps.send(reply)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            steps.close()

    def _tell(self, command: Command, reply: Any, began: float) -> None:
        self._steps += 1
        if self.listener is None or self._deaf:
            return
        took = time.monotonic() - began
        moment = Moment(self._steps, began - self._began, took, command, reply)
        try:
            self.listener(moment)
        except Exception as why:  # noqa: BLE001  # whatever it is: nobody who looks on may stop us half-way
            self._deaf = f"the listener failed at step {self._steps}: {type(why).__name__}: {why}"

    # -- one command -------------------------------------------------------------------------------

    @singledispatchmethod
    def _do(self, command: Any) -> Any:
        raise TypeError(f"{type(command).__name__} is no command")

    @_do.register
    def _(self, command: Batch) -> tuple[Answer, ...]:
        return self._send(command, [request_for(c) for c in command.commands])

    def _send(self, batch: Batch, requests: list[Request[Any]]) -> tuple[Answer, ...]:
        try:
            tickets = self.ends[batch.end].xfrm.batch(requests)
        except XfrmError:
            return (UNKNOWN,) * len(requests)
        return tuple([_answer(c, t) for c, t in zip(batch.commands, tickets, strict=True)])

    @_do.register
    def _(self, command: Script) -> tuple[tuple[Answer, ...], ...]:
        ready = [
            part if isinstance(part, Wait) else (part, [request_for(c) for c in part.commands])
            for part in command.parts
        ]
        replies: list[tuple[Answer, ...]] = []
        with haste.hurry() if self.hurry else contextlib.nullcontext():
            for part in ready:
                if isinstance(part, Wait):
                    self.sleep(part.seconds)
                    continue
                replies.append(self._send(*part))
                if any(reply is not DONE for reply in replies[-1]):
                    break
        return tuple(replies)

    @_do.register
    def _(self, command: Look) -> Any:
        xfrm = self.ends[command.end].xfrm
        sas: dict[SaId, Footprint] = {}
        oseq: dict[SaId, int] = {}
        policies: dict[PolicyId, Any] = {}
        try:
            for ticket in xfrm.batch([verbs.get_sa(name) for name in command.sas]):
                record_ = _there(ticket, errno.ESRCH)
                # A lookup by mark may find another SA than the one that was named.
                if record_ is not None and record_.id == ticket.request.subject:
                    sas[record_.id] = Footprint.of(whole(record_))
                    oseq[record_.id] = record_.replay.oseq
            for ticket in xfrm.batch([verbs.get_policy(name) for name in command.policies]):
                found = _there(ticket, errno.ENOENT)
                if found is not None:
                    policies[_name_of(ticket)] = replace(found.policy, index=0)
        except XfrmError:
            return UNKNOWN
        return Sight(sas, policies, oseq)

    @_do.register
    def _(self, command: ReadSa) -> Any:
        try:
            found = self.ends[command.end].xfrm.get_sa(command.sa)
        except RefusedError as no:
            return None if no.errno == errno.ESRCH else UNKNOWN
        except XfrmError:
            return UNKNOWN
        return whole(found) if found.id == command.sa else None

    @_do.register
    def _(self, command: Wait) -> None:
        self.sleep(command.seconds)

    @_do.register
    def _(self, command: Journal) -> None:
        self.journal.enter(self._number, command.state, command.note, command.cuts)

    @_do.register
    def _(self, command: ReadCounters) -> dict[str, int]:
        return self.ends[command.end].counters()

    # -- settings that are put back ----------------------------------------------------------------

    @_do.register
    def _(self, command: SetSysctl) -> Failed | None:
        if command.value is None:
            self._settings.put_back("sysctl", command.name, command.end)
            return None
        return _tried(
            lambda: self._settings.set_sysctl(command.end, command.name, command.value or "")
        )

    @_do.register
    def _(self, command: DualAccept) -> Failed | None:
        if not command.on:
            self._settings.put_back("tc", command.rule.device, command.end)
            return None
        return _tried(lambda: self._settings.accept_both(command.end, command.rule))


def _tried(change: Callable[[], None]) -> Failed | None:
    try:
        change()
    except OSError as why:
        return Failed(why.errno or errno.EIO, why.strerror or str(why))
    return None


def _there(ticket: Ticket[Any], absent: int) -> Any:
    """What a ticket gave, None for "not there". Other errors are raised."""
    if isinstance(ticket.error, RefusedError) and ticket.error.errno == absent:
        return None
    return ticket.result()


def _name_of(ticket: Ticket[Any]) -> PolicyId:
    name = ticket.request.subject
    assert isinstance(name, PolicyId)  # noqa: S101  # as verbs.get_policy makes it
    return name


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON."""
    return {
        "state": outcome.state.value,
        "lost": [str(sa) for sa in outcome.lost],
        "blocked": [str(policy) for policy in outcome.blocked],
        "troubles": list(outcome.troubles),
        "account": list(outcome.account),
    }
