"""How to print, and names that the system has for numbers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.abi.protocols import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Form", "device_name", "protocol_name", "protocol_number"]

_PROTOCOLS = "/etc/protocols"


class Form(NamedTuple):
    """``stats``: with counters and limits; ``oneline``: ends of lines are backslashes; ``keys``: shown.

    ``device``  gives the name of an interface index
    """

    stats: bool = False
    oneline: bool = False
    keys: bool = False
    device: Callable[[int], str] | None = None

    @property
    def eol(self) -> str:
        """What ends a line of a record; a record itself always ends with a newline."""
        return "\\" if self.oneline else "\n"

    @property
    def end(self) -> str:
        """What follows the last line of a record."""
        return "\n" if self.oneline else ""

    def name_of(self, ifindex: int) -> str:
        """The name of an interface."""
        return (self.device or device_name)(ifindex)


def device_name(ifindex: int) -> str:
    """The name of an interface of this namespace; ``if7`` where there is none of that number, ``*`` for 0."""
    import socket

    if not ifindex:
        return "*"
    try:
        return socket.if_indextoname(ifindex)
    except OSError:
        return f"if{ifindex}"


class _Protocols:
    """/etc/protocols, or a table of our own where there is none, read when first asked for. The first name of a number counts."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.numbers: dict[str, int] = {}
        try:
            with open(_PROTOCOLS, encoding="utf-8", errors="replace") as file:  # noqa: PTH123  # loads faster
                text = file.read()
        except OSError:
            self.numbers = dict(PROTOCOLS)
            self.names = {number: name for name, number in PROTOCOLS.items()}
            return
        for line in text.splitlines():
            words = line.partition("#")[0].split()
            if len(words) > 1 and words[1].isdigit():
                number = int(words[1])
                self.names.setdefault(number, words[0])
                for name in (words[0], *words[2:]):
                    self.numbers.setdefault(name, number)


@cache
def _protocols() -> _Protocols:
    return _Protocols()


def protocol_name(number: int) -> str:
    """The name of an IP protocol; the number itself where /etc/protocols has none."""
    return _protocols().names.get(number, str(number))


def protocol_number(name: str) -> int | None:
    """The number of an IP protocol by its name in /etc/protocols."""
    return _protocols().numbers.get(name)
