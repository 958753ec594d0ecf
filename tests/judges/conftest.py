"""What the judges need: a program from the archive, and a way to lead it to an engine."""

from __future__ import annotations

import os

import pytest

from pyxfrm.errors import UsageError
from pyxfrm.lab import LabError, fetch
from pyxfrm.transport.preload import library


@pytest.fixture(scope="session", autouse=True)
def _strongswan(_ip_and_tc: None) -> None:
    """Without it there is nothing to judge by; the library that leads it to an engine needs a C compiler."""
    try:
        library()
    except UsageError as why:
        pytest.skip(f"no program can be led to an engine here: {why}")
    try:
        fetch.strongswan()
    except LabError as why:
        if os.environ.get("CI") or os.environ.get("PYXFRM_REQUIRE_LAB"):
            raise
        pytest.skip(f"no strongSwan: {why}")
