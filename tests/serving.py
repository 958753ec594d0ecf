"""Engines that serve and processes that run while a test does, and that end however the test ends: one that fails must not look like one that hangs."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyxfrm.transport.local import EngineHost
from pyxfrm.transport.server import EngineServer

__all__ = ["ended", "serving"]


@contextmanager
def serving(host: EngineHost, path: Path) -> Iterator[EngineServer]:
    """An engine that serves at a socket from a thread of this process."""
    with EngineServer(host, path) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join()


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """A process that is killed if it still runs at the end."""
    try:
        yield
    finally:
        process.kill()
