"""Small checks that constructors share, and the door for values that a kernel shows.

A constructor refuses what cannot be meant (:class:`pyxfrm.errors.UsageError`, one line that names the field). A kernel
may all the same hold such a value: a mark whose value lies outside its mask can be installed, and is then never found. What is read must be
shown as it is, so decoding goes through :func:`as_seen`, which builds the value without asking.
"""

from __future__ import annotations

from typing import TypeVar

from pyxfrm.errors import UsageError

__all__ = ["U16", "U32", "U64", "U8", "as_seen", "fits", "uint"]

T = TypeVar("T")

U8 = (1 << 8) - 1
U16 = (1 << 16) - 1
U32 = (1 << 32) - 1
U64 = (1 << 64) - 1

_new = object.__new__
_set = object.__setattr__


def as_seen(cls: type[T], *values: object) -> T:
    """A value with these fields, in order, unchecked: for what a kernel showed."""
    made = _new(cls)
    for name, value in zip(cls.__slots__, values, strict=True):  # type: ignore[attr-defined]
        _set(made, name, value)
    return made


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
