from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.esp.ahead import BLOCK, Ahead, write_block


def pack(number: int) -> tuple[bytes, ...]:
    whole = (number & (1 << 64) - 1).to_bytes(8, "big")
    return whole[4:], b"salt" + whole, whole[:4] + b"-" + whole


@given(st.integers(0, 2**64 - 700), st.integers(0, 600))
def test_records_are_those_packed_one_by_one(first: int, count: int) -> None:
    ahead = Ahead(pack, first, first + 600)
    assert [ahead.take() for _ in range(count)] == [pack(first + i) for i in range(count)]
    assert ahead.position == first + count - 1


@given(st.integers(0, 2**32), st.integers(0, 600))
def test_after_the_last_number_there_is_nothing(first: int, count: int) -> None:
    ahead = Ahead(pack, first, first + count - 1)
    assert len(list(ahead.records)) == count
    assert ahead.position == first + count - 1
    with pytest.raises(StopIteration):
        ahead.take()


@pytest.mark.parametrize("taken", [0, 1, 255, 256, 257, 700])
def test_closed_means_closed_and_the_position_stays(taken: int) -> None:
    ahead = Ahead(pack, 1, 10_000)
    for _ in range(taken):
        ahead.take()
    ahead.close()
    assert ahead.position == taken
    with pytest.raises(StopIteration):
        ahead.take()
    ahead.close()
    assert ahead.position == taken


def test_a_block_is_the_strings_in_a_row() -> None:
    one_by_one = b"".join(b"".join(pack(0x100 + i)) for i in range(BLOCK))
    assert write_block(b"".join(pack(0x100)), b"".join(pack(0x101))) == one_by_one
