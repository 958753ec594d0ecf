"""From one declaration of a structure: its size, decoder, encoder, field offsets and text.

A declaration is a ``NamedTuple`` whose annotations say how C lays each field out (:mod:`pyxfrm.abi.ctypes`). The first use
of :func:`codec` walks it, nested structures included, into a flat list of leaves with their offsets by
C's alignment rule. Three small functions are written for it, as :mod:`dataclasses` does for ``__init__``, each when it is
first asked for (a command that lists SAs only decodes):

* decode: one ``struct`` unpack of the whole for the host-order leaves, one for the network-order leaves (if any), and the
  tuples put together;
* encode: length checks, and one ``struct`` pack; runs of network-order leaves are packed apart and put in as bytes;
* pack: the same from the fields, without a tuple: for who makes messages by the thousand.

So the work a message costs is a handful of C calls, whatever its number of fields.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from pyxfrm.abi.ctypes import C_STRUCTS, Bytes, Padding, Scalar, Tail
from pyxfrm.errors import MalformedError, UsageError

__all__ = ["Codec", "Leaf", "codec", "show"]

T = TypeVar("T", bound=tuple[Any, ...])

_BIG_HOST = sys.byteorder == "big"


class Leaf(NamedTuple):
    """One field that is not itself a structure. ``path`` leads to it, e.g. ``("sel", "family")``.

    Padding has ``kind`` None where it is found in the enclosing structure's ``pad``, else it is zeros.
    """

    path: tuple[str, ...]
    offset: int
    size: int
    kind: Scalar | Bytes | Padding | None


class Codec(Generic[T]):
    """How one structure is read and written.

    ``size``    bytes of its fixed part, as C's sizeof
    ``align``   its alignment
    ``leaves``  its fields, in the order of their offsets
    ``tail``    name of the flexible array at its end, or ""
    ``decode``  ``decode(data, offset=0) -> value``; a tail takes all that is left of ``data``
    ``encode``  ``encode(value) -> bytes``
    ``pack``    ``pack(field, field, ...) -> bytes``, in the order of the declaration: integers; bytes, which zeros
                fill up to the field's size (so an IPv4 address may have its 4); structures inside as their bytes,
                whole; the tail. Padding is left out: it is zeros
    """

    decode: Callable[..., T]
    encode: Callable[[T], bytes]
    pack: Callable[..., bytes]

    def __init__(self, cls: type[T]) -> None:
        self.cls = cls
        self.name = C_STRUCTS[cls].c_name
        self.rows = _rows(cls)
        self.leaves, self.align, self.size = _lay_out(self.rows)
        self.tail = next((n for n, kind in self.rows if isinstance(kind, Tail)), "")
        self.secret = next((n for n, k in self.rows if isinstance(k, Tail) and k.secret), "")

    def __getattr__(self, name: str) -> Any:
        if name not in _WRITTEN:
            raise AttributeError(name)
        setattr(self, name, _Writer(self).write(name))
        return getattr(self, name)

    def offset(self, name: str) -> int:
        """Offset in bytes of a direct field, as C's offsetof; the size for the tail."""
        if name == self.tail:
            return self.size
        return next(leaf.offset for leaf in self.leaves if leaf.path[0] == name)


_WRITTEN = ("decode", "encode", "pack")
_CACHE: dict[type[Any], Codec[Any]] = {}


def codec(cls: type[T]) -> Codec[T]:
    """The codec of a structure declared in :mod:`pyxfrm.abi`, made on first use. UsageError for any other class."""
    made = _CACHE.get(cls)
    if made is None:
        if cls not in C_STRUCTS:
            raise UsageError(f"{cls.__name__}: not a structure that pyxfrm.abi declares")
        made = _CACHE[cls] = Codec(cls)
    return made


Kind = Scalar | Bytes | Padding | Tail | type[Any]


def _rows(cls: type[Any]) -> list[tuple[str, Kind]]:
    """Names and kinds. Declarations are not postponed to strings, so that reading them needs no evaluation."""
    rows = cls.__annotations__.items()
    return [(name, getattr(hint, "__metadata__", (hint,))[0]) for name, hint in rows]


