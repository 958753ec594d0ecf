"""Keys taken out of text, however it was broken on its way."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.client.iptext import HIDDEN, parse, scrub
from pyxfrm.errors import UsageError

DATA = Path(__file__).parent / "data"
FILES = sorted(path.stem for path in DATA.glob("*.txt"))
KEYS = ("0x0102030405060708090a0b0c0d0e0f", "0x000102", "7369787465656e", "sixteen")
LEAK = 8  # digits: 4 bytes


def text(name: str) -> str:
    return (DATA / f"{name}.txt").read_text()


def test_scrubbed_text_is_what_nokeys_prints() -> None:
    """But for what has no key at all, of which iproute2 says that it was hidden, too."""
    ours, theirs = scrub(text("state")).split("\n"), text("state-nokeys").split("\n")
    differing = [line.split()[1] for line, other in zip(ours, theirs, strict=True) if line != other]
    assert differing == ["digest_null", "ecb(cipher_null)", "deflate"]


@pytest.mark.parametrize("name", FILES)
def test_only_keys_are_changed(name: str) -> None:
    whole = text(name)
    scrubbed = scrub(whole)
    assert not [key for key in KEYS if key in scrubbed]
    pieces = [re.escape(piece) for piece in scrubbed.split(HIDDEN)]
    assert re.fullmatch("(?:0x[0-9a-f]+|<<Keys hidden>>)".join(pieces), whole)
    assert scrub(scrubbed) == scrubbed
    assert scrub(whole.replace("\n", "\r\n")) == scrubbed.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "ip xfrm state add src 1.2.3.4 dst 1.2.3.5 proto esp spi 1 enc 'cbc(aes)' 'sixteen byte key' auth sha1 secret mode tunnel",
            f"ip xfrm state add src 1.2.3.4 dst 1.2.3.5 proto esp spi 1 enc 'cbc(aes)' {HIDDEN} auth sha1 {HIDDEN} mode tunnel",
        ),
        ("\tenc des 0x0123456789abcdef\n", f"\tenc des {HIDDEN}\n"),
        ("\tproto comp spi 0x00000500 reqid 0\n", "\tproto comp spi 0x00000500 reqid 0\n"),
        ("wrapped: 05060708090a0b0c0d0e0f\n", f"wrapped: {HIDDEN}\n"),
    ],
)
def test_scrubbing(before: str, after: str) -> None:
    assert scrub(before) == after


# -- broken text -----------------------------------------------------------------------------------

Break = Callable[[str, int], list[str]]


def in_the_middle(line: str, width: int) -> list[str]:
    """As a terminal breaks a line: after so many columns."""
    return [line[at : at + width] for at in range(0, len(line), width)] or [""]


def at_words(line: str, width: int) -> list[str]:
    """As a mail program does: before a word; a word that is too long, after so many columns."""
    rows, row = [], ""
    for word in line.split(" "):
        if row and len(row) + 1 + len(word) > width:
            rows.append(row)
            row = word
        else:
            row = f"{row} {word}" if row else word
        while len(row) > width:
            rows.append(row[:width])
            row = row[width:]
    return [*rows, row]


def at_words_only(line: str, width: int) -> list[str]:
    """A word that is too long stays whole, on a line of its own."""
    rows = [""]
    for word in line.split(" "):
        fits = len(rows[-1]) + 1 + len(word) <= width
        rows = [*rows[:-1], f"{rows[-1]} {word}"] if fits else [*rows, word]
    return rows


def leaks(shown: str, keys: list[str]) -> list[str]:
    """Parts of keys that are still there once the lines are put together again."""
    whole = re.sub(r"[\s>|=\\]", "", shown).lower()
    parts = {key[at : at + LEAK] for key in keys for at in range(len(key) - LEAK + 1)}
    return [part for part in sorted(parts) if part in whole]


key_bytes = st.sampled_from((8, 16, 20, 24, 32, 36, 64)).flatmap(
    lambda size: st.binary(min_size=size, max_size=size).filter(lambda key: len(set(key)) > 6)
)


@given(
    st.sampled_from(["state", "state-stats", "state-oneline"]),
    st.lists(key_bytes, min_size=3, max_size=3),
    st.sampled_from([in_the_middle, at_words, at_words_only]),
    st.integers(4, 200),
    st.sampled_from(["\n", "\r\n", " \n", "=\n", "\n> ", "\n>> ", "\n    ", "\\\n  ", "\n | "]),
)
def test_no_four_bytes_of_a_key_survive_however_lines_are_broken(
    name: str, keys: list[bytes], broken: Break, width: int, between: str
) -> None:
    supply = iter(keys * 20)
    # Long hexadecimal numbers behind an algorithm's name are keys: others take their places.
    whole = re.sub(
        r"(\) )0x[0-9a-f]{9,}", lambda found: f"{found[1]}0x{next(supply).hex()}", text(name)
    )
    rows = [between.join(broken(line, width)) for line in whole.split("\n")]
    pasted = "\n".join(rows)
    assert leaks(pasted, [key.hex() for key in keys])  # or the test tests nothing
    assert leaks(scrub(pasted), [key.hex() for key in keys]) == []
    assert scrub(pasted).count("\n") == pasted.count("\n")
    try:
        told = repr(parse(pasted))
    except UsageError as why:
        told = str(why)
    assert leaks(told, [key.hex() for key in keys]) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("enc cbc(des) 0x01234567\n89abcdef\n", f"enc cbc(des) {HIDDEN}\n\n"),
        ("enc cbc(des) 0x01\n> 23456789ab\n> cdef\n", f"enc cbc(des) {HIDDEN}\n> \n> \n"),
        ("enc cbc(des) 0\nx0123456789abcdef 1\n", f"enc cbc(des) {HIDDEN}\n 1\n"),
        ("if_id 0x2a\n\tdir in\n", "if_id 0x2a\n\tdir in\n"),
        ("oseq 0x0\n\t replay_window 32\n\t 00000000 \n", "oseq 0x0\n\t replay_window 32\n\t 00000000 \n"),
        ("spi 0x00000100(256)\nadd 2026-01-01\n", "spi 0x00000100(256)\nadd 2026-01-01\n"),
        ("0x1\nfe80::1\n", "0x1\nfe80::1\n"),
        ("root@1a2b3c4d5e6f:~# ip xfrm state\n", "root@1a2b3c4d5e6f:~# ip xfrm state\n"),
        ("123456789012(bytes), 5(packets)\n", "123456789012(bytes), 5(packets)\n"),
        (
            "xfrm state add \\\n enc 'cbc(aes)' \\\n 'two\nlines' auth sha1 secret\n",
            f"xfrm state add \\\n enc 'cbc(aes)' \\\n {HIDDEN}\n auth sha1 {HIDDEN}\n",
        ),
        ("xfrm state add enc 'cbc(aes)' 'never closed\n", f"xfrm state add enc 'cbc(aes)' {HIDDEN}\n"),
    ],
)  # fmt: skip
def test_what_is_hidden_of_broken_lines(before: str, after: str) -> None:
    assert scrub(before) == after


@pytest.mark.parametrize(
    "before", ["mark 0x5/0xff", "mark 0x5/0xff output-mark 0x7/0xff", "if_id 0x3"]
)
def test_aead_behind_a_number_is_no_rest_of_it(before: str) -> None:
    """It is a word of hexadecimal digits alone."""
    key = "0x" + "0a" * 20
    line = f"\t{before} \n\taead rfc4106(gcm(aes)) "
    assert scrub(f"{line}{key} 128\n") == f"{line}{HIDDEN} 128\n"
    assert "aead" not in scrub(f"enc cbc(aes) {key}\n> aead\n")  # here it is
