"""Command lines of words that make sense, put together without any: a status, a line, never a traceback, never a key."""

from __future__ import annotations

import io
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pyxfrm.cli import COMMANDS, main, options
from pyxfrm.cli.complete import line_named
from pyxfrm.cli.grammar import ALIASES, GROUPS, VALUES, VERBS

SECRET = "deadbeefcafef00d0123456789abcdef"
KEY = f"0x{SECRET}"
FILE = str(Path(__file__).parents[1] / "client" / "data" / "state.txt")

# What runs for long, starts a kernel, or asks the one of this machine.
NOT_HERE = {"lab", "demo", "relocate", "engine", "tunnel", "monitor"}

SHARED = [
    o
    for o in (*options._FLAGS, *options._WITH_VALUE)
    if o not in ("--show-keys", "-batch", "-b", "--batch")
]
WORDS = sorted(
    {verb for verbs in VERBS.values() for verb in verbs}
    | {keyword.word for group in GROUPS.values() for keyword in group}
    | {word for value in VALUES.values() for word in value.words}
    | set(ALIASES)
    | {
        "help",
        "mode",
        "reqid",
        "mark",
        "mask",
        "limit",
        "tmpl",
        "flag",
        "encap",
        "offload",
        "priority",
    }
)
GOOD = [
    "192.0.2.1",
    "198.51.100.1",
    "2001:db8::1",
    "10.0.0.0/8",
    "0x100",
    "5",
    "lo",
    "cbc(aes)",
    "128",
    KEY,
    "rfc4106(gcm(aes))",
]
JUNK = [
    "",
    "-",
    "--",
    "-1",
    "0x",
    "4294967296",
    "nonsense",
    "ä€",
    "\udcff",
    "1.2.3.4/33",
    "a b",
    "%s",
    "{}",
    "\n",
    "--nonsense",
]

a_word = (
    st.sampled_from(WORDS) | st.sampled_from(GOOD) | st.sampled_from(JUNK) | st.sampled_from(SHARED)
)
# Runs that mean something, so that not everything ends at the first word.
A_RUN = [
    f"src 192.0.2.1 dst 198.51.100.1 proto esp spi 0x100 mode tunnel aead rfc4106(gcm(aes)) {KEY} 128",
    f"enc cbc(aes) {KEY}", f"auth-trunc hmac(sha256) {KEY} 128", f"aead rfc4106(gcm(aes)) {KEY} {KEY}", f"enc {KEY} cbc(aes)",
    "dst 198.51.100.1 proto esp spi 0x100", "src 10.1.0.0/16 dst 10.2.0.0/16 dir out",
    "tmpl src 192.0.2.1 dst 198.51.100.1 proto esp mode tunnel reqid 7", "mark 1 mask 1",
    "new-dst 203.0.113.1 new-src 192.0.2.9 new-reqid 7", "limit time-hard 5", "encap espinudp 1 2 0.0.0.0",
]  # fmt: skip
a_run = st.sampled_from(A_RUN).map(str.split)
tails = st.lists(a_run | a_word.map(lambda word: [word]), max_size=7).map(
    lambda runs: [w for run in runs for w in run]
)


def heads() -> list[list[str]]:
    found = [[name, verb] for name in ("state", "policy") for verb in VERBS[name]]
    found += [[name] for name in COMMANDS if name not in NOT_HERE]
    return [*found, ["migrate"], ["monitor", "file", "/dev/null"], ["nonsense"], ["s"], ["p", "x"]]


