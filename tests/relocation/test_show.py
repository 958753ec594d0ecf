"""Plans and outcomes in words and JSON."""

from __future__ import annotations

import json

from pyxfrm.relocation.commands import DONE, UNKNOWN, Failed, Journal, Script, Wait
from pyxfrm.relocation.describe import describe, reply_words
from pyxfrm.relocation.driver import Moment
from pyxfrm.relocation.facts import Facts
from pyxfrm.relocation.journal import Entry
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.plan import make_plan
from pyxfrm.relocation.record import load
from pyxfrm.relocation.show import entry_lines, event_json, outcome_lines, plan_json, plan_lines
from pyxfrm.relocation.steps import Outcome
from pyxfrm.relocation.wish import Wish
from tests.relocation.world import KEY, A, B, child

SAS, POLICIES = child()
PLAN = make_plan(
    Wish(local=A, new_local=B), Facts(tuple(SAS), tuple(POLICIES), addresses=frozenset())
)


def test_a_plan_in_words() -> None:
    text = "\n".join(plan_lines(PLAN))
    assert "relocation: local 192.0.2.10 -> 203.0.113.10" in text
    assert "  in  esp spi 0xc0000012 198.51.100.1 -> 192.0.2.10" in text
    assert "  out esp spi 0xc0000011 192.0.2.10 -> 198.51.100.1" in text
    assert "traffic:    0 packets/s out, 1 ms" in text
    assert "policy dir fwd src 10.2.0.0/16 dst 10.1.0.0/16" in text
    assert "is not carried over: the counts of packets" in text
    assert "refused: 203.0.113.10 is on no interface" in text


def test_a_plan_as_json_holds_its_record_and_no_key() -> None:
    text = json.dumps(plan_json(PLAN))
    assert load(json.loads(text)["record"]) == PLAN
    assert KEY[:6].hex() not in text
    assert json.loads(text)["refusals"] == [{"why": "address", "text": PLAN.refusals[0].text}]


def test_an_outcome_in_words() -> None:
    outcome = Outcome(
        State.LOST,
        (SAS[0].id,),
        (POLICIES[0].id,),
        ("Migrate: no",),
        ({"OutPolBlock": 3},),
    )
    text = "\n".join(outcome_lines(outcome))
    assert text.splitlines()[0] == "lost and blocked"
    assert "re-establish it at the IKE level" in text
    assert "packets dropped: OutPolBlock +3" in text
    pair = "\n".join(outcome_lines(Outcome(State.MOVED, account=({}, {"InNoStates": 1}))))
    assert "packets dropped at end 1: InNoStates +1" in pair
    assert "none" in "\n".join(outcome_lines(Outcome(State.MOVED, account=({},))))


def test_a_step_as_json() -> None:
    step = event_json(Moment(3, 0.25, 0.001, Script((Wait(0.001),)), ((DONE,),)))
    assert step == {
        "step": 3,
        "at": 0.25,
        "took": 0.001,
        "command": ["script", "  wait 1 ms"],
        "reply": "ok",
    }
    other = event_json(Moment(1, 0, 0, Journal(State.MOVING, "x"), None))
    assert other["command"] == "journal moving: x"


def test_replies_in_words() -> None:
    assert reply_words(((DONE, DONE),)) == "ok"
    assert reply_words(((DONE, Failed(17, "EEXIST: taken")), (UNKNOWN,))) == (
        "refused: EEXIST: taken; no answer"
    )
    assert reply_words({}) == "0 counters"
    assert describe(Wait(0.5)) == "wait 500 ms"


def test_the_history_in_words() -> None:
    def entry(**more: object) -> str:
        made = Entry(7, ("4-1",), State.MOVING, 1.0, None, (PLAN,), {}, **more)  # type: ignore[arg-type]
        return "\n".join(entry_lines(made))

    assert "cut off: resume or abort it" in entry()
    assert "running" in entry(running=True)
    assert "abandoned" in entry(abandoned=True)
    done = Entry(8, ("4-1",), State.LOST, 1.0, 3.5, (PLAN,), {}, outcome={"lost": ["x"]})
    text = "\n".join(entry_lines(done))
    assert "lost and blocked in 2.500 s" in text
    assert "lost: x" in text
