"""The driver: what it does around a procedure, and what it puts back."""

from __future__ import annotations

import errno
import gc
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyxfrm.abi.messages import XFRM_MSG_MIGRATE_STATE
from pyxfrm.client import Xfrm
from pyxfrm.errors import UsageError
from pyxfrm.model import Proto, SaId
from pyxfrm.relocation.commands import (
    DONE,
    AddSa,
    Batch,
    Below,
    Block,
    DualAccept,
    Failed,
    InstallPolicy,
    KernelCommand,
    Migrate,
    MigrateByPolicy,
    ReadSa,
    RemovePolicy,
    RemoveSa,
    Script,
    SetSysctl,
    Unblock,
    UpdatePolicy,
    Wait,
)
from pyxfrm.relocation.driver import Driver, Moment, request_for
from pyxfrm.relocation.dual import Rule
from pyxfrm.relocation.ends import EngineEnd
from pyxfrm.relocation.journal import Journal
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import Options, Strategy
from pyxfrm.relocation.passes import migrations_by_policy
from pyxfrm.relocation.run import Steps
from pyxfrm.relocation.settings import Settings
from pyxfrm.relocation.sight import Target
from pyxfrm.relocation.steps import Outcome
from pyxfrm.relocation.ways.hold import LARVAL_DROP
from pyxfrm.relocation.wish import Wish
from pyxfrm.transport.base import Transport, Wrapper
from pyxfrm.wire.messages import message_name
from pyxfrm.wire.netlink import frames
from tests.relocation.playbook import sight
from tests.relocation.world import A, B, C, World, child, sa

LOCAL = Wish(local=A, new_local=B)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, *child())


def test_each_kernel_command_is_one_request(world: World) -> None:
    plan = world.plan(LOCAL, Options(strategy=Strategy.MIGRATE))
    policy, move = plan.policies[0], plan.sas[0]
    (by_policy, *_) = migrations_by_policy(plan, sight(plan), Target.NEW)
    assert isinstance(by_policy, MigrateByPolicy)
    wanted: dict[str, list[KernelCommand]] = {
        "UPDPOLICY": [Block(policy.old), UpdatePolicy(policy.new)],
        "NEWPOLICY": [Block(policy.old, overlay=True), InstallPolicy(policy.new)],
        "DELPOLICY": [Unblock(policy.old.id), RemovePolicy(policy.old.id)],
        "MIGRATE_STATE": [Migrate(move.migration)],
        "MIGRATE": [by_policy],
        "NEWSA": [AddSa(sa(A, C, 1))],
        "DELSA": [RemoveSa(move.old.id)],
        "GETSA": [Below(move.old.id, 1)],
    }
    for name, commands in wanted.items():
        for command in commands:
            assert message_name(request_for(command).type) == f"XFRM_MSG_{name}"


def test_every_step_is_told(world: World) -> None:
    heard: list[Moment] = []
    outcome = world.driver(listener=heard.append).relocate(world.plan(LOCAL))
    assert outcome.state is State.MOVED
    assert [moment.number for moment in heard] == list(range(1, len(heard) + 1))
    assert all(moment.took >= 0 and moment.at >= 0 for moment in heard)


def test_a_listener_that_fails_stops_nothing_and_is_told_no_more(world: World) -> None:
    heard: list[int] = []

    def listener(moment: Moment) -> None:
        heard.append(moment.number)
        if moment.number == 2:
            raise ValueError("no more room")

    outcome = world.driver(listener=listener).relocate(world.plan(LOCAL))
    assert outcome.state is State.MOVED
    assert heard == [1, 2]
    assert outcome.troubles == ("the listener failed at step 2: ValueError: no more room",)


def test_the_history_has_the_outcome(world: World) -> None:
    driver = world.driver()
    driver.relocate(world.plan(LOCAL))
    (entry,) = driver.journal.history()
    assert entry.outcome["state"] == "moved"
    assert json.dumps(entry.outcome)
    assert [s.state for s in driver.journal.steps(entry.id)][-1] is State.MOVED


