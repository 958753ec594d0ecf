"""Text that ``ip xfrm state`` and ``ip xfrm policy`` print, read back; and the same text without its keys.

Such text is what people paste into reports. It comes from many versions of iproute2, with ``-s`` or ``-o`` or ``nokeys`` or without, and with the prompt it was typed at.
So :func:`parse` is strict where it knows a line (a number must be a number) and keeps what it does not know, its long numbers hidden, in ``other``. What it gives
is no :class:`~pyxfrm.model.Sa`: the text does not say everything, and keys are not even read, only measured.

Forms, by what a line begins with, spaces aside::

    src ADDR dst ADDR                       an SA; its first line under it begins with proto
    src NET dst NET [proto P] [sport N] ..  a policy; its first line under it begins with dir or socket

:func:`scrub` (:mod:`pyxfrm.client.iptext_scrub`) changes nothing but keys.

>>> text = "src 192.0.2.1 dst 192.0.2.2\\n\\tproto esp spi 0x00000100 reqid 1 mode tunnel\\n\\tenc cbc(aes) 0x000102030405060708090a0b0c0d0e0f\\n"
>>> parse(text)[0].algorithms
(AlgorithmText(kind='enc', name='cbc(aes)', key_bits=128, icv_bits=None),)
>>> scrub(text).splitlines()[2]
'\\tenc cbc(aes) <<Keys hidden>>'
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from pyxfrm.client.iptext_lines import ALGORITHMS, FieldError, read_header, read_line
from pyxfrm.client.iptext_scrub import HIDDEN, scrub
from pyxfrm.errors import UsageError

__all__ = ["HIDDEN", "PolicyText", "StateText", "parse", "scrub"]

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StateText:
    """An SA as the text shows it. ``line`` is where it begins; what the text does not say is None or empty.

    ``seq``, ``oseq``  64 bits in the long form; ``window``: the long form's, where there is one; ``bitmap``: hexadecimal, as it stands there
    ``limits``, ``counters``, ``refusals``, ``offload``, ``encap``, ``sel``: by name
    """

    line: int
    src: Any
    dst: Any
    proto: str
    spi: int
    reqid: int
    mode: str
    window: int | None = None
    acquire_seq: int | None = None
    flags: tuple[str, ...] = ()
    extra_flags: tuple[str, ...] = ()
    mark: Any = None
    output_mark: Any = None
    algorithms: tuple[Any, ...] = ()
    encap: Fields | None = None
    seq: int | None = None
    oseq: int | None = None
    bitmap: str | None = None
    if_id: int | None = None
    dir: str | None = None
    sel: Fields | None = None
    tfcpad: int | None = None
    pcpu_num: int | None = None
    coa: Any = None
    lastused: str | None = None
    context: str | None = None
    offload: Fields | None = None
    limits: Fields | None = None
    counters: Fields | None = None
    added: str | None = None
    used: str | None = None
    refusals: Fields | None = None
    other: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A policy as the text shows it. ``dir`` of a socket's own policy is ``socket in`` or ``socket out``."""

    line: int
    sel: Fields
    dir: str
    action: str = "allow"
    index: int | None = None
    priority: int | None = None
    ptype: str | None = None
    share: str | None = None
    flags: tuple[str, ...] = ()
    mark: Any = None
    if_id: int | None = None
    templates: tuple[Fields, ...] = ()
    context: str | None = None
    offload: Fields | None = None
    limits: Fields | None = None
    counters: Fields | None = None
    added: str | None = None
    used: str | None = None
    other: tuple[str, ...] = ()


class _Line(NamedTuple):
    """``shown``: the text without what may be part of a key."""

    number: int
    text: str
    shown: str

    @property
    def readable(self) -> str:
        """What may be looked at: of an algorithm the key, too, to measure it."""
        return self.text if self.text.split()[0] in ALGORITHMS else self.shown


_PROMPT = re.compile(r"[#$]|.*\bip\b.*\bxfrm\b|.*\bxfrm (state|policy)\b")


def parse(text: str, source: str = "text") -> list[StateText | PolicyText]:
    """The SAs and policies in ``text``, in its order. UsageError with ``source`` and the line for what makes no sense."""
    return [_record(block, source) for block in _blocks(text, source)]


def _unquoted(text: str) -> str:
    """The text without the ``>`` that mail programs put in front of every line."""
    while (lines := text.split("\n")) and any(line.strip() for line in lines):
        if not all(line.lstrip().startswith(">") for line in lines if line.strip()):
            break
        text = "\n".join(line.lstrip().removeprefix(">") for line in lines)
    return text


def _lines(text: str) -> Iterator[_Line]:
    """Lines with something on them; those of ``ip -o`` taken apart at their backslashes."""
    hidden = _unquoted(scrub(text)).split("\n")
    for number, (line, shown) in enumerate(
        zip(_unquoted(text).split("\n"), hidden, strict=True), 1
    ):
        for part, scrubbed in zip(line.split("\\"), shown.split("\\"), strict=True):
            if part.strip():
                yield _Line(number, part.strip(), scrubbed.strip())


def _blocks(text: str, source: str) -> Iterator[list[_Line]]:
    block: list[_Line] = []
    for line in _lines(text):
        if line.text.startswith("src "):
            if block:
                yield block
            block = [line]
        elif _PROMPT.match(line.text):
            continue
        elif block:
            block.append(line)
        else:
            raise UsageError(
                f"{source}:{line.number}: not the beginning of an SA or a policy (`src ... dst ...`)"
            )
    if block:
        yield block


def _record(block: list[_Line], source: str) -> StateText | PolicyText:
    head, *rest = block
    first = rest[0].text.split()[0] if rest else ""
    policy = first in ("dir", "socket")
    if not policy and first != "proto":
        raise UsageError(
            f"{source}:{head.number}: neither an SA (no `proto` on the next line) nor a policy (no `dir`)"
        )
    fields: Fields = {}
    at = head
    try:
        read_header(fields, head.shown, policy=policy)
        for at in rest:
            if at.shown and not read_line(fields, at.readable, policy=policy):
                fields["other"] = (*fields.get("other", ()), at.shown)
        fields.pop("heading", None)
        made: type[StateText] | type[PolicyText] = PolicyText if policy else StateText
        return made(line=head.number, **fields)
    except FieldError as why:
        raise UsageError(f"{source}:{at.number}: {scrub(str(why))}") from None
    except TypeError:
        what = "policy" if policy else "SA"
        raise UsageError(
            f"{source}:{head.number}: this {what} has parts that are missing or belong to another kind"
        ) from None
