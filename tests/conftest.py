"""Fixtures for every room: real kernels, booted once for each pytest worker; and how many conformance cases ran where."""

from __future__ import annotations

import os
import signal
from collections import Counter
from shlex import join
from shutil import which
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from pyxfrm.lab import Lab, LabError, fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

# No deadlines: on a machine with other work they measure that work.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# What a script starts with "&" ignores SIGINT, and so would every child that a test wants to end with one, for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# And what nohup(1) starts ignores SIGHUP.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _booted(version: str) -> Iterator[Lab]:
    """A lab, or a skip that says why; where the lab is required, a failure."""
    try:
        lab = Lab(version)
    except LabError as problem:
        if os.environ.get("CI") or os.environ.get("PYXFRM_REQUIRE_LAB"):
            raise
        pytest.skip(f"no Linux {version} in the lab: {problem}")
    with lab:
        yield lab


@pytest.fixture(scope="session")
def _ip_and_tc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where this machine has no ip or tc, those of the lab stand in: guests find programs where their host does."""
    if which("ip") and which("tc"):
        yield
        return
    folder = tmp_path_factory.mktemp("iproute2")
    try:
        for name in ("ip", "tc"):
            (folder / name).write_text(f'#!/bin/sh\nexec {join(fetch.iproute2(name).argv)} "$@"\n')
            (folder / name).chmod(0o755)
    except LabError:  # without a lab, which says so itself
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(folder), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session")
def lab72(_ip_and_tc: None) -> Iterator[Lab]:
    """Linux 7.2, which has XFRM_MSG_MIGRATE_STATE."""
    yield from _booted("7.2")


@pytest.fixture(scope="session")
def lab612(_ip_and_tc: None) -> Iterator[Lab]:
    """Linux 6.12, which has not."""
    yield from _booted("6.12")


_LANES = {
    "test_engine": "engine",
    "test_linux_7_2": "Linux 7.2",
    "test_linux_6_12": "Linux 6.12",
    "test_host": "this host",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line: cases by lane."""
    counts: Counter[tuple[str, str]] = Counter()
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, ()):
            path, _, test = report.nodeid.partition("::")
            lane = _LANES.get(test.partition("[")[0])
            if path.endswith("conformance/test_conformance.py") and lane:
                counts[lane, outcome] += 1
    if not counts:
        return
    words = []
    for lane in _LANES.values():
        found = [f"{n} {what}" for (one, what), n in sorted(counts.items()) if one == lane]
        if found:
            words.append(f"{lane}: {', '.join(found)}")
    terminalreporter.write_line(f"conformance cases by lane: {'; '.join(words)}")
