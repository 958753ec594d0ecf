"""A recording as steps: a request with everything it caused, or an event that has no request there.

Such an event the kernel raised by itself (its port is 0), or another program caused it whose requests were not recorded.

Netlink requests are handled while their sender waits, so a request and its effects are one moment, and steps have an order: that of
their first effects, and for one port also that of its requests. An event raised in between (by a packet or a timer) is a step before the request
if it was recorded before the request's first effect, else one behind it. It may have been the request that brought it about (a limit lowered, a
packet that waited), so such an event is marked: if it cannot come before, it comes behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLMSG_ERROR
from pyxfrm.errors import MalformedError
from pyxfrm.transport.recording import Record, answered_seq
from pyxfrm.wire import messages
from pyxfrm.wire.messages import Message

__all__ = ["Step", "is_larval", "steps_of"]

_KEYS = (m.XFRMA_ALG_AEAD, m.XFRMA_ALG_CRYPT, m.XFRMA_ALG_AUTH, m.XFRMA_ALG_COMP)


def is_larval(shown: Message) -> bool:
    """Whether the SA that a NEWSA shows has no keys yet."""
    return all(shown.payload(number) is None for number in _KEYS)


class Step(NamedTuple):
    """``request`` is None for an event that nobody asked for; ``outputs`` are replies and events, in order.

    ``inside``: such an event came between a request and the last of its effects.
    """

    request: Record | None
    outputs: tuple[Record, ...]
    inside: bool = False

    @property
    def first(self) -> Record:
        """The record that names the step in messages to people."""
        return self.request or self.outputs[0]

    @property
    def netns(self) -> str:
        """Its network namespace."""
        return self.first.netns

    def asked(self) -> Message | None:
        """The request as a value; None if there is none, or if it is too short to be one."""
        try:
            return messages.decode(self.request.message) if self.request else None
        except MalformedError:
            return None

    @property
    def window(self) -> tuple[float, float]:
        """Between which two moments of the recording it happened."""
        first = self.outputs[0] if self.outputs else self.first
        return self.first.t, first.t


class _Asked(NamedTuple):
    request: Record
    outputs: list[Record]

    @property
    def kind(self) -> int:
        return self.request.header.nlmsg_type


class _Port:
    """The requests of one socket, in order, and the latest of each sequence number."""

    def __init__(self) -> None:
        self.requests: list[_Asked] = []
        self.latest: dict[int, _Asked] = {}

    def add(self, request: Record) -> None:
        asked = _Asked(request, [])
        self.requests.append(asked)
        self.latest[request.header.nlmsg_seq] = asked

    def answer(self, output: Record) -> None:
        newest_first = ((seq, asked.kind) for seq, asked in reversed(self.latest.items()))
        self.latest[answered_seq(output.header, newest_first)].outputs.append(output)

    def waiting_for(self, kind: int) -> _Asked | None:
        """The latest request, if it is of that kind and not acknowledged yet."""
        if not self.requests or self.requests[-1].kind != kind:
            return None
        asked = self.requests[-1]
        done = any(output.header.nlmsg_type == NLMSG_ERROR for output in asked.outputs)
        return None if done else asked


def steps_of(records: Iterable[Record]) -> list[Step]:
    """The steps of a recording (all its namespaces), in the order in which they happened.

    ``records`` must come from :func:`pyxfrm.transport.recording.read`, which refuses answers to requests that are not there.
    """
    ports: dict[tuple[str, int], _Port] = {}
    alone = _Alone()
    for record in records:
        key = (record.netns, record.header.nlmsg_pid)
        if record.dir == "event" and key not in ports:
            cause = _nameless_cause(record, ports)
            if cause is None:
                alone.add(record)
            else:
                cause.outputs.append(record)
            continue
        alone.followed_by(record)
        port = ports.setdefault(key, _Port())
        if record.dir == "req":
            port.add(record)
        else:
            port.answer(record)
    placed = [(step.first.line, step.first.line, step) for step in alone.steps()]
    for port in ports.values():
        place = 0
        for request, outputs in port.requests:
            place = max(place, outputs[0].line if outputs else request.line)
            placed.append((place, request.line, Step(request, tuple(outputs))))
    placed.sort(key=lambda item: item[:2])
    return [step for _, _, step in placed]


class _Alone:
    """Events that nobody asked for, and whether a request was under way when they came."""

    def __init__(self) -> None:
        self.decided: list[Step] = []
        self.waiting: dict[str, list[Record]] = {}

    def add(self, event: Record) -> None:
        self.waiting.setdefault(event.netns, []).append(event)

    def followed_by(self, record: Record) -> None:
        """What comes next in a namespace tells: an output belongs to a request that was there before."""
        inside = record.dir != "req"
        for event in self.waiting.pop(record.netns, ()):
            self.decided.append(Step(None, (event,), inside))

    def steps(self) -> list[Step]:
        left = [Step(None, (event,)) for events in self.waiting.values() for event in events]
        return self.decided + left


def _nameless_cause(event: Record, ports: dict[tuple[str, int], _Port]) -> _Asked | None:
    """GETDEFAULT names no cause, but a SETDEFAULT is one (net/xfrm/xfrm_user.c: xfrm_notify_userpolicy)."""
    if event.header.nlmsg_type != m.XFRM_MSG_GETDEFAULT:
        return None
    for (netns, _), port in ports.items():
        asked = port.waiting_for(m.XFRM_MSG_SETDEFAULT) if netns == event.netns else None
        if asked is not None:
            return asked
    return None
