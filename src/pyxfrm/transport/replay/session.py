"""One recording, run: an engine for each network namespace, every output compared, a report.

Outputs are compared message by message: a dump's datagrams are cut into messages, as a recording has them. Nothing is masked and nothing is
passed over; where something is missing or extra, the rest is still compared with its counterpart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Literal, NamedTuple

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_CAPPED, NlMsgHdr
from pyxfrm.abi.profiles import Profile
from pyxfrm.abi.xfrm import (
    XFRMNLGRP_ACQUIRE,
    XFRMNLGRP_AEVENTS,
    XFRMNLGRP_EXPIRE,
    XFRMNLGRP_MAPPING,
    XFRMNLGRP_MAX,
    XFRMNLGRP_MIGRATE,
)
from pyxfrm.engine.core import Engine
from pyxfrm.engine.sysctl import Sysctl
from pyxfrm.errors import MalformedError, UsageError
from pyxfrm.transport.recording import Record, RecordingError, read
from pyxfrm.transport.replay.clock import Clock, ClockError
from pyxfrm.transport.replay.dice import Dice
from pyxfrm.transport.replay.inputs import Inputs
from pyxfrm.transport.replay.steps import Step, is_larval, steps_of
from pyxfrm.wire import messages
from pyxfrm.wire.codec import codec
from pyxfrm.wire.netlink import ErrorBody, frames

__all__ = ["Difference", "Report", "Tally", "replay"]

LATE = 2.0  # seconds after which an event of the engine's timers is missed in the recording
DAEMON_BUFFER = (
    4096  # bytes of the recorded daemon's receive buffer: it reads dumps in pieces of this size
)
_ROOM = 1 << 40  # nobody's receive queue overflows here
_DAEMON, _RECORDER = 0xFFFFFFFE, 0xFFFFFFFF  # ports of the sockets that only listen
_DAEMON_GROUPS = (XFRMNLGRP_ACQUIRE, XFRMNLGRP_EXPIRE, XFRMNLGRP_MIGRATE, XFRMNLGRP_MAPPING)

_header = codec(NlMsgHdr).decode

Output = tuple[str, bytes]


@dataclass
class Tally:
    """How many of a kind were recorded, and how many of them the engine sent just so."""

    compared: int = 0
    identical: int = 0


class Difference(NamedTuple):
    """One output that is not as recorded. ``line`` is the recorded one's, or that of the step if it is extra."""

    kind: Literal["differs", "missing", "extra"]
    line: int
    netns: str
    expected: bytes
    got: bytes

    @property
    def number(self) -> int:
        """The message's type; that of the recorded one if there are two."""
        return messages.decode(self.expected or self.got).header.nlmsg_type


@dataclass
class Report:
    """What came of a recording."""

    file: str
    profile: str
    messages: int = 0
    replies: Tally = field(default_factory=Tally)
    events: Tally = field(default_factory=Tally)
    inputs: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    @property
    def identical(self) -> bool:
        """Nothing differs, nothing is missing, nothing is extra."""
        return not self.differences


def replay(
    path: Path | str, profile: Profile, progress: Callable[[int, int], None] | None = None
) -> Report:
    """Run a recording under a profile. ``progress(done, all)`` is called after each step.

    Raises :class:`RecordingError` for a file that is no sound recording, or that claims what cannot be.
    """
    steps = steps_of(read(path))
    report = Report(str(path), profile.name)
    try:
        clock = Clock(steps)
    except ClockError as why:
        raise RecordingError(str(path), why.line, str(why)) from None
    report.inputs["clock readings"] = clock.readings
    spaces = {
        netns: _Namespace([s for s in steps if s.netns == netns], profile, clock, report)
        for netns in dict.fromkeys(step.netns for step in steps)
    }
    for done, step in enumerate(steps, 1):
        spaces[step.netns].run(step)
        if progress is not None:
            progress(done, len(steps))
    for space in spaces.values():
        space.finish()
    return report


