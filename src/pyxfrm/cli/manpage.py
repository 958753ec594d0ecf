"""``xfrm man``: the manual page xfrm(8), made of the grammar; ``xfrm man | man -l -`` reads it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from textwrap import wrap

from pyxfrm import __version__
from pyxfrm.cli.complete import line_named
from pyxfrm.cli.examples import EXAMPLES
from pyxfrm.cli.grammar import VERBS, Group
from pyxfrm.cli.help import shown, syntax, terms, usage
from pyxfrm.cli.introspect import Line
from pyxfrm.cli.options import OPTIONS
from pyxfrm.errors import UsageError

__all__ = ["main", "page"]

_WIDTH = 79
_INDENT = 7  # columns, of text on a terminal
_DATE = "2026-11-22"  # when the text was last changed

_ABOUT = """\
.B xfrm
speaks the language of
.BR ip-xfrm (8)
and knows messages that it does not: it moves Security Associations
.RB ( "state migrate" ),
shows how they move
.RB ( monitor ),
and says which SA a kernel would take for a name
.RB ( doctor ).
Verbs may be shortened. Keys are hidden unless
.B \\-\\-show\\-keys
is given.
"""
_STATUS = """\
.TP
.B 0
It was done. Of
.BR doctor :
nothing was found, or only notes.
.TP
.B 1
The kernel or engine refused, or what was named is not what would be hit; one line says what, the errno's name, and the kernel's own words. Of
.BR relocate :
everything is as before.
.TP
.B 2
The command line makes no sense; nothing was sent.
.TP
.B 3
.BR doctor :
warnings.
.BR relocate :
an SA was lost, and its traffic is blocked.
.TP
.B 4
.BR doctor :
errors.
.BR relocate :
it is unfinished;
.B \\-\\-resume
goes on.
.TP
.B 130
Ctrl\\-C; 143 and 129 are SIGTERM and SIGHUP. A relocation ends first.
.TP
.B 141
Whoever read the output has gone.
"""
_ENVIRONMENT = """\
.TP
.B PYXFRM_DEBUG=1
Every message, decoded, on stderr. Keys are shown as their length.
.TP
.B PYXFRM_ENGINE, PYXFRM_RELEASE
For programs under
.BR "engine preload" :
where the engine serves, and what uname is to say.
.TP
.B PYXFRM_LAB_CACHE, XDG_CACHE_HOME
Where kernels, and what is compiled, are kept.
.TP
.B CC
The C compiler of
.B engine run
and
.BR "engine preload" .
"""


def main(argv: list[str]) -> int:
    """Print the page."""
    if argv:
        raise UsageError(f'man: "{argv[0]}" is unknown here')
    sys.stdout.write(page())
    return 0


def _plain(text: str) -> str:
    """Text that roff takes as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def page() -> str:
    """The page in roff."""
    from pyxfrm.cli import COMMANDS

    lines = [f'.TH XFRM 8 "{_DATE}" "pyxfrm {__version__}" "System Administration"', ".SH NAME"]
    lines += ["xfrm \\- IPsec SAs and policies: show, change, and move them live", ".SH SYNOPSIS"]
    lines += [".nf", *_synopsis(), ".fi", ".SH DESCRIPTION", _ABOUT.rstrip(), ".SH OPTIONS"]
    lines += ["These may stand before or behind the commands of the kernel's tables."]
    for option, about in OPTIONS:
        lines += [".TP", f".B {_plain(option)}", _sentence(about)]
    lines.append(".SH COMMANDS")
    for name, command in COMMANDS.items():
        head = f"xfrm {name} {command.words}".rstrip()
        lines += [".TP", f".B {_plain(head)}", _sentence(command.summary)]
    lines += _verbs()
    for name in COMMANDS:
        line = line_named(name)
        if line is not None:
            lines += _line(line)
    rows = tuple(row for verbs in VERBS.values() for verb in verbs.values() for row in verb.words)
    lines.append(".SH TERMS")
    for term, text in terms(rows):
        lines += [".TP", f".I {_plain(term)}", _plain(text)]
    lines += [".SH EXIT STATUS", _STATUS.rstrip(), ".SH ENVIRONMENT", _ENVIRONMENT.rstrip()]
    lines += [".SH EXAMPLES", *_examples()]
    lines += [".SH SEE ALSO", ".BR ip\\-xfrm (8)"]
    return "\n".join(line for text in lines for line in _wrapped(text)) + "\n"


def _wrapped(text: str) -> Iterator[str]:
    """Lines of text as short as roff likes them; its own lines stay whole."""
    for line in text.splitlines():
        if len(line) <= _WIDTH or line.startswith("."):
            yield line
            continue
        for part in wrap(line, _WIDTH, break_long_words=False, break_on_hyphens=False):
            yield f"\\&{part}" if part.startswith((".", "'")) else part


def _sentence(text: str) -> str:
    """A line of a table as a sentence."""
    made = text[:1].upper() + text[1:]
    return _plain(made if made.endswith(".") or not made else f"{made}.")


def _synopsis() -> list[str]:
    return [
        _plain(line)
        for name, verbs in VERBS.items()
        for verb in verbs
        for line in usage(name, verb, width=_WIDTH - _INDENT).splitlines()
    ]


def _line(line: Line) -> list[str]:
    """A command line of argparse, its verbs included."""
    made = [f".SS {_plain(line.name)}", *([_plain(line.about)] if line.about else [])]
    for word in line.words:
        head = f"{', '.join(word.names)} {word.value}".strip()
        made += [".TP", f".B {_plain(head)}", *([_sentence(word.about)] if word.about else ["\\&"])]
    for verb in line.verbs.values():
        made += _line(verb)
    return made


def _examples() -> list[str]:
    lines = ["Without root, before the command: --engine 7.2."]
    for (name, verb), examples in EXAMPLES.items():
        lines += [".PP", _sentence(VERBS[name][verb].summary), ".PP", ".nf", ".RS 2"]
        lines += [_plain(line) for each in examples for line in shown(each).splitlines()]
        lines += [".RE", ".fi"]
    return lines


def _verbs() -> list[str]:
    lines = []
    for name, verbs in VERBS.items():
        for verb, row in verbs.items():
            lines += [f".SS {_plain(f'xfrm {name} {verb}'.rstrip())}", _sentence(row.summary)]
            for each in row.words:
                text = each.name if isinstance(each, Group) else syntax(each, optional=False)
                lines += [".TP", f".B {_plain(text)}", _sentence(each.about)]
    return lines
