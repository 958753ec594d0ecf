"""A netlink conversation as data: the same script runs on a kernel, and on anything like one.

A `Script` is a list of steps; a `Transcript` has one `Outcome` for each. Both are plain values that
go to JSON and back (bytes as hex), so a script can be made by a fuzzer, kept in a file, sent into a
guest and executed by `pyxfrm.lab.kernel`, or executed by an engine; the transcripts are then
compared. Nothing here executes anything.

    Script((
        Open("a", port=1),                       # NETLINK_XFRM, extended ACKs on
        Link("dummy0", addresses=("192.0.2.1/24",)),
        Send("a", request),                      # raw bytes, one datagram
        Receive("a"),                            # every datagram that is there, dumps to their end
    ))

Each script starts in an empty network namespace: ``lo`` down, no address, no SA, no policy.
A step that fails does not end the script; its outcome has the errno.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from pyxfrm.errors import UsageError, errno_name

__all__ = [
    "Clock",
    "Close",
    "Link",
    "Open",
    "Outcome",
    "ReadFile",
    "Receive",
    "Received",
    "Route",
    "Script",
    "Send",
    "Sleep",
    "Step",
    "Sysctl",
    "Transcript",
    "Udp",
    "ask",
]


@dataclass(frozen=True, slots=True)
class Open:
    """Open a netlink socket and bind it.

    ``port``        netlink port id; 0 lets the kernel choose (its choice is the process id)
    ``groups``      multicast group numbers (XFRMNLGRP_*), joined one by one after the bind
    ``ext_ack``     NETLINK_EXT_ACK; ``cap_ack`` NETLINK_CAP_ACK; ``strict`` NETLINK_GET_STRICT_CHK
    ``no_enobufs``  NETLINK_NO_ENOBUFS: overruns are not reported
    ``rcvbuf``      SO_RCVBUFFORCE in bytes (the kernel doubles it), 0 leaves the default
    ``privileged``  False: opened without CAP_NET_ADMIN
    ``protocol``    6 is NETLINK_XFRM
    """

    socket: str
    port: int
    groups: tuple[int, ...] = ()
    ext_ack: bool = True
    cap_ack: bool = False
    strict: bool = False
    no_enobufs: bool = False
    rcvbuf: int = 0
    privileged: bool = True
    protocol: int = 6


@dataclass(frozen=True, slots=True)
class Close:
    """Close a socket."""

    socket: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send bytes as one datagram to the kernel.

    ``privileged``  False: sent without CAP_NET_ADMIN
    ``addressed``   True: sendto(2) with the kernel's address, as netlink libraries do; then only the
                    sender's privilege counts, not that with which the socket was opened
                    (net/netlink/af_netlink.c: __netlink_ns_capable). False: send(2)
    """

    socket: str
    data: bytes
    privileged: bool = True
    addressed: bool = True

    def __repr__(self) -> str:  # the message may hold a key
        return f"Send({self.socket!r}, <{_summary(self.data)}>)"


@dataclass(frozen=True, slots=True)
class Receive:
    """Receive every datagram that a socket has, a dump to its end.

    The kernel answers within send(2) and continues a dump within recv(2), so what is there when
    recv says EAGAIN is all. Only what timers cause comes later: ``wait`` is how many seconds to
    wait for a first datagram. ``size`` is that of the buffer; the kernel fits dumps to it. ``count``
    is how many datagrams to take at most, 0 all: so a dump can be left half read.
    """

    socket: str
    wait: float = 0.0
    size: int = 32768
    count: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """Make a network device (unless it is ``lo`` or there) and bring it up.

    ``kind`` is dummy, bond or veth (``peer`` is then the name of its other end, in the same namespace);
    ``addresses`` are given with their prefix length; IPv6 ones are usable at once (no DAD).
    """

    name: str
    kind: str = "dummy"
    addresses: tuple[str, ...] = ()
    up: bool = True
    mtu: int = 0
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """Add a route to ``destination`` (``0.0.0.0/0``, ``2001:db8::/32``) through a device."""

    destination: str
    device: str
    gateway: str = ""


@dataclass(frozen=True, slots=True)
class Sysctl:
    """Write a kernel setting; ``name`` with dots or slashes, e.g. ``net.core.xfrm_acq_expires``."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ReadFile:
    """Read a file, e.g. ``/proc/net/xfrm_stat``; its text goes into the outcome."""

    path: str


@dataclass(frozen=True, slots=True)
class Clock:
    """Set the real-time clock: ``seconds`` since 1970. It runs on from there.

    SAs take their add and use times from it, timers do not run by it. The guest's clock is put back
    when the script ends. Refused (EPERM) where the clock is not ours.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Udp:
    """Send one UDP datagram, which goes through the policies as any packet does.

    ``saddr`` may be left out. ``mark`` is SO_MARK.
    """

    daddr: str
    port: int
    data: bytes
    saddr: str = ""
    source_port: int = 0
    mark: int = 0


