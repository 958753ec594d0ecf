"""The recorded kernel's clock, worked out from what it wrote down.

A recording has its own time, which starts at 0; the kernel stamps what it makes with whole seconds since the epoch. Each stamp confines the second at which the
recording began: a policy stamped 1000 between 2.3 and 2.4 means that it began at earliest at 997.6 and before 998.7. All stamps together
leave an interval, and its middle is taken. An empty interval means that times were changed: the file is refused.

A stamp is *sure* where the message that shows it also made it. A larval SA may be older than the message that shows it, so its
stamp counts only if it agrees with the sure ones.

The kernel reads a coarse clock for such stamps, which may be a tick late (kernel/time/timekeeping.c: ktime_get_real_seconds).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from typing import NamedTuple

from pyxfrm.abi import messages as m
from pyxfrm.errors import UsageError
from pyxfrm.transport.replay.steps import Step, is_larval
from pyxfrm.wire import messages
from pyxfrm.wire.messages import Message

__all__ = ["Clock", "ClockError"]

TICK = 0.02  # seconds: a tick is 10 ms at the slowest usual rate, and a little for the recorder
_UNKNOWN = 1_700_000_000.0  # where a recording without any stamp begins

_POLICY_MADE = (m.XFRM_MSG_NEWPOLICY, m.XFRM_MSG_UPDPOLICY)
_SA_MADE = (m.XFRM_MSG_NEWSA, m.XFRM_MSG_UPDSA)

Window = tuple[float, float]


class ClockError(UsageError):
    """Times that cannot all be true; ``line`` is the first that contradicts those before it."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


class Stamp(NamedTuple):
    """``second`` was read from the kernel's clock in ``window``, two moments of the recording's time."""

    second: int
    window: Window
    sure: bool
    line: int

    @property
    def bounds(self) -> Window:
        """Earliest and latest beginning of the recording that it admits."""
        start, end = self.window
        return self.second - end - TICK, self.second + 1 - start + TICK


def _stamps(step: Step) -> Iterator[Stamp]:
    """What a step's own effects tell of the clock."""
    request = step.asked()
    for output in step.outputs:
        made = messages.decode(output.message)
        kind = made.header.nlmsg_type
        if output.dir == "event" and (
            kind in _POLICY_MADE
            or (kind in _SA_MADE and request and request.payload(m.XFRMA_LTIME_VAL) is None)
        ):
            yield Stamp(made.body.curlft.add_time, step.window, True, output.line)
        elif kind == m.XFRM_MSG_NEWSA and _is_new(output.dir, request):
            yield Stamp(made.body.curlft.add_time, step.window, False, output.line)


def _is_new(direction: str, request: Message | None) -> bool:
    """Whether an SA that is shown was, as far as one can see, made just now: by ALLOCSPI, or by another program."""
    if request is None:
        return direction == "event"
    return request.header.nlmsg_type == m.XFRM_MSG_ALLOCSPI


class _Acquires:
    """When each larval SA was made by an ACQUIRE: it shows its time only when somebody asks for it."""

    def __init__(self) -> None:
        self.windows: dict[tuple[str, int], Window] = {}

    def stamps(self, step: Step) -> Iterator[Stamp]:
        for output in step.outputs:
            made = messages.decode(output.message)
            kind = made.header.nlmsg_type
            if kind == m.XFRM_MSG_ACQUIRE:
                self.windows[step.netns, made.body.seq] = step.window
            elif kind == m.XFRM_MSG_NEWSA and is_larval(made):
                window = self.windows.get((step.netns, made.body.seq))
                if window:
                    yield Stamp(made.body.curlft.add_time, window, False, output.line)


class Clock:
    """The kernel's time at any moment of a recording.

    ``earliest`` and ``latest`` confine the second since the epoch at which the recording began; ``readings`` is the number of stamps
    that they were worked out from.
    """

    def __init__(self, steps: Iterable[Step]) -> None:
        self.earliest, self.latest = -inf, inf
        self.readings = 0
        acquires = _Acquires()
        unsure: list[Stamp] = []
        for step in steps:
            for stamp in (*_stamps(step), *acquires.stamps(step)):
                if stamp.sure:
                    self._confine(stamp)
                else:
                    unsure.append(stamp)
        for stamp in unsure:
            low, high = stamp.bounds
            if max(low, self.earliest) < min(high, self.latest):
                self._confine(stamp)

    def _confine(self, stamp: Stamp) -> None:
        low, high = stamp.bounds
        if max(low, self.earliest) >= min(high, self.latest):
            raise ClockError(stamp.line, f"the time {stamp.second} contradicts the times before it")
        self.earliest, self.latest = max(low, self.earliest), min(high, self.latest)
        self.readings += 1

    @property
    def start(self) -> float:
        """The second since the epoch at which the recording began."""
        return (self.earliest + self.latest) / 2 if self.readings else _UNKNOWN

    def now(self, step: Step) -> float:
        """The time of a step, in seconds since the epoch; within the second that the step itself shows, if it shows one."""
        now = self.start + step.window[0]
        for stamp in _stamps(step):
            low, high = stamp.bounds
            if max(low, self.earliest) < min(high, self.latest):
                return min(max(now, float(stamp.second)), stamp.second + 1 - 1e-6)
        return now
