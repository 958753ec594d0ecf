"""``xfrm -batch FILE``: the commands in a file, one a line, over one port; ``-`` is standard input.

A line is what follows ``xfrm`` on the command line, or the whole line as in files for ``ip -batch``: ``policy add ...``, ``xfrm policy add ...``. As iproute2 reads it
(lib/utils.c: getcmdline, makeargs): words may stand in quotes, ``#`` begins a comment anywhere, a backslash at the end joins the next line, empty lines are passed over.

It ends at the first line that fails, told with the file's name and the line's number; with ``-force`` it goes on, and the status is that of the first failure. What
the kernel does with one datagram it does to its end, so requests go together in datagrams only with ``-force``; else each is answered before the next line is read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from pyxfrm.cli import build, told
from pyxfrm.cli.grammar import VERBS, Verb
from pyxfrm.cli.objects import find_verb, run
from pyxfrm.cli.options import Options, take
from pyxfrm.cli.parse import Parsed, Syntax
from pyxfrm.cli.streams import note
from pyxfrm.client import Request, Xfrm, verbs
from pyxfrm.errors import UsageError, XfrmError
from pyxfrm.model import Family
from pyxfrm.transport.base import Transport

__all__ = ["main", "read"]

Line = tuple[int, list[str]]  # its number, the words
Make = Callable[[Parsed, Family | None], Request[Any]]

_TOGETHER = 256  # requests that wait for each other
_NO_VERB = Verb("")


def _add_sa(parsed: Parsed, family: Family | None) -> Request[Any]:
    plain = verbs.add_sa(build.sa(parsed, family))
    # With an ACK of its own: the kernel may have a note about it.
    return Request(plain.type, plain.payload, plain.flags, subject=plain.subject, chatty=True)


# Commands that are one request and print nothing.
_ONE_REQUEST: dict[tuple[str, str], Make] = {
    ("policy", "add"): lambda parsed, family: verbs.add_policy(build.policy(parsed, family)),
    ("policy", "update"): lambda parsed, family: verbs.update_policy(build.policy(parsed, family)),
    ("policy", "delete"): lambda parsed, family: verbs.delete_policy(
        build.policy_id(parsed, family)
    ),
    ("state", "add"): _add_sa,
}


def main(argv: list[str]) -> int:
    """Carry out the commands of a file."""
    options, words = take(argv)
    if options.batch is None:
        raise UsageError("no command; `xfrm --help` lists them")
    if words:
        raise UsageError(f'-batch: "{words[0]}" is unexpected: the commands are in the file')
    with _open(options.batch) as file, options.open() as xfrm:
        return _Batch(options, xfrm).run(read(file, options.batch))


def _open(name: str) -> AbstractContextManager[TextIO]:
    if name == "-":
        return nullcontext(sys.stdin)
    try:
        return Path(name).open(encoding="utf-8", errors="surrogateescape")
    except OSError as why:
        raise UsageError(f"-batch {name}: {why.strerror}") from None


def read(file: Iterable[str], name: str) -> Iterator[Line]:
    """The commands: words, and the number of the line that they end on."""
    whole = ""
    number = 0
    for number, line in enumerate(file, 1):
        whole += line.partition("#")[0] if "#" in line else line
        if whole.endswith("\\\n"):
            whole = whole[:-2]
            continue
        if words := _words(whole, f"{name}:{number}"):
            yield number, words
        whole = ""
    if words := _words(whole, f"{name}:{number}"):
        yield number, words


def _words(line: str, where: str) -> list[str]:
    if "'" not in line and '"' not in line:
        return line.split()
    words = []
    while line := line.lstrip():
        if line[0] in "'\"":
            word, end, line = line[1:].partition(line[0])
            if not end:
                raise UsageError(f"{where}: a quoted word has no end")
        else:
            word = line.split(maxsplit=1)[0]
            line = line[len(word) :]
        words.append(word)
    return words


class _Known(NamedTuple):
    """What the first two words of a line stand for. ``make``: None if it is not one request."""

    make: Make | None
    syntax: Syntax
    where: str


def _known(name: str, word: str) -> _Known:
    name = _object(name)
    verb = find_verb(name, word) or ""
    syntax = Syntax(VERBS[name].get(verb, _NO_VERB))
    return _Known(_ONE_REQUEST.get((name, verb)), syntax, f"{name} {verb}")


class _Batch:
    """The state of one run. ``status``: that of the first failure."""

    def __init__(self, options: Options, xfrm: Xfrm) -> None:
        self.name = options.batch
        self.options = _over(xfrm, options)
        self.xfrm = xfrm
        self.status = 0
        self.waiting: list[tuple[int, Request[Any]]] = []
        self.known: dict[tuple[str, str], _Known] = {}

    def run(self, lines: Iterator[Line]) -> int:
        """Line by line."""
        try:
            for number, words in lines:
                if not self._line(number, words):
                    break
        finally:
            self._send()
        return self.status

    def _line(self, number: int, words: list[str]) -> bool:
        """Whether to go on."""
        if words[0] == "xfrm":
            words = words[1:]
        try:
            request = self._request(words)
            if request is None:
                self._send()
                status = self._alone(words)
                self.status = self.status or status
            elif self.options.go_on:
                self.waiting.append((number, request))
                if len(self.waiting) == _TOGETHER:
                    self._send()
            else:
                note(self.xfrm.call(request).warning)
        except XfrmError as why:
            self._send()
            self._failed(number, why)
        return self.options.go_on or not self.status

    def _request(self, words: list[str]) -> Request[Any] | None:
        """What is asked for, if that is one request."""
        if len(words) < 2:
            _object("".join(words))
            return None
        begin, rest = (words[0], words[1]), words[2:]
        known = self.known.get(begin)
        if known is None:
            known = self.known[begin] = _known(*begin)
        if known.make is None or rest == ["help"]:
            return None
        return known.make(known.syntax.parse(rest, known.where), self.options.family)

    def _alone(self, words: list[str]) -> int:
        status = run(_object(words[0]), self.options, words[1:])
        sys.stdout.flush()
        return status

    def _send(self) -> None:
        """Ask what is waiting; tell what was refused."""
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return
        tickets = self.xfrm.batch([request for _, request in waiting])
        for (number, request), ticket in zip(waiting, tickets, strict=True):
            if ticket.error is not None:
                self._failed(number, ticket.error)
            elif request.chatty:
                note(ticket.warning)

    def _failed(self, number: int, why: XfrmError) -> None:
        self.status = self.status or (2 if isinstance(why, UsageError) else 1)
        print(f"xfrm: {self.name}:{number}: {told(why)}", file=sys.stderr)


def _object(name: str) -> str:
    """What a line is about, which may be shortened."""
    found = next((each for each in VERBS if name and each.startswith(name)), None)
    if found is None:
        raise UsageError(f'"{name}" is no command of a batch ({", ".join(VERBS)})')
    return found


def _over(xfrm: Xfrm, given: Options) -> Options:
    """The same options, but each command's port is a sibling of this client's: an engine in this process is one for all lines."""

    class Beside(Options):
        def connect(self) -> Transport:
            return xfrm.transport.sibling()

    return Beside(*given)._replace(batch=None)
