"""One message on its way through its handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxfrm.abi.netlink import NLA_TYPE_MASK
from pyxfrm.wire.attrs import spans

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.port import Port
    from pyxfrm.engine.replies import Broken

__all__ = ["Request"]


class Request:
    """A request and what has been found out about it.

    ``data[start:end]``  the message, header included; ``body`` is where its structure begins
    ``type``, ``flags``, ``seq``, ``pid``  of its header (``pid`` is what the sender wrote there; replies go to ``port``)
    ``attrs``    payload of each attribute by number; the last one counts where it is repeated
    ``now``      seconds since the epoch
    ``text``     extended-ACK text so far: a warning if the request succeeds
    ``fault``    offset of the attribute at fault, from ``start``, or -1
    ``broken``   the rule that this attribute broke, or None
    """

    __slots__ = (
        "attrs",
        "attrs_at",
        "body",
        "broken",
        "data",
        "end",
        "engine",
        "fault",
        "flags",
        "now",
        "pid",
        "port",
        "seq",
        "start",
        "text",
        "type",
    )

    def __init__(
        self,
        engine: Engine,
        port: Port,
        data: bytes,
        start: int,
        header: tuple[int, int, int, int, int],
        now: float,
    ) -> None:
        length, self.type, self.flags, self.seq, self.pid = header
        self.engine = engine
        self.port = port
        self.data = data
        self.start = start
        self.end = start + length
        self.body = start + 16
        self.attrs_at = self.body
        self.now = now
        self.attrs: dict[int, bytes] = {}
        self.text: str | None = None
        self.fault = -1
        self.broken: Broken | None = None

    def blame(self, number: int) -> None:
        """Point the extended ACK at the attribute ``number`` (the last of them)."""
        at = self.attribute_at(number)
        if at >= 0:
            self.fault = at - self.start

    def attribute_at(self, number: int) -> int:
        """Where the attribute ``number`` (the last of them) begins in ``data``; -1 if there is none."""
        found = -1
        for at, kind, _, _ in spans(self.data, self.attrs_at, self.end):
            if kind & NLA_TYPE_MASK == number:
                found = at
        return found

    def overwrite(self, number: int, at: int, value: int) -> None:
        """Set byte ``at`` of the payload of attribute ``number``, in the message too: what an error message echoes."""
        place = self.attribute_at(number) + 4 + at
        self.data = self.data[:place] + bytes((value,)) + self.data[place + 1 :]
        payload = self.attrs[number]
        self.attrs[number] = payload[:at] + bytes((value,)) + payload[at + 1 :]
