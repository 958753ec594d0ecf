"""strongSwan cannot tell an engine from Linux: what it leaves in one it leaves in the other, step by step, in order, and what it is told is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyxfrm.lab import Lab

CHILDREN = {
    "esn": {"esp_proposals": "aes128-sha256-esn", "replay_window": "128"},
    "if_id": {"esp_proposals": "chacha20poly1305", "if_id_in": "7", "if_id_out": "8"},
    "marks": {"mark_in": "42", "mark_out": "42", "set_mark_out": "7"},
    "flags": {"copy_df": "no", "copy_ecn": "no", "copy_dscp": "yes", "tfc_padding": "100"},
}


TIMEOUT = 120.0  # seconds
PACKETS = ("aes128gcm16", "aes128-sha256-esn", "chacha20poly1305")


@pytest.mark.kernel
@pytest.mark.parametrize("child", CHILDREN)
def test_a_life_on_linux_and_on_engines(lab72: Lab, child: str) -> None:
    same_life(lab72, "LINUX_7_2", CHILDREN[child])


@pytest.mark.kernel
def test_a_life_with_ipcomp(lab72: Lab) -> None:
    """Each end has SAs of ESP and of IPComp, and the kernel's helpers."""
    same_life(lab72, "LINUX_7_2", {"ipcomp": "yes"}, sas=6)


@pytest.mark.kernel
def test_a_life_without_migrate_state(lab612: Lab) -> None:
    same_life(lab612, "LINUX_6_12", {})


def same_life(lab: Lab, profile: str, child: dict[str, str], sas: int = 2) -> None:
    theirs, ours = (
        lab.call(
            "tests.judges.guest:life",
            {"engine": engine, "sas": sas, "child": child},
            timeout=TIMEOUT,
        )
        for engine in ("", profile)
    )
    assert len(theirs) == 10
    for mine, kernels in zip(ours, theirs, strict=True):
        assert mine == kernels, kernels[:2]


@pytest.mark.kernel
@pytest.mark.parametrize("child", PACKETS)
def test_packets_between_an_engine_and_linux(lab72: Lab, child: str) -> None:
    """Under two strongSwans, through moves and a rekeying: each is echoed, none is refused, and no number is used twice."""
    rounds = 25
    words = {"rounds": rounds, "child": {"esp_proposals": child}}
    told = lab72.call("tests.judges.guest_packets:across", words, timeout=TIMEOUT)
    sent = 2 * rounds
    assert told["echoes"] == 4 * sent
    assert told["numbers"] == [[n * sent] * 2 for n in (1, 2, 3, 1)]
    assert told["counters"] == {}