Step = (
    Open
    | Close
    | Send
    | Receive
    | Link
    | Route
    | Sysctl
    | Sleep
    | ReadFile
    | Clock
    | Udp
)  # fmt: skip

_STEPS: dict[str, type[Any]] = {
    "open": Open,
    "close": Close,
    "send": Send,
    "receive": Receive,
    "link": Link,
    "route": Route,
    "sysctl": Sysctl,
    "sleep": Sleep,
    "read_file": ReadFile,
    "clock": Clock,
    "udp": Udp,
}
_NAMES = {step: name for name, step in _STEPS.items()}


def ask(socket: str, data: bytes) -> tuple[Send, Receive]:
    """Send, then receive what comes of it: to be spread into a script with ``*``."""
    return Send(socket, data), Receive(socket)


@dataclass(frozen=True, slots=True)
class Script:
    """Steps in order."""

    steps: tuple[Step, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """A JSON value; fields that have their default are left out."""
        return [{"op": _NAMES[type(step)], **_fields(step)} for step in self.steps]

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The inverse of `to_json`. Raises UsageError for what is no script."""
        if not isinstance(value, list):
            raise UsageError(f"a script is a list of steps, not {type(value).__name__}")
        return cls(tuple(_step(number, item) for number, item in enumerate(value, 1)))


@dataclass(frozen=True, slots=True)
class Received:
    """One datagram that a socket received.

    ``port`` and ``groups`` are the sender's address (struct sockaddr_nl): port 0 is the kernel,
    groups the mask of the multicast group it came through. ``errno`` is not 0 for a datagram that
    was lost instead (ENOBUFS).
    """

    data: bytes
    port: int = 0
    groups: int = 0
    errno: int = 0

    def __repr__(self) -> str:  # the message may hold a key
        words = errno_name(self.errno) if self.errno else _summary(self.data)
        return f"Received(<{words}>, port={self.port}, groups={self.groups})"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step came to: ``errno`` 0 is success."""

    errno: int = 0
    received: tuple[Received, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """One outcome for each step of a script."""

    outcomes: tuple[Outcome, ...]

    @property
    def datagrams(self) -> tuple[bytes, ...]:
        """The bytes of all datagrams received, in order of the steps."""
        return tuple(r.data for o in self.outcomes for r in o.received if not r.errno)

    def to_json(self) -> list[dict[str, Any]]:
        """A JSON value; fields that have their default are left out."""
        return [
            {
                **_fields(outcome),
                **(
                    {"received": [_fields(r) for r in outcome.received]} if outcome.received else {}
                ),
            }
            for outcome in self.outcomes
        ]

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The inverse of `to_json`."""
        return cls(tuple(_outcome(item) for item in value))


def _fields(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their default, as JSON values."""
    found = {}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if item != field.default:
            found[field.name] = item.hex() if isinstance(item, bytes) else item
    return {name: list(x) if isinstance(x, tuple) else x for name, x in found.items()}


def _step(number: int, item: Any) -> Step:
    """One step from JSON; names the step in what it refuses."""
    try:
        fields = dict(item)
        step: Step = _restored(_STEPS[fields.pop("op")], fields)
    except (KeyError, TypeError, ValueError) as problem:
        raise UsageError(f"step {number} of the script makes no sense: {problem!r}") from problem
    return step


def _restored(cls: type[Any], fields: dict[str, Any]) -> Any:
    """A dataclass from the JSON values of its fields, tuples and bytes restored."""
    for field in dataclasses.fields(cls):
        if field.name not in fields:
            continue
        if field.type == "bytes":
            fields[field.name] = bytes.fromhex(fields[field.name])
        elif isinstance(fields[field.name], list):
            fields[field.name] = tuple(fields[field.name])
    return cls(**fields)


def _summary(datagram: bytes) -> str:
    """What a datagram holds, in a few words and without keys."""
    from pyxfrm.wire.describe import summary  # not needed to run a script: the guest goes without
    from pyxfrm.wire.netlink import frames

    messages = [summary(datagram[start:end]) for start, end in frames(datagram)]
    return "; ".join(messages) or f"{len(datagram)} bytes"


def _outcome(item: dict[str, Any]) -> Outcome:
    received = tuple(_restored(Received, dict(r)) for r in item.get("received", ()))
    return Outcome(item.get("errno", 0), received, item.get("text", ""))
