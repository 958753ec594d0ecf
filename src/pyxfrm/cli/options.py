"""Options that all commands about XFRM share: iproute2's, which stand before the command, and ours, which may stand anywhere.

-s, -stats          counters and limits too; twice: more        --json       JSON instead of text
-d, -details        (accepted)                                  --show-keys  keys too
-o, -oneline        one record a line                           --engine NAME|PATH  an engine instead of the kernel
-n, -netns NETNS    in this network namespace                   --timeout SECONDS   wait so long for an answer
-b, -batch FILE     the commands in a file                      -force      with -batch: go on after a line that fails
-t, -ts             monitor: the time of each event
-4, -6, -f FAMILY   of this address family only             --unchecked take the SA that is found, though it is another
-h, --help          tell of the command that is there, and do nothing
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.cli.text.form import Form
from pyxfrm.errors import UsageError

if TYPE_CHECKING:
    from pyxfrm.client import Xfrm
    from pyxfrm.model import Family
    from pyxfrm.transport.base import Transport

__all__ = ["OPTIONS", "Options", "leading", "take"]

_FLAGS = {
    "-force": "go_on",
    "-s": "stats",
    "-stats": "stats",
    "-statistics": "stats",
    "--stats": "stats",
    "-d": "details",
    "-details": "details",
    "--details": "details",
    "-o": "oneline",
    "-oneline": "oneline",
    "--oneline": "oneline",
    "-t": "long",
    "-timestamp": "long",
    "--timestamp": "long",
    "-ts": "short",
    "-tshort": "short",
    "--tshort": "short",
    "-4": "inet",
    "-6": "inet6",
    "--json": "json",
    "-j": "json",
    "-json": "json",
    "--show-keys": "keys",
    "--unchecked": "unchecked",
    "-h": "about",
    "--help": "about",
}
_WITH_VALUE = {
    "-b": "batch",
    "-batch": "batch",
    "--batch": "batch",
    "-n": "netns",
    "-netns": "netns",
    "--netns": "netns",
    "-f": "family",
    "-family": "family",
    "--family": "family",
    "--engine": "engine",
    "--timeout": "timeout",
}
# Words that begin with one dash may be shortened as in iproute2: of two that fit the first.
_SHORTENED = (
    *("-family", "-stats", "-statistics", "-details", "-oneline", "-timestamp", "-tshort"),
    *("-netns", "-batch", "-force", "-json"),
)
_FAMILIES = {"inet": 2, "inet6": 10, "4": 2, "6": 10}
_TIMEOUT = 5.0  # seconds

# For completion and the manual page: what to write, and what it does.
OPTIONS = (
    ("-batch FILE", "the commands in a file, one a line; - for standard input"),
    ("-force", "with -batch: go on after a line that fails"),
    ("-s", "counters and limits too; twice: more"),
    ("-o", "one record a line"),
    ("-t", "monitor: the time in front of each event"),
    ("-ts", "monitor: the time in a short form"),
    ("-n NETNS", "in this network namespace: name, path or pid"),
    ("-4", "IPv4 only"),
    ("-6", "IPv6 only"),
    ("--json", "JSON instead of text"),
    ("--show-keys", "show keys; they are hidden else"),
    (
        "--engine NAME|PATH",
        "an engine instead of the kernel: a profile (7.2), a tunnel's end, or the socket of one that runs",
    ),
    ("--timeout SECONDS", "how long to wait for an answer"),
    (
        "--unchecked",
        "delete, update or move the SA that is found by the name, even if it is another one",
    ),
    ("--help", "tell of the command, and do nothing"),
)


class Options(NamedTuple):
    """What was asked for. ``stats``: how often; ``stamp``: in front of events, "long" or "short" or "" for none; ``about``: help, and nothing else."""

    batch: str | None = None
    go_on: bool = False
    stats: int = 0
    oneline: bool = False
    json: bool = False
    keys: bool = False
    family: Family | None = None
    netns: str | None = None
    engine: str | None = None
    timeout: float = _TIMEOUT
    unchecked: bool = False
    stamp: str = ""
    about: bool = False

    @property
    def form(self) -> Form:
        """How to print text."""
        return Form(bool(self.stats), self.oneline, self.keys)

    def open(self) -> Xfrm:
        """A client of the kernel, or of the engine that was asked for."""
        from pyxfrm.client import Xfrm

        return Xfrm(transport=self.connect(), timeout=self.timeout)

    def connect(self) -> Transport:
        """A port to the kernel, or to the engine that was asked for."""
        from pyxfrm.cli.target import connect

        return connect(self.engine, self.netns)


def leading(words: list[str]) -> int:
    """How many of the first words are options and their values."""
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        at += 2 if _whole(words[at]) in _WITH_VALUE else 1
    return min(at, len(words))


def _whole(word: str) -> str:
    """An option as the tables have it."""
    if word in _FLAGS or word in _WITH_VALUE or len(word) < 3:
        return word
    return next((name for name in _SHORTENED if name.startswith(word)), word)


def take(words: list[str]) -> tuple[Options, list[str]]:
    """The options, and the words that are left."""
    flags: dict[str, int] = {}
    values: dict[str, str] = {}
    rest: list[str] = []
    at = 0
    first = leading(words)
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            rest += words[at:]
            break
        if at > first and not word.startswith("--") and word != "-h":
            rest.append(word)
            continue
        word = _whole(word)
        if word in _FLAGS:
            flags[_FLAGS[word]] = flags.get(_FLAGS[word], 0) + 1
        elif word in _WITH_VALUE:
            if at == len(words):
                raise UsageError(f"{word}: a value is missing")
            values[_WITH_VALUE[word]] = words[at]
            at += 1
        else:
            raise UsageError(f"{word}: no such option; `xfrm help options` lists them")
    return _options(flags, values), rest


def _options(flags: dict[str, int], values: dict[str, str]) -> Options:
    family: Family | None = None
    name = values.get("family") or ("inet" if "inet" in flags else "")
    name = "inet6" if "inet6" in flags else name
    if name:
        if name not in _FAMILIES:
            raise UsageError(f"-f {name}: no such address family (inet, inet6)")
        from pyxfrm.model import Family

        family = Family(_FAMILIES[name])
    timeout = _TIMEOUT
    if "timeout" in values:
        try:
            timeout = float(values["timeout"])
        except ValueError:
            raise UsageError(f"--timeout {values['timeout']}: not a number of seconds") from None
        if not 0 < timeout < 1e9:
            raise UsageError(f"--timeout {values['timeout']}: must be over 0")
    return Options(
        values.get("batch"),
        "go_on" in flags,
        flags.get("stats", 0),
        "oneline" in flags,
        "json" in flags,
        "keys" in flags,
        family,
        values.get("netns"),
        values.get("engine"),
        timeout,
        "unchecked" in flags,
        "short" if "short" in flags else "long" if "long" in flags else "",
        "about" in flags,
    )
