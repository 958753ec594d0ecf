"""What a procedure remembers."""

from __future__ import annotations

from dataclasses import replace

from pyxfrm.relocation.moves import Options
from pyxfrm.relocation.run import Run
from pyxfrm.relocation.strategies import LEAST_JUMP
from tests.relocation.test_plan import plan_of
from tests.relocation.world import child


def test_a_gap_that_was_too_narrow_is_made_wider_but_not_without_end() -> None:
    plan = plan_of(*child())
    jumps = [Run((plan,), outran=times).jump(plan) for times in range(20)]
    assert jumps[:3] == [LEAST_JUMP, 4 * LEAST_JUMP, 16 * LEAST_JUMP]
    assert max(jumps) == jumps[-1] == 1 << 26


def test_a_window_for_both_sides_of_a_gap_is_not_outgrown() -> None:
    plan = replace(plan_of(*child()), options=Options(dual="eth0"), jump=256)
    assert Run((plan,), outran=3).jump(plan) == 256