def _round_up(offset: int, align: int) -> int:
    return (offset + align - 1) // align * align


def _lay_out(rows: list[tuple[str, Kind]]) -> tuple[list[Leaf], int, int]:
    """C's rule: each field at a multiple of its alignment, the whole a multiple of the largest."""
    leaves: list[Leaf] = []
    at = 0
    largest = 1

    def pad_to(align: int) -> None:
        nonlocal at
        end = _round_up(at, align)
        if end > at:
            leaves.append(Leaf(("pad",), at, end - at, None))
            at = end

    for name, kind in rows:
        if isinstance(kind, Padding | Tail):
            continue
        if isinstance(kind, Scalar | Bytes):
            align = kind.size if isinstance(kind, Scalar) else kind.align
            pad_to(align)
            leaves.append(Leaf((name,), at, kind.size, kind))
            at += kind.size
        else:
            inner = codec(kind)
            align = inner.align
            pad_to(align)
            leaves += [
                leaf._replace(path=(name, *leaf.path), offset=leaf.offset + at)
                for leaf in inner.leaves
            ]
            at += inner.size
        largest = max(largest, align)
    pad_to(largest)
    return leaves, largest, at


class _Writer:
    """Writes the functions of a codec as source and compiles them."""

    def __init__(self, made: Codec[Any]) -> None:
        self.codec = made
        self.env: dict[str, Any] = {"new": tuple.__new__, "error": struct.error}
        self.var = {(leaf.path, leaf.offset): f"v{i}" for i, leaf in enumerate(made.leaves)}

    def write(self, name: str) -> Any:
        source: str = getattr(self, name)()
        exec(compile(source, f"<codec of struct {self.codec.name}>", "exec"), self.env)  # noqa: S102
        return self.env[name]

    # -- decode ------------------------------------------------------------------------------

    def decode(self) -> str:
        host = [leaf for leaf in self.codec.leaves if not _is_big(leaf)]
        big = [leaf for leaf in self.codec.leaves if _is_big(leaf)]
        body = []
        for order, leaves, name in (("=", host, "host"), (">", big, "net")):
            if leaves:
                self.env[name] = struct.Struct(order + _format(leaves, self.codec.size)).unpack_from
                targets = "".join(f"{self._v(leaf)}, " for leaf in leaves)
                body.append(f"        {targets}= {name}(data, offset)")
        self.env["short"] = self._short
        value = self._tuple(self.codec, (), 0)
        return "\n".join(
            [
                "def decode(data, offset=0):",
                "    try:",
                *body,
                "    except error:",
                "        raise short(data, offset) from None",
                f"    return {value}",
            ]
        )

    def _short(self, data: bytes, offset: int) -> MalformedError:
        made = self.codec
        have = max(len(data) - offset, 0)
        return MalformedError(f"struct {made.name}: needs {made.size} bytes, has {have}", offset)

    def _v(self, leaf: Leaf) -> str:
        return self.var[leaf.path, leaf.offset]

    def _tuple(self, made: Codec[Any], path: tuple[str, ...], base: int) -> str:
        """Source that builds the tuple of ``made``, found at ``path`` and byte ``base``."""
        cls = f"c_{made.name}"
        self.env[cls] = made.cls
        parts = []
        for name, kind in made.rows:
            here = (*path, name)
            if isinstance(kind, Tail):
                parts.append(f"data[offset + {made.size}:]")
            elif isinstance(kind, Padding):
                pads = [x for x in made.leaves if x.kind is None and x.path == ("pad",)]
                parts.append(" + ".join(self.var[here, base + p.offset] for p in pads))
            elif isinstance(kind, Scalar | Bytes):
                parts.append(self.var[here, base + made.offset(name)])
            else:
                start = base + made.offset(name)
                parts.append(self._tuple(codec(kind), here, start))
        return f"new({cls}, ({''.join(p + ', ' for p in parts)}))"

    # -- encode ------------------------------------------------------------------------------

    def encode(self) -> str:
        made = self.codec
        lines = ["def encode(value):"]
        self._take(made, "value", (), 0, lines)
        arguments = self._arguments()
        self.env["pack_all"] = struct.Struct("=" + _packed_format(made.leaves)).pack
        self.env["misfit"] = self._misfit
        tail = f" + {self.tail_var}" if made.tail else ""
        lines += [
            "    try:",
            f"        return pack_all({', '.join(arguments)}){tail}",
            "    except error:",
            "        raise misfit(value) from None",
        ]
        return "\n".join(lines)

    tail_var = "t"

    def _take(
        self, made: Codec[Any], source: str, path: tuple[str, ...], base: int, out: list[str]
    ) -> None:
        """Lines that take a value apart into the leaves' variables."""
        targets = []
        after: list[str] = []
        for name, kind in made.rows:
            here = (*path, name)
            if isinstance(kind, Tail):
                targets.append(self.tail_var)
            elif isinstance(kind, Padding):
                pads = [x for x in made.leaves if x.kind is None and x.path == ("pad",)]
                whole = "_".join(("p", *here))
                targets.append(whole)
                after += _check(whole, kind.size, here)
                start = 0
                for p in pads:
                    after.append(
                        f"    {self.var[here, base + p.offset]} = {whole}[{start}:{start + p.size}]"
                    )
                    start += p.size
            elif isinstance(kind, Scalar | Bytes):
                var = self.var[here, base + made.offset(name)]
                targets.append(var)
                if isinstance(kind, Bytes):
                    after += _check(var, kind.size, here)
            else:
                var = "_".join(("n", *here))
                targets.append(var)
                self._take(codec(kind), var, here, base + made.offset(name), after)
        self.env["wrong"] = self._wrong
        out.append(f"    {''.join(t + ', ' for t in targets)}= {source}")
        out += after

    def _arguments(self) -> list[str]:
        """What is packed: host leaves as they are, a run of network-order leaves as its bytes."""
        arguments = []
        for i, run in enumerate(_runs(self.codec.leaves)):
            names = ", ".join(self._v(leaf) for leaf in run)
            if _is_big(run[0]):
                self.env[f"net{i}"] = struct.Struct(">" + _packed_format(run, inside=True)).pack
                names = f"net{i}({names})"
            arguments.append(names)
        return arguments

    # -- pack --------------------------------------------------------------------------------

    def pack(self) -> str:
        """Like the encoder, but its leaves are the direct fields, structures among them as bytes."""
        made = self.codec
        rows = [(name, kind) for name, kind in made.rows if not isinstance(kind, Padding)]
        leaves = _fill([_direct(made, *row) for row in rows if row[0] != made.tail], made.size)
        arguments = []
        for i, run in enumerate(_runs(leaves)):
            names = ", ".join(leaf.path[0] for leaf in run if not isinstance(leaf.kind, Padding))
            if _is_big(run[0]):
                self.env[f"big{i}"] = struct.Struct(">" + _packed_format(run, inside=True)).pack
                names = f"big{i}({names})"
            if names:
                arguments.append(names)
        self.env["pack_all"] = struct.Struct("=" + _packed_format(leaves)).pack
        self.env["unfit"] = self._unfit
        names = ", ".join(name for name, _ in rows)
        tail = f" + {made.tail}" if made.tail else ""
        return "\n".join(
            [
                f"def pack({names}):",
                "    try:",
                f"        return pack_all({', '.join(arguments)}){tail}",
                "    except error:",
                f"        raise unfit(({names},)) from None",
            ]
        )

    def _unfit(self, fields: tuple[Any, ...]) -> UsageError:
        made = self.codec
        kinds = [row for row in made.rows if not isinstance(row[1], Padding)]
        for (name, kind), field in zip(kinds, fields, strict=True):
            code = kind.code if isinstance(kind, Scalar) else "s"
            try:
                struct.pack("=" + code, field)
            except struct.error as why:
                return UsageError(f"struct {made.name}: {name}: {why}")
        return UsageError(f"struct {made.name}: a field does not fit")

    def _wrong(self, path: str, want: int, got: Any) -> UsageError:
        name = self.codec.name
        if not isinstance(got, bytes | bytearray | memoryview):
            return UsageError(
                f"struct {name}: {path} must be {want} bytes, not {type(got).__name__}"
            )
        return UsageError(f"struct {name}: {path} must be {want} bytes, not {len(got)}")

    def _misfit(self, value: Any) -> UsageError:
        made = self.codec
        for leaf in made.leaves:
            if isinstance(leaf.kind, Scalar):
                field = value
                for step in leaf.path:
                    field = getattr(field, step)
                try:
                    struct.pack("=" + leaf.kind.code, field)
                except struct.error as why:
                    return UsageError(f"struct {made.name}: {'.'.join(leaf.path)}: {why}")
        return UsageError(f"struct {made.name}: a field does not fit")


