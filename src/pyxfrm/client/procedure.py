"""Several requests with decisions between them, without IO.

A procedure is a generator: it yields a request and is sent what that gave, or the error is raised where it yielded. So the same lines run over a socket, an
event loop, or a script in a test:

    def rename(name, new):
        record = yield from ask(verbs.get_sa(name))
        yield from ask(verbs.delete_sa(name))
        ...
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from pyxfrm.client.request import Dump, Request

__all__ = ["Peek", "Procedure", "Step", "ask", "peek"]

T = TypeVar("T")


class Peek:
    """Yielded for the first ``count`` entries of a table, as a list; None for all of them."""

    __slots__ = ("count", "dump")

    def __init__(self, dump: Dump[Any], count: int | None) -> None:
        self.dump = dump
        self.count = count

    def __repr__(self) -> str:
        return f"<Peek {self.dump!r} {self.count}>"


Step = Request[Any] | Peek
Procedure = Generator[Step, Any, T]


def ask(request: Request[T]) -> Procedure[T]:
    """One request; what it gave."""
    result: T = yield request
    return result


def peek(dump: Dump[T], count: int | None = None) -> Procedure[list[T]]:
    """The first ``count`` entries of a table, or all."""
    entries: list[T] = yield Peek(dump, count)
    return entries
