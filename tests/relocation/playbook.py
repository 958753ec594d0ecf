"""Playbooks: a procedure's commands and the replies to them, written as they happen.

    book = Playbook(relocate((plan,)))
    book << "journal moving" >> None
    book << '''script
                 send to 0
                   ...''' >> (...)
    outcome = book.play()

``<<`` is what the procedure shall ask (in the words of :mod:`pyxfrm.relocation.describe`), ``>>`` the reply it gets. Where it asks
something else, :meth:`Playbook.play` fails with both scripts side by side as a diff.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from textwrap import dedent
from typing import Any, Self

from pyxfrm.relocation.commands import DONE, UNKNOWN, Batch, Failed, Script, Sight
from pyxfrm.relocation.describe import describe, reply_words
from pyxfrm.relocation.moves import Plan
from pyxfrm.relocation.run import Steps
from pyxfrm.relocation.sight import Target, form_at
from pyxfrm.relocation.steps import Outcome

OLD, NEW = Target.OLD, Target.NEW


class Playbook:
    """What is expected, and what was done."""

    def __init__(self, steps: Steps[Outcome]) -> None:
        self.steps = steps
        self.script: list[tuple[str, Any]] = []
        self._pending: str | None = None

    def __lshift__(self, words: str) -> Self:
        assert self._pending is None, f"no reply was given to {self._pending!r}"
        first, _, rest = words.strip("\n").partition("\n")
        self._pending = "\n".join([first.strip(), *dedent(rest).splitlines()])
        return self

    def __rshift__(self, reply: Any) -> Self:
        assert self._pending is not None, "a reply to nothing"
        self.script.append((self._pending, reply))
        self._pending = None
        return self

    def play(self) -> Outcome:
        """Run it. What the procedure returned."""
        done: list[str] = []
        replies = iter(self.script)
        command = next(self.steps)
        try:
            while True:
                words = describe(command)
                done += _shown("<<", words)
                wanted, reply = next(replies, (None, None))
                if wanted is None or _flat(wanted) != _flat(words):
                    self._fail(done)
                if reply is OK:
                    reply = all_done(command)
                done += _shown(">>", reply_words(reply))
                command = self.steps.send(reply)
        except StopIteration as end:
            if next(replies, None) is not None:
                self._fail(done)
            outcome: Outcome = end.value
            return outcome

    def _fail(self, done: list[str]) -> None:
        wanted = [
            line
            for words, reply in self.script
            for line in [
                *_shown("<<", words),
                *_shown(">>", "ok" if reply is OK else reply_words(reply)),
            ]
        ]
        diff = difflib.unified_diff(wanted, done, "expected", "done", lineterm="", n=99)
        raise AssertionError("the procedure left the script:\n" + "\n".join(diff))


class _Ok:
    def __repr__(self) -> str:
        return "OK"


OK = _Ok()


def _flat(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


def _shown(arrow: str, text: str) -> list[str]:
    first, *rest = text.splitlines() or [""]
    return [f"{arrow} {first}", *(f"     {line.strip()}" for line in rest)]


def all_done(command: Any) -> Any:
    """The reply that says that all went well."""
    if isinstance(command, Batch):
        return (DONE,) * len(command.commands)
    if isinstance(command, Script):
        return tuple(all_done(part) for part in command.parts if isinstance(part, Batch))
    return None


def script_reply(*batches: Iterable[Any]) -> tuple[tuple[Any, ...], ...]:
    """Replies to a script: "." done, "?" no answer, a number: that errno."""
    return tuple(tuple(_one(reply) for reply in batch) for batch in batches)


def _one(reply: Any) -> Any:
    if reply == ".":
        return DONE
    if reply == "?":
        return UNKNOWN
    return Failed(reply, f"errno {reply}")


def sight(
    plan: Plan,
    sas: Target | dict[int, Iterable[Target]] = OLD,
    policies: Target | None = OLD,
    *,
    oseq: int = 0,
) -> Sight:
    """A sight of a plan: all SAs at one end, or by position at these ends; policies at one end."""
    where = {n: [sas] for n in range(len(plan.sas))} if isinstance(sas, Target) else sas
    seen, numbers = {}, {}
    for n, ends in where.items():
        for end in ends:
            footprint = plan.sas[n].old if end is OLD else plan.sas[n].new
            seen[footprint.id] = footprint
            numbers[footprint.id] = oseq
    forms = [] if policies is None else [form_at(p, policies) for p in plan.policies]
    return Sight(seen, {form.id: form for form in forms}, numbers)
