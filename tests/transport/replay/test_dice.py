"""What chance decided is taken once, and only if it could be."""

from __future__ import annotations

from collections import Counter

import pytest

from pyxfrm.errors import UsageError
from pyxfrm.transport.replay.dice import Dice


def dice() -> tuple[Dice, Counter[str]]:
    counts: Counter[str] = Counter()
    return Dice(counts), counts


def test_an_offer_is_taken_once() -> None:
    made, counts = dice()
    made.offer(spi=0x100, index=9)
    assert made.spi(0x100, 0x200) == 0x100
    assert made.policy_index(1) == 9
    assert counts == {"SPIs": 1, "policy indexes": 1}
    assert made.policy_index(1) is None
    with pytest.raises(UsageError, match="0x00000100 is taken already"):
        made.spi(0x100, 0x200)


def test_without_an_offer_anything_will_do() -> None:
    made, counts = dice()
    assert [made.spi(5, 6) for _ in range(3)] == [5, 6, 5]
    assert made.policy_index(0) is None
    assert not counts


@pytest.mark.parametrize("spi", [0, 0xFF, 0x201])
def test_an_spi_outside_the_range_is_refused(spi: int) -> None:
    made, _ = dice()
    made.offer(spi=spi)
    with pytest.raises(UsageError, match="not in the range 0x00000100 to 0x00000200"):
        made.spi(0x100, 0x200)


@pytest.mark.parametrize("index", [0, 8, 10])
def test_an_index_of_another_direction_is_refused(index: int) -> None:
    made, _ = dice()
    made.offer(index=index)
    with pytest.raises(UsageError, match="not one of direction 1"):
        made.policy_index(1)


def test_acquires_are_numbered_upwards() -> None:
    made, _ = dice()
    for seq in (3, 7):
        made.offer(acquire=seq)
        assert made.acquire_seq() == seq
    made.offer()
    assert made.acquire_seq() == 8
    for seq in (7, 1):
        made.offer(acquire=seq)
        with pytest.raises(UsageError, match=f"ACQUIRE number {seq} after 7"):
            made.acquire_seq()
