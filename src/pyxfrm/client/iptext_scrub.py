"""Keys taken out of text that people paste: what ``ip xfrm`` printed, or the command that was typed.

Such text has been through terminals and mail programs, which break long lines: in front of a word or within it, with ``>`` or spaces before what
follows. So a key may lie in pieces, one a line, and only the first has a ``0x``. What helps is that nothing else in this text looks like it:

* behind ``0x`` stand at most 8 digits, unless it is a key (SPI, reqid, marks, flags, sequence numbers, bitmaps are of 32 bits);
* no line ends with such a number where the next begins with a word of hexadecimal digits alone, unless a line was broken between them, or the
  word is ``aead`` with the name of an algorithm behind it;
* a word of more than 8 hexadecimal digits with a letter among them is no count and no address.

What is left are keys of at most 4 bytes, which are known by the algorithm in front of them, and keys that a command line gives as plain words.

Errs on the side of hiding: a length that was broken off behind a key (``128``) goes with it. Line breaks stay, so that lines keep their numbers.
"""

from __future__ import annotations

import re

from pyxfrm.client.iptext_lines import ALGORITHMS

__all__ = ["HIDDEN", "scrub"]

HIDDEN = "<<Keys hidden>>"  # iproute2's own words for it
_NO_KEY = 8  # digits that other numbers have at most

_BREAK = r"[ \t=\\]*\r?\n[ \t>|]*"
_DIGITS = r"[0-9a-fA-F]+"
_WORD_END = r"(?![\w.:(/-])"
_AEAD = r"aead[ \t]+[a-z]"  # the one keyword of hexadecimal digits alone, and the name behind it
_PIECE = rf"(?!{_AEAD}){_DIGITS}{_WORD_END}"
_NUMBER = re.compile(
    rf"(?<![\w.:])(?:0[xX]{_DIGITS}|0{_BREAK}[xX]{_PIECE}|0[xX]{_BREAK}{_PIECE})(?:{_BREAK}{_PIECE})*"
)
_BARE = re.compile(
    r"0[xX][0-9a-fA-F]{9,}|[0-9a-fA-F]{17,}|(?<![\w.:@-])(?=\d*[a-fA-F])[0-9a-fA-F]{9,16}(?![\w.:@-])"
)

_KINDS = "|".join(sorted(ALGORITHMS, key=len, reverse=True))
# A line of an SA; in the one-line form a line begins after a backslash.
_SHORT = re.compile(rf"(?m)((?:^|\\)[ \t>|]*(?:{_KINDS})[ \t]+\S+[ \t]+)0[xX]{_DIGITS}")

# A command, to the end of its line: those behind a backslash and within quotes belong to it.
_QUOTED = r""""(?:\\.|[^"\\])*"|'[^']*'"""
_COMMAND = re.compile(
    rf"\bxfrm\s+(?:s|st|sta|stat|state)\s+(?:a|u)\w*\s(?:{_QUOTED}|\\\r?\n|[^\n])*", re.DOTALL
)
_WORD = rf"""(?:{_QUOTED}|[^\s'"]+|['"][^\n]*)"""
_COMMAND_KEY = re.compile(
    rf"(?<!proto )(\b(?:aead|auth-trunc|auth|enc)[\s\\]+{_WORD}[\s\\]+)({_WORD})"
)


def scrub(text: str) -> str:
    """The same text with its keys hidden, and nothing else changed. A key of no bytes is not shown, and stays so."""
    text = _COMMAND.sub(lambda command: _COMMAND_KEY.sub(_without_word, command[0]), text)
    text = _NUMBER.sub(_without_key, text)
    text = _SHORT.sub(rf"\1{HIDDEN}", text)
    return _BARE.sub(HIDDEN, text)


def _without_word(found: re.Match[str]) -> str:
    """Line breaks and backslashes are kept: they part lines."""
    return found[1] + HIDDEN + re.sub(r"[^\n\\]", "", found[2])


def _without_key(number: re.Match[str]) -> str:
    """A number behind ``0x`` as it is, or, if it is a key, what it was broken with."""
    breaks = re.findall(_BREAK, number[0])
    digits = len(re.sub(_BREAK, "", number[0])) - len("0x")
    return number[0] if digits <= _NO_KEY and not breaks else HIDDEN + "".join(breaks)
