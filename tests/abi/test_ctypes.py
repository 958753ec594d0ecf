"""The kinds that rows are declared with."""

from __future__ import annotations

from itertools import combinations

from pyxfrm.abi.ctypes import Bytes, Padding, Scalar, Tail


def test_kinds_that_hold_equal_values_are_not_equal() -> None:
    """As they were while they were tuples; on Python 3.11.2 paddings of one byte became secrets."""
    kinds = (Scalar("B", 1), Bytes(1), Padding(1), Tail(secret=True))
    assert all(one != other for one, other in combinations(kinds, 2))
