"""What a procedure remembers while it runs, and the words that all of them share."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from pyxfrm.errors import TransportError
from pyxfrm.model import SaId
from pyxfrm.relocation.commands import UNKNOWN, Answer, Batch, Command, Failed, Script, Sight
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import Plan
from pyxfrm.relocation.sight import look_for

__all__ = ["Run", "Steps", "Trouble", "each_end", "worse"]

T = TypeVar("T")
Steps = Generator[Command, Any, T]

# Refusals that say nothing about the request: the next try may pass.
_PASSING = {errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EBUSY}
LOOKS = 3
DOUBLINGS = 8  # at most: 2^26 numbers, a 64th of those without ESN


class Trouble(Enum):
    """What became of a pass.

    ``NONE``     every request was acknowledged
    ``REFUSED``  the kernel said no
    ``UNSURE``   answers were lost, or the kernel was short of memory: look, and try again; a refusal beside it may be its consequence
    ``GONE``     an SA must not be used any more, or is nowhere
    """

    NONE = 0
    REFUSED = 1
    UNSURE = 2
    GONE = 3


def each_end(
    run: Run, sights: list[Sight], one_end: Callable[[int, Plan, Sight], Steps[Trouble]]
) -> Steps[Trouble]:
    """``one_end`` for every end, one after the other; the worst of what became of it."""
    worst = Trouble.NONE
    for end, (plan, sight) in enumerate(zip(run.plans, sights, strict=True)):
        trouble = yield from one_end(end, plan, sight)
        worst = worse(worst, trouble)
    return worst


def worse(a: Trouble, b: Trouble) -> Trouble:
    """The worse of two."""
    return max(a, b, key=lambda trouble: trouble.value)


@dataclass
class Run:
    """One relocation on its way.

    ``cuts``    by end and old SA: the number that separates an SA from its copy
    ``onward``  going back was found unsafe
    ``outran``  how often copies were made anew because their gap had been used up
    ``spent``   by end and old SA: keys that must not be used any more
    """

    plans: tuple[Plan, ...]
    state: State = State.PLANNED
    cuts: dict[tuple[int, SaId], int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    onward: bool = False
    outran: int = 0
    spent: set[tuple[int, SaId]] = field(default_factory=set)

    def jump(self, plan: Plan) -> int:
        """Numbers that a copy leaves out: more where the last gap was too narrow for this machine, but not where tc's two places share a window."""
        return plan.jump if plan.options.dual else plan.jump << min(2 * self.outran, DOUBLINGS)

    def cuts_flat(self) -> tuple[tuple[int, SaId, int], ...]:
        """The cuts as the journal takes them."""
        return tuple((end, sa, cut) for (end, sa), cut in self.cuts.items())

    def look(self) -> Steps[list[Sight]]:
        """See where everything is, at every end.

        TransportError if that cannot be seen: the relocation then stays unfinished in the journal.
        """
        sights = []
        for end, plan in enumerate(self.plans):
            sights.append((yield from self.look_at(plan, end)))
        return sights

    def look_at(self, plan: Plan, end: int) -> Steps[Sight]:
        """See where one end's plan is."""
        for _ in range(LOOKS):
            sight = yield look_for(plan, end)
            if sight is not UNKNOWN:
                assert isinstance(sight, Sight)  # noqa: S101  # the closed set of replies
                return sight
        raise TransportError(
            "relocation: the kernel's tables cannot be read, so it stays unfinished; resume it"
        )

    def do(self, script: Script) -> Steps[Trouble]:
        """Run a script; what became of it."""
        answers: tuple[tuple[Answer, ...], ...] = yield script
        batches = [part for part in script.parts if isinstance(part, Batch)]
        worst = Trouble.NONE
        for batch, replies in zip(batches, answers, strict=False):
            worst = worse(worst, self.judge(batch, replies))
        return worst

    def judge(self, batch: Batch, replies: Iterable[Answer]) -> Trouble:
        """What the answers to a batch mean; each trouble is remembered."""
        worst = Trouble.NONE
        for command, reply in zip(batch.commands, replies, strict=True):
            trouble = Trouble.NONE
            if reply is UNKNOWN:
                trouble = Trouble.UNSURE
                self.troubles.append(f"{type(command).__name__}: no answer")
            elif isinstance(reply, Failed):
                trouble = Trouble.UNSURE if reply.errno in _PASSING else Trouble.REFUSED
                self.troubles.append(f"{type(command).__name__}: {reply.text}")
            worst = worse(worst, trouble)
        return worst
