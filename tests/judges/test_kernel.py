"""strongSwan cannot tell an engine from Linux 7.2: what it leaves in one it leaves in the other, step by step, in order, and what it is told is the same."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from pyxfrm.lab import LabError, fetch

if TYPE_CHECKING:
    from pyxfrm.lab import Lab

CHILDREN = {
    "esn": {"esp_proposals": "aes128-sha256-esn", "replay_window": "128"},
    "if_id": {"esp_proposals": "chacha20poly1305", "if_id_in": "7", "if_id_out": "8"},
    "marks": {"mark_in": "42", "mark_out": "42", "set_mark_out": "7"},
    "flags": {"copy_df": "no", "copy_ecn": "no", "copy_dscp": "yes", "tfc_padding": "100"},
}


@pytest.mark.kernel
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.parametrize("child", CHILDREN)
def test_a_life_on_linux_and_on_engines(lab72: Lab, child: str) -> None:
    try:
        fetch.strongswan()
    except LabError as problem:  # where the lab can be had, so can this
        pytest.fail(str(problem))
    there, here = (
        lab72.call("tests.judges.guest:life", {"engine": engine, "child": CHILDREN[child]})
        for engine in (False, True)
    )
    assert len(there) == 10
    for ours, theirs in zip(here, there, strict=True):
        assert ours == theirs, ours[:2]
