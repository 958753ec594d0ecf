"""What the README shows is what happens."""

from __future__ import annotations

from tests.docs.pages import ROOT, examples_of


def test_the_example_runs() -> None:
    count, failed = examples_of(ROOT / "README.md")
    assert count
    assert failed == 0
