"""Words into what they say, by the table of :mod:`pyxfrm.cli.grammar`.

The parser knows the table's shapes and nothing of XFRM. Whatever is wrong is a :class:`pyxfrm.errors.UsageError` of one line that names the
command, the keyword and the word: ``state add: reqid: "x" is not a number``. Keys are not repeated there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pyxfrm.cli.grammar import GROUPS, TOGETHER, VALUES, Group, Keyword, Verb
from pyxfrm.cli.values import number, read
from pyxfrm.errors import UsageError

__all__ = ["Found", "Parsed", "parse"]


class Found(NamedTuple):
    """One keyword as it was found: its values, the keywords of its own, the run that followed.

    ``first``: the value that might come first, None if it did not
    """

    word: str
    values: tuple[Any, ...] = ()
    more: dict[str, Found] = {}  # noqa: RUF012  # never changed
    run: Parsed | None = None
    first: Any = None

    @property
    def value(self) -> Any:
        """Its only value."""
        return self.values[0]


class Parsed:
    """What was found, by keyword and by group. Of a repeated keyword the last counts."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.keywords: dict[str, list[Found]] = {}
        self.groups: dict[str, Parsed] = {}

    def __contains__(self, word: str) -> bool:
        return word in self.keywords

    def last(self, word: str) -> Found | None:
        """The keyword as it was found last."""
        found = self.keywords.get(word)
        return found[-1] if found else None

    def get(self, word: str, default: Any = None) -> Any:
        """The only value of a keyword."""
        found = self.last(word)
        return default if found is None else found.value

    def all(self, word: str) -> list[Found]:
        """The keyword each time it was found."""
        return self.keywords.get(word, [])

    def group(self, name: str) -> Parsed:
        """What was found of a group; nothing if it was not there."""
        return self.groups.get(name) or Parsed(self.where)

    def refuse(self, why: str) -> UsageError:
        """The error to raise."""
        return UsageError(f"{self.where}: {why}")


class _Reader:
    """The words of one command, one after the other."""

    def __init__(self, words: Sequence[str], where: str) -> None:
        self.words = words
        self.where = where
        self.at = 0

    def peek(self) -> str | None:
        return self.words[self.at] if self.at < len(self.words) else None

    def take(self, after: str, what: str) -> str:
        word = self.peek()
        if word is None:
            raise self.refuse(f"{after}: {what} is missing")
        self.at += 1
        return word

    def refuse(self, why: str) -> UsageError:
        return UsageError(f"{self.where}: {why}")

    def value(self, keyword: str, name: str) -> Any:
        """The next word as a value of this name."""
        word = self.take(keyword, name)
        try:
            return read(word, VALUES[name])
        except ValueError as why:
            if isinstance(why, UsageError):
                raise self.refuse(f"{keyword}: {why}") from None
            raise self.refuse(f'{keyword}: {name} "{word}" {why}') from None

    def follow(self, keyword: Keyword) -> Found:
        """What follows a keyword that was just taken."""
        word = keyword.word
        if keyword.one:
            return self._one(keyword)
        if keyword.many:
            return Found(word, (self._many(keyword),))
        first = None
        if keyword.maybe and self.peek() in VALUES[keyword.maybe].words:
            first = self.value(word, keyword.maybe)
        values = tuple([self.value(word, name) for name in keyword.values])
        run = self._run(keyword.run, word) if keyword.run else None
        return Found(word, values, self._more(keyword), run, first)

    def _one(self, keyword: Keyword) -> Found:
        choices = {k.word: k for k in GROUPS[keyword.one]}
        word = self.take(keyword.word, keyword.one)
        if word not in choices:
            raise self.refuse(f'{keyword.word}: "{word}" is none of {", ".join(choices)}')
        return Found(keyword.word, (self.follow(choices[word]),))

    def _many(self, keyword: Keyword) -> tuple[int, bool]:
        """The sum of the flags, and whether it was given as a number."""
        value = VALUES[keyword.many]
        word = self.take(keyword.word, keyword.many)
        if word.startswith("0x") and len(word) > 2:
            try:
                return number(word, 0xFF if value.kind == "flag8" else 0xFFFFFFFF), True
            except ValueError as why:
                raise self.refuse(f'{keyword.word}: "{word}" {why}') from None
        if word not in value.words:
            raise self.refuse(f'{keyword.word}: "{word}" is none of {", ".join(value.words)}')
        total = value.words[word]
        while (word := self.peek() or "") in value.words:
            total |= value.words[word]
            self.at += 1
        return total, False

    def _more(self, keyword: Keyword) -> dict[str, Found]:
        found: dict[str, Found] = {}
        own = {k.word: k for k in keyword.more}
        while (word := self.peek()) in own:
            assert word is not None  # noqa: S101  # None is no keyword
            self.at += 1
            found[word] = self.follow(own.pop(word))
        return found

    def _run(self, name: str, after: str) -> Parsed:
        """Keywords of a group, as many as there are; one at least."""
        parsed = Parsed(f"{self.where}: {after}" if after else self.where)
        choices = {k.word: k for k in GROUPS[name]}
        together = TOGETHER.get(name, ())
        before = ""
        while (word := self.peek()) in choices:
            assert word is not None  # noqa: S101
            apart = word in together and before not in together
            if apart and any(each in parsed for each in together):
                raise self.refuse(f'"{word}" is unexpected: {", ".join(together)} stand together')
            before = word
            self.at += 1
            parsed.keywords.setdefault(word, []).append(self.follow(choices[word]))
        word = self.peek()
        if not parsed.keywords and (word is None or name != "SELECTOR"):
            got = "nothing" if word is None else f'"{word}"'
            raise self.refuse(f"{after}: {got} is none of {', '.join(choices)}")
        return parsed

    def group(self, group: Group, into: Parsed) -> None:
        """A group's keywords that stand here."""
        if not group.once:
            own = into.groups.setdefault(group.name, Parsed(self.where))
            keyword = next(k for k in GROUPS[group.name] if k.word == self.peek())
            self.at += 1
            own.keywords.setdefault(keyword.word, []).append(self.follow(keyword))
            return
        if group.name in into.groups:
            raise self.refuse(f'"{self.peek()}" is unexpected: {group.name} was given before')
        into.groups[group.name] = self._run(group.name, "")


def parse(verb: Verb, words: Sequence[str], where: str) -> Parsed:
    """What the words after a verb say. ``where``: the command, for error messages."""
    reader = _Reader(words, where)
    direct = {row.word: row for row in verb.words if isinstance(row, Keyword)}
    grouped = {
        keyword.word: row
        for row in reversed(verb.words)
        if isinstance(row, Group)
        for keyword in GROUPS[row.name]
    }
    parsed = Parsed(where)
    while (word := reader.peek()) is not None:
        if verb.short and word not in direct:
            word = next((full for full in direct if word and full.startswith(word)), word)
        if word in direct:
            if direct[word].once and word in parsed:
                raise reader.refuse(f'"{word}" is there twice')
            reader.at += 1
            parsed.keywords.setdefault(word, []).append(reader.follow(direct[word]))
        elif word in grouped:
            reader.group(grouped[word], parsed)
        else:
            raise reader.refuse(
                f'"{word}" is unknown here; try `xfrm {where.split(":", maxsplit=1)[0]} help`'
            )
    for row in verb.words:
        if isinstance(row, Keyword) and row.need and row.word not in parsed:
            raise parsed.refuse(f"{row.word} is missing")
    return parsed
