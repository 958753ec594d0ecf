"""The ways: for each strategy, one pass from what was seen to where everything shall be.

A way is a generator: it gets the run, a sight of each end and the target, does what is needed *from there*, and says what trouble it had. It never
decides what comes next: the settling loop looks again and decides.

``block``      migrate-state and migrate: block, move, allow
``hold``       packets wait in the policy
``gap``        copies behind a sequence gap
``recreate``   read, add, delete
``pair``       migrate-state, hold and gap with both ends in step
``giving_up``  block what is lost
"""

from __future__ import annotations

from collections.abc import Callable

from pyxfrm.relocation.commands import Sight
from pyxfrm.relocation.moves import Plan, Strategy
from pyxfrm.relocation.run import Run, Steps, Trouble
from pyxfrm.relocation.sight import Target
from pyxfrm.relocation.ways import block, gap, hold, pair, recreate

__all__ = ["Way", "way_of"]

Way = Callable[[Run, list[Sight], Target], Steps[Trouble]]

_WAYS: dict[Strategy, Way] = {
    Strategy.MIGRATE_STATE: block.way,
    Strategy.MIGRATE: block.way,
    Strategy.RECREATE: recreate.way,
    Strategy.HOLD: hold.way,
    Strategy.GAP: gap.way,
}


def way_of(plans: tuple[Plan, ...]) -> Way:
    """The way of a relocation; all its ends have one strategy."""
    strategy = plans[0].strategy
    if len(plans) == 2 and strategy in pair.WAYS:
        return pair.way
    return _WAYS[strategy]
