"""What a message costs to take apart and to put together, one at a time."""

from __future__ import annotations

from typing import Any

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.transport.recording import Record, bundled, read
from pyxfrm.wire import messages
from pyxfrm.wire.describe import describe

KINDS = {
    "NEWSA": ("req", m.XFRM_MSG_NEWSA),
    "MIGRATE_STATE": ("req", m.XFRM_MSG_MIGRATE_STATE),
    "NEWPOLICY": ("req", m.XFRM_MSG_NEWPOLICY),
    "error": ("reply", 2),
}


@pytest.fixture(scope="module")
def recorded() -> dict[str, bytes]:
    """One message of each kind, as strongSwan or Linux sent it."""
    path = next(path for path in bundled() if path.name.startswith("B1-nat-to-direct.jsonl"))
    records: list[Record] = list(read(path))
    return {
        name: next(r.message for r in records if (r.dir, r.header.nlmsg_type) == kind)
        for name, kind in KINDS.items()
    }


@pytest.mark.parametrize("name", KINDS)
def test_decode(benchmark: Any, recorded: dict[str, bytes], name: str) -> None:
    benchmark(messages.decode, recorded[name])


@pytest.mark.parametrize("name", KINDS)
def test_encode(benchmark: Any, recorded: dict[str, bytes], name: str) -> None:
    made = messages.decode(recorded[name])
    assert benchmark(made.encode) == recorded[name]


@pytest.mark.parametrize("name", KINDS)
def test_describe(benchmark: Any, recorded: dict[str, bytes], name: str) -> None:
    benchmark(describe, recorded[name])
