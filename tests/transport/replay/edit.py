"""Recordings with lines changed: what the replay must notice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyxfrm.abi.netlink import NlMsgHdr
from pyxfrm.transport.recording import Record, bundled, read, write
from pyxfrm.wire import messages
from pyxfrm.wire.messages import Message

__all__ = ["Edit", "change", "find", "records_of", "rewrite", "saved"]

Edit = Callable[[Message], Message]


def records_of(name: str) -> list[Record]:
    """The records of a bundled recording, by the beginning of its name."""
    path = next(path for path in bundled() if path.name.startswith(name))
    return list(read(path))


def find(records: list[Record], direction: str, number: int, netns: str = "", skip: int = 0) -> int:
    """Index of a record of that kind; ``skip``: pass over so many."""
    found = [
        i
        for i, record in enumerate(records)
        if (record.dir, record.header.nlmsg_type) == (direction, number)
        and netns in ("", record.netns)
    ]
    return found[skip]


def rewrite(message: Message) -> Message:
    """The message with its length set right."""
    size = len(message.encode())
    header = NlMsgHdr(size, *message.header[1:])
    return message._replace(header=header)


def change(records: list[Record], at: int, edit: Edit) -> list[Record]:
    """The records with one message edited."""
    made = rewrite(edit(messages.decode(records[at].message)))
    return [*records[:at], records[at]._replace(message=made.encode()), *records[at + 1 :]]


def saved(path: Path, records: list[Record]) -> Path:
    """The records as a file."""
    with path.open("w") as out:
        write(out, records)
    return path


def deep(value: Any, path: str, new: Any) -> Any:
    """A structure with the field at a dotted path replaced."""
    name, dot, rest = path.partition(".")
    inner = deep(getattr(value, name), rest, new) if dot else new
    return value._replace(**{name: inner})
