"""Counters of dropped packets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.client.stat import CAUSES, delta, parse
from pyxfrm.errors import UsageError
from pyxfrm.lab import Lab

READINGS = st.dictionaries(st.sampled_from(sorted(CAUSES)), st.integers(0, 1 << 64), min_size=1)


@given(READINGS)
def test_what_the_kernel_writes_is_read(counters: dict[str, int]) -> None:
    text = "".join(f"{name:<24}\t{value}\n" for name, value in counters.items())
    assert list(parse(text).items()) == list(counters.items())


@given(READINGS, READINGS)
def test_a_difference_takes_one_reading_to_the_next(
    before: dict[str, int], growth: dict[str, int]
) -> None:
    after = {name: before.get(name, 0) + growth.get(name, 0) for name in before | growth}
    assert delta(before, after) == {name: by for name, by in growth.items() if by}


def test_a_counter_that_fell_was_set_back() -> None:
    assert delta({"XfrmInError": 9}, {"XfrmInError": 2}) == {"XfrmInError": 2}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no counters"),
        ("XfrmInError 1\nXfrmInError", ":2: not a counter"),
        ("XfrmInError -1", ":1: not a counter"),
        ("XfrmInError 1\nXfrmInError 2", ":2: XfrmInError is there twice"),
    ],
)
def test_what_is_no_such_file_is_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse(text, "stat")


@pytest.mark.kernel
def test_every_counter_of_linux_has_its_cause(lab72: Lab) -> None:
    done = lab72.run(["cat", "/proc/net/xfrm_stat"])
    assert list(parse(done.stdout.decode())) == list(CAUSES)
