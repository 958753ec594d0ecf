"""Signals while a relocation runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from pyxfrm.cli.uncut import to_its_end
from pyxfrm.errors import TransportError

TOUCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGTTOU)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = {each: signal.getsignal(each) for each in TOUCHED}
    yield
    assert {each: signal.getsignal(each) for each in TOUCHED} == before


def raised(*numbers: int) -> tuple[type[BaseException] | None, object, bool]:
    """What comes of signals in the block: the exception, its status, and whether the block came to its end."""
    ended = False
    try:
        with to_its_end():
            for number in numbers:
                signal.raise_signal(number)
            ended = True
    except (KeyboardInterrupt, SystemExit) as why:
        return type(why), getattr(why, "code", None), ended
    return None, None, ended


@pytest.mark.parametrize(
    ("number", "end", "words"),
    [
        (signal.SIGINT, (KeyboardInterrupt, None), "finishing first"),
        (signal.SIGTERM, (SystemExit, 143), "finishing first"),
        (signal.SIGHUP, (SystemExit, 129), ""),
    ],
)
def test_a_signal_is_heard_at_the_end(
    number: int, end: tuple[object, object], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert raised(number) == (*end, True)
    assert words in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_same_again_cuts_off(number: int) -> None:
    assert raised(number, number) == (KeyboardInterrupt, None, False)


def test_another_one_does_not() -> None:
    """Service managers send two at once; a terminal that goes insists on nothing."""
    assert raised(signal.SIGTERM, signal.SIGHUP, signal.SIGHUP) == (SystemExit, 143, True)
    assert raised(signal.SIGINT, signal.SIGTERM) == (KeyboardInterrupt, None, True)


def test_nobody_stops_it_half_way() -> None:
    with to_its_end():
        for each in (signal.SIGTSTP, signal.SIGTTOU, signal.SIGTTIN):
            assert signal.getsignal(each) is signal.SIG_IGN
            signal.raise_signal(each)


def test_what_was_ignored_stays_ignored() -> None:
    """As by nohup, or in the background of a script."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with to_its_end():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_cannot_be_written_to_is_no_obstacle() -> None:
    kept = os.dup(2)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 2)
    try:
        assert raised(signal.SIGINT) == (KeyboardInterrupt, None, True)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(full)


def test_what_goes_wrong_is_told_before_the_signal() -> None:
    def work() -> None:
        with to_its_end():
            signal.raise_signal(signal.SIGINT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()


@pytest.mark.parametrize(
    ("number", "end"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_an_error_does_not_let_a_signal_be_forgotten(
    number: int, end: type[BaseException], capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever watches an address tells errors, and goes on watching."""

    def fail(*signals: int) -> None:
        with to_its_end():
            for each in signals:
                signal.raise_signal(each)
            raise TransportError("the tables cannot be read")

    with pytest.raises(end):
        fail(number)
    assert "xfrm: the tables cannot be read\n" in capfd.readouterr().err
    with pytest.raises(TransportError):
        fail()
