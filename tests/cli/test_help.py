"""Whatever way a person asks for help, there is help, and its examples are true."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyxfrm.cli import COMMANDS, main
from pyxfrm.cli.complete import line_named
from pyxfrm.cli.examples import EXAMPLES
from pyxfrm.cli.grammar import VERBS
from pyxfrm.cli.help import shown, usage
from pyxfrm.cli.options import OPTIONS
from pyxfrm.engine import Engine
from pyxfrm.transport.server import serving

Captured = pytest.CaptureFixture[str]

WIDTH = 80


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))  # argparse asks for it


def asked(capsys: Captured, *words: str) -> str:
    assert main(list(words)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("usage: xfrm")
    assert max(map(len, out.splitlines())) <= WIDTH
    return out


@pytest.mark.parametrize("name", COMMANDS)
def test_of_a_command(name: str, capsys: Captured) -> None:
    text = asked(capsys, name, "--help")
    assert text == asked(capsys, name, "-h") == asked(capsys, "help", name)
    assert text.startswith(f"usage: xfrm {name}")


@pytest.mark.parametrize(("name", "verb"), [(n, v) for n in VERBS for v in VERBS[n] if v])
def test_of_a_verb(name: str, verb: str, capsys: Captured) -> None:
    text = asked(capsys, name, verb, "--help")
    assert text.startswith(usage(name, verb, "usage: "))
    for words in ((name, verb, "help"), ("help", name, verb), (name, verb, "-h")):
        assert asked(capsys, *words) == text
    assert asked(capsys, "--engine", "7.2", name, verb, "--help") == text


@pytest.mark.parametrize(
    ("name", "verb"), [(n, v) for n in COMMANDS if (line := line_named(n)) for v in line.verbs]
)
def test_of_a_verb_of_another_command(name: str, verb: str, capsys: Captured) -> None:
    assert asked(capsys, name, verb, "--help") == asked(capsys, "help", name, verb)


def test_behind_anything(capsys: Captured) -> None:
    text = asked(capsys, "state", "add", "--help")
    assert asked(capsys, "state", "add", "src", "192.0.2.1", "--help", "dst") == text
    assert asked(capsys, "-s", "--help") == asked(capsys, "--help")
    with pytest.raises(AssertionError):
        asked(capsys, "help", "nonsense")
    assert "no command 'nonsense'" in capsys.readouterr().err


def test_of_the_options(capsys: Captured) -> None:
    assert main(["help", "options"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) < WIDTH
    assert all(f"\n  {option} " in text for option, _ in OPTIONS)
    assert main(["state", "list", "--nonsense"]) == 2
    assert "`xfrm help options` lists them" in capsys.readouterr().err


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    with serving(Engine(), tmp_path / "engine"):
        yield tmp_path / "engine"


def test_examples_work_one_after_the_other(path: Path, capsys: Captured) -> None:
    for (name, verb), examples in EXAMPLES.items():
        for example in examples:
            _, *words = shlex.split(shown(example).replace("\\\n", ""))
            at = words.index(name)
            assert words[at + 1] == verb or not verb
            status = main([*words, "--engine", str(path)])
            assert (status, capsys.readouterr().err) == (0, "")
            assert shown(example) in asked(capsys, name, verb or "--help", "--help")
    assert main(["state", "count", "--engine", str(path)]) == 0
    assert "count 0" in capsys.readouterr().out
