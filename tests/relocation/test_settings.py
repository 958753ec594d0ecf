"""Settings are put back, whatever becomes of the journal, and what cannot be is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyxfrm.client import Xfrm
from pyxfrm.engine import Engine
from pyxfrm.errors import TransportError, UsageError
from pyxfrm.relocation.driver import Driver
from pyxfrm.relocation.ends import EngineEnd, KernelEnd
from pyxfrm.relocation.journal import Journal, Undo
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import Options, Strategy
from pyxfrm.relocation.settings import Settings
from pyxfrm.relocation.ways.hold import LARVAL_DROP
from pyxfrm.relocation.wish import Wish
from tests.relocation.world import A, B, World, child

HOLD = Options(strategy=Strategy.HOLD)
LOCAL = Wish(local=A, new_local=B)


class FailingDisk(Journal):
    """It takes what is remembered, and then nothing is read or written any more."""

    def undos(self, number: int) -> list[Undo]:
        raise TransportError("journal: the disk is gone")

    def remember(self, number: int, undo: Undo) -> Undo:
        return undo

    def forget(self, number: int, undo: Undo) -> None:
        raise TransportError("journal: the disk is gone")


@pytest.fixture
def end(tmp_path: Path) -> EngineEnd:
    made = World(tmp_path, *child()).end()
    made.settings.update({"a": "1", "b": "2"})
    return made


def test_all_is_put_back_though_the_journal_cannot_be_read(end: EngineEnd, tmp_path: Path) -> None:
    settings = Settings([end], FailingDisk(tmp_path / "j", durable=False), 1)
    settings.set_sysctl(0, "a", "0")
    settings.set_sysctl(0, "b", "0")
    troubles = settings.put_back()
    assert (end.settings["a"], end.settings["b"]) == ("1", "2")
    assert troubles == [
        "a 1 at end 0 was put back, but journal: the disk is gone",
        "b 2 at end 0 was put back, but journal: the disk is gone",
    ]


def test_one_that_fails_keeps_no_other_from_being_put_back(end: EngineEnd, tmp_path: Path) -> None:
    settings = Settings([end], Journal(tmp_path / "j", durable=False), 1)
    settings.set_sysctl(0, "a", "0")
    settings.set_sysctl(0, "b", "0")
    del end.settings["a"]
    (trouble,) = settings.put_back()
    assert trouble == "a 1 at end 0 could not be put back: this end has no such setting"
    assert end.settings["b"] == "2"


class Stubborn(EngineEnd):
    """Its settings can be changed, and not back."""

    def write_sysctl(self, name: str, value: str) -> None:
        if value == "1":
            raise PermissionError(1, "Operation not permitted")
        super().write_sysctl(name, value)


def test_what_is_not_put_back_is_told_and_waits_for_resume(tmp_path: Path) -> None:
    world = World(tmp_path, *child())
    plan = world.plan(LOCAL, HOLD)
    driver, good = world.driver(), world.end()
    driver.ends = (Stubborn(good.xfrm, good.identity, good.settings),)
    outcome = driver.relocate(plan)
    assert outcome.state is State.MOVED
    told = f"{LARVAL_DROP} 1 at end 0 could not be put back: Operation not permitted"
    assert outcome.troubles == (told,)
    entry = driver.unfinished()
    assert entry is not None
    assert entry.unfinished
    assert entry.undos == (Undo(0, "sysctl", LARVAL_DROP, "1"),)
    with pytest.raises(UsageError, match="resume it"):
        world.driver().relocate(plan)

    driver.ends = (good,)
    assert driver.resume().state is State.MOVED
    assert world.settings[LARVAL_DROP] == "1"
    assert driver.unfinished() is None


def test_one_at_a_time_in_a_namespace_of_the_kernel_whatever_the_journal(tmp_path: Path) -> None:
    with Xfrm.engine(Engine()) as xfrm:  # its tables are not asked
        one, other = KernelEnd(xfrm=xfrm), KernelEnd(xfrm=xfrm)
        with (
            one.alone(),
            pytest.raises(UsageError, match="another relocation is running in namespace"),
        ):
            Driver([other], Journal(tmp_path / "j", durable=False)).resume()
        with other.alone():
            pass