def test_a_refused_plan_is_not_begun(world: World) -> None:
    plan = world.plan(LOCAL)
    driver = world.driver()
    from dataclasses import replace

    from pyxfrm.relocation.moves import Refusal, Why

    with pytest.raises(UsageError, match="because"):
        driver.relocate(replace(plan, refusals=(Refusal(Why.TAKEN, "because"),)))
    assert driver.journal.history() == []


def test_one_plan_an_end(world: World) -> None:
    plan = world.plan(LOCAL)
    with pytest.raises(UsageError, match="2 plans for 1 ends"):
        world.driver().relocate(plan, plan)


def test_a_second_one_at_the_same_time_is_refused(world: World) -> None:
    plan = world.plan(LOCAL)
    first, second = world.driver(), world.driver()

    def barge_in(_: float) -> None:
        with pytest.raises(UsageError, match="another relocation is running"):
            second.relocate(plan)

    first.sleep = barge_in
    assert first.relocate(plan).state is State.MOVED


def test_settings_are_put_back_when_the_procedure_fails(world: World) -> None:
    class Oops(Exception):  # noqa: N818
        pass

    def fail(_: float) -> None:
        assert world.settings[LARVAL_DROP] == "0"
        raise Oops

    driver = world.driver()
    driver.sleep = fail
    with pytest.raises(Oops):
        driver.relocate(world.plan(LOCAL, Options(strategy=Strategy.HOLD)))
    assert world.settings[LARVAL_DROP] == "1"
    assert driver.unfinished() is not None
    assert world.driver().resume().state is State.MOVED


def test_a_setting_that_another_process_left_is_put_back_by_resume(world: World) -> None:
    """It keeps the value from before the first change, however often it is set."""
    plan = world.plan(LOCAL, Options(strategy=Strategy.HOLD))
    journal = Journal(world.tmp / "journal.db", boot="boot", durable=False)
    number = journal.begin(["engine"], (plan,))
    journal.enter(number, State.MOVING)
    dying = Settings(world.driver().ends, journal, number)
    dying.set_sysctl(0, LARVAL_DROP, "0")
    assert world.settings[LARVAL_DROP] == "0"
    assert world.driver().resume().state is State.MOVED
    assert world.settings[LARVAL_DROP] == "1"


def ask(world: World, command: object) -> object:
    def steps() -> Steps[object]:
        reply = yield command  # type: ignore[misc]
        return reply

    driver = world.driver()
    driver._number = 1
    return driver.run(steps())


def test_what_an_end_cannot_do_is_a_reply(world: World) -> None:
    reply = ask(world, SetSysctl("net.core.nothing", "1"))
    assert isinstance(reply, Failed)
    reply = ask(world, DualAccept(Rule(A, B, (1,), "eth0")))
    assert isinstance(reply, Failed)
    assert "no tc here" in reply.text


def test_reading_an_sa(world: World) -> None:
    name = world.plan(LOCAL).sas[0].old.id
    found = ask(world, ReadSa(name))
    assert getattr(found, "id", None) == name
    from dataclasses import replace

    assert ask(world, ReadSa(replace(name, spi=0xDEAD))) is None


def test_an_sa_that_answers_to_the_name_but_is_another_is_not_it(tmp_path: Path) -> None:
    """1: a lookup by mark finds the one with the broad mask."""
    from dataclasses import replace

    from pyxfrm.model import Mark, Proto, SaId

    broad = replace(sa(A, C, 0xE1), id=SaId(C, Proto.ESP, 0xE1, Mark(0, 0x0F)))
    world = World(tmp_path, [broad], [])
    assert ask(world, ReadSa(SaId(C, Proto.ESP, 0xE1, Mark(0x10, 0xFF)))) is None


