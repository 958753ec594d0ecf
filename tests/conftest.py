"""Fixtures for every room: real kernels, booted once for each pytest worker."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from pyxfrm.lab import Lab, LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

# No deadlines: on a machine with other work they measure that work.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


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
def lab72() -> Iterator[Lab]:
    """Linux 7.2, which has XFRM_MSG_MIGRATE_STATE."""
    yield from _booted("7.2")


@pytest.fixture(scope="session")
def lab612() -> Iterator[Lab]:
    """Linux 6.12, which has not."""
    yield from _booted("6.12")
