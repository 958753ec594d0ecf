"""Words as values: addresses that end early, and what of a file's words is kept for the next line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.cli import values
from pyxfrm.cli.grammar import VALUES
from pyxfrm.model import Address, Family

BYTES = st.lists(st.integers(0, 255), min_size=1, max_size=4)


@given(BYTES, st.integers(0, 2))
def test_an_address_may_end_early_and_have_zeros_in_front(parts: list[int], zeros: int) -> None:
    word = ".".join(str(part).rjust(min(len(str(part)) + zeros, 3), "0") for part in parts)
    packed = bytes(parts).ljust(4, b"\0")
    assert values.reader(VALUES["OADDR"])(word) == Address(Family.INET, packed)


@pytest.mark.parametrize(
    "word", ["1.2.3.256", "1.2.3.4.5", "1..2", "", "1.2.3.4\0", "1.\udc80", "é"]
)
def test_what_is_no_address(word: str) -> None:
    with pytest.raises(ValueError, match=r"^is not an address$"):
        values.reader(VALUES["OADDR"])(word)


@pytest.mark.parametrize("word", ["0x" + "5a" * 20, "0x5a", "77", "secret words"])
def test_no_key_is_kept(word: str) -> None:
    kept = [one.cache_info() for one in values._KEEPING.values()]
    assert values.reader(VALUES["ALGO-KEYMAT"])(word) == values.reader(VALUES["ALGO-KEYMAT"])(word)
    assert [one.cache_info() for one in values._KEEPING.values()] == kept


def test_a_word_is_read_anew_for_each_kind_of_value() -> None:
    assert values.reader(VALUES["REQID"])("10") == 10
    assert values.reader(VALUES["OADDR"])("10") == Address(Family.INET, bytes((10, 0, 0, 0)))
    with pytest.raises(ValueError, match="is over"):
        values.reader(VALUES["REQID"])("4294967296")
    for _ in range(2):
        with pytest.raises(ValueError, match="is not a number"):
            values.reader(VALUES["REQID"])("ten")
