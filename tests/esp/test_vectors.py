"""Packets that Linux has sealed (tools/esp_vectors.py), for where there is no lab to ask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyxfrm.esp import Counter, Drop, make_opener, trim
from tests.esp.support import case_sa

VECTORS: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("vectors.json").read_text(encoding="ascii")
)["packets"]


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_opens(vector: dict[str, Any]) -> None:
    sealed, inner = (bytes.fromhex(vector[name]) for name in ("sealed", "opened"))
    opener = make_opener(case_sa(vector))
    assert opener.open(sealed) == inner == trim(inner)
    assert inner.endswith(b"what the kernel says")
    with pytest.raises(Drop) as drop:
        opener.open(sealed)
    assert drop.value.counter is Counter.IN_STATE_SEQ_ERROR
