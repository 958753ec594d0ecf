"""The kernel's clock, from the whole seconds that it wrote down."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REQUEST
from pyxfrm.abi.structs import LifetimeCfg, LifetimeCur, Selector, UserPolicyInfo
from pyxfrm.transport.recording import Record, bundled, read
from pyxfrm.transport.replay.clock import TICK, Clock, ClockError
from pyxfrm.transport.replay.steps import Step, steps_of
from pyxfrm.wire.messages import build, decode

each = pytest.mark.parametrize("path", bundled(), ids=lambda path: path.stem)
SEL = Selector(bytes(16), bytes(16), 0, 0, 0, 0, 2, 0, 0, 0, 0, 0)
LFT = LifetimeCfg(*[0] * 8)


def policy_made(line: int, asked: float, told: float, second: int) -> Step:
    def record(at: int, t: float, direction: str, add_time: int) -> Record:
        info = UserPolicyInfo(SEL, LFT, LifetimeCur(0, 0, add_time, 0), 0, 8, 0, 0, 0, 0)
        flags = NLM_F_REQUEST | NLM_F_ACK if direction == "req" else 0
        raw = build(m.XFRM_MSG_NEWPOLICY, flags, info, seq=at, pid=1).encode()
        return Record(at, t, "a", direction, raw)  # type: ignore[arg-type]

    return Step(record(line, asked, "req", 0), (record(line + 1, told, "event", second),))


@each
def test_recorded_clocks_agree_with_themselves(path: Path) -> None:
    steps = steps_of(read(path))
    clock = Clock(steps)
    assert clock.readings >= 10
    assert 0 < clock.latest - clock.earliest < 1 + 2 * TICK
    for step in steps:
        now = clock.now(step)
        for output in step.outputs:
            made = decode(output.message)
            if output.header.nlmsg_type == m.XFRM_MSG_NEWPOLICY and output.dir == "event":
                assert int(now) == made.body.curlft.add_time


@given(st.floats(0, 1), st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_a_true_clock_is_found(fraction: float, moments: list[float]) -> None:
    begin = 1000 + fraction
    steps = [
        policy_made(2 * i + 1, t, t + 0.001, int(begin + t + 0.0005))
        for i, t in enumerate(sorted(moments))
    ]
    clock = Clock(steps)
    assert clock.earliest <= begin <= clock.latest
    for step, t in zip(steps, sorted(moments), strict=True):
        assert int(clock.now(step)) == int(begin + t + 0.0005)


def test_a_time_that_contradicts_the_others_is_named() -> None:
    steps = [policy_made(1, 0.0, 0.1, 1000), policy_made(3, 5.0, 5.1, 1007)]
    with pytest.raises(ClockError, match="the time 1007 contradicts") as caught:
        Clock(steps)
    assert caught.value.line == 4


def test_without_any_time_the_clock_still_runs() -> None:
    step = Step(None, (Record(1, 3.5, "a", "event", build(1, 0).encode()),))
    clock = Clock([step])
    assert clock.readings == 0
    assert clock.now(step) == clock.start + 3.5
