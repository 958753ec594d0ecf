"""Every keyword of every command, with a value that is missing, malformed, out of range, or one too many: status 2, and the word is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyxfrm.cli import main
from pyxfrm.cli.grammar import GROUPS, VALUES, VERBS, Group, Keyword

GOOD = {
    "host": "192.0.2.1",
    "address": "192.0.2.1",
    "network": "192.0.2.0/24",
    "u16": "5",
    "u32": "5",
    "u64": "5",
    "seq": "5",
    "text": "cbc(aes)",
    "key": "0x0102",
    "device": "lo",
    "protocol": "6",
    "grekey": "5",
    "bits4": "8",
    "bits6": "8",
    "decimal": "0.5",
}
BAD = {
    "host": ["nonsense", "1.2.3.256", "1.2.3.4.5", ":::", "1.2.3.4/33", "::/129", "1.2.3.4/x"],
    "address": ["nonsense", "1.2.3.256", ":::"],
    "network": ["nonsense", "1.2.3.4/33", "::/129", "1.2.3.4/255.0.255.0", "1.2.3.4/"],
    "u16": ["nonsense", "-1", "65536", "0x10000", "", "1.5"],
    "u32": ["nonsense", "-1", "4294967296", "0x1g", "", "08"],
    "u64": ["nonsense", "-1", "18446744073709551616", ""],
    "seq": ["nonsense", "4294967296"],
    "device": ["no-such-device"],
    "protocol": ["nonsense", "256"],
    "grekey": ["nonsense", "1.2.3.256", "4294967296"],
    "bits4": ["nonsense", "33"],
    "bits6": ["nonsense", "129"],
    "decimal": ["nonsense", "-1", "1e3", "inf", "nan", "."],
    "choice": ["nonsense", ""],
}


def good(name: str) -> str:
    value = VALUES[name]
    return GOOD.get(value.kind) or next(iter(value.words))


def lead(verb_words: list[str], path: list[str], keyword: Keyword) -> list[str]:
    return [*verb_words, *path, keyword.word]


def keywords(name: str, verb: str) -> Iterator[tuple[list[str], Keyword]]:
    """(words before it, keyword) of all keywords of a verb, those of runs included."""
    for row in VERBS[name][verb].words:
        if isinstance(row, Group):
            yield from (([], keyword) for keyword in GROUPS[row.name])
            continue
        yield [], row
        before = [row.word, *[good(v) for v in row.values]]
        yield from ((before, more) for more in row.more)
        for group in filter(None, (row.run, row.one)):
            yield from (([row.word], keyword) for keyword in GROUPS[group])


EVERY = [
    pytest.param(
        [name, *filter(None, [verb]), *before],
        keyword,
        id=" ".join([name, verb, *before, keyword.word]),
    )
    for name, verbs in VERBS.items()
    for verb in verbs
    for before, keyword in keywords(name, verb)
]


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is told on stderr, in one line; the status must be 2."""
    status = main(["--engine", "linux-7.2", *argv])
    out, err = capsys.readouterr()
    assert status == 2, (argv, out, err)
    assert out == ""
    assert err.startswith("xfrm: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(("before", "keyword"), EVERY)
def test_a_value_that_is_missing(
    before: list[str], keyword: Keyword, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [good(name) for name in keyword.values]
    for count in range(len(values)):
        told = refused([*before, keyword.word, *values[:count]], capsys)
        assert keyword.word in told
        assert "missing" in told
    if keyword.run or keyword.one or keyword.many:
        told = refused([*before, keyword.word], capsys)
        assert keyword.word in told


@pytest.mark.parametrize(("before", "keyword"), EVERY)
def test_a_value_that_is_malformed_or_out_of_range(
    before: list[str], keyword: Keyword, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [good(name) for name in keyword.values]
    for at, name in enumerate(keyword.values):
        for bad in BAD.get(VALUES[name].kind, []):
            words = [*values[:at], bad, *values[at + 1 :]]
            told = refused([*before, keyword.word, *words], capsys)
            assert f'"{bad}"' in told
            assert keyword.word in told
    if keyword.one or keyword.many:
        for bad in ("nonsense", "0x1g", "0x100000000"):
            told = refused([*before, keyword.word, bad], capsys)
            assert f'"{bad}"' in told
            assert keyword.word in told


@pytest.mark.parametrize(("before", "keyword"), EVERY)
def test_a_value_too_many(
    before: list[str], keyword: Keyword, capsys: pytest.CaptureFixture[str]
) -> None:
    if keyword.run or keyword.one or keyword.many:
        return
    values = [good(name) for name in keyword.values]
    told = refused([*before, keyword.word, *values, "4711"], capsys)
    assert '"4711"' in told


@pytest.mark.parametrize(("before", "keyword"), EVERY)
def test_a_word_that_may_stand_there_once(
    before: list[str], keyword: Keyword, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of other words the last one counts, as in iproute2: the lines of test_lines hold both to it."""
    if keyword.once:
        twice = [keyword.word, *(good(name) for name in keyword.values)] * 2
        assert f'"{keyword.word}" is there twice' in refused([*before, *twice], capsys)


def test_a_key_that_is_malformed_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(["state", "add", "enc", "cbc(aes)", "0xdeadbeefx"], capsys)
    assert "deadbeef" not in told
    assert "enc" in told


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("state nonsense", '"nonsense" is no command'),
        ("state add", "which SA"),
        ("state add src 1.1.1.1 dst ::1 proto esp", "one address family"),
        ("-6 state add src 1.1.1.1 dst 2.2.2.2 proto esp", "-6 asks for"),
        ("state add src 1.1.1.1 spi 5", "proto is missing"),
        ("state add proto esp spi 5 reqid 5 src 1.1.1.1", '"src" is unexpected'),
        ("state add proto esp spi 5 flag esn enc x y", "esn needs a replay-window"),
        ("state add proto esp spi 5 replay-window 4097 enc x y", '"4097" is over 4096'),
        ("state add proto esp spi 5 enc x y enc x y", "a second algorithm"),
        ("state add proto esp spi 5 limit time-hard 18446744073709551615 enc x y", "at once"),
        ("state allocspi proto esp min 5", "max is missing"),
        ("state allocspi proto esp min 5 max 4", "is over max"),
        ("state allocspi proto esp spi 4", "spi"),
        ("state migrate dst 1.1.1.1 proto esp spi 5 new-src 1.1.1.1", "new-dst is missing"),
        ("policy add src 1.1.1.1", "dir is missing"),
        ("policy add dir in dir out", '"dir" is there twice'),
        ("policy get dir in", "selector or an index"),
        ("policy get dir in index 8 src 1.1.1.1", "not by both"),
        ("policy setdefault in block in accept", '"in" is there twice'),
        ("migrate dir in old-src 1.1.1.1", "old-dst is missing"),
        ("--engine linux-9 state", "no such profile"),
        ("--engine ./no/such state", "is it running"),
        ("--timeout x state", "not a number"),
        ("--timeout 0 state", "over 0"),
        ("-f inet7 state", "no such address family"),
        ("--engine", "--engine: a value is missing"),
        ("--engine 7.2", "no command"),
        ("-x state", "no such option"),
        ("-n 1 --engine 7.2 state", "give one of them"),
        ("state --nonsense", "no such option"),
        ("state list --engine", "a value is missing"),
        ("-n no-such-namespace state", "there is no /run/netns/no-such-namespace"),
    ],
)
def test_what_makes_no_sense_together(
    words: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = words.split(" ")
    if "engine" not in words and "-n" not in argv:
        argv = ["--engine", "linux-7.2", *argv]
    status = main(argv)
    told = capsys.readouterr().err
    assert status == 2
    assert why in told


def test_an_empty_run_is_refused_where_nothing_follows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "sel" in refused(["state", "add", "sel"], capsys)
    assert "tmpl" in refused(["policy", "add", "tmpl", "bogus"], capsys)
