"""The lines of ``ip xfrm state`` and ``ip xfrm policy``, each read by a function that knows its words.

A reader gets the fields found so far and the words of one line. It raises :class:`FieldError` for a word that is there and makes no sense; what it says
never repeats a word of a line that can hold a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from pyxfrm.errors import UsageError
from pyxfrm.model import ip, network

__all__ = ["ALGORITHMS", "AlgorithmText", "FieldError", "Masked", "read_header", "read_line"]

ALGORITHMS = ("aead", "auth", "auth-trunc", "comp", "enc")

Fields = dict[str, Any]
Words = list[str]


class FieldError(Exception):
    """A word that cannot be meant."""


class Masked(NamedTuple):
    """A mark: value and mask."""

    value: int
    mask: int


class AlgorithmText(NamedTuple):
    """``key_bits`` None: the text hides the key. ``icv_bits`` None: it has none, or the text does not say."""

    kind: str
    name: str
    key_bits: int | None
    icv_bits: int | None


def _number(name: str, word: str) -> int:
    """A number, what stands behind it in brackets left out: ``0x00000100(256)``."""
    bare = word.partition("(")[0].rstrip(",")
    try:
        value = int(bare, 16 if bare[:2].lower() == "0x" else 10)
    except ValueError:
        raise FieldError(f"{name}: {word!r} is not a number") from None
    if value < 0:
        raise FieldError(f"{name}: {word!r} is below 0")
    return value


def _address(name: str, word: str, *, net: bool = False) -> Any:
    try:
        return network(word) if net else ip(word)
    except UsageError as why:
        raise FieldError(f"{name}: {why}") from None


def _mask(name: str, word: str) -> Masked:
    value, slash, mask = word.partition("/")
    return Masked(_number(name, value), _number(name, mask) if slash else 0xFFFFFFFF)


def _pairs(words: Words, known: tuple[str, ...]) -> dict[str, str]:
    """``name value name value``; FieldError for a name without value and for one that is not ``known``."""
    found = {}
    for at in range(0, len(words), 2):
        name = words[at]
        if name not in known:
            raise FieldError(f"{name!r} is not expected here")
        if at + 1 == len(words):
            raise FieldError(f"{name}: a value is missing")
        found[name] = words[at + 1]
    return found


def _need(found: dict[str, str], name: str) -> str:
    if name not in found:
        raise FieldError(f"{name} is missing")
    return found[name]


# -- first lines -----------------------------------------------------------------------------------

_SELECTOR = ("src", "dst", "proto", "sport", "dport", "type", "code", "key", "dev", "uid")


def _selector(words: Words) -> Fields:
    found: Fields = dict(_pairs(words, _SELECTOR))
    for name in ("src", "dst"):
        found[name] = _address(name, _need(found, name), net=True)
    for name in ("uid", "type", "code"):
        if name in found:
            found[name] = _number(name, found[name])
    return found


def read_header(fields: Fields, text: str, *, policy: bool) -> None:
    """``src ... dst ...``."""
    words = text.split()
    if policy:
        fields["sel"] = _selector(words)
        return
    found = _pairs(words, ("src", "dst"))
    for name in ("src", "dst"):
        fields[name] = _address(name, _need(found, name))


# -- lines of both ---------------------------------------------------------------------------------

_LIMIT = re.compile(
    r"limit: soft (\(INF\)|\d+) ?\((bytes|packets)\), hard (\(INF\)|\d+) ?\((bytes|packets)\)"
)
_EXPIRE = re.compile(r"expire (add|use): soft (\d+) ?\(sec\), hard (\d+) ?\(sec\)")
_CURRENT = re.compile(r"(\d+) ?\(bytes\), (\d+) ?\(packets\)")
_TIMES = re.compile(r"add (.+?) use (.+)")


def _limit(fields: Fields, text: str) -> None:
    limits = fields.setdefault("limits", {})
    if match := _LIMIT.fullmatch(text):
        for way, count in (("soft", match[1]), ("hard", match[3])):
            if count != "(INF)":
                limits[f"{way}_{match[2]}"] = int(count)
    elif match := _EXPIRE.fullmatch(text):
        for way, seconds in (("soft", match[2]), ("hard", match[3])):
            if int(seconds):
                limits[f"{way}_{match[1]}"] = int(seconds)
    else:
        raise FieldError("not a limit as `ip -s xfrm` prints it")


def _current(fields: Fields, text: str) -> bool:
    """What went through, and when it began: lines that begin with a number, and with ``add``."""
    if match := _CURRENT.fullmatch(text):
        fields["counters"] = {"bytes": int(match[1]), "packets": int(match[2])}
    elif match := _TIMES.fullmatch(text):
        for name, when in (("added", match[1]), ("used", match[2])):
            fields[name] = None if when == "-" else when
    else:
        return False
    return True


def _heading(fields: Fields, words: Words) -> None:
    fields["heading"] = words[0]


def _marks(fields: Fields, words: Words) -> None:
    for name, word in _pairs(words, ("mark", "output-mark")).items():
        fields[name.replace("-", "_")] = _mask(name, word)


def _if_id(fields: Fields, words: Words) -> None:
    fields["if_id"] = _number("if_id", _need(_pairs(words, ("if_id",)), "if_id"))


def _context(fields: Fields, words: Words) -> None:
    fields["context"] = " ".join(words[2:])


def _offload(fields: Fields, words: Words) -> None:
    fields["offload"] = _pairs(words[3:], ("dev", "dir", "mode"))


def _flags(words: Words) -> tuple[str, ...]:
    return tuple(word for word in words if not word.startswith("("))


def _cut(words: Words, name: str) -> tuple[Words, Words]:
    """The words before ``name``, and those behind it."""
    at = words.index(name) if name in words else len(words)
    return words[:at], words[at + 1 :]


# -- lines of an SA --------------------------------------------------------------------------------


def _name(fields: Fields, words: Words) -> None:
    found = _pairs(words, ("proto", "spi", "reqid", "mode"))
    fields["proto"] = _need(found, "proto")
    fields["mode"] = _need(found, "mode")
    for name in ("spi", "reqid"):
        fields[name] = _number(name, _need(found, name))


def _window(fields: Fields, words: Words) -> None:
    if fields.get("heading") == "stats:":
        found = _pairs(words, ("replay-window", "replay", "failed"))
        fields["refusals"] = {name: _number(name, word) for name, word in found.items()}
        return
    words, extra = _cut(words, "extra_flag")
    words, flags = _cut(words, "flag")
    found = _pairs(words, ("replay-window", "seq"))
    fields.setdefault("window", _number("replay-window", _need(found, "replay-window")))
    if "seq" in found:
        fields["acquire_seq"] = _number("seq", found["seq"])
    fields["flags"] = _flags(flags)
    fields["extra_flags"] = _flags(extra)


def _extra(fields: Fields, words: Words) -> None:
    fields["extra_flags"] = _flags(words[1:])


_HEX = re.compile(r"0[xX][0-9a-fA-F]*")
_GLUED = re.compile(r"0[xX]|[0-9a-fA-F]{9}")


def _algorithm(fields: Fields, text: str) -> None:
    """``KIND NAME KEY [(N bits)] [ICV]``; a key of no bytes leaves two spaces, or nothing."""
    hidden = "<<Keys hidden>>" in text
    words = re.sub(r"\(\d+ bits\)", "", text.replace("<<Keys hidden>>", "")).split()
    if len(words) < 2:
        raise FieldError(f"{words[0]}: the algorithm's name is missing")
    kind, name, *rest = words
    if _GLUED.search(name):
        raise FieldError(f"{kind}: the algorithm's name runs into its key")
    bits: int | None = None if hidden and kind != "comp" else 0
    if rest and _HEX.fullmatch(rest[0]):
        bits = 4 * (len(rest.pop(0)) - 2)
    if len(rest) > 1 or (rest and not rest[0].isdigit()):
        raise FieldError(f"{kind}: what follows the name is no key and no length")
    made = AlgorithmText(kind, name, bits, int(rest[0]) if rest else None)
    fields["algorithms"] = (*fields.get("algorithms", ()), made)


def _encap(fields: Fields, words: Words) -> None:
    found: Fields = dict(_pairs(words[1:], ("type", "sport", "dport", "addr")))
    for name in ("sport", "dport"):
        found[name] = _number(name, _need(found, name))
    if "addr" in found:
        found["addr"] = _address("addr", found["addr"])
    fields["encap"] = found


def _anti_replay(fields: Fields, words: Words) -> None:
    if words[1:2] == ["context:"]:
        _sequence(fields, words[2:])
    elif words[1:] == ["esn", "context:"]:
        fields["bitmap"] = ""
    else:
        raise FieldError("not an anti-replay context")


def _sequence(fields: Fields, words: Words) -> None:
    found = _pairs(words, ("seq-hi", "seq", "oseq-hi", "oseq", "bitmap"))
    for name in ("seq", "oseq"):
        low = _number(name, _need(found, name))
        fields[name] = low | _number(name, found.get(f"{name}-hi", "0")) << 32
    if "bitmap" in found:
        fields["bitmap"] = f"{_number('bitmap', found['bitmap']):08x}"


def _long_window(fields: Fields, words: Words) -> None:
    found = _pairs(words, ("replay_window", "bitmap-length"))
    fields["window"] = _number("replay_window", _need(found, "replay_window"))


_WORDS = re.compile(r"[0-9a-f]{8}( [0-9a-f]{8})*")


def _sel(fields: Fields, words: Words) -> None:
    fields["sel"] = _selector(words[1:])


def _one_word(fields: Fields, words: Words) -> None:
    fields[words[0]] = _need(_pairs(words, (words[0],)), words[0])


def _one_number(fields: Fields, words: Words) -> None:
    value = _need(_pairs(words, (words[0],)), words[0])
    fields[words[0].replace("-", "_")] = _number(words[0], value)


def _coa(fields: Fields, words: Words) -> None:
    fields["coa"] = _address("coa", _need(_pairs(words, ("coa",)), "coa"))


def _last_used(fields: Fields, words: Words) -> None:
    fields["lastused"] = " ".join(words[1:])


# -- lines of a policy -----------------------------------------------------------------------------


def _direction(fields: Fields, words: Words) -> None:
    words, flags = _cut(words, "flag")
    own = words[0] == "socket"
    words = ["dir", *words[1:]] if own else words
    found = _pairs(words, ("dir", "action", "index", "priority", "ptype", "share"))
    fields["dir"] = ("socket " if own else "") + _need(found, "dir")
    fields |= {name: found[name] for name in ("action", "ptype", "share") if name in found}
    for name in ("index", "priority"):
        if name in found:
            fields[name] = _number(name, found[name])
    fields["flags"] = _flags(flags)


def _template(fields: Fields, words: Words) -> None:
    found: Fields = dict(_pairs(words[1:], ("src", "dst")))
    for name in ("src", "dst"):
        found[name] = _address(name, _need(found, name))
    fields["templates"] = (*fields.get("templates", ()), found)


_TEMPLATE = (
    "proto",
    "spi",
    "reqid",
    "mode",
    "level",
    "share",
    "enc-mask",
    "auth-mask",
    "comp-mask",
)


def _of_template(fields: Fields, words: Words) -> None:
    templates = fields.get("templates", ())
    if not templates:
        raise FieldError(f"{words[0]}: there is no `tmpl` that it could belong to")
    found: Fields = dict(_pairs(words, _TEMPLATE))
    for name in ("spi", "reqid"):
        if name in found:
            found[name] = _number(name, found[name])
    fields["templates"] = (*templates[:-1], templates[-1] | found)


# -- which reader for which line -------------------------------------------------------------------

Reader = Callable[[Fields, Words], None]

_BOTH: dict[str, Reader] = {
    "crypto": _offload,
    "if_id": _if_id,
    "lifetime": _heading,
    "mark": _marks,
    "output-mark": _marks,
    "security": _context,
    "stats:": _heading,
}
_STATE: dict[str, Reader] = _BOTH | {
    "anti-replay": _anti_replay,
    "coa": _coa,
    "dir": _one_word,
    "encap": _encap,
    "extra_flag": _extra,
    "lastused": _last_used,
    "pcpu-num": _one_number,
    "proto": _name,
    "replay-window": _window,
    "replay_window": _long_window,
    "sel": _sel,
    "seq-hi": _sequence,
    "tfcpad": _one_number,
}
_POLICY: dict[str, Reader] = _BOTH | {
    "dir": _direction,
    "enc-mask": _of_template,
    "level": _of_template,
    "proto": _of_template,
    "socket": _direction,
    "tmpl": _template,
}


def read_line(fields: Fields, text: str, *, policy: bool) -> bool:
    """Read one line into ``fields``. False for a line that nobody knows."""
    # iproute2 leaves no space before this word.
    words = text.replace(",", " ").replace("extra_flag", " extra_flag").split()
    reader = (_POLICY if policy else _STATE).get(words[0])
    if reader is not None:
        reader(fields, words)
    elif words[0] in ALGORITHMS and not policy:
        _algorithm(fields, text)
    elif words[0] in ("limit:", "expire"):
        _limit(fields, text)
    elif _WORDS.fullmatch(text) and "bitmap" in fields:
        fields["bitmap"] = f"{fields['bitmap']} {text}".strip()
    else:
        return _current(fields, text)
    return True
