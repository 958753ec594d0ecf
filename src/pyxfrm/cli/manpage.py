"""``xfrm man``: the manual page xfrm(8), made of the grammar; ``xfrm man | man -l -`` reads it."""

from __future__ import annotations

import sys

from pyxfrm import __version__
from pyxfrm.cli.grammar import VERBS, Group
from pyxfrm.cli.help import syntax, terms, usage
from pyxfrm.cli.options import OPTIONS
from pyxfrm.errors import UsageError

__all__ = ["main", "page"]

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
It was done.
.TP
.B 1
The kernel or engine refused; one line says what, the errno's name, and the kernel's own words.
.TP
.B 2
The command line makes no sense; nothing was sent.
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

    lines = [f'.TH XFRM 8 "" "pyxfrm {__version__}"', ".SH NAME"]
    lines += [
        "xfrm \\- IPsec SAs and policies: show, change, and move them live",
        ".SH SYNOPSIS",
        ".nf",
    ]
    for name, verbs in VERBS.items():
        lines += [_plain(line) for verb in verbs for line in usage(name, verb).splitlines()]
    lines += [".fi", ".SH DESCRIPTION", _ABOUT.rstrip(), ".SH OPTIONS"]
    for option, about in OPTIONS:
        lines += [".TP", f".B {_plain(option)}", _plain(about)]
    lines.append(".SH COMMANDS")
    for name, command in COMMANDS.items():
        lines += [".TP", f".B xfrm {_plain(name)}", _plain(command.summary)]
    lines += _verbs()
    rows = tuple(row for verbs in VERBS.values() for verb in verbs.values() for row in verb.words)
    lines.append(".SH TERMS")
    for term, text in terms(rows):
        lines += [".TP", f".I {_plain(term)}", _plain(text)]
    lines += [".SH EXIT STATUS", _STATUS.rstrip(), ".SH SEE ALSO", ".BR ip\\-xfrm (8)"]
    return "\n".join(lines) + "\n"


def _verbs() -> list[str]:
    lines = []
    for name, verbs in VERBS.items():
        for verb, row in verbs.items():
            lines += [f".SS {_plain(f'xfrm {name} {verb}'.rstrip())}", _plain(row.summary + ".")]
            for each in row.words:
                text = each.name if isinstance(each, Group) else syntax(each, optional=False)
                lines += [".TP", f".B {_plain(text)}", _plain(each.about)]
    return lines
