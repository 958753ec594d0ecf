"""One thing to ask of an XFRM: its bytes, and how to read the answer.

A :class:`Request` is made by a function of :mod:`pyxfrm.client.verbs` and knows nothing of sockets, sequence numbers or time. It can be made long
before it is sent, sent many times, and put in a batch with others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from pyxfrm.abi.messages import ATTRIBUTES, MESSAGES, Int
from pyxfrm.wire.attrs import spans
from pyxfrm.wire.codec import codec
from pyxfrm.wire.messages import message_name
from pyxfrm.wire.netlink import HEADER_SIZE

__all__ = ["Done", "Dump", "Request"]

T = TypeVar("T")


class Done(NamedTuple):
    """It was done. ``warning``: what the kernel said all the same ("" for nothing); not a failure."""

    warning: str = ""


class Request(Generic[T]):
    """A request.

    ``type``     XFRM_MSG_*
    ``flags``    NLM_F_* besides REQUEST and ACK, which are set when it is sent
    ``payload``  the bytes after the netlink header. They may hold keys: they are in no text
    ``read``     makes the result of the answering message's bytes; None: the ACK is the answer
    ``subject``  the SA or policy it is about, for error messages
    ``chatty``   in a batch, too, it wants an ACK of its own, for the warning that may be in it
    """

    __slots__ = ("chatty", "flags", "payload", "read", "subject", "type")

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
        self.payload = payload
        self.read = read
        self.subject = subject
        self.chatty = chatty

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
        for at, number, _, end in spans(self.payload, first, len(self.payload)):
            if at <= offset - HEADER_SIZE < end:
                return (row.space or ATTRIBUTES).get(number, (f"attribute {number}",))[0]
        return ""

    def __repr__(self) -> str:
        subject = f" {self.subject}" if self.subject else ""
        return f"<Request {self.name}{subject}>"


class Dump(Request[T]):
    """A request for a whole table: each entry is read by ``read``."""

    __slots__ = ()
