"""What the fuzzer found, pasted as it printed it: kernel and engine must agree for ever after."""

from __future__ import annotations

import pytest

from pyxfrm.lab import Lab
from tests.lab.lanes import Lanes, Op

pytestmark = pytest.mark.kernel


@pytest.fixture
def lanes(lab72: Lab) -> Lanes:
    return Lanes(lab72)


def test_protocol_255_is_named_by_spi(lanes: Lanes) -> None:
    lanes.agree(
        Op(
            1,
            bytes.fromhex(
                "2800000011000500e20000000000000020010db8000000000000000000000001000001010a00ff00"
            ),
        ),
    )


def test_a_flush_is_padded(lanes: Lanes) -> None:
    lanes.agree(Op(1, bytes.fromhex("110000001c0005004b0000000000000032")))
