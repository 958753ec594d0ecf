"""One thing to ask of an XFRM: its bytes, and how to read the answer.

A :class:`Request` is made by a function of :mod:`pyxfrm.client.verbs` and knows nothing of sockets, sequence numbers or time. It can be made long
before it is sent, sent many times, and put in a batch with others.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from pyxfrm.abi.messages import ATTRIBUTES, MESSAGES, Int
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REQUEST
from pyxfrm.wire.attrs import spans
from pyxfrm.wire.codec import codec
from pyxfrm.wire.messages import message_name
from pyxfrm.wire.netlink import HEADER_SIZE

__all__ = ["Done", "Dump", "Request"]

T = TypeVar("T")

_pack = struct.Struct("=IHHII").pack
_ASK_FOR_ACK = NLM_F_REQUEST | NLM_F_ACK


class Done(NamedTuple):
    """It was done. ``warning``: what the kernel said all the same ("" for nothing); not a failure."""

    warning: str = ""


class Request(Generic[T]):
    """A request.

    ``type``     XFRM_MSG_*
    ``flags``    NLM_F_* besides REQUEST and ACK, which are set where they belong
    ``payload``  the bytes after the netlink header. They may hold keys: they are in no text
    ``message``  header, payload and padding to 4 bytes; the numbers of sequence and port are 0, since they are known when it is sent
    ``read``     makes the result of the answering message's bytes; None: the ACK is the answer
    ``subject``  the SA or policy it is about, for error messages
    ``chatty``   in a batch, too, it wants an ACK of its own, for the warning that may be in it
    """

    __slots__ = ("chatty", "flags", "length", "message", "read", "subject", "type")

    def __init__(
        self,
        type: int,  # noqa: A002  # the field's name
        payload: bytes = b"",
        flags: int = 0,
        *,
        read: Callable[[bytes], T] | None = None,
        subject: object = "",
        chatty: bool = False,
    ) -> None:
        self.type = type
        self.flags = flags
        self.read = read
        self.subject = subject
        self.chatty = chatty
        self.length = length = HEADER_SIZE + len(payload)
        flags |= _ASK_FOR_ACK if chatty else NLM_F_REQUEST
        message = _pack(length, type, flags, 0, 0) + payload
        self.message = message + bytes(-length & 3) if length & 3 else message

    @property
    def payload(self) -> bytes:
        """What follows the header."""
        return self.message[HEADER_SIZE : self.length]

    def numbered(self, seq: int, portid: int, flags: int = _ASK_FOR_ACK) -> bytes:
        """The message as it is sent alone."""
        head = _pack(self.length, self.type, self.flags | flags, seq, portid)
        return head + self.payload

    @property
    def name(self) -> str:
        """The message's name in C."""
        return message_name(self.type)

    def attribute_at(self, offset: int | None) -> str:
        """Name of the attribute that the message has at this byte, "" if there is none.

        ``offset`` counts from the message's header, as NLMSGERR_ATTR_OFFS does.
        """
        row = MESSAGES.get(self.type)
        if offset is None or row is None:
            return ""
        size = 0
        if row.body is not None:
            size = row.body.size if isinstance(row.body, Int) else codec(row.body).size
        first = (size + 3) & ~3
        payload = self.payload
        for at, number, _, end in spans(payload, first, len(payload)):
            if at <= offset - HEADER_SIZE < end:
                return (row.space or ATTRIBUTES).get(number, (f"attribute {number}",))[0]
        return ""

    def __repr__(self) -> str:
        subject = f" {self.subject}" if self.subject else ""
        return f"<Request {self.name}{subject}>"


class Dump(Request[T]):
    """A request for a whole table: each entry is read by ``read``."""

    __slots__ = ()