def _check(var: str, size: int, path: tuple[str, ...]) -> list[str]:
    text = ".".join(path)
    return [
        f"    if type({var}) is not bytes or len({var}) != {size}:",
        f"        raise wrong({text!r}, {size}, {var})",
    ]


def _direct(made: Codec[Any], name: str, kind: Kind) -> Leaf:
    """A field as a leaf, whatever is in it."""
    if isinstance(kind, Scalar | Bytes):
        return Leaf((name,), made.offset(name), kind.size, kind)
    assert isinstance(kind, type)  # noqa: S101  # a structure: no tail and no padding comes here
    size = codec(kind).size
    return Leaf((name,), made.offset(name), size, Bytes(size))


def _gap(at: int, size: int) -> Leaf:
    return Leaf(("pad",), at, size, Padding(size))


def _fill(leaves: list[Leaf], size: int) -> list[Leaf]:
    """With what lies between them, up to ``size``, as padding."""
    filled = []
    at = 0
    for leaf in leaves:
        if leaf.offset > at:
            filled.append(_gap(at, leaf.offset - at))
        filled.append(leaf)
        at = leaf.offset + leaf.size
    if size > at:
        filled.append(_gap(at, size - at))
    return filled


def _is_big(leaf: Leaf) -> bool:
    return isinstance(leaf.kind, Scalar) and leaf.kind.big and not _BIG_HOST


