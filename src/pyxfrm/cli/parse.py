"""Words into what they say, by the table of :mod:`pyxfrm.cli.grammar`.

The parser knows the table's shapes and nothing of XFRM. Whatever is wrong is a :class:`pyxfrm.errors.UsageError` of one line that names the
command, the keyword and the word: ``state add: reqid: "x" is not a number``. Keys are not repeated there.

What the table says by name is looked up once: a keyword as the parser uses it is a :class:`_Row`, a verb a :class:`Syntax`. A file of ten thousand commands
has few different ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from pyxfrm.cli.grammar import GROUPS, TOGETHER, VALUES, Group, Keyword, Verb
from pyxfrm.cli.values import number, reader
from pyxfrm.errors import UsageError

__all__ = ["Found", "Parsed", "Syntax", "parse"]


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
        found = self.keywords.get(word)
        return default if found is None else found[-1].values[0]

    def all(self, word: str) -> list[Found]:
        """The keyword each time it was found."""
        return self.keywords.get(word, [])

    def group(self, name: str) -> Parsed:
        """What was found of a group; nothing if it was not there."""
        return self.groups.get(name) or Parsed(self.where)

    def refuse(self, why: str) -> UsageError:
        """The error to raise."""
        return UsageError(f"{self.where}: {why}")


class _Row:
    """A keyword of the table, and what it names. ``plain``: its only value, if nothing else can follow it."""

    __slots__ = ("keyword", "more", "once", "plain", "values", "word")

    def __init__(self, keyword: Keyword) -> None:
        self.keyword = keyword
        self.word = keyword.word
        self.once = keyword.once
        self.values = tuple([(name, reader(VALUES[name])) for name in keyword.values])
        self.more: _Rows = {one.word: _Row(one) for one in keyword.more}
        follows = keyword.more or keyword.run or keyword.one or keyword.many or keyword.maybe
        self.plain = self.values[0] if len(self.values) == 1 and not follows else None


_Rows = dict[str | None, _Row]  # None, the end of the words, is no keyword


@cache
def _group(name: str) -> _Rows:
    """The keywords of a group."""
    return {keyword.word: _Row(keyword) for keyword in GROUPS[name]}


class _Reader:
    """The words of one command, one after the other."""

    def __init__(self, words: Sequence[str], where: str) -> None:
        self.words: list[str | None] = [*words, None]
        self.where = where
        self.at = 0

    def peek(self) -> str | None:
        return self.words[self.at]

    def take(self, after: str, what: str) -> str:
        word = self.words[self.at]
        if word is None:
            raise self.refuse(f"{after}: {what} is missing")
        self.at += 1
        return word

    def refuse(self, why: str) -> UsageError:
        return UsageError(f"{self.where}: {why}")

    def value(self, keyword: str, name: str, read: Callable[[str], Any]) -> Any:
        """The next word as a value of this name."""
        word = self.words[self.at]
        if word is None:
            raise self.refuse(f"{keyword}: {name} is missing")
        self.at += 1
        try:
            return read(word)
        except ValueError as why:
            if isinstance(why, UsageError):
                raise self.refuse(f"{keyword}: {why}") from None
            raise self.refuse(f'{keyword}: {name} "{word}" {why}') from None

    def follow(self, row: _Row) -> Found:
        """What follows a keyword that was just taken."""
        word = row.word
        if row.plain is not None:
            return Found(word, (self.value(word, *row.plain),))
        keyword = row.keyword
        if keyword.one:
            return self._one(keyword)
        if keyword.many:
            return Found(word, (self._many(keyword),))
        first = None
        if keyword.maybe and self.peek() in VALUES[keyword.maybe].words:
            first = self.value(word, keyword.maybe, reader(VALUES[keyword.maybe]))
        values = tuple([self.value(word, name, read) for name, read in row.values])
        run = self._run(keyword.run, word) if keyword.run else None
        return Found(word, values, self._more(row), run, first)

    def _one(self, keyword: Keyword) -> Found:
        choices = _group(keyword.one)
        word = self.take(keyword.word, keyword.one)
        row = choices.get(word)
        if row is None:
            known = ", ".join(row.word for row in choices.values())
            raise self.refuse(f'{keyword.word}: "{word}" is none of {known}')
        return Found(keyword.word, (self.follow(row),))

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

    def _more(self, row: _Row) -> dict[str, Found]:
        found: dict[str, Found] = {}
        while (one := row.more.get(self.peek())) is not None and one.word not in found:
            self.at += 1
            found[one.word] = self.follow(one)
        return found

    def _run(self, name: str, after: str) -> Parsed:
        """Keywords of a group, as many as there are; one at least."""
        parsed = Parsed(f"{self.where}: {after}" if after else self.where)
        choices = _group(name)
        together = TOGETHER.get(name, ())
        before = ""
        while (row := choices.get(self.words[self.at])) is not None:
            word = row.word
            apart = word in together and before not in together
            if apart and any(each in parsed for each in together):
                raise self.refuse(f'"{word}" is unexpected: {", ".join(together)} stand together')
            before = word
            self.at += 1
            parsed.keywords.setdefault(word, []).append(self.follow(row))
        end = self.peek()
        if not parsed.keywords and (end is None or name != "SELECTOR"):
            got = "nothing" if end is None else f'"{end}"'
            known = ", ".join(row.word for row in choices.values())
            raise self.refuse(f"{after}: {got} is none of {known}")
        return parsed

    def group(self, group: Group, into: Parsed) -> None:
        """A group's keywords that stand here."""
        if not group.once:
            own = into.groups.setdefault(group.name, Parsed(self.where))
            row = _group(group.name)[self.words[self.at]]
            self.at += 1
            own.keywords.setdefault(row.word, []).append(self.follow(row))
            return
        if group.name in into.groups:
            raise self.refuse(f'"{self.peek()}" is unexpected: {group.name} was given before')
        into.groups[group.name] = self._run(group.name, "")


class Syntax:
    """A verb, ready to be read again and again."""

    def __init__(self, verb: Verb) -> None:
        rows = [row for row in verb.words if isinstance(row, Keyword)]
        self._short = verb.short
        self._needed = [row.word for row in rows if row.need]
        self._direct = {row.word: _Row(row) for row in rows}
        self._grouped = {
            word: row
            for row in reversed(verb.words)
            if isinstance(row, Group)
            for word in _group(row.name)
        }

    def parse(self, words: Sequence[str], where: str) -> Parsed:
        """What the words after the verb say. ``where``: the command, for error messages."""
        reader = _Reader(words, where)
        parsed = Parsed(where)
        while (word := reader.peek()) is not None:
            if self._short and word not in self._direct:
                word = next((full for full in self._direct if word and full.startswith(word)), word)
            row = self._direct.get(word)
            if row is not None:
                if row.once and word in parsed:
                    raise reader.refuse(f'"{word}" is there twice')
                reader.at += 1
                parsed.keywords.setdefault(word, []).append(reader.follow(row))
            elif word in self._grouped:
                reader.group(self._grouped[word], parsed)
            else:
                name = where.split(":", maxsplit=1)[0]
                raise reader.refuse(f'"{word}" is unknown here; try `xfrm {name} help`')
        for word in self._needed:
            if word not in parsed:
                raise parsed.refuse(f"{word} is missing")
        return parsed


def parse(verb: Verb, words: Sequence[str], where: str) -> Parsed:
    """What the words after a verb say, as :meth:`Syntax.parse`."""
    return Syntax(verb).parse(words, where)
