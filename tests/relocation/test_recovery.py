"""Every row of the table of decisions: tables as they are in the row, then another process resumes. The ends are written here by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyxfrm.model import SaDir
from pyxfrm.relocation.copies import copied
from pyxfrm.relocation.footprint import whole
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import SaMove
from pyxfrm.relocation.recovery import DECISIONS
from pyxfrm.relocation.sight import Places, sum_up
from tests.relocation.cutting import Fuse
from tests.relocation.test_crash import CASES, Scene, look_at

CUT = 5000


def outbound(scene: Scene) -> SaMove:
    return next(m for m in scene.plan.sas if m.dir == SaDir.OUT)


def stay(_: Scene) -> None:
    """Nothing was done yet."""


def move_one(scene: Scene) -> None:
    scene.world.xfrm.migrate_sa(scene.plan.sas[0].migration)


def move_all(scene: Scene) -> None:
    """The policies are not there yet."""
    for move in scene.plan.sas:
        scene.world.xfrm.migrate_sa(move.migration)


def copy(scene: Scene, sent: int = 0) -> None:
    move = outbound(scene)
    sa = whole(scene.world.xfrm.get_sa(move.old.id))
    scene.world.xfrm.add_sa(copied(sa, move.new, oseq=CUT + sent))


def copy_and_use(scene: Scene) -> None:
    """Its policies lead to the copy, and it has sent: the old SA must not send these numbers again."""
    copy(scene, sent=3)
    scene.traffic.used |= {(*key_of(scene), CUT + n) for n in (1, 2, 3)}
    for policy in scene.plan.policies:
        if policy.outbound:
            scene.world.xfrm.update_policy(policy.new)


def key_of(scene: Scene) -> tuple[bytes, bytes]:
    spi = outbound(scene).old.id.spi.to_bytes(4, "big")
    return next((sa.traits.algorithms, spi) for sa in scene.world.engine.sadb if sa.spi == spi)


def lose(scene: Scene) -> None:
    scene.world.xfrm.delete_sa(outbound(scene).old.id)


TABLES: dict[Places, Callable[[Scene], None]] = {
    Places.OLD: stay,
    Places.MIXED: move_one,
    Places.NEW: move_all,
    Places.BOTH: copy,
    Places.USED: copy_and_use,
    Places.GONE: lose,
}

ENDS = {
    (State.MOVING, Places.OLD): State.MOVED,
    (State.MOVING, Places.MIXED): State.MOVED,
    (State.MOVING, Places.NEW): State.MOVED,
    (State.MOVING, Places.BOTH): State.MOVED,
    (State.MOVING, Places.USED): State.MOVED,
    (State.MOVING, Places.GONE): State.LOST,
    (State.RETURNING, Places.OLD): State.AS_BEFORE,
    (State.RETURNING, Places.MIXED): State.AS_BEFORE,
    (State.RETURNING, Places.NEW): State.AS_BEFORE,
    (State.RETURNING, Places.BOTH): State.AS_BEFORE,
    (State.RETURNING, Places.USED): State.MOVED,
    (State.RETURNING, Places.GONE): State.LOST,
    (State.BLOCKING, Places.OLD): State.AS_BEFORE,
    (State.BLOCKING, Places.MIXED): State.LOST,
    (State.BLOCKING, Places.NEW): State.MOVED,
    (State.BLOCKING, Places.BOTH): State.LOST,
    (State.BLOCKING, Places.USED): State.LOST,
    (State.BLOCKING, Places.GONE): State.LOST,
}


def test_no_row_is_missing() -> None:
    assert ENDS.keys() == DECISIONS.keys()


@pytest.mark.parametrize(("state", "places"), ENDS, ids=lambda part: part.value)
def test_each_row(state: State, places: Places, tmp_path: Path) -> None:
    scene = Scene(CASES["gap-both"], tmp_path)
    TABLES[places](scene)
    cuts = {(0, outbound(scene).old.id): CUT} if places in (Places.BOTH, Places.USED) else {}
    sight = scene.world.driver().run(look_at(scene.plan))
    assert sum_up((scene.plan,), [sight], cuts) is places

    driver = scene.driver(Fuse())
    number = driver.journal.begin(["engine"], (scene.plan,))
    driver.journal.enter(
        number, state, "", tuple((end, sa, cut) for (end, sa), cut in cuts.items())
    )
    outcome = driver.resume()
    assert outcome.state is ENDS[state, places]
    scene.check(outcome)
    if outcome.state is State.LOST:
        assert {p.dir for p in outcome.blocked} == {1}
        assert set(outcome.lost) <= {name for m in scene.plan.sas for name in (m.old.id, m.new.id)}