class _Namespace:
    """One network namespace: an engine, the sockets that were seen, and what is compared so far."""

    def __init__(self, steps: list[Step], profile: Profile, clock: Clock, report: Report) -> None:
        self.clock = clock
        self.report = report
        self.outbox: list[Output] = []
        dice = Dice(report.inputs)
        sysctl = Sysctl()
        seconds = _acquire_expires(steps)
        if seconds is not None:
            sysctl.xfrm_acq_expires = seconds
            report.inputs["settings"] += 1
        self.engine = Engine(profile, chance=dice, sysctl=sysctl, observer=self._observe)
        self.inputs = Inputs(self.engine, dice, report.inputs, self.outbox)
        self.ports = {
            pid: self.engine.port(pid, ext_ack=True, cap_ack=cap_ack, rcvbuf=_ROOM)
            for pid, cap_ack in _sockets(steps).items()
        }
        heard = set(range(1, XFRMNLGRP_MAX + 1))
        if not _has_aevents(steps):
            heard.discard(XFRMNLGRP_AEVENTS)
        self.engine.port(_DAEMON, _DAEMON_GROUPS, rcvbuf=_ROOM)
        self.engine.port(_RECORDER, sorted(heard), rcvbuf=_ROOM)
        self.last: tuple[Record, float] | None = None
        self.deferred: list[Record] = []

    def _observe(self, _: int, group: int, datagram: bytes) -> None:
        kind = "event" if group else "reply"
        self.outbox += [(kind, datagram[start:end]) for start, end in frames(datagram)]

    def run(self, step: Step) -> None:
        """One step: overdue timers, inputs, the request or the event, comparison."""
        now = self.clock.now(step)
        if step.request is not None:
            self._surplus(step.first, now - LATE)
        self.last = (step.first, now)
        self.inputs.expect(step.asked(), now)
        for output in step.outputs:
            self._believe(output, partial(self.inputs.show, output))
        cause = (step.outputs or (step.first,))[0]
        if step.request is None:
            self._believe(cause, partial(self.inputs.raise_event, step.first))
            if step.inside and not self.outbox:
                self.deferred.append(step.first)
                return
        else:
            port = self.ports[step.request.header.nlmsg_pid]
            self._believe(cause, partial(self.engine.submit, step.request.message, port, now))
        self._drain()
        if step.request is None or not self.deferred:
            self._compare(step)
        else:
            self._compare_with_deferred(step)

    def _compare_with_deferred(self, step: Step) -> None:
        """Events that came while the request was under way: it caused them, or they come now."""
        waiting, self.deferred = self.deferred, []
        headers = [_header(message) for _, message in self.outbox]
        said = {header.nlmsg_type for header in headers if not header.nlmsg_pid}
        caused = [event for event in waiting if event.header.nlmsg_type in said]
        outputs = sorted((*step.outputs, *caused), key=lambda record: record.line)
        self._compare(step._replace(outputs=tuple(outputs)))
        for event in waiting:
            if event not in caused:
                self.run(Step(None, (event,)))

    def _believe(self, record: Record, act: Callable[[], None]) -> None:
        """Do what a record implies; it is refused if that cannot be."""
        try:
            act()
        except (UsageError, MalformedError) as why:
            raise RecordingError(self.report.file, record.line, str(why)) from None

    def _drain(self) -> None:
        """Let everybody read, dumps to their ends; what was read is in the outbox already."""
        for port in self.engine.ports.values():
            while self.engine.receive(port, DAEMON_BUFFER) is not None:
                pass

    def _compare(self, step: Step) -> None:
        self.report.messages += len(step.outputs) + (step.request is not None)
        expected = [(output.dir, output.message) for output in step.outputs]
        count = len(self.outbox) if step.request is not None else 1
        got = self.outbox[:count]
        del self.outbox[:count]
        for output in step.outputs:
            self._tally(output.dir).compared += 1
        for tag, i, i_end, j, j_end in SequenceMatcher(None, expected, got, False).get_opcodes():
            if tag == "equal":
                for output in step.outputs[i:i_end]:
                    self._tally(output.dir).identical += 1
            else:
                self._differ(step, list(step.outputs[i:i_end]), got[j:j_end])

    def _tally(self, direction: str) -> Tally:
        return self.report.replies if direction == "reply" else self.report.events

    def _differ(self, step: Step, expected: list[Record], got: list[Output]) -> None:
        for record, output in zip_longest(expected, got):
            at = record or step.first
            self.report.differences.append(
                Difference(
                    "extra" if record is None else "differs" if output else "missing",
                    at.line,
                    at.netns,
                    record.message if record else b"",
                    output[1] if output else b"",
                )
            )

    def _surplus(self, at: Record, until: float) -> None:
        """What the engine's timers said, or should have said by now, and the recording does not have."""
        while (due := self.engine.next_deadline()) is not None and due <= until:
            self.engine.expire(due)
        for _, message in self.outbox:
            self.report.differences.append(Difference("extra", at.line, at.netns, b"", message))
        self.outbox.clear()

    def finish(self) -> None:
        """The recording is at its end."""
        for event in self.deferred:
            self.run(Step(None, (event,)))
        if self.last is not None:
            record, now = self.last
            self._surplus(record, now - LATE)


def _sockets(steps: list[Step]) -> dict[int, bool]:
    """Ports that sent requests, and whether they have NETLINK_CAP_ACK: no refusal of theirs echoes the request.

    NETLINK_EXT_ACK is on: refusals without a text look the same with and without it.
    """
    found: dict[int, bool] = {}
    for step in steps:
        if step.request is None:
            continue
        pid = step.request.header.nlmsg_pid
        found.setdefault(pid, True)
        for output in step.outputs:
            made = messages.decode(output.message)
            if isinstance(made.body, ErrorBody) and made.body.error:
                found[pid] &= bool(made.header.nlmsg_flags & NLM_F_CAPPED)
    return found


def _acquire_expires(steps: list[Step]) -> int | None:
    """net.core.xfrm_acq_expires when the recording began, as the first larval SA tells it; daemons set it when they start."""
    for step in steps:
        for output in step.outputs:
            if (output.dir, output.header.nlmsg_type) == ("reply", m.XFRM_MSG_NEWSA):
                shown = messages.decode(output.message)
                if is_larval(shown):
                    return int(shown.body.lft.hard_add_expires_seconds)
    return None


def _has_aevents(steps: list[Step]) -> bool:
    """Whether whoever recorded listened to XFRMNLGRP_AEVENTS too."""
    return any(
        output.dir == "event" and output.header.nlmsg_type == m.XFRM_MSG_NEWAE
        for step in steps
        for output in step.outputs
    )
