"""What a move leaves undone is found, and what is done is not."""

from __future__ import annotations

from dataclasses import replace

from pyxfrm.client.doctor import Facts, Finding, examine
from pyxfrm.client.doctor_moves import RULES
from pyxfrm.model import Action, Direction, Policy, Sa, SaDir
from tests.client.test_doctor import HERE, IN, OUT, OUTWARDS, POLICIES, THERE, TO, dumps, named


def found(facts: Facts) -> list[Finding]:
    return examine(facts, RULES)


def test_sas_of_an_address_that_has_gone_are_one_finding() -> None:
    (finding,) = found(Facts(*dumps(), addresses=frozenset()))
    assert (finding.rule, finding.severity.value) == ("gone-address", "warning")
    assert finding.subject.endswith(" and 1 more")
    assert f"--from-local {HERE}" in finding.next_step


def test_an_address_that_is_there_is_none() -> None:
    assert found(Facts(*dumps(), addresses=frozenset({HERE}))) == []
    assert found(Facts(*dumps())) == []  # nobody looked


def test_the_peers_address_is_not_looked_for() -> None:
    (finding,) = found(Facts(*dumps(), addresses=frozenset({THERE})))
    assert str(HERE) in finding.reason


def test_an_sa_that_may_send_or_receive_is_passed_by() -> None:
    assert found(Facts(*dumps([IN], []), addresses=frozenset())) == []
    directed: Sa = replace(IN, dir=SaDir.IN)
    (finding,) = found(Facts(*dumps([directed], []), addresses=frozenset()))
    assert finding.subject == f"SA {IN.id}"


def test_a_block_that_has_templates_was_left() -> None:
    left = Policy(Direction.OUT, TO, action=Action.BLOCK, templates=(OUTWARDS,))
    meant = Policy(Direction.OUT, TO, priority=7, action=Action.BLOCK)
    assert named(found(Facts(*dumps([OUT], [left])))) == [("blocked", "error")]
    assert found(Facts(*dumps([OUT], [meant]))) == []
    assert found(Facts(*dumps([OUT, IN], POLICIES))) == []


def test_packets_that_wait_are_told() -> None:
    assert named(found(Facts([], larval_drop="0"))) == [("larval-drop", "note")]
    assert found(Facts([], larval_drop="1")) == []
