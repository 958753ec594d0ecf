"""Pages of documentation, as tests read them."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

__all__ = ["PAGES", "ROOT", "examples_of", "headings", "prose"]

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def examples_of(page: Path) -> tuple[int, int]:
    """Run a page's Python examples, one after the other: how many there are, how many failed."""
    text = page.read_text().replace("```", "")  # a fence would be taken for expected output
    test = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    result = doctest.DocTestRunner().run(test)
    return len(test.examples), result.failed


def headings(page: Path) -> set[str]:
    """What a link may name behind ``#``."""
    found = re.findall(r"(?m)^#+ (.*)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def prose(page: Path) -> list[str]:
    """What stands in backticks, and the lines of fenced blocks."""
    text = page.read_text()
    blocks = re.findall(r"(?ms)^```\w*\n(.*?)^```", text)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```", "", text))
    return spans + [line for block in blocks for line in block.splitlines()]
