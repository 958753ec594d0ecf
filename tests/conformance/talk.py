"""What a conformance case talks to: sockets of a kernel or of an engine, it cannot tell which.

A case is a function that takes a :class:`Talk`. Everything it does is a step (:mod:`pyxfrm.lab.script`) and is noted with its
outcome; after every send, every socket is read. The notes of two lanes must be equal, byte for byte and in order: that is the
comparison. What a case expects besides is said with ``accept``, ``refuse`` and ``check``: expectations are those of Linux 7.2; what
fails is noted and the case goes on, so that all of it is compared on every lane.

The clock of both sides is set to the same second before every send.
"""

from __future__ import annotations

import errno as errnos
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR
from pyxfrm.abi.profiles import Profile
from pyxfrm.lab.script import Clock, Close, Link, Open, Outcome, Receive, Send, Sleep, Step, Sysctl
from pyxfrm.wire import messages
from pyxfrm.wire.attrs import Attr
from pyxfrm.wire.messages import Message
from pyxfrm.wire.netlink import ErrorBody

__all__ = ["CASES", "Attrs", "Case", "Talk", "case"]

START = 1_700_000_000.4  # timers run off in the middle of a second, however busy the machine is
ALL_GROUPS = tuple(range(1, 9))
Attrs = Iterable[tuple[int, Any] | Attr]


class Stepper(Protocol):
    """A kernel (pyxfrm.lab.kernel.Executor) or an engine (pyxfrm.lab.imitation.Imitator)."""

    def step(self, step: Step) -> Outcome:
        """Do one step."""


