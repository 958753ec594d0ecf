"""One Child SA moved in three ways: what was seen of each."""

from __future__ import annotations

import pytest

from pyxfrm.cli.demo import child
from pyxfrm.cli.demo.child import WAYS, Outcome, move


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return {name: move(way) for name, way in WAYS.items()}


def test_all_ways_arrive(outcomes: dict[str, Outcome]) -> None:
    for outcome in outcomes.values():
        assert (outcome.sas, outcome.policies, outcome.clear) == (2, 6, 0)


def test_the_old_message_goes_through_the_policies(outcomes: dict[str, Outcome]) -> None:
    old = outcomes["old MIGRATE"]
    assert old.calls == {"XFRM_MSG_MIGRATE": 6}
    assert (old.sa_calls, old.policy_calls) == (6, 0)
    assert not old.exact
    assert old.reqid == child.OLD_REQID


def test_the_new_message_names_the_sa(outcomes: dict[str, Outcome]) -> None:
    new = outcomes["MIGRATE_STATE"]
    assert new.calls == {"XFRM_MSG_MIGRATE_STATE": 2, "XFRM_MSG_UPDPOLICY": 6}
    assert (new.sa_calls, new.policy_calls) == (2, 6)
    assert (new.reused, new.absent, new.keys_read) == (0, 0, 0)
    assert new.exact
    assert new.reqid == child.NEW_REQID
    assert new.lost == ["count of packets refused"]


def test_copying_repeats_numbers(outcomes: dict[str, Outcome]) -> None:
    copied = outcomes["delete and add"]
    assert (copied.sa_calls, copied.policy_calls) == (6, 6)
    assert copied.reused == 2
    assert copied.absent == 1
    assert copied.keys_read == 2
    assert {"sequence number", "time of last use"} <= set(copied.lost)
