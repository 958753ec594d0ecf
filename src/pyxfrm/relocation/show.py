"""Plans and outcomes for people: text, and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyxfrm.relocation import record
from pyxfrm.relocation.commands import Script
from pyxfrm.relocation.describe import describe, reply_words
from pyxfrm.relocation.driver import Moment
from pyxfrm.relocation.journal import Entry
from pyxfrm.relocation.machine import TERMINAL
from pyxfrm.relocation.moves import Plan, PolicyMove
from pyxfrm.relocation.steps import Outcome

__all__ = ["entry_json", "entry_lines", "event_json", "outcome_lines", "plan_json", "plan_lines"]


def plan_lines(plan: Plan) -> Iterator[str]:
    """A plan, a line at a time: what moves, what stays and why, and why not."""
    yield f"relocation: {plan.wish}"
    yield f"strategy:   {plan.strategy.value}"
    yield f"traffic:    {plan.rate:.0f} packets/s out, {1000 * plan.drain:g} ms for those under way"
    for child in plan.children:
        part = plan.child(child)
        yield f"child {child}:"
        for move in part.sas:
            yield f"  {move.dir!s:<3} {move.old}"
            yield f"      -> {move.new}"
        for policy in part.policies:
            yield f"  {_policy_line(policy)}"
    for title, lines in (
        ("stays", [f"{each.what}: {each.why}" for each in plan.left]),
        ("is not carried over", plan.cannot),
        ("warning", plan.warnings),
        ("refused", [refusal.text for refusal in plan.refusals]),
    ):
        for line in lines:
            yield f"{title}: {line}"


def _policy_line(policy: PolicyMove) -> str:
    ends = ", ".join(f"{t.saddr} > {t.daddr} reqid {t.reqid}" for t in policy.new.templates)
    where = "" if policy.in_place else f" -> {policy.new.sel}"
    return f"policy {policy.old.id}{where}: {ends}"


def plan_json(plan: Plan) -> dict[str, Any]:
    """A plan as JSON: the words of :func:`plan_lines`, and the record that a journal keeps."""
    return {
        "wish": str(plan.wish),
        "strategy": plan.strategy.value,
        "sas": [
            {"dir": str(m.dir), "child": m.child, "from": str(m.old), "to": str(m.new)}
            for m in plan.sas
        ],
        "policies": [{"child": p.child, "policy": _policy_line(p)} for p in plan.policies],
        "stays": [{"what": each.what, "why": each.why} for each in plan.left],
        "not_carried_over": list(plan.cannot),
        "warnings": list(plan.warnings),
        "refusals": [{"why": r.why.value, "text": r.text} for r in plan.refusals],
        "record": record.dump(plan),
    }


def outcome_lines(outcome: Outcome) -> Iterator[str]:
    """How it ended, and the account of every packet that was dropped."""
    yield f"{outcome.state.value}"
    for sa in outcome.lost:
        yield f"lost: {sa}; re-establish it at the IKE level (or delete what is left, and add a pair with new keys)"
    for policy in outcome.blocked:
        yield f"blocked: {policy}, until it is set anew (xfrm policy update)"
    for trouble in outcome.troubles:
        yield f"trouble: {trouble}"
    for end, counters in enumerate(outcome.account):
        drops = ", ".join(f"{name} {rise:+}" for name, rise in sorted(counters.items()))
        where = f" at end {end}" if len(outcome.account) > 1 else ""
        yield f"packets dropped{where}: {drops or 'none'}"


def event_json(moment: Moment) -> dict[str, Any]:
    """One step as JSON. Times in seconds."""
    words = describe(moment.command)
    return {
        "step": moment.number,
        "at": round(moment.at, 6),
        "took": round(moment.took, 6),
        "command": words.splitlines() if isinstance(moment.command, Script) else words,
        "reply": reply_words(moment.reply),
    }


def entry_lines(entry: Entry) -> Iterator[str]:
    """One relocation of the journal."""
    import time

    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.began))
    state = entry.state.value
    if entry.running:
        state += ", running"
    elif entry.abandoned:
        state += ", abandoned at a restart"
    elif entry.state not in TERMINAL:
        state += ", cut off: resume or abort it"
    elif entry.unfinished:
        state += ", resume it to put settings back"
    took = f" in {max(0.0, entry.ended - entry.began):.3f} s" if entry.ended else ""
    wishes = " + ".join(str(plan.wish) for plan in entry.plans)
    yield f"{entry.id}  {began}  {wishes}: {state}{took}"
    for undo in entry.undos:
        yield f"    to be put back: {undo}"
    for sa in entry.outcome.get("lost", ()):
        yield f"    lost: {sa}"


def entry_json(entry: Entry) -> dict[str, Any]:
    """One relocation of the journal, as JSON. Times in seconds since the epoch."""
    made: dict[str, Any] = {
        "id": entry.id,
        "netns": list(entry.netns),
        "wishes": [str(plan.wish) for plan in entry.plans],
        "state": entry.state.value,
        "running": entry.running,
        "abandoned": entry.abandoned,
        "unfinished": entry.unfinished,
        "began": entry.began,
        "put_back": [str(undo) for undo in entry.undos],
    }
    if entry.ended is not None:
        made["ended"] = entry.ended
    if entry.outcome:
        made["outcome"] = entry.outcome
    return made