def _code(leaf: Leaf) -> str:
    if isinstance(leaf.kind, Scalar):
        return leaf.kind.code
    return f"{leaf.size}{'x' if isinstance(leaf.kind, Padding) else 's'}"


def _format(leaves: list[Leaf], size: int) -> str:
    """Format of just these leaves, everything between them skipped; ``size`` bytes in all."""
    at = 0
    parts = []
    for leaf in leaves:
        if leaf.offset > at:
            parts.append(f"{leaf.offset - at}x")
        parts.append(_code(leaf))
        at = leaf.offset + leaf.size
    if size > at:
        parts.append(f"{size - at}x")
    return "".join(parts)


def _runs(leaves: list[Leaf]) -> list[list[Leaf]]:
    """Neighbours of one byte order."""
    runs: list[list[Leaf]] = []
    for leaf in leaves:
        if runs and _is_big(runs[-1][-1]) == _is_big(leaf):
            runs[-1].append(leaf)
        else:
            runs.append([leaf])
    return runs


def _packed_format(leaves: list[Leaf], *, inside: bool = False) -> str:
    """Format for packing: a run of network-order leaves counts as bytes, unless we are inside it."""
    parts = []
    for run in _runs(leaves):
        if _is_big(run[0]) and not inside:
            parts.append(f"{sum(leaf.size for leaf in run)}s")
        else:
            parts += [_code(leaf) for leaf in run]
    return "".join(parts)


def show(value: Any) -> str:
    """A structure as text, ``name=value`` a field, zero padding left out and secrets hidden."""
    made = codec(type(value))
    parts = []
    for name, kind in made.rows:
        field = getattr(value, name)
        if isinstance(kind, Padding) and not any(field):
            continue
        if name == made.secret:
            text = f"<{len(field)} bytes hidden>" if field else "<none>"
        elif isinstance(field, bytes):
            text = field.hex() or '""'
        elif isinstance(field, tuple):
            text = f"({show(field)})"
        else:
            text = str(field)
        parts.append(f"{name}={text}")
    return " ".join(parts)
