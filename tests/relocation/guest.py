"""Runs inside the lab's kernel: relocations of real SAs, one namespace each."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyxfrm.client import Xfrm
from pyxfrm.relocation.driver import Driver
from pyxfrm.relocation.ends import KernelEnd
from pyxfrm.relocation.journal import Journal
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import Strategy
from pyxfrm.relocation.plan import make_plan
from pyxfrm.relocation.sight import Target, arrived
from pyxfrm.relocation.survey import survey
from tests.relocation.cutting import CutTransport, Fuse, Killed
from tests.relocation.test_crash import CASES, look_at


def one(words: dict[str, Any]) -> dict[str, Any]:
    """Relocate case ``name``; with ``left`` die after so many messages, and resume or ``abort``."""
    case = CASES[words["name"]]
    sas, policies = case.make()
    end = KernelEnd()
    for sa in sas:
        end.xfrm.add_sa(sa)
    for policy in policies:
        end.xfrm.add_policy(policy)
    facts = replace(survey(end), addresses=None, owners=())
    plan = make_plan(case.wish, facts, case.options)
    if plan.refusals:
        return {"refused": [r.text for r in plan.refusals]}
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.db", durable=False)
        fuse = Fuse(words.get("left"))
        cut = KernelEnd(None, Xfrm(transport=CutTransport(Xfrm().transport, fuse)))
        driver = Driver([cut], journal, sleep=lambda _: None)
        try:
            outcome = driver.relocate(plan)
        except Killed:
            driver = Driver([end], journal, sleep=lambda _: None)
            if driver.unfinished() is None:
                return {"state": State.AS_BEFORE.value, "there": True, "burnt": fuse.burnt}
            outcome = driver.resume(abort=words.get("abort", False))
        sight = Driver([end], journal).run(look_at(plan))
    target = Target.NEW if outcome.state is State.MOVED else Target.OLD
    return {
        "state": outcome.state.value,
        "there": arrived(plan, sight, target),
        "troubles": outcome.troubles,
        "burnt": fuse.burnt,
        "features": str(facts.features),
        "larval_drop": end.read_sysctl("net.core.xfrm_larval_drop"),
        "strategy": Strategy(plan.strategy).value,
    }
