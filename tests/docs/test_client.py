"""The tour of docs/client.md happens as it is told."""

from __future__ import annotations

from tests.docs.pages import ROOT, examples_of


def test_the_tour_is_true() -> None:
    count, failed = examples_of(ROOT / "docs" / "client.md")
    assert count > 30
    assert failed == 0
