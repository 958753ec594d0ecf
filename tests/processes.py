"""Processes that run while a test does."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["ended"]


@contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Killed if it still runs at the end, however that comes: a test that fails must not look like one that hangs."""
    try:
        yield
    finally:
        process.kill()
