"""Whoever waits hears a signal, also one that comes at the worst moment: after the interpreter looked for signals and before it sleeps.

Such a signal is noted and cuts no system call short. The same happens to one that another thread takes while this one keeps it blocked, which is how it is done here.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyxfrm.relocation.watch import AddressTracker, follow
from pyxfrm.transport.base import BREATH, Transport
from pyxfrm.transport.kernel import KernelTransport
from pyxfrm.transport.local import EngineHost
from pyxfrm.transport.remote import RemoteTransport
from pyxfrm.transport.server import EngineServer, serving
from pyxfrm.tunnel import Loop
from tests.relocation.world import A

LONG = 60  # seconds that would be waited without the signal


class Rung(Exception):  # noqa: N818
    """The signal was heard."""


@contextmanager
def signal_that_wakes_nobody() -> Iterator[None]:
    """SIGUSR1, a moment after this is entered; its handler raises :class:`Rung`."""

    def ring(*_: object) -> None:
        raise Rung

    def send() -> None:
        asleep.wait()
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGUSR1)

    asleep = threading.Event()
    before = signal.signal(signal.SIGUSR1, ring)
    thread = threading.Thread(target=send)
    thread.start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    asleep.set()
    try:
        yield
    finally:
        thread.join()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        signal.signal(signal.SIGUSR1, before)


def heard(wait: Callable[[], object]) -> None:
    began = time.monotonic()
    with signal_that_wakes_nobody(), pytest.raises(Rung):
        wait()
    assert time.monotonic() - began < LONG / 2


@pytest.mark.parametrize("timeout", [None, LONG])
def test_who_waits_for_an_engine(host: EngineHost, timeout: float | None) -> None:
    port = host.connect()
    heard(lambda: port.wait(timeout))


@pytest.mark.parametrize("timeout", [None, LONG])
def test_who_waits_for_another_processs_engine(
    host: EngineHost, tmp_path: Path, timeout: float | None
) -> None:
    with serving(host, tmp_path / "xfrm"):
        port = RemoteTransport(tmp_path / "xfrm")
        heard(lambda: port.wait(timeout))
        port.close()


@pytest.mark.parametrize("timeout", [None, LONG])
def test_who_waits_for_a_kernel(scratch_netns: str, timeout: float | None) -> None:
    port = KernelTransport(scratch_netns)
    heard(lambda: port.wait(timeout))
    port.close()


def test_who_serves(host: EngineHost, tmp_path: Path) -> None:
    with EngineServer(host, tmp_path / "xfrm") as server:
        heard(server.serve_forever)


def test_a_loop() -> None:
    with Loop() as loop:
        heard(loop.run)


def test_who_watches_an_interface() -> None:
    places = follow("lo", AddressTracker(A), lambda *_: True)
    heard(lambda: next(places))


def test_a_wait_is_as_long_as_asked_for(host: EngineHost, tmp_path: Path) -> None:
    with serving(host, tmp_path / "xfrm"):
        port: Transport
        for port in (host.connect(), RemoteTransport(tmp_path / "xfrm")):
            for timeout in (0.0, -1.0, 0.01, BREATH + 0.1):
                began = time.monotonic()
                assert not port.wait(timeout)
                assert time.monotonic() - began >= timeout
            port.close()
