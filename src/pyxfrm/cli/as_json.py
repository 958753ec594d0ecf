"""The JSON that ``--json`` gives: schema 1, told in docs/json.md.

A document is one object: ``{"schema": 1, "<what>": ...}``; ``monitor`` writes one object a line. Numbers are numbers, addresses and networks are text, what an SA or policy
does not have is absent. A key is ``{"bits": 160}``, with ``"hex"`` only under ``--show-keys``. A field may be added within a schema; none changes
its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from enum import Enum, Flag, IntEnum
from typing import IO, Any

from pyxfrm.cli import told
from pyxfrm.cli.json_table import SCHEMA
from pyxfrm.client import PolicyRecord, SaRecord, events
from pyxfrm.client.info import Aevent, Defaults, SpdInfo
from pyxfrm.errors import XfrmError
from pyxfrm.model import (
    Address,
    Algorithm,
    Key,
    Mark,
    Network,
    Policy,
    Port,
    ReplayState,
    Sa,
    SaId,
    SecurityContext,
    Selector,
    Template,
)
from pyxfrm.wire.messages import message_name

__all__ = ["SCHEMA", "defaults", "document", "event", "policy", "sa_id", "spd", "state", "stream"]

Json = dict[str, Any]


def document(what: str, content: Any) -> str:
    """One document."""
    return json.dumps({"schema": SCHEMA, what: content})


def stream(out: IO[str], what: str, entries: Iterable[Json]) -> None:
    """A document of many entries, written as they come.

    What was written cannot be taken back. So where the entries fail, or somebody ends it, the document ends with ``error``, and the error goes on.
    """
    out.write(f'{{"schema": {SCHEMA}, "{what}": [')
    between = "\n"
    try:
        for entry in entries:
            out.write(between + json.dumps(entry))
            between = ",\n"
    except (XfrmError, KeyboardInterrupt) as why:
        error = told(why) if isinstance(why, XfrmError) else "interrupted"
        out.write(f'\n], "error": {json.dumps(error)}}}\n')
        out.flush()
        raise
    out.write("\n]}\n")


def _flags(value: Flag) -> list[str]:
    """Names of the flags, lowest first; what has no name as a number."""
    names: list[str] = []
    left = int(value.value)
    for one in type(value):
        if left & one.value:
            names.append(str(one.name).lower().replace("_", "-"))
            left &= ~one.value
    return [*names, f"{left:#x}"] if left else names


def _plain(value: Any, *, keys: bool) -> Any:
    """Any value of the model as JSON has it."""
    if isinstance(value, Flag):
        return _flags(value)
    if isinstance(value, IntEnum):
        return str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Address | Network):
        return str(value)
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, tuple):
        return [_plain(one, keys=keys) for one in value]
    special = _SPECIAL.get(type(value))
    if special is not None:
        return special(value, keys)
    assert is_dataclass(value)  # noqa: S101  # the model has nothing else
    return _fields(value, keys=keys)


def _fields(value: Any, *, keys: bool, without: tuple[str, ...] = ()) -> Json:
    """The fields of a value that are not empty."""
    found: Json = {}
    for field in fields(value):
        own = getattr(value, field.name)
        if field.name in without or own is None or own == () or (isinstance(own, Flag) and not own):
            continue
        plain = _plain(own, keys=keys)
        if plain != {}:
            found[field.name] = plain
    return found


def _key(key: Key, keys: bool) -> Json:
    return {"bits": key.bits, "hex": key.reveal().hex()} if keys else {"bits": key.bits}


def _algorithm(value: Algorithm, keys: bool) -> Json:
    found: Json = {"kind": value.kind.name.lower(), "name": value.name}
    if value.key.bits:
        found["key"] = _key(value.key, keys)
    if value.bits is not None:
        found["icv_bits"] = value.bits
    return found


def _mark(value: Mark, _: bool) -> Json:
    return {"value": value.value, "mask": value.mask}


def _port(value: Port, _: bool) -> Json:
    return {"value": value.value, "mask": value.mask}


def _selector(value: Selector, _: bool) -> Json:
    found: Json = {"family": str(value.family), "src": str(value.saddr), "dst": str(value.daddr)}
    for name, number in (("proto", value.proto), ("ifindex", value.ifindex), ("user", value.user)):
        if number:
            found[name] = number
    for name, port in (("sport", value.sport), ("dport", value.dport)):
        if port.mask:
            found[name] = _port(port, False)
    return found


def _replay(value: ReplayState, _: bool) -> Json:
    found: Json = {"window": value.window, "oseq": value.oseq, "seq": value.seq}
    found |= {"bitmap": f"{value.bitmap:x}", "esn": value.esn}
    if value.words is not None:
        found["words"] = value.words
    return found


def _context(value: SecurityContext, _: bool) -> Json:
    return {"text": value.text.rstrip(b"\0").decode("utf-8", "replace"), "doi": value.doi}


def sa_id(value: SaId) -> Json:
    """An SA's name."""
    return _sa_id(value, False)


