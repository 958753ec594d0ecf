"""Answers from a recording: a client can be tried against what a kernel once said.

Each request must be the next one of the recording's namespace, but for its sequence number and port, which are the caller's: the answers carry
them too. Events that the recording has in between are given to ports that listen. Anything else that is asked is a
:class:`pyxfrm.errors.TransportError` that names the first field that differs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from pyxfrm.abi.netlink import NLMSG_ERROR, NlMsgHdr
from pyxfrm.errors import TransportError
from pyxfrm.transport.base import GROUP_OF, Lost
from pyxfrm.transport.recording import Record
from pyxfrm.wire import netlink
from pyxfrm.wire.codec import codec
from pyxfrm.wire.describe import difference
from pyxfrm.wire.messages import message_name

__all__ = ["Replayer"]

_HEADER = codec(NlMsgHdr)
_SIZE = netlink.HEADER_SIZE


class _Script:
    """What is left of the recording; siblings share it."""

    def __init__(self, records: Iterable[Record], netns: str | None) -> None:
        self.left = deque(r for r in records if netns in (None, r.netns))
        self.ports: list[Replayer] = []
        self.portids = 0


class Replayer:
    """A port to the past. ``netns``: play only the records of this namespace; None: of all."""

    def __init__(self, records: Iterable[Record], netns: str | None = None) -> None:
        self._begin(_Script(records, netns), ())

    def _begin(self, script: _Script, groups: Iterable[int]) -> None:
        self._script = script
        script.portids += 1
        script.ports.append(self)
        self._portid = script.portids
        self._groups = set(groups)
        self._inbox: deque[bytes] = deque()
        self._closed = False

    @property
    def portid(self) -> int:
        """Counted from 1."""
        return self._portid

    @property
    def finished(self) -> bool:
        """Nothing is left of the recording."""
        return not self._script.left

    def send(self, data: bytes) -> None:
        """Play the answers to these requests."""
        if self._closed:
            raise TransportError("the replayed port is closed")
        for start, end in netlink.frames(data):
            self._request(data[start:end])

    def _request(self, message: bytes) -> None:
        header = _HEADER.decode(message)
        left = self._script.left
        self._play_events()
        if not left:
            raise TransportError(
                f"replay: {message_name(header.nlmsg_type)} was asked after the recording's end"
            )
        record = left.popleft()
        theirs = record.header
        expected = _renumbered(record.message, header)
        for name, was, now in difference(expected, message):
            raise TransportError(f"replay: line {record.line} has {name} = {was}, asked was {now}")
        self._play_events()
        while left and left[0].dir == "reply" and left[0].header.nlmsg_seq == theirs.nlmsg_seq:
            self._inbox.append(_renumbered(left.popleft().message, header))
            self._play_events()

    def _play_events(self) -> None:
        left = self._script.left
        while left and left[0].dir == "event":
            message = left.popleft().message
            group = GROUP_OF.get(_HEADER.decode(message).nlmsg_type)
            for port in self._script.ports:
                if group in port._groups:
                    port._inbox.append(message)

    def recv(self) -> bytes | Lost | None:
        """The next datagram, one message each."""
        self._play_events()
        return self._inbox.popleft() if self._inbox else None

    def wait(self, timeout: float | None) -> bool:  # noqa: ARG002  # a transport's signature
        """Whether something is there; nothing comes later."""
        self._play_events()
        return bool(self._inbox)

    def fileno(self) -> int:
        """There is none: use :meth:`deadline`."""
        return -1

    def deadline(self) -> float | None:
        """At once if something is there."""
        return 0.0 if self.wait(0) else None

    def join(self, groups: Iterable[int]) -> None:
        """Take the events of these groups from now on."""
        self._groups.update(groups)

    def sibling(self, groups: Iterable[int] = ()) -> Replayer:
        """Another port to the same recording."""
        other = Replayer.__new__(Replayer)
        other._begin(self._script, groups)
        return other

    def close(self) -> None:
        """Close the port."""
        if not self._closed:
            self._closed = True
            self._script.ports.remove(self)


def _renumbered(message: bytes, caller: NlMsgHdr) -> bytes:
    """A recorded message with the caller's sequence number and port, in an error's inner header too."""
    header = _HEADER.decode(message)
    ours = header._replace(nlmsg_seq=caller.nlmsg_seq, nlmsg_pid=caller.nlmsg_pid)
    body = message[_SIZE:]
    if header.nlmsg_type == NLMSG_ERROR and len(body) >= 4 + _SIZE:
        inner = _HEADER.decode(body, 4)
        inner = inner._replace(nlmsg_seq=caller.nlmsg_seq, nlmsg_pid=caller.nlmsg_pid)
        body = body[:4] + _HEADER.encode(inner) + body[4 + _SIZE :]
    return _HEADER.encode(ours) + body
