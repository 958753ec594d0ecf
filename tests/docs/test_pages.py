"""What the pages name is there: files, headings, modules, commands and their options."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from pyxfrm.cli import COMMANDS
from pyxfrm.cli.complete import candidates
from pyxfrm.cli.grammar import VERBS
from tests.docs.pages import PAGES, headings, prose

IDS = [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for target, _, heading in re.findall(r"\]\(([^)#]*)(#([^)]*))?\)", page.read_text()):
        if "://" in target:
            continue
        where = page.parent / target if target else page
        assert where.exists(), target
        assert not heading or heading in headings(where), f"{target}#{heading}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_names_of_python_exist(page: Path) -> None:
    for name in re.findall(r"\bpyxfrm(?:\.\w+)+", page.read_text()):
        assert resolves(name), name


def resolves(name: str) -> bool:
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        try:
            for part in parts[end:]:
                found = getattr(found, part)
        except AttributeError:
            return False
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_exist(page: Path) -> None:
    for line in prose(page):
        found = re.match(r"(?:[$#] )?(?:sudo )?xfrm ([a-z].*)", line)
        if found:
            check(found[1].partition("#")[0].partition("  ")[0], line)


def check(words: str, line: str) -> None:
    """The command is one, its verb is one, and so are its long options."""
    name, *rest = shlex.split(words.replace("'", "").rstrip("\\"))
    assert name in (*COMMANDS, "help"), line
    if name in VERBS and "" not in VERBS[name] and rest and rest[0].isalpha() and rest[0].islower():
        assert rest[0] in (*VERBS[name], "help", "show"), line
    own = rest[: rest.index("--")] if "--" in rest else rest
    known = {"--json", "--engine", "--show-keys", "--timeout", "--unchecked", "--help"}
    known |= {*candidates([name]), *candidates([name, *own[:1]])}
    for word in own:
        if word.startswith("--"):
            assert word.partition("=")[0] in known, line