class Talk:
    """A requester ``a`` and a listener ``ev`` that has joined every group.

    ``profile``  what kind of kernel this is; ``reference``: the one that expectations are written for
    ``notes``    every step with its outcome
    ``failed``   expectations that did not come true
    """

    def __init__(self, stepper: Stepper, profile: Profile) -> None:
        self.stepper = stepper
        self.profile = profile
        self.reference = profile.name == "LINUX_7_2"
        self.notes: list[tuple[Step, Outcome]] = []
        self.failed: list[str] = []
        self.sockets: list[str] = []
        self.now = START
        self.seq = 0
        self._heard: list[Message] = []
        self.open("a", 1000)
        self.open("ev", 2000, ALL_GROUPS)

    # -- steps ---------------------------------------------------------------------------------

    def do(self, step: Step) -> Outcome:
        """Do one step and note it."""
        outcome = self.stepper.step(step)
        self.notes.append((step, outcome))
        return outcome

    def open(
        self,
        name: str,
        port: int,
        groups: tuple[int, ...] = (),
        *,
        attended: bool = True,
        **options: Any,
    ) -> None:
        """Open another socket; unless it is not ``attended``, it is read after every send from now on."""
        self.do(Open(name, port, groups, **options))
        if attended:
            self.sockets.append(name)

    def close(self, name: str) -> None:
        """Close a socket."""
        self.do(Close(name))
        if name in self.sockets:
            self.sockets.remove(name)

    def device(self, name: str = "dummy0", **options: Any) -> int:
        """Make a network device; its ifindex, counted from 2 in a fresh namespace."""
        self.do(Link(name, **options))
        return 1 + sum(isinstance(step, Link) for step, _ in self.notes)

    def sysctl(self, name: str, value: int) -> None:
        """Write a setting."""
        self.do(Sysctl(name, str(value)))

    def sleep(self, seconds: float) -> None:
        """Let time pass, and hear what timers have to say. Half a second or more: the case must not be late (guest.py)."""
        self.do(Sleep(seconds))
        self.now += seconds
        for name in self.sockets:
            self._read(name)

    def _read(self, name: str, size: int = 32768, count: int = 0) -> list[Message]:
        received = self.do(Receive(name, size=size, count=count)).received
        read = [one for r in received if not r.errno for one in messages.decode_all(r.data)]
        if name == "ev":
            self._heard += read
        return read

    def post(self, data: bytes, socket: str = "a", **options: Any) -> None:
        """Send bytes, and read nothing yet."""
        self.do(Clock(self.now))
        self.do(Send(socket, data, **options))

    def read(self, socket: str = "a", *, size: int = 32768, count: int = 0) -> list[Message]:
        """Read ``count`` datagrams (0: all) with a buffer of ``size`` bytes."""
        return self._read(socket, size, count)

    def raw(
        self, data: bytes, socket: str = "a", *, size: int = 32768, **options: Any
    ) -> list[Message]:
        """Send bytes; everything this socket reads."""
        self.post(data, socket, **options)
        read = {name: self._read(name, size if name == socket else 32768) for name in self.sockets}
        return read[socket]

    def events(self) -> list[Message]:
        """What the listener has heard since the last call."""
        heard, self._heard = self._heard, []
        return heard

    # -- requests ------------------------------------------------------------------------------

    def encode(
        self, kind: int, body: Any = None, attrs: Attrs = (), flags: int = NLM_F_ACK
    ) -> bytes:
        """The bytes of a request with the next sequence number."""
        self.seq += 1
        return messages.build(kind, flags | NLM_F_REQUEST, body, attrs, seq=self.seq).encode()

    def send(
        self,
        kind: int,
        body: Any = None,
        attrs: Attrs = (),
        flags: int = NLM_F_ACK,
        socket: str = "a",
    ) -> list[Message]:
        """Send one request; everything the requester reads."""
        return self.raw(self.encode(kind, body, attrs, flags), socket)

    def accept(
        self,
        kind: int,
        body: Any = None,
        attrs: Attrs = (),
        flags: int = NLM_F_ACK,
        *,
        warning: str = "",
    ) -> list[Message]:
        """Send one request that should succeed; what came before its ACK."""
        read = self.send(kind, body, attrs, flags)
        answer = self._answer(read)
        self.check(
            answer is not None and answer.error == 0,
            f"{messages.message_name(kind)} was refused: {answer}",
        )
        if answer is not None:
            self.check(answer.text == warning, f"warning {answer.text!r}, not {warning!r}")
        return read[:-1]

    def refuse(
        self,
        errno: int,
        text: str,
        kind: int,
        body: Any = None,
        attrs: Attrs = (),
        flags: int = NLM_F_ACK,
        *,
        at: int | None = None,
    ) -> None:
        """Send one request that should be refused; ``at``: attribute that the offset should point at."""
        data = self.encode(kind, body, attrs, flags)
        answer = self._answer(self.raw(data))
        if answer is None:
            self.check(False, f"{messages.message_name(kind)} was not answered")
            return
        got = errnos.errorcode.get(-answer.error, str(answer.error)), answer.text
        self.check(got == (errnos.errorcode[errno], text), f"refused with {got}, not {text!r}")
        if at is not None:
            self.check(answer.offset is not None, "no offset")
            if answer.offset is not None:
                number = (
                    int.from_bytes(data[answer.offset + 2 : answer.offset + 4], "little") & 0x3FFF
                )
                self.check(number == at, f"blames attribute {number}, not {at}")

    @staticmethod
    def _answer(read: list[Message]) -> ErrorBody | None:
        if read and read[-1].header.nlmsg_type == NLMSG_ERROR:
            answer: ErrorBody = read[-1].body
            return answer
        return None

    def check(self, true: Any, what: str) -> None:
        """Note an expectation that did not come true (on the kernel that it was written for)."""
        if not true and self.reference:
            self.failed.append(what)

    def dump_sas(self, attrs: Attrs = (), **options: Any) -> list[Message]:
        """GETSA with the dump flags: the SAs, without the DONE at the end."""
        data = self.encode(m.XFRM_MSG_GETSA, None, attrs, NLM_F_DUMP)
        read = self.raw(data, **options)
        done = bool(read) and read[-1].header.nlmsg_type == NLMSG_DONE
        self.check(done, "a dump without an end")
        return [one for one in read if one.header.nlmsg_type == m.XFRM_MSG_NEWSA]

    def get_sa(self, who: s.UserSaId, attrs: Attrs = ()) -> Message | None:
        """GETSA; None if there is none."""
        read = self.send(m.XFRM_MSG_GETSA, who, attrs, flags=0)
        return read[0] if read and read[0].header.nlmsg_type == m.XFRM_MSG_NEWSA else None


class Case:
    """One case: ``message`` it is about, ``behaviour`` it shows, and where it runs.

    ``profiles``  names of the profiles it runs under; empty: all
    """

    def __init__(
        self, function: Callable[[Talk], None], message: str, profiles: tuple[str, ...]
    ) -> None:
        self.function = function
        self.message = message
        self.profiles = profiles
        self.name = f"{function.__module__.rsplit('.', 1)[-1]}:{function.__name__}"
        self.behaviour = (function.__doc__ or "").strip().split("\n")[0].rstrip(".")
        assert self.behaviour, f"{self.name} does not say what it shows"

    def run(self, talk: Talk) -> Talk:
        """Run it; an exception in the case itself is a failed expectation like any other."""
        self.function(talk)
        return talk


CASES: dict[str, Case] = {}


def case(
    message: str, *profiles: str
) -> Callable[[Callable[[Talk], None]], Callable[[Talk], None]]:
    """Register a function as a case about ``message`` (short name, e.g. ``MIGRATE_STATE``)."""

    def register(function: Callable[[Talk], None]) -> Callable[[Talk], None]:
        made = Case(function, message, profiles)
        assert made.name not in CASES, f"{made.name} twice"
        CASES[made.name] = made
        return function

    return register
