"""The C types that structures are declared with.

A structure is a ``NamedTuple`` whose annotations are rows: the Python type a reader gets, and, inside
``Annotated``, how C lays it out. Offsets and padding are not written down: they follow from C's own rule
(each field at a multiple of its alignment, the whole rounded up to the largest), and a golden file made by a
compiler checks them.

Padding is data too: the kernel compares selectors with memcmp, padding included, and a recorded message must
come out as it went in. So a structure that has padding declares a last field ``pad``, which holds all its padding
bytes one after another.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, TypeVar

__all__ = [
    "Addr",
    "AlgName",
    "Be16",
    "Be32",
    "Blob",
    "Bytes",
    "CStruct",
    "C_STRUCTS",
    "I32",
    "NETLINK_H",
    "Padding",
    "Scalar",
    "Secret",
    "Tail",
    "U16",
    "U32",
    "U64",
    "U8",
    "XFRM_H",
    "c_struct",
]

NETLINK_H = "linux/netlink.h"
XFRM_H = "linux/xfrm.h"

# The kinds are compared by identity, not by value: Padding(1) must not equal Tail(True), for before Python
# 3.11.4 ``Annotated[bytes, x]`` is cached by the value of x and would give one for the other. They are plain classes, as
# this is loaded by every command, and :mod:`dataclasses` takes longer to load than all of them together.


class Scalar:
    """An integer: ``code`` as in :mod:`struct`, ``size`` bytes, network byte order if ``big``."""

    __slots__ = ("big", "code", "size")

    def __init__(self, code: str, size: int, *, big: bool = False) -> None:
        self.code = code
        self.size = size
        self.big = big


class Bytes:
    """``size`` raw bytes, aligned to ``align``."""

    __slots__ = ("align", "size")

    def __init__(self, size: int, align: int = 1) -> None:
        self.size = size
        self.align = align


class Tail:
    """A flexible array at the end: all the bytes that are left. ``secret``: never shown."""

    __slots__ = ("secret",)

    def __init__(self, *, secret: bool = False) -> None:
        self.secret = secret


class Padding:
    """Marks the field that collects the padding bytes; ``size`` in all."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size


U8 = Annotated[int, Scalar("B", 1)]
U16 = Annotated[int, Scalar("H", 2)]
U32 = Annotated[int, Scalar("I", 4)]
U64 = Annotated[int, Scalar("Q", 8)]
I32 = Annotated[int, Scalar("i", 4)]
Be16 = Annotated[int, Scalar("H", 2, big=True)]
Be32 = Annotated[int, Scalar("I", 4, big=True)]
Addr = Annotated[bytes, Bytes(16, 4)]  # xfrm_address_t: IPv4 in the first 4 bytes, or IPv6
AlgName = Annotated[bytes, Bytes(64)]  # char[64], NUL-terminated
Blob = Annotated[bytes, Tail()]
Secret = Annotated[bytes, Tail(secret=True)]


class CStruct(NamedTuple):
    """What is known of a structure besides its rows: its name in C and the header that defines it."""

    c_name: str
    header: str
    cls: type[Any]


C_STRUCTS: dict[type[Any], CStruct] = {}

T = TypeVar("T", bound=tuple[Any, ...])


def c_struct(c_name: str, header: str = XFRM_H) -> Any:
    """Register a ``NamedTuple`` as the declaration of ``struct c_name`` of ``header``."""

    def register(cls: type[T]) -> type[T]:
        C_STRUCTS[cls] = CStruct(c_name, header, cls)
        if Secret in cls.__annotations__.values():
            cls.__repr__ = _repr_without_secrets  # type: ignore[method-assign]
        return cls

    return register


def _repr_without_secrets(self: Any) -> str:
    """``repr`` of a structure with a key: as a NamedTuple's own, the key replaced by its length."""
    *shown, (tail, key) = self._asdict().items()
    fields = "".join(f"{name}={value!r}, " for name, value in shown)
    return f"{type(self).__name__}({fields}{tail}=<{len(key)} bytes hidden>)"
