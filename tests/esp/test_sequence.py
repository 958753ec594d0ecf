from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pyxfrm.errors import UsageError
from pyxfrm.esp import Sequence
from pyxfrm.esp.ahead import Ahead

LAST_32, LAST_64 = 2**32 - 1, 2**64 - 1


def pack(number: int, iv: int) -> tuple[bytes, ...]:
    return number.to_bytes(8, "big"), iv.to_bytes(8, "big")


def take(ahead: Ahead) -> tuple[int, int]:
    number, iv = ahead.take()
    return int.from_bytes(number, "big"), int.from_bytes(iv, "big")


def test_the_first_number_is_one_and_the_iv_is_the_number() -> None:
    sequence = Sequence()
    ahead = sequence.ahead(pack)
    assert [take(ahead) for _ in range(300)] == [(n, n) for n in range(1, 301)]
    assert (sequence.last, sequence.last_iv, sequence.oseq, sequence.oseq_hi) == (300, 300, 300, 0)


@pytest.mark.parametrize(("esn", "last"), [(False, LAST_32), (True, LAST_64)])
def test_used_up_means_refused_and_never_wraps(esn: bool, last: int) -> None:
    sequence = Sequence(last - 2, esn=esn)
    ahead = sequence.ahead(pack)
    assert [take(ahead), take(ahead)] == [(last - 1, last - 1), (last, last)]
    for _ in range(2):
        with pytest.raises(StopIteration):
            ahead.take()
    assert sequence.last == last
    with pytest.raises(StopIteration):
        sequence.ahead(pack).take()


def test_numbers_that_may_wrap_do_and_their_ivs_do_not() -> None:
    sequence = Sequence(LAST_32 - 1, may_wrap=True)
    ahead = sequence.ahead(pack)
    assert [take(ahead) for _ in range(3)] == [
        (LAST_32, LAST_32),
        (0, LAST_32 + 1),
        (1, LAST_32 + 2),
    ]
    assert (sequence.oseq, sequence.oseq_hi) == (1, 0)


def test_with_esn_nothing_may_wrap() -> None:
    sequence = Sequence(LAST_64, esn=True, may_wrap=True)
    with pytest.raises(StopIteration):
        sequence.ahead(pack).take()


def test_esn_has_two_halves() -> None:
    sequence = Sequence(LAST_32, esn=True)
    assert take(sequence.ahead(pack)) == (2**32, 2**32)
    assert (sequence.oseq, sequence.oseq_hi) == (0, 1)


def test_going_back_is_refused_unless_forced() -> None:
    sequence = Sequence(1000)
    with pytest.raises(UsageError, match="behind 1000"):
        sequence.restore(999)
    sequence.restore(1000)
    sequence.restore(10, force=True)
    number, iv = take(sequence.ahead(pack))
    assert number == 11
    assert iv > 1000
    assert sequence.last_iv == iv


@pytest.mark.parametrize("last", [-1, 2**32])
def test_numbers_that_cannot_be_are_refused(last: int) -> None:
    with pytest.raises(UsageError):
        Sequence(last)
    with pytest.raises(UsageError):
        Sequence().restore(last, force=True)


def test_a_second_taker_ends_the_first() -> None:
    sequence = Sequence()
    first = sequence.ahead(pack)
    take(first)
    second = sequence.ahead(pack)
    with pytest.raises(StopIteration):
        first.take()
    assert take(second) == (2, 2)


class NoIvTwice(RuleBasedStateMachine):
    """Whatever the control plane does to the numbers, no IV is ever handed out twice."""

    def __init__(self) -> None:
        super().__init__()
        self.sequence = Sequence(may_wrap=True)
        self.ahead = self.sequence.ahead(pack)
        self.ivs: list[int] = []

    @rule(count=st.integers(1, 400))
    def seal(self, count: int) -> None:
        for _ in range(count):
            number, iv = take(self.ahead)
            self.ivs.append(iv)
            assert self.sequence.oseq == number
            assert self.sequence.last_iv == iv

    @rule(last=st.integers(0, 5000), force=st.booleans())
    def restore(self, last: int, force: bool) -> None:
        try:
            self.sequence.restore(last, force=force)
        except UsageError:
            assert last < self.sequence.last
            assert not force
            return
        assert self.sequence.last == last
        self.ahead = self.sequence.ahead(pack)

    @rule()
    def hand_over(self) -> None:
        self.ahead = self.sequence.ahead(pack)

    @rule()
    def rebuild(self) -> None:
        last, last_iv = self.sequence.last, self.sequence.last_iv
        self.sequence = Sequence(last, may_wrap=True, last_iv=last_iv)
        self.ahead = self.sequence.ahead(pack)

    @invariant()
    def strictly_upwards(self) -> None:
        assert all(a < b for a, b in zip(self.ivs, self.ivs[1:], strict=False))


TestNoIvTwice = NoIvTwice.TestCase
TestNoIvTwice.settings = settings(max_examples=30, stateful_step_count=25)


@given(st.integers(0, 2**32), st.integers(0, 2**40))
def test_the_iv_starts_above_every_used_one(last: int, last_iv: int) -> None:
    sequence = Sequence(last, esn=True, last_iv=max(last, last_iv))
    number, iv = take(sequence.ahead(pack))
    assert number == last + 1
    assert iv > max(last, last_iv)
    assert iv - number < max(0, last_iv - last) + 256
