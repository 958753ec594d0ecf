"""Who is waited for before an SA moves, by a made-up /proc: threads that were runnable and have not gone on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.tunnel.bystanders import Bystanders

KERNEL_THREAD = 0x00200000


def thread(
    proc: Path, number: int, state: str, turns: int, name: str = "sender", flags: int = 0
) -> None:
    """As the kernel tells it."""
    folder = proc / str(number) / "task" / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    rest = f"1 {number} {number} 0 -1 {flags} 0 0 0 0"
    (folder / "stat").write_text(f"{number} ({name}) {state} {rest}\n")
    (folder / "schedstat").write_text(f"10000000 20000000 {turns}\n")


def waited(proc: Path, monkeypatch: pytest.MonkeyPatch, *events: Callable[[], None]) -> int:
    """After how many naps it went on, when one of these happens in each."""
    naps = 0

    def nap(_: float) -> None:
        nonlocal naps
        events[naps]()
        naps += 1

    with Bystanders(proc) as others:
        monkeypatch.setattr(time, "sleep", nap)
        assert others.pass_by(60)
    return naps


def nothing() -> None:
    pass


def test_nobody_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thread(tmp_path, 1000001, "S", 7)
    thread(tmp_path, 1000002, "D", 7)
    assert waited(tmp_path, monkeypatch) == 0


def test_until_it_sleeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thread(tmp_path, 1000001, "R", 7)
    sleeps = lambda: thread(tmp_path, 1000001, "S", 7)  # noqa: E731
    assert waited(tmp_path, monkeypatch, nothing, sleeps) == 2


def test_until_it_has_had_a_turn_and_whoever_becomes_runnable_later_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread(tmp_path, 1000001, "R", 7)
    thread(tmp_path, 1000002, "S", 7)

    def wakes() -> None:
        thread(tmp_path, 1000002, "R", 7)

    def runs() -> None:
        thread(tmp_path, 1000001, "R", 8)

    assert waited(tmp_path, monkeypatch, wakes, nothing, runs) == 3


def test_one_that_never_goes_on_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    thread(tmp_path, 1000001, "R", 7)
    with Bystanders(tmp_path) as others:
        assert not others.pass_by(0.01)


def test_who_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not this thread, nor kernel threads but those that packets go through; a name may look like a state."""
    thread(tmp_path, threading.get_native_id(), "R", 7)
    thread(tmp_path, 1000001, "R", 7, "kworker/0:1", KERNEL_THREAD)
    thread(tmp_path, 1000002, "S", 7, "a) R 1")
    assert waited(tmp_path, monkeypatch) == 0
    thread(tmp_path, 1000003, "R", 7, "ksoftirqd/0", KERNEL_THREAD)
    with Bystanders(tmp_path) as others:
        assert not others.all_is_received()
        assert not others.pass_by(0)


def test_threads_that_end_are_not_waited_for() -> None:
    """The real /proc."""
    stop = threading.Event()
    one = threading.Thread(target=stop.wait)
    one.start()
    with Bystanders() as others:
        stop.set()
        one.join()
        others.pass_by(0.001)
