"""The loop: calls in time, descriptors that are watched, and a way to stop."""

from __future__ import annotations

import os
import threading
import time

import pytest

from pyxfrm.tunnel import End, Loop, Queue


def test_calls_come_in_order_and_repeat() -> None:
    said: list[str] = []
    with Loop() as loop:
        loop.after(0.02, lambda: said.append("late"))
        loop.after(0.01, lambda: said.append("early"))
        loop.every(0.005, lambda: said.append("tick"))
        while said.count("tick") < 5 or "late" not in said:
            loop.turn(1)
    assert said.index("early") < said.index("late")


def test_a_descriptor_is_watched_until_it_is_not() -> None:
    seen: list[bytes] = []
    reading, writing = os.pipe()
    with Loop() as loop:

        def read() -> None:
            seen.append(os.read(reading, 1))
            if len(seen) == 2:
                loop.unwatch(reading)

        loop.watch(reading, read)
        os.write(writing, b"abc")
        for _ in range(4):
            loop.turn(0)
        assert seen == [b"a", b"b"]
    os.close(reading)
    os.close(writing)


def test_a_call_may_end_the_watch_of_another() -> None:
    """Both are readable in one turn; the first closes both."""
    pipes = [os.pipe(), os.pipe()]
    calls: list[int] = []
    with Loop() as loop:

        def close_all() -> None:
            calls.append(1)
            for reading, _ in pipes:
                loop.unwatch(reading)
                os.close(reading)

        for reading, writing in pipes:
            loop.watch(reading, close_all)
            os.write(writing, b"x")
        loop.turn(0)
    assert calls == [1]
    for _, writing in pipes:
        os.close(writing)


def test_stop_from_another_thread() -> None:
    with Loop() as loop:
        threading.Timer(0.02, loop.stop).start()
        begin = time.monotonic()
        loop.run(10)
        assert time.monotonic() - begin < 5


@pytest.mark.parametrize("close", [False, True])
def test_an_end_that_is_alone_is_stopped_even_if_it_was_closed(close: bool) -> None:
    """It waits for its own descriptors and not for the loop's."""
    with End(Queue()) as end, Loop(end) as loop:

        def stop() -> None:
            if close:
                end.close()
            loop.stop()

        threading.Timer(0.02, stop).start()
        begin = time.monotonic()
        loop.run(10)
        loop.run(0)
        assert time.monotonic() - begin < 5


def test_an_end_that_is_alone_does_not_keep_calls_and_watches_waiting() -> None:
    reading, writing = os.pipe()
    said: list[str] = []
    with End(Queue()) as end, Loop(end) as loop:
        loop.after(0.01, lambda: said.append("call"))
        while not said:
            loop.turn(10)
        os.write(writing, b"x")
        loop.watch(reading, lambda: said.append("watch"))
        while len(said) < 2:
            loop.turn(10)
        loop.unwatch(reading)
        assert said == ["call", "watch"]
        begin = time.monotonic()
        loop.turn(0.01)
        assert time.monotonic() - begin < 5
    os.close(reading)
    os.close(writing)
