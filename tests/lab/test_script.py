"""Scripts and transcripts are values that survive JSON."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.errors import UsageError
from pyxfrm.lab import script as s
from pyxfrm.lab.script import Outcome, Received, Script, Transcript

texts = st.text(max_size=8)
numbers = st.integers(0, 2**32 - 1)
seconds = st.floats(0, 100)
data = st.binary(max_size=40)
STEPS: dict[type[Any], st.SearchStrategy[Any]] = {
    s.Open: st.builds(
        s.Open, texts, numbers, st.lists(numbers, max_size=3).map(tuple), st.booleans()
    ),
    s.Close: st.builds(s.Close, texts),
    s.Send: st.builds(s.Send, texts, data, st.booleans(), st.booleans()),
    s.Receive: st.builds(s.Receive, texts, seconds, numbers),
    s.Link: st.builds(s.Link, texts, texts, st.lists(texts, max_size=2).map(tuple)),
    s.Route: st.builds(s.Route, texts, texts, texts),
    s.Sysctl: st.builds(s.Sysctl, texts, texts),
    s.Sleep: st.builds(s.Sleep, seconds),
    s.ReadFile: st.builds(s.ReadFile, texts),
    s.Clock: st.builds(s.Clock, seconds),
    s.Udp: st.builds(s.Udp, texts, numbers, data, texts, numbers, numbers),
}
received = st.builds(Received, data, numbers, numbers, numbers)
outcomes = st.builds(Outcome, numbers, st.lists(received, max_size=3).map(tuple), texts)


@given(st.lists(st.one_of(*STEPS.values()), max_size=6).map(tuple))
def test_a_script_survives_json(steps: tuple[s.Step, ...]) -> None:
    script = Script(steps)
    assert Script.from_json(json.loads(json.dumps(script.to_json()))) == script


@given(st.lists(outcomes, max_size=6).map(tuple))
def test_a_transcript_survives_json(made: tuple[Outcome, ...]) -> None:
    transcript = Transcript(made)
    assert Transcript.from_json(json.loads(json.dumps(transcript.to_json()))) == transcript


def test_every_kind_of_step_is_made_here() -> None:
    assert set(STEPS) == set(get_args(s.Step))


def test_defaults_are_left_out() -> None:
    assert Script((s.Send("a", b"\x01\xff"),)).to_json() == [
        {"op": "send", "socket": "a", "data": "01ff"}
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "a script is a list of steps, not dict"),
        ([{"op": "close", "socket": "a"}, {"op": "jump"}], "step 2 of the script makes no sense"),
        ([{"op": "send", "socket": "a", "data": "xyz"}], "step 1 .*non-hexadecimal"),
        ([{"op": "send"}], "step 1 .*missing"),
        ([{"socket": "a"}], "step 1 .*op"),
        ([7], "step 1 "),
    ],
)
def test_what_is_no_script_is_refused(value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Script.from_json(value)


def test_datagrams_are_all_that_arrived() -> None:
    some = Outcome(0, (Received(b"1"), Received(b"", errno=105)))
    transcript = Transcript((Outcome(), some, Outcome(0, (Received(b"2"),))))
    assert transcript.datagrams == (b"1", b"2")
