"""What the kernels did, once for the whole test run however many workers there are."""

from __future__ import annotations

import fcntl
import json
from typing import TYPE_CHECKING

import pytest

from tests.conformance.lanes import KERNELS, Results, on_kernel

if TYPE_CHECKING:
    from pathlib import Path


def _shared(request: pytest.FixtureRequest, version: str, fixture: str) -> Results:
    """Results of a lane: made by the first worker that needs them, read by the others."""
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    place: Path = factory.getbasetemp()
    if hasattr(request.config, "workerinput"):  # a worker's directory lies in that of the run
        place = place.parent
    with (place / f"linux-{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = place / f"linux-{version}.json"
        if not found.exists():
            results = on_kernel(request.getfixturevalue(fixture), KERNELS[version])
            found.write_text(json.dumps(results), encoding="utf-8")
        read: Results = json.loads(found.read_text(encoding="utf-8"))
        return read


@pytest.fixture(scope="session")
def linux72(request: pytest.FixtureRequest) -> Results:
    """What Linux 7.2 did in every case."""
    return _shared(request, "7.2", "lab72")


@pytest.fixture(scope="session")
def linux612(request: pytest.FixtureRequest) -> Results:
    """What Linux 6.12 did in every case."""
    return _shared(request, "6.12", "lab612")
