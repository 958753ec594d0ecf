"""A JSON Schema validator for what ``xfrm schema`` uses of the language; closed: a member that is not named is a fault."""

from __future__ import annotations

from typing import Any

TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}


def faults(value: Any, schema: dict[str, Any], defs: dict[str, Any], at: str = "") -> list[str]:
    """What is wrong, each with its place."""
    if "$ref" in schema:
        return faults(value, defs[schema["$ref"].rpartition("/")[2]], defs, at)
    if "anyOf" in schema:
        tried = [faults(value, each, defs, at) for each in schema["anyOf"]]
        return [] if [] in tried else min(tried, key=len)
    if "const" in schema:
        return [] if value == schema["const"] else [f"{at}: {value!r} is not {schema['const']!r}"]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{at}: {value!r} is none of {schema['enum']}"]
    kind = schema.get("type")
    if kind is not None and not is_a(value, kind):
        return [f"{at}: {value!r} is no {kind}"]
    if kind == "array":
        return [
            f
            for i, one in enumerate(value)
            for f in faults(one, schema["items"], defs, f"{at}[{i}]")
        ]
    return members(value, schema, defs, at) if kind == "object" else []


def is_a(value: Any, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def members(value: Any, schema: dict[str, Any], defs: dict[str, Any], at: str) -> list[str]:
    own = schema.get("properties", {})
    more = schema.get("additionalProperties")
    found = [f"{at}.{name}: is missing" for name in schema.get("required", ()) if name not in value]
    for name, one in value.items():
        if name in own or more is not None:
            found += faults(one, own.get(name, more), defs, f"{at}.{name}")
        else:
            found.append(f"{at}.{name}: is not documented")
    return found