def ran(argv: list[str]) -> tuple[int, str, str]:
    out, err = (io.TextIOWrapper(io.BytesIO(), errors="surrogateescape") for _ in range(2))
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(b""))
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = main(argv)
    finally:
        sys.stdin = before
    out.seek(0)
    err.seek(0)
    return status, out.read(), err.read()


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(heads()), tails)
@example(["state", "add"], ["enc", "cbc(aes)", KEY, KEY])
@example(["state", "add"], [KEY])
@example(["show"], [FILE, "--scrub"])
def test_any_words_end_in_a_status_and_a_line(head: list[str], tail: list[str]) -> None:
    takes_engine = head[0] in (*VERBS, "s", "p", "probe", "doctor")
    argv = [*head, *tail, *(["--engine", "linux-7.2"] if takes_engine else [])]
    if head[0] in ("stat", "probe", "doctor") and not takes_engine:
        argv = [*argv, "-n", "no-such-namespace"]
    status, out, err = ran(argv)
    assert status in (0, 1, 2), (argv, err)
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if not line.startswith("xfrm: note: ")]
    assert len(lines) == bool(status) or "Flush" in err or head[0] in ("complete", "replay"), (
        argv,
        err,
    )
    assert not status or err.startswith(("xfrm: ", "Flush"))
    if head[0] != "complete":
        assert SECRET[:16] not in out + err, (argv, err)


# -- the commands that argparse reads --------------------------------------------------------------


def every_option() -> list[tuple[list[str], str, str, bool]]:
    """(words before it, the option, a value that it cannot have or "", whether it takes one)."""
    found: list[tuple[list[str], str, str, bool]] = []

    def walk(words: list[str], line: object) -> None:
        from pyxfrm.cli.introspect import Line

        assert isinstance(line, Line)
        for word in line.words:
            bad = "nonsense" if word.choices else ""
            found.extend((words, name, bad, bool(word.value)) for name in word.names)
        for verb, below in line.verbs.items():
            walk([*words, verb], below)

    for command in COMMANDS:
        if (line := line_named(command)) is not None:
            walk([command], line)
    return found


@pytest.mark.parametrize(("words", "option", "bad", "takes"), every_option(), ids=str)
def test_a_bad_value_of_an_option_is_refused_by_its_name(
    words: list[str], option: str, bad: str, takes: bool
) -> None:
    if takes:
        tried = [[option], *([[option, bad]] if bad else [])]
    else:
        tried = [[f"{option}=nonsense"]] if option.startswith("--") else []
    for argv in tried:
        status, out, err = ran([*words, *argv])
        assert (status, out) == (2, ""), (argv, err)
        assert re.fullmatch(r"xfrm: [^\n]*\n", err)
        assert option in err


@pytest.mark.parametrize("name", [name for name in COMMANDS if line_named(name)])
def test_an_option_that_is_none_is_refused(name: str) -> None:
    status, out, err = ran([name, "--nonsense"])
    assert (status, out) == (2, "")
    assert re.fullmatch(rf"xfrm: {name}[^\n]*\n", err)


NUMBERS = [
    (["stat", "--interval"], "0"), (["stat", "--interval"], "x"), (["stat", "--count"], "x"), (["stat", "--count"], "-1"),
    (["lab", "fuzz", "--seed"], "x"), (["lab", "fuzz", "--seconds"], "x"), (["lab", "run", "--timeout"], "x"),
    (["relocate", "--reqid"], "x"), (["relocate", "--delay"], "x"), (["relocate", "--encap"], "x"), (["relocate", "--select"], "x"),
    (["relocate", "--from-local"], "x"), (["demo", "--seconds"], "0"), (["demo", "--rate"], "x"), (["replay"], "/nonsense"),
    (["show"], "/nonsense"), (["lab", "script"], "/nonsense"), (["doctor", "--engine"], "nonsense"), (["probe", "--engine"], "/nonsense"),
    (["doctor", "-n"], "nonsense"), (["probe", "-n"], "nonsense"), (["stat", "-n"], "nonsense"), (["replay", "x", "--profile"], "nonsense"),
    (["lab", "info", "--share"], "/nonsense"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "bad"), NUMBERS, ids=str)
def test_a_value_that_cannot_be_meant(words: list[str], bad: str) -> None:
    status, out, err = ran([*words, bad])
    assert (status, out) == (2, ""), err
    assert err.count("\n") == 1
    assert bad in err
