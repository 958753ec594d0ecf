"""The windows against a slow oracle: the set of all numbers seen."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxfrm.errors import UsageError
from pyxfrm.esp import (
    BitmapWindow,
    Counter,
    Drop,
    EsnWindow,
    LegacyWindow,
    Window,
    make_window,
)
from pyxfrm.esp.inorder import InOrder
from tests.esp.support import outcome

MASK = 0xFFFFFFFF
KINDS = ["legacy", "bitmap", "esn"]


class Oracle:
    """All numbers ever accepted, and the highest of them."""

    def __init__(self, window: int, top: int = 0) -> None:
        self.window = window
        self.top = top
        self.seen: set[int] = set()

    def accepts(self, number: int, *, esn: bool = False) -> bool:
        if number == 0:  # Linux's ESN check lets it in here
            return esn and self.top == self.window - 1 and number not in self.seen
        return number > self.top - self.window and number not in self.seen

    def accept(self, number: int) -> None:
        self.seen.add(number)
        self.top = max(self.top, number)


def empty(kind: str, window: int, top: int = 0) -> Window:
    if kind == "legacy":
        return LegacyWindow(min(window, 32), seq=top)
    exact = window & (window - 1) != 0  # where Linux's ring is at fault
    if kind == "bitmap":
        return BitmapWindow(window, seq=top, exact_ring=exact)
    return EsnWindow(window, seq=top & MASK, seq_hi=top >> 32, exact_ring=exact)


def offer(window: Window, number: int) -> bool:
    """What an opener does with an authentic packet."""
    found = outcome(window.check, number & MASK)
    if found is Counter.IN_STATE_SEQ_ERROR or found != number:
        return False  # refused, or its ICV would be wrong
    if outcome(window.recheck, found) is Counter.IN_STATE_SEQ_ERROR:
        return False
    window.advance(number)
    return True


def numbers_around(start: int) -> st.SearchStrategy[list[int]]:
    """Mostly in order, with repeats, jumps and late ones."""
    steps = st.one_of(
        st.just(1), st.integers(-40, 40), st.integers(-5000, 5000), st.sampled_from([0, 31, 32, 33])
    )

    def walk(moves: list[int]) -> list[int]:
        numbers, at = [], start
        for move in moves:
            at = max(0, at + move)
            numbers.append(at)
        return numbers

    return st.lists(steps, max_size=120).map(walk)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150)
@given(st.sampled_from([1, 2, 31, 32, 33, 63, 64, 100, 256, 1000, 4096]), st.data())
def test_like_the_set_of_all_numbers_seen(kind: str, size: int, data: st.DataObject) -> None:
    start = data.draw(st.sampled_from([0, 1, 5000, 2**31]))
    window = empty(kind, size)
    oracle = Oracle(window.window)
    for number in data.draw(numbers_around(start)):
        accepted = offer(window, number)
        assert accepted == oracle.accepts(number, esn=kind == "esn"), (number, window, oracle.top)
        if accepted:
            oracle.accept(number)
        assert window.top == oracle.top


@settings(max_examples=150)
@given(st.sampled_from([1, 32, 64, 100, 4096]), st.integers(-60, 60), st.data())
def test_esn_across_the_edge_of_the_low_half(size: int, off: int, data: st.DataObject) -> None:
    top = 5 * 2**32 + off
    window, oracle = empty("esn", size, top), Oracle(size, top)
    for number in data.draw(numbers_around(top)):
        accepted = offer(window, number)
        assert accepted == oracle.accepts(number), (number, window)
        if accepted:
            oracle.accept(number)
        assert window.top == oracle.top


@given(st.integers(32, 4096), st.integers(2**13, 2**64 - 2**33), st.integers(-4095, 2**31))
def test_the_high_half_is_inferred(size: int, top: int, distance: int) -> None:
    window = EsnWindow(size, seq=top & MASK, seq_hi=top >> 32)
    number = top + max(distance, 1 - size)
    assert window.infer(number & MASK) == number


@pytest.mark.parametrize("kind", ["legacy", "bitmap"])
def test_a_window_of_nothing_accepts_everything_and_remembers_nothing(kind: str) -> None:
    window = empty(kind, 0)
    assert all(offer(window, number) for number in (7, 7, 0, 1, MASK, 7))
    assert window.top == 0


def test_number_zero_is_refused_without_being_counted() -> None:
    for kind in KINDS:
        window = empty(kind, 32)
        with pytest.raises(Drop, match="XfrmInStateSeqError"):
            window.check(0)
        assert (window.outside, window.seen) == (0, 0)


def test_esn_number_zero_of_a_later_round_is_a_number() -> None:
    assert offer(EsnWindow(32, seq=MASK), 2**32)


def test_refusals_are_counted_as_linux_does() -> None:
    window = LegacyWindow(32)
    assert offer(window, 100)
    assert not offer(window, 100)
    assert not offer(window, 68)
    assert offer(window, 69)
    assert (window.seen, window.outside) == (1, 1)


def test_another_packet_came_in_between() -> None:
    """The number was new before the ICV was checked and is not afterwards."""
    for kind in KINDS:
        window = empty(kind, 32)
        number = window.check(7)
        window.advance(number)
        with pytest.raises(Drop):
            window.recheck(number)


def test_the_round_went_on_in_between() -> None:
    window = EsnWindow(32, seq=MASK - 100)
    number = window.check(MASK - 50)
    window.advance(2**32 + 200)
    with pytest.raises(Drop, match="left of the window"):
        window.recheck(number)
    assert window.outside == 1


def test_layout_of_the_legacy_word() -> None:
    """include/uapi/linux/xfrm.h: xfrm_replay_state; bit n is the number ``seq - n``."""
    window = LegacyWindow(32)
    for number in (1, 2, 4):
        assert offer(window, number)
    assert (window.seq, window.bitmap) == (4, 0b1101)
    assert offer(window, 40)
    assert (window.seq, window.bitmap) == (40, 1)
    window = LegacyWindow(4)
    for number in (1, 2, 3, 4, 5, 6):
        assert offer(window, number)
    assert window.bitmap == 0b111111  # bits beyond the window stay until they fall out


@pytest.mark.parametrize("kind", ["bitmap", "esn"])
def test_layout_of_the_ring(kind: str) -> None:
    """xfrm_replay_state_esn.bmp: bit ``(n - 1) % window`` of number n, words little end first."""
    window = empty(kind, 64)
    assert isinstance(window, BitmapWindow)
    for number in (1, 2, 33, 64):
        assert offer(window, number)
    assert window.bmp == [0b11, 0x80000001]
    assert offer(window, 66)  # 65 was skipped: the bit of 1 is cleared, the bit of 2 now means 66
    assert window.bmp == [0b10, 0x80000001]
    assert offer(window, 300)
    assert window.bmp == [0, 1 << 43 - 32]


def test_bits_that_the_window_does_not_use_stay() -> None:
    window = BitmapWindow(40, bmp=[0, 0, 7, 8])
    assert offer(window, 1000)
    assert offer(window, 2000)
    assert window.bmp == [1 << (1999 % 40) if 1999 % 40 < 32 else 0, 1 << 1999 % 40 - 32, 7, 8]


@pytest.mark.parametrize("kind", [BitmapWindow, EsnWindow])
@pytest.mark.parametrize("size", [31, 96, 1000])
def test_the_first_packet_is_accepted_twice_where_linux_does(
    kind: type[BitmapWindow], size: int
) -> None:
    faulty, exact = kind(size), kind(size, exact_ring=True)
    assert [offer(faulty, 1) for _ in range(3)] == [True, True, False]
    assert [offer(exact, 1) for _ in range(3)] == [True, False, False]
    assert offer(kind(64), 1)


def test_which_kind() -> None:
    assert isinstance(make_window(32), LegacyWindow)
    bitmap = make_window(64, bmp_len=4)
    assert type(bitmap) is BitmapWindow
    assert len(bitmap.bmp) == 4
    assert isinstance(make_window(2048, esn=True), EsnWindow)
    assert isinstance(make_window(4096, esn=True, bmp_len=128), EsnWindow)


@pytest.mark.parametrize(
    ("window", "bmp_len"), [(33, None), (-1, None), (65, 2), (4128, 129), (-1, 1)]
)
def test_windows_that_cannot_be(window: int, bmp_len: int | None) -> None:
    with pytest.raises(UsageError):
        make_window(window, bmp_len=bmp_len)


@pytest.mark.parametrize("kind", KINDS)
@given(st.sampled_from([1, 20, 32, 64, 2048]), st.data())
def test_a_run_is_the_same_as_packet_by_packet(kind: str, size: int, data: st.DataObject) -> None:
    """InOrder notes packets in order without touching the window; it must not be seen."""
    top = data.draw(st.sampled_from([0, 200, 255, 2**32 - 40 if kind == "esn" else 2**32 - 400]))
    lazy, plain = empty(kind, size, top), empty(kind, size, top)
    run = InOrder(0x1234, lazy)
    spi = (0x1234).to_bytes(4, "big")
    for number in data.draw(numbers_around(top)):
        if number > MASK and kind != "esn":
            continue
        accepted = offer(plain, number)
        if run.head == spi + (number & MASK).to_bytes(4, "big"):
            assert accepted
            run.head = run.take()
            continue
        window = run.settle()
        if accepted:
            assert window.check(number & MASK) == number
            run.accept(number)
    window = run.settle()
    assert window.top == plain.top
    if isinstance(window, LegacyWindow) and isinstance(plain, LegacyWindow):
        assert window.bitmap == plain.bitmap
    if isinstance(window, BitmapWindow) and isinstance(plain, BitmapWindow):
        assert window.bmp == plain.bmp


def started(window: Window) -> InOrder:
    """After a first packet."""
    run = InOrder(1, window)
    run.accept(window.top + 1)
    return run


def test_before_the_first_packet_nothing_is_expected() -> None:
    run = InOrder(1, LegacyWindow(32))
    assert len(run.head) == 9
    run.accept(5)
    assert run.head == b"\0\0\0\1\0\0\0\6"
    run.start(LegacyWindow(32, seq=77))
    assert len(run.head) == 9
    assert run.settle().top == 77


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_run(kind: str) -> None:
    window = empty(kind, 64)
    run = started(window)
    for _ in range(1000):
        run.head = run.take()
    assert run.settle().top == 1001
    assert all(not offer(window, number) for number in range(940, 1002))
    assert run.settle().top == 1001


def test_nothing_is_expected_after_the_last_number() -> None:
    run = started(LegacyWindow(32, seq=MASK - 2))
    assert run.head == b"\0\0\0\1\xff\xff\xff\xff"
    run.head = run.take()
    assert len(run.head) == 9
    assert run.settle().top == MASK
    assert len(started(LegacyWindow(32, seq=MASK - 1)).head) == 9
    assert len(started(LegacyWindow(0)).head) == 9


def test_esn_goes_on_in_the_next_round() -> None:
    run = started(EsnWindow(32, seq=MASK - 2))
    run.head = run.take()
    assert len(run.head) == 9  # the high half is another: the long road
    assert run.settle().top == MASK
    run.accept(MASK + 1)
    assert (run.prefix, run.head) == (b"\0\0\0\1\0\0\0\1", b"\0\0\0\1\0\0\0\1")
