"""Plans as text, and back: what the journal keeps and ``--json`` prints.

Only the classes in :data:`CLASSES` can be written. :class:`~pyxfrm.model.Sa`, :class:`~pyxfrm.model.Algorithm` and :class:`~pyxfrm.model.Key` are
not among them, so no key can get into a record, whatever a plan comes to hold.

>>> load(dump(ip("192.0.2.1")))
ip('192.0.2.1')
"""

from __future__ import annotations

import json
from dataclasses import fields
from enum import Enum, IntEnum, IntFlag
from functools import lru_cache
from typing import Any

from pyxfrm.errors import MalformedError
from pyxfrm.model import (
    HOST_TO_HOST,
    INHERIT,
    REMOVE,
    Action,
    Address,
    Direction,
    Encap,
    EncapKind,
    Family,
    Limits,
    Mark,
    Migration,
    Mode,
    Network,
    Offload,
    OffloadFlag,
    Policy,
    PolicyFlag,
    PolicyId,
    PolicyType,
    Port,
    Proto,
    SaDir,
    SaId,
    SecurityContext,
    Selector,
    Share,
    Template,
    ip,
)
from pyxfrm.model.checks import as_seen
from pyxfrm.relocation.blocks import Guard
from pyxfrm.relocation.dual import Rule
from pyxfrm.relocation.facts import Features
from pyxfrm.relocation.footprint import Footprint
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import (
    Left,
    Options,
    Plan,
    PolicyMove,
    Refusal,
    SaMove,
    Strategy,
    Why,
)
from pyxfrm.relocation.wish import Select, Wish

__all__ = ["CLASSES", "dump", "dumps", "load", "loads"]

CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        Address,
        Encap,
        Features,
        Footprint,
        Left,
        Limits,
        Mark,
        Migration,
        Network,
        Offload,
        Options,
        Plan,
        Policy,
        PolicyId,
        PolicyMove,
        Port,
        Refusal,
        Rule,
        SaId,
        SaMove,
        SecurityContext,
        Select,
        Selector,
        Template,
        Wish,
    )
}

_FIELDS = {name: tuple(f.name for f in fields(cls)) for name, cls in CLASSES.items()}

_ENUMS: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        Action,
        Direction,
        EncapKind,
        Family,
        Guard,
        Mode,
        OffloadFlag,
        PolicyFlag,
        PolicyType,
        Proto,
        SaDir,
        Share,
        State,
        Strategy,
        Why,
    )
}

_CHOICES = {choice.value: choice for choice in (HOST_TO_HOST, INHERIT, REMOVE)}


def dump(value: Any) -> Any:
    """A value as what :mod:`json` can write. TypeError for anything that has no place in a record."""
    if value is None or isinstance(value, bool | str | float):
        return value
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, Enum):
        return _dump_enum(value)
    if isinstance(value, int):
        return value
    if isinstance(value, tuple):
        return [dump(item) for item in value]
    if isinstance(value, frozenset):
        return {"set": sorted((dump(item) for item in value), key=json.dumps)}
    name = type(value).__name__
    if CLASSES.get(name) is not type(value):
        raise TypeError(f"{name} has no place in a record")
    if isinstance(value, Address):
        return {"Address": str(value)} if value.family in _IP else _dump_fields(name, value)
    return _dump_fields(name, value)


_IP = (Family.INET, Family.INET6)


def _dump_fields(name: str, value: Any) -> dict[str, Any]:
    return {name: {field: dump(getattr(value, field)) for field in _FIELDS[name]}}


def _dump_enum(value: Enum) -> Any:
    if value in (HOST_TO_HOST, INHERIT, REMOVE):
        return {"choice": value.value}
    name = type(value).__name__
    if name not in _ENUMS:
        raise TypeError(f"{name} has no place in a record")
    plain = int(value) if isinstance(value, IntEnum | IntFlag) else value.value
    return {name: plain}


def load(data: Any) -> Any:
    """The value again. MalformedError for what :func:`dump` did not write."""
    if isinstance(data, list):
        return tuple(load(item) for item in data)
    if not isinstance(data, dict):
        return data
    if len(data) != 1:
        raise MalformedError("record: an object must have one name")
    ((name, inner),) = data.items()
    if name == "bytes":
        return bytes.fromhex(inner)
    if name == "set":
        return frozenset(load(item) for item in inner)
    if name == "choice":
        return _CHOICES[inner]
    if name in _ENUMS:
        return _ENUMS[name](inner)
    if name == "Address" and isinstance(inner, str):
        return ip(inner)
    if name not in CLASSES:
        raise MalformedError(f"record: no class {name!r}")
    return _load_fields(name, inner)


def _load_fields(name: str, inner: dict[str, Any]) -> Any:
    """As a kernel showed it: a plan may hold values that nobody could mean, and must show them."""
    try:
        return as_seen(CLASSES[name], *(load(inner[field]) for field in _FIELDS[name]))
    except KeyError as why:
        raise MalformedError(f"record: {name} without {why}") from None


def dumps(value: Any) -> str:
    """A value as JSON text, one line."""
    return json.dumps(dump(value), separators=(",", ":"), sort_keys=True)


@lru_cache(maxsize=16)
def loads(text: str) -> Any:
    """The value again. MalformedError if the text is no record.

    Values are frozen, and a journal reads its open relocation again and again: the last ones are kept.
    """
    try:
        return load(json.loads(text))
    except (ValueError, TypeError, AttributeError, KeyError) as why:
        raise MalformedError(f"record: {why}") from None