def test_haste_ends(world: World) -> None:
    """The collector runs again, and the process has the priority it had."""
    was = os.sched_getscheduler(0), gc.isenabled()
    seen = []
    ends = [world.end()]
    driver = Driver(
        ends,
        Journal(world.tmp / "j.db", boot="boot", durable=False),
        sleep=lambda _: seen.append((os.sched_getscheduler(0), gc.isenabled())),
    )
    driver.relocate(world.plan(LOCAL, Options(strategy=Strategy.HOLD)))
    assert (os.sched_getscheduler(0), gc.isenabled()) == was
    assert seen[0][1] is False


class Fatal(Wrapper):
    """All SAs are gone just when the first one moves: flushed by somebody."""

    def __init__(self, inner: Transport, xfrm: Xfrm) -> None:
        super().__init__(inner)
        self.xfrm = xfrm

    def send(self, data: bytes) -> None:
        if any(data[start + 4] == XFRM_MSG_MIGRATE_STATE for start, _ in frames(data)):
            self.xfrm.flush_sas()
        self.inner.send(data)


def test_a_callback_hears_of_lost_sas_when_all_is_written_down(world: World) -> None:
    heard: list[Outcome] = []
    driver = world.driver(Fatal(world.host.connect(), world.xfrm))

    def rekey(outcome: Outcome) -> None:
        heard.append(outcome)
        assert driver.journal.history()[0].outcome["lost"]
        with driver.journal.locked(["engine"]):
            pass

    driver.on_lost = rekey
    outcome = driver.relocate(world.plan(LOCAL, Options(strategy=Strategy.MIGRATE_STATE)))
    assert heard == [outcome]
    assert outcome.state is State.LOST
    assert len(outcome.lost) == 2
    assert len(outcome.blocked) == 2


def test_the_callback_hears_of_what_another_process_lost(world: World) -> None:
    plan = world.plan(LOCAL)
    first = world.driver()
    first.journal.enter(first.journal.begin(["engine"], (plan,)), State.MOVING)
    world.xfrm.flush_sas()
    heard: list[Outcome] = []
    second = world.driver()
    second.on_lost = heard.append
    assert second.resume() is heard[0]


def test_the_callback_hears_nothing_of_a_move_that_went_well(world: World) -> None:
    driver = world.driver()
    heard: list[Outcome] = []
    driver.on_lost = heard.append
    assert driver.relocate(world.plan(LOCAL)).state is State.MOVED
    assert heard == []


def test_how_far_an_sa_has_come(world: World) -> None:
    """What is sent after a check that failed stays unsent."""
    plan = world.plan(LOCAL)
    move = plan.sas[0]
    oseq = world.xfrm.get_sa(move.old.id).replay.oseq
    far, near = Below(move.old.id, oseq + 1), Below(move.old.id, oseq)
    absent = Below(SaId(C, Proto.ESP, 0xDEAD), 1)
    assert ask(world, Batch((far, far))) == (DONE, DONE)
    said: Any = ask(world, Script((Batch((far, near)), Batch((Migrate(move.migration),)))))
    assert said[0][0] is DONE
    assert said[0][1].errno == errno.EAGAIN
    assert "outrun" in said[0][1].text
    assert len(said) == 1
    assert world.xfrm.get_sa(move.old.id).id == move.old.id
    missing: Any = ask(world, Batch((absent,)))
    assert missing[0].errno == errno.ESRCH


def test_waits_and_batches_alone(world: World) -> None:
    assert ask(world, Wait(0.0)) is None
    plan = world.plan(LOCAL)
    reply = ask(world, Batch((Migrate(plan.sas[0].migration), Migrate(plan.sas[0].migration))))
    assert isinstance(reply, tuple)
    assert isinstance(reply[1], Failed)
    assert "ESRCH" in reply[1].text


def test_an_engine_end_without_settings(world: World) -> None:
    end = EngineEnd(world.xfrm, "x")
    with pytest.raises(OSError, match="no such setting"):
        end.read_sysctl(LARVAL_DROP)
    assert end.counters() == {}
    end.dual_accept(Rule(A, B, (), "eth0"), on=False)
