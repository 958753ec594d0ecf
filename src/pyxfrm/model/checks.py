"""Small checks that constructors share, and the door for values that a kernel shows.

A constructor refuses what cannot be meant (:class:`pyxfrm.errors.UsageError`, one line that names the field). A kernel
may all the same hold such a value: a mark whose value lies outside its mask can be installed, and is then never found. What is read must be
shown as it is, so decoding goes through :func:`as_seen`, which builds the value without asking.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pyxfrm.errors import UsageError

__all__ = ["U16", "U32", "U64", "U8", "as_seen", "fits", "uint"]

T = TypeVar("T")

U8 = (1 << 8) - 1
U16 = (1 << 16) - 1
U32 = (1 << 32) - 1
U64 = (1 << 64) - 1

_MAKERS: dict[type, Callable[..., Any]] = {}


def as_seen(cls: type[T], *values: object) -> T:
    """A value with these fields, in order, unchecked: for what a kernel showed."""
    maker = _MAKERS.get(cls)
    if maker is None:
        maker = _MAKERS[cls] = _maker(cls)
    made: T = maker(*values)
    return made


def _maker(cls: type[Any]) -> Callable[..., Any]:
    """A function that fills the slots one by one: a dump of a hundred thousand SAs is two million fields."""
    names = cls.__slots__
    fields = {f"__set_{name}": cls.__dict__[name].__set__ for name in names}
    body = "".join(f"    __set_{name}(__made, {name})\n" for name in names)
    source = f"def maker({', '.join(names)}):\n    __made = __new(__cls)\n{body}    return __made\n"
    env: dict[str, Any] = {"__new": object.__new__, "__cls": cls, **fields}
    exec(compile(source, f"<maker of {cls.__name__}>", "exec"), env)  # noqa: S102  # as dataclasses do
    maker: Callable[..., Any] = env["maker"]
    return maker


def fits(value: object, limit: int) -> bool:
    """Whether it is a number in 0..``limit``: to be asked before a text is made for :func:`uint`."""
    if type(value) is int or (isinstance(value, int) and type(value) is not bool):
        return 0 <= value <= limit
    return False


def uint(what: str, value: int, limit: int) -> None:
    """Refuse a number that is not in 0..``limit``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{what}: must be a whole number, not {type(value).__name__}")
    if not 0 <= value <= limit:
        raise UsageError(f"{what}: {value} is not in 0..{limit}")
