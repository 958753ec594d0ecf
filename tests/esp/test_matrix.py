"""docs/packets.md says of every algorithm what it is held against, and that is so."""

from __future__ import annotations

from pathlib import Path

from tests.esp.matrix import NOT_IN_SCAPY, VECTORS, table
from tests.esp.support import ALGORITHMS
from tests.esp.test_scapy import NAMES

PAGE = Path(__file__).parents[2] / "docs" / "packets.md"


def test_the_page_has_the_table() -> None:
    assert table() in PAGE.read_text(), "python -m tests.esp.matrix prints what it should have"


def test_every_algorithm_is_in_it() -> None:
    assert set(NAMES) | set(NOT_IN_SCAPY) == set(ALGORITHMS)
    used = {one.name for parts in ALGORITHMS.values() for one in parts.values()}
    assert used <= set(VECTORS)
    assert all(told for name, (told, _) in VECTORS.items() if name != "ecb(cipher_null)")
