"""Help texts, made of the grammar."""

from __future__ import annotations

from collections.abc import Iterator

from pyxfrm.cli.grammar import GROUPS, VALUES, VERBS, Group, Keyword

__all__ = ["of", "syntax", "terms", "usage"]

_WIDTH = 79


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


def usage(name: str, verb: str) -> str:
    """The usage of one verb, on as many lines as it takes."""
    head = f"xfrm {name} {verb}".rstrip()
    lines = [head]
    for row in VERBS[name][verb].words:
        text = syntax(row)
        if len(lines[-1]) + 1 + len(text) > _WIDTH:
            lines.append(" " * 8 + text)
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


def _wrapped(name: str, text: str) -> str:
    lines = [f"{name} :="]
    for word in text.split(" "):
        if len(lines[-1]) + 1 + len(word) > _WIDTH:
            lines.append(" " * 8 + word)
        else:
            lines[-1] += f" {word}"
    return "\n".join(lines)


def of(name: str, verb: str | None = None) -> str:
    """The help of an object, or of one of its verbs with a line about each of its words."""
    if verb is not None or "" in VERBS[name]:
        return _of_verb(name, verb or "")
    verbs = VERBS[name]
    lines = [f"usage: {usage(name, each)}" for each in verbs]
    lines.append("")
    lines += [f"  {each:<12} {row.summary}" for each, row in verbs.items()]
    lines.append("")
    rows = tuple(row for each in verbs.values() for row in each.words)
    lines += [_wrapped(*term) for term in terms(rows)]
    lines.append(f"\n`xfrm {name} VERB help` tells of each word.")
    return "\n".join(lines)


def _of_verb(name: str, verb: str) -> str:
    row = VERBS[name][verb]
    lines = [f"usage: {usage(name, verb)}", "", row.summary, ""]
    for each in row.words:
        text = each.name if isinstance(each, Group) else syntax(each, optional=False)
        lines.append(f"  {text:<34} {each.about}".rstrip())
    lines.append("")
    lines += [_wrapped(*term) for term in terms(row.words)]
    return "\n".join(lines)
