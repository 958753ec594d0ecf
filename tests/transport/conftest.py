"""Kernels to try transports on: an engine everywhere, and this machine's, where that is allowed."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator

import pytest

from pyxfrm.engine import Engine
from pyxfrm.errors import TransportError
from pyxfrm.transport.kernel import KernelTransport
from pyxfrm.transport.local import EngineHost


@pytest.fixture
def host() -> EngineHost:
    return EngineHost(Engine())


@pytest.fixture
def scratch_netns() -> Iterator[str]:
    """The path of a new, empty network namespace, alive while the test runs."""
    made = threading.Event()
    over = threading.Event()
    path: list[str] = []
    why: list[str] = []

    def live_there() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x40000000):
            why.append(os.strerror(ctypes.get_errno()))
        path.append(f"/proc/self/task/{threading.get_native_id()}/ns/net")
        made.set()
        over.wait()

    thread = threading.Thread(target=live_there)
    thread.start()
    made.wait()
    try:
        if why:
            pytest.skip(f"no network namespace of one's own here: {why[0]}")
        try:
            KernelTransport(path[0]).close()
        except TransportError as no:
            pytest.skip(f"no XFRM here: {no}")
        yield path[0]
    finally:
        over.set()
        thread.join()