def _sa_id(value: SaId, _: bool) -> Json:
    found: Json = {"dst": str(value.daddr), "proto": str(value.proto), "spi": value.spi}
    if value.mark is not None:
        found["mark"] = _mark(value.mark, False)
    return found


def _sa(value: Sa, keys: bool) -> Json:
    found: Json = {"id": _sa_id(value.id, keys), "src": str(value.saddr)}
    return found | _fields(value, keys=keys, without=("id", "saddr"))


def _aevent(value: Aevent, keys: bool) -> Json:
    return _fields(value, keys=keys) | {"bitmap": f"{value.bitmap:x}"}


def _template(value: Template, keys: bool) -> Json:
    ends: Json = {"src": str(value.saddr), "dst": str(value.daddr)}
    return ends | _fields(value, keys=keys, without=("saddr", "daddr"))


def _policy(value: Policy, keys: bool) -> Json:
    return _fields(value, keys=keys)


_SPECIAL: dict[type, Any] = {
    Aevent: _aevent,
    Algorithm: _algorithm,
    Key: _key,
    Mark: _mark,
    Policy: _policy,
    Port: _port,
    ReplayState: _replay,
    Sa: _sa,
    SaId: _sa_id,
    SecurityContext: _context,
    Selector: _selector,
    Template: _template,
}


def state(record: SaRecord, *, keys: bool) -> Json:
    """One SA, with what the kernel counted."""
    found = _sa(record.sa, keys)
    found["counters"] = _plain(record.counters, keys=keys)
    found["refusals"] = _plain(record.refusals, keys=keys)
    if record.last_used is not None:
        found["last_used"] = record.last_used
    return found


def policy(record: PolicyRecord) -> Json:
    """One policy, with what the kernel counted."""
    return _policy(record.policy, False) | {"counters": _plain(record.counters, keys=False)}


def defaults(value: Defaults) -> Json:
    """What becomes of packets that no policy matches."""
    return {"in": str(value.inbound), "fwd": str(value.forward), "out": str(value.outbound)}


def spd(info: SpdInfo) -> Json:
    """Numbers of policies, and how they are hashed."""
    return {
        "policies": dict(zip(("in", "out", "fwd"), info.policies, strict=True)),
        "socket_policies": dict(zip(("in", "out", "fwd"), info.socket_policies, strict=True)),
        "buckets": info.buckets,
        "max_buckets": info.max_buckets,
        "thresholds4": [*info.thresholds4],
        "thresholds6": [*info.thresholds6],
    }


def event(value: events.Event, *, keys: bool, beside: Json | None = None) -> str:
    """One event, on one line. ``beside``: what else is known of it."""
    found: Json = {"schema": SCHEMA, "event": type(value).__name__} | (beside or {})
    for field in fields(value):
        own = getattr(value, field.name)
        if isinstance(own, SaRecord):
            found[field.name] = state(own, keys=keys)
        elif isinstance(own, PolicyRecord):
            found[field.name] = policy(own)
        elif isinstance(own, Defaults):
            found[field.name] = defaults(own)
        elif isinstance(own, bytes):
            found[field.name] = f"{len(own)} bytes"
        elif own is not None:
            found[field.name] = _plain(own, keys=keys)
    if isinstance(value, events.UnknownEvent):
        found["type"] = message_name(value.type)
    return json.dumps(found)
