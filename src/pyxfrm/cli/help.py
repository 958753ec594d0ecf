"""Help texts, made of the grammar."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from pyxfrm.cli.examples import EXAMPLES
from pyxfrm.cli.grammar import GROUPS, VALUES, VERBS, Group, Keyword
from pyxfrm.cli.options import OPTIONS

__all__ = ["of", "options", "shown", "syntax", "terms", "usage"]

_WIDTH = 79
_COLUMN = 30  # where the text about a word begins
_MORE = "`xfrm help options` tells of --json, --engine and others."
_NO_OPTIONS = ("tunnel",)  # objects that ask no kernel


def syntax(row: Keyword | Group, *, optional: bool = True) -> str:
    """A row as it is written: ``[ mark MARK [ mask MASK ] ]``."""
    if isinstance(row, Group):
        name = row.name if row.need else f"[ {row.name} ]"
        return name if row.once else f"{name}..."
    words = [row.word]
    if row.maybe:
        words.append(f"[ {' | '.join(VALUES[row.maybe].words)} ]")
    words += row.values
    words += [syntax(more) for more in row.more]
    if row.run or row.one:
        words.append(row.run or row.one)
    if row.many:
        words.append(f"{row.many}...")
    text = " ".join(words)
    return f"[ {text} ]" if optional and not row.need else text


def usage(name: str, verb: str, before: str = "", width: int = _WIDTH) -> str:
    """The usage of one verb behind ``before``, on as many lines as it takes."""
    head = f"{before}xfrm {name} {verb}".rstrip()
    lines = [head]
    for row in VERBS[name][verb].words:
        text = syntax(row)
        if len(lines[-1]) + 1 + len(text) > width:
            lines.append(" " * (len(before) + 8) + text)
        else:
            lines[-1] += f" {text}"
    return "\n".join(lines)


def _named(rows: tuple[Keyword | Group, ...], seen: dict[str, None]) -> None:
    """The names of groups and values that rows speak of, in the order in which they come."""
    for row in rows:
        if isinstance(row, Group):
            seen.setdefault(row.name)
            _named(GROUPS[row.name], seen)
            continue
        for name in (row.run, row.one):
            if name:
                seen.setdefault(name)
                _named(GROUPS[name], seen)
        for name in (*row.values, row.many):
            if name:
                seen.setdefault(name)
        _named(row.more, seen)


def terms(rows: tuple[Keyword | Group, ...]) -> Iterator[tuple[str, str]]:
    """(name, what it stands for) of everything in capitals that rows speak of."""
    seen: dict[str, None] = {}
    _named(rows, seen)
    for name in seen:
        if name in GROUPS:
            yield name, " ".join(syntax(keyword) for keyword in GROUPS[name])
        else:
            value = VALUES[name]
            yield name, " | ".join(value.words) if value.words else value.about


def _hanging(head: str, text: str, column: int) -> str:
    """``head``, and ``text`` that begins at ``column``: on the next line if ``head`` reaches as far."""
    if len(head) >= column:
        return f"{head}\n{_hanging('', text, column)}"
    before = " " * column
    lines = wrap(text, _WIDTH - column, break_long_words=False, break_on_hyphens=False)
    return head.ljust(column) + f"\n{before}".join(lines) if lines else head.rstrip()


def _wrapped(name: str, text: str) -> str:
    lines = [f"{name} :="]
    for word in text.split(" "):
        if len(lines[-1]) + 1 + len(word) > _WIDTH:
            lines.append(" " * 8 + word)
        else:
            lines[-1] += f" {word}"
    return "\n".join(lines)


def shown(example: str) -> str:
    """A command line as it can be pasted, broken behind backslashes where the example is."""
    return " \\\n      ".join(example.split("\n"))


def options() -> str:
    """The options that state, policy, monitor, migrate and tunnel share."""
    rows = [_hanging(f"  {option}", about, 22) for option, about in OPTIONS]
    return "\n".join(
        [
            "Options of xfrm state, policy, monitor and migrate. They stand in front of the",
            "command; those with two dashes may also stand behind it.",
            "",
            *rows,
        ]
    )


def of(name: str, verb: str | None = None) -> str:
    """The help of an object, or of one of its verbs with a line about each of its words."""
    if verb is not None or "" in VERBS[name]:
        return _of_verb(name, verb or "")
    verbs = VERBS[name]
    lines = [
        usage(name, each, "usage: " if at == 0 else "       ") for at, each in enumerate(verbs)
    ]
    lines.append("")
    lines += [f"  {each:<12} {row.summary}" for each, row in verbs.items()]
    lines.append("")
    rows = tuple(row for each in verbs.values() for row in each.words)
    lines += [_wrapped(*term) for term in terms(rows)]
    lines += ["", f"`xfrm {name} VERB --help` tells of each word.", *_more(name)]
    return "\n".join(lines)


def _more(name: str) -> list[str]:
    return [] if name in _NO_OPTIONS else [_MORE]


def _of_verb(name: str, verb: str) -> str:
    row = VERBS[name][verb]
    lines = [usage(name, verb, "usage: "), "", f"{row.summary[:1].upper()}{row.summary[1:]}."]
    if examples := EXAMPLES.get((name, verb)):
        lines += ["", "For example:", "", *(f"  {shown(each)}" for each in examples)]
    lines += [""] * bool(row.words)
    for each in row.words:
        text = each.name if isinstance(each, Group) else syntax(each, optional=False)
        lines.append(_hanging(f"  {text}", each.about, _COLUMN))
    lines += [""] * bool(row.words)
    lines += [_wrapped(*term) for term in terms(row.words)]
    return "\n".join([*lines, *(["", *more] if (more := _more(name)) else [])])
