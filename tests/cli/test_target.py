"""Mistakes in options are told in one line."""

from __future__ import annotations

import pytest

from pyxfrm import cli

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
