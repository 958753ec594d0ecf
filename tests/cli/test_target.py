"""Mistakes in options are told in one line, and all commands say the same of the same option."""

from __future__ import annotations

import pytest

from pyxfrm import cli
from pyxfrm.cli.options import OPTIONS

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("argv", "status", "told"),
    [
        (["stat", "--interval", "0"], 2, "--interval 0: must be over 0"),
        (["stat", "-n", "/no/such"], 2, "network namespace /no/such: there is no /no/such"),
        (["probe", "--engine", "9.9"], 2, "--engine 9.9: no such profile"),
        (["probe", "--engine", "7.2", "-n", "x"], 2, "--engine and -n"),
        (["state", "--engine", "7.2", "--netns", "x"], 2, "--engine and -n"),
        (
            ["state", "list", "proto", "esp", "--engine", "7.2", "--netns", "x"],
            2,
            "--engine and -n",
        ),
        (["monitor", "--engine", "7.2", "--netns", "x"], 2, "--engine and -n"),
        (["doctor", "--engine", "/no/such/socket"], 2, "/no/such/socket"),
        (["show", "/no/such/file"], 2, "/no/such/file: No such file or directory"),
    ],
)
def test_mistakes_are_told_in_one_line(
    argv: list[str], status: int, told: str, capsys: Captured
) -> None:
    assert cli.main(argv) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["doctor", "probe", "stat"])
def test_an_option_is_told_in_the_same_words_everywhere(command: str, capsys: Captured) -> None:
    assert cli.main([command, "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    shared = dict(OPTIONS)
    assert shared["-n NETNS"] in told
    if command != "stat":
        assert shared["--engine NAME|PATH"] in told
