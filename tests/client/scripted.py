"""A transport that plays a script, its messages made by hand (tests.transport.bytes)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from pyxfrm.transport.base import Lost
from tests.transport.bytes import ack

Answer = Callable[[bytes], list[bytes | Lost]]


class Scripted:
    """Answers each datagram sent with what the next function of the script gives for it.

    Siblings play the scripts of ``others``, one each.
    """

    def __init__(self, *answers: Answer, others: Iterable[Scripted] = ()) -> None:
        self.answers = deque(answers)
        self.others = deque(others)
        self.sent: list[bytes] = []
        self.inbox: deque[bytes | Lost] = deque()
        self.portid = 77
        self.closed = False
        self.waited = 0.0

    def send(self, data: bytes) -> None:
        self.sent.append(data)
        if self.answers:
            self.inbox += self.answers.popleft()(data)

    def recv(self) -> bytes | Lost | None:
        return self.inbox.popleft() if self.inbox else None

    def wait(self, timeout: float | None) -> bool:
        self.waited += timeout or 0.0
        if not self.inbox:
            time.sleep(min(timeout or 0.0, 0.002))
        return bool(self.inbox)

    def fileno(self) -> int:
        return -1

    def deadline(self) -> float | None:
        return 0.0 if self.inbox else None

    def join(self, groups: Iterable[int]) -> None:
        return

    def sibling(self, groups: Iterable[int] = ()) -> Scripted:
        return self.others.popleft()

    def close(self) -> None:
        self.closed = True


class Stalled(Scripted):
    """The answer comes while the machine stands still, just after the look of this number saw nothing and before the clock is read."""

    def __init__(self, at: int) -> None:
        super().__init__(self.later)
        self.at = at
        self.answer: bytes = b""
        self.looks = 0

    def later(self, data: bytes) -> list[bytes | Lost]:
        self.answer = ack(data)
        return []

    def recv(self) -> bytes | Lost | None:
        self.looks += 1
        if self.looks == self.at:
            time.sleep(0.1)
            self.inbox.append(self.answer)
            return None
        return super().recv()
