"""What packets did is taken if it can be, and refused, with nothing changed, if it cannot."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi.structs import LifetimeCfg, LifetimeCur, ReplayState, ReplayStateEsn, Selector
from pyxfrm.abi.xfrm import AF_INET, IPPROTO_ESP, XFRM_INF, XFRM_SA_XFLAG_OSEQ_MAY_WRAP
from pyxfrm.engine.core import Engine
from pyxfrm.engine.inputs import SaUse, grow_tables, run_timer, use_policy, use_sa
from pyxfrm.engine.policy import Policy
from pyxfrm.engine.sa import Sa, State, Traits
from pyxfrm.errors import UsageError

NOW = 1000.5
SEL = Selector(bytes(16), bytes(16), 0, 0, 0, 0, AF_INET, 0, 0, 0, 0, 0)
LFT = LifetimeCfg(XFRM_INF, XFRM_INF, XFRM_INF, XFRM_INF, 0, 0, 0, 0)


def an_sa(**fields: Any) -> Sa:
    window = fields.pop("window", 32)
    flags = fields.pop("extra_flags", 0)
    traits = Traits(1, 0, window, LFT, extra_flags=flags)
    sa = Sa(traits, bytes(16), b"\0\0\1\0", IPPROTO_ESP, AF_INET, bytes(16), 0, SEL)
    sa.state = State.VALID
    sa.add_time = 900
    for name, value in fields.items():
        setattr(sa, name, value)
    return sa


def state_of(sa: Sa) -> tuple[Any, ...]:
    names = ("bytes", "packets", "use_time", "lastused", "stats", "replay", "esn")
    return tuple(getattr(sa, name) for name in names)


def test_what_is_told_is_set_and_its_kinds_given() -> None:
    sa = an_sa()
    cur = LifetimeCur(100, 2, 0, 950)
    use = SaUse(cur, lastused=1000, stats=(1, 2, 3), replay=ReplayState(0, 2, 3))
    kinds = {"counters", "use times", "refused packets", "replay state"}
    assert use_sa(sa, use, NOW) == kinds
    assert state_of(sa) == (100, 2, 950, 1000, (1, 2, 3), ReplayState(0, 2, 3), None)
    assert use_sa(sa, use, NOW) == set()
    assert use_sa(sa, SaUse(), NOW) == set()


BEFORE = {
    "bytes": 100,
    "packets": 5,
    "use_time": 950,
    "lastused": 960,
    "stats": (1, 1, 1),
    "replay": ReplayState(9, 50, 0xFF),
}
CUR = LifetimeCur(100, 5, 0, 950)
REFUSED: list[SaUse] = [
    SaUse(CUR._replace(bytes=99)),
    SaUse(CUR._replace(packets=4)),
    SaUse(CUR._replace(use_time=951)),
    SaUse(CUR._replace(use_time=0)),
    SaUse(lastused=959),
    SaUse(lastused=1002),
    SaUse(stats=(0, 5, 5)),
    SaUse(replay=ReplayState(8, 50, 0xFF)),
    SaUse(replay=ReplayState(9, 49, 0xFF)),
    SaUse(replay=ReplayState(9, 50, 0xFE)),
    SaUse(replay=ReplayState(9, 51, 0xFF)),
    SaUse(esn=ReplayStateEsn(1, 0, 0, 0, 0, 32, bytes(4))),
]


@pytest.mark.parametrize("use", REFUSED)
def test_what_cannot_be_is_refused_and_nothing_changed(use: SaUse) -> None:
    sa = an_sa(**BEFORE)
    before = state_of(sa)
    whole = SaUse(CUR._replace(bytes=200), lastused=970)
    with pytest.raises(UsageError, match="cannot go from"):
        use_sa(sa, use._replace(cur=use.cur or whole.cur, lastused=use.lastused or 970), NOW)
    assert state_of(sa) == before


def test_a_first_use_before_the_birth_is_refused() -> None:
    with pytest.raises(UsageError, match="use_time cannot go from 0 to 899"):
        use_sa(an_sa(), SaUse(LifetimeCur(1, 1, 0, 899)), NOW)


def test_a_larval_sa_cannot_be_used() -> None:
    sa = an_sa(state=State.ACQ)
    assert use_sa(sa, SaUse(LifetimeCur(0, 0, 0, 0), lastused=0), NOW) == set()
    with pytest.raises(UsageError, match="has no keys yet"):
        use_sa(sa, SaUse(LifetimeCur(1, 1, 0, 950)), NOW)


def test_a_number_that_may_wrap_wraps() -> None:
    before, after = ReplayState(0xFFFFFFFF, 0, 0), ReplayState(3, 0, 0)
    with pytest.raises(UsageError):
        use_sa(an_sa(replay=before), SaUse(replay=after), NOW)
    sa = an_sa(replay=before, extra_flags=XFRM_SA_XFLAG_OSEQ_MAY_WRAP)
    assert use_sa(sa, SaUse(replay=after), NOW) == {"replay state"}


# -- windows, against a set of numbers ----------------------------------------------------------------


def legacy(seen: set[int]) -> ReplayState:
    top = max(seen, default=0)
    bits = sum(1 << (top - n) for n in seen if top - n < 32)
    return ReplayState(0, top, bits)


def ring(seen: set[int], window: int) -> ReplayStateEsn:
    """As the kernel keeps it: number n at bit (n - 1) % window."""
    top = max(seen, default=0)
    bits = sum(1 << (n - 1) % window for n in seen if top - n < window)
    words = (window + 31) // 32
    bmp = b"".join(struct.pack("=I", bits >> 32 * i & 0xFFFFFFFF) for i in range(words))
    return ReplayStateEsn(words, 0, top & 0xFFFFFFFF, 0, top >> 32, window, bmp)


numbers = st.sets(st.integers(1, 200), max_size=60)


@given(numbers, numbers)
def test_a_legacy_window_only_gains(seen: set[int], more: set[int]) -> None:
    old, new = legacy(seen), legacy(seen | more)
    use_sa(an_sa(replay=old), SaUse(replay=new), NOW)
    if old != new:
        with pytest.raises(UsageError):
            use_sa(an_sa(replay=new), SaUse(replay=old), NOW)


@given(numbers, numbers, st.integers(33, 100))
def test_a_large_window_only_gains(seen: set[int], more: set[int], window: int) -> None:
    old, new = ring(seen, window), ring(seen | more, window)
    use_sa(an_sa(esn=old), SaUse(esn=new), NOW)
    if old != new:
        with pytest.raises(UsageError):
            use_sa(an_sa(esn=new), SaUse(esn=old), NOW)


@given(st.integers(33, 100), st.integers(100, 200), st.data())
def test_a_number_forgotten_is_noticed(window: int, top: int, data: st.DataObject) -> None:
    inside = st.integers(top - window + 1, top - 1)
    seen = {top, *data.draw(st.sets(inside, min_size=1, max_size=9))}
    lost = data.draw(st.sampled_from(sorted(seen - {top})))
    with pytest.raises(UsageError):
        use_sa(an_sa(esn=ring(seen, window)), SaUse(esn=ring(seen - {lost}, window)), NOW)


def test_a_window_of_another_size_is_refused() -> None:
    with pytest.raises(UsageError):
        use_sa(an_sa(esn=ring({5}, 64)), SaUse(esn=ring({5}, 96)), NOW)


def test_over_the_edge_of_32_bits_the_high_half_counts() -> None:
    old = ring({0xFFFFFFFF}, 64)
    new = ring({0xFFFFFFFF, 0x1_0000_0001}, 64)
    assert use_sa(an_sa(esn=old), SaUse(esn=new), NOW) == {"replay state"}
    with pytest.raises(UsageError):
        use_sa(an_sa(esn=new), SaUse(esn=old), NOW)


# -- policies, tables, timers --------------------------------------------------------------------------


def test_a_policy_keeps_its_latest_use() -> None:
    policy = Policy(1, SEL, bytes(56), LFT)
    policy.add_time = 900
    assert use_policy(policy, LifetimeCur(0, 0, 900, 950), NOW) == {"use times"}
    assert use_policy(policy, LifetimeCur(0, 0, 900, 960), NOW) == {"use times"}
    assert policy.use_time == 960
    for back in (959, 0, 1002):
        with pytest.raises(UsageError, match="use_time cannot go from 960"):
            use_policy(policy, LifetimeCur(0, 0, 900, back), NOW)


def test_tables_grow_to_powers_of_two() -> None:
    engine = Engine()
    assert not grow_tables(engine, sas=8, policies=8)
    assert grow_tables(engine, sas=32, policies=16)
    assert (engine.sadb.buckets, engine.spd.buckets) == (32, 16)
    assert grow_tables(engine, sas=16)
    assert engine.sadb.buckets == 16
    for wrong in (0, 4, 24):
        with pytest.raises(UsageError, match=f"{wrong} buckets"):
            grow_tables(engine, sas=wrong)


def test_a_timer_runs_out_of_turn() -> None:
    engine = Engine()
    sa, other = an_sa(), an_sa()
    ran: list[Any] = []

    def act(_: Engine, subject: Any, when: float) -> None:
        ran.append((subject, when))

    engine.timers.set(sa, act, 5.0)
    engine.timers.set(other, act, 4.0)
    assert not run_timer(engine, sa, 4.9)
    assert run_timer(engine, sa, 6.0)
    assert not run_timer(engine, sa, 6.0)
    assert ran == [(sa, 5.0)]
    assert engine.now == 5.0
