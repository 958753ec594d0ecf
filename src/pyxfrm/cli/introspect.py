"""What an argparse command line takes, as values: of this the manual page and the shells' completion are made.

argparse has no public way to ask; the attributes used here are as old as argparse, and a test holds every command to them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["Line", "Word", "line_of"]


class Word(NamedTuple):
    """An option or an argument.

    ``names``    ``("-n", "--netns")``; none of an argument, which has only its place
    ``value``    what follows, as it is written; "" for nothing
    ``choices``  the only values it can have; () for any
    """

    names: tuple[str, ...]
    value: str
    about: str
    choices: tuple[str, ...] = ()


class Line(NamedTuple):
    """A command line: what may be on it, and its verbs, each with a line of its own."""

    name: str
    about: str
    words: tuple[Word, ...]
    verbs: dict[str, Line]


def line_of(parser: argparse.ArgumentParser) -> Line:
    """A parser as a value; ``--help`` is left out, which all have."""
    return Line(
        parser.prog,
        parser.description or "",
        tuple(_words(parser)),
        {name: line_of(verb) for name, verb in _verbs(parser)},
    )


def _verbs(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _words(parser: argparse.ArgumentParser) -> Iterator[Word]:
    formatter: Any = parser._get_formatter()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
            continue
        choices = tuple(str(choice) for choice in action.choices or ())
        about = formatter._expand_help(action) if action.help else ""
        yield Word(tuple(action.option_strings), _value(action, choices), about, choices)


def _value(action: argparse.Action, choices: tuple[str, ...]) -> str:
    if action.nargs == 0:
        return ""
    name = action.metavar or "|".join(choices) or action.dest
    text = name if isinstance(name, str) else " ".join(name)
    if not action.option_strings:
        text = text if action.metavar else text.upper()
        return f"{text}..." if action.nargs == "+" else text
    return text if action.metavar or choices else text.upper()
