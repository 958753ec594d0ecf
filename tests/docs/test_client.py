"""The tour of docs/client.md happens as it is told."""

from __future__ import annotations

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "client.md"


def test_the_tour_is_true() -> None:
    text = PAGE.read_text().replace("```", "")  # a fence would be taken for expected output
    test = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    assert len(test.examples) > 30
    assert doctest.DocTestRunner().run(test).failed == 0
