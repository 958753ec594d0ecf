"""What a kernel, a socket or another program can do to a relocation: each request refused, answers lost, SAs gone.

Whatever it is, the end is one of three, nothing leaves in clear, no number is sent twice.
"""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.client import Xfrm
from pyxfrm.errors import XfrmError
from pyxfrm.model import SaId
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import Options, Strategy
from pyxfrm.transport.faults import FaultInjector, Faults
from tests.relocation.faulty import Faulty
from tests.relocation.test_crash import CASES, LOCAL, Case, Scene
from tests.relocation.world import sa

ERRNOS = {
    m.XFRM_MSG_MIGRATE_STATE: (
        errno.EEXIST,
        errno.ESRCH,
        errno.EINVAL,
        errno.ENOPROTOOPT,
        errno.ENOMEM,
        errno.EPERM,
    ),
    m.XFRM_MSG_MIGRATE: (
        errno.ENOENT,
        errno.EINVAL,
        errno.ENODATA,
        errno.ENOPROTOOPT,
        errno.ENOMEM,
        errno.EPERM,
    ),
    m.XFRM_MSG_NEWSA: (errno.EEXIST, errno.EINVAL, errno.ENOMEM, errno.EPERM),
    m.XFRM_MSG_DELSA: (errno.ESRCH, errno.EPERM, errno.ENOMEM),
    m.XFRM_MSG_NEWPOLICY: (errno.EEXIST, errno.EINVAL, errno.ENOMEM),
    m.XFRM_MSG_UPDPOLICY: (errno.EINVAL, errno.ENOMEM, errno.EPERM),
    m.XFRM_MSG_DELPOLICY: (errno.ENOENT, errno.EPERM),
}
TRIED = (
    "migrate-state-local",
    "migrate-state-both",
    "hold-local",
    "hold-both",
    "recreate-local",
    "recreate-both",
    "gap-both",
    "migrate-local",
    "migrate-both",
    "hosts",
    "overlay",
    "split",
)


def run(case: Case, tmp: Path, strike: object) -> tuple[State, Faulty]:
    scene = Scene(case, tmp)
    faulty = Faulty(scene.world.host.connect(), strike)  # type: ignore[arg-type]
    driver = scene.world.driver(faulty)
    driver.sleep = lambda _: scene.traffic.burst()
    outcome = driver.relocate(scene.plan)
    scene.check(outcome)
    return outcome.state, faulty


def test_an_undisturbed_run_through_the_same_transport(tmp_path: Path) -> None:
    state, faulty = run(CASES["migrate-state-local"], tmp_path, lambda n, kind: 0)
    assert state is State.MOVED
    assert faulty.types.count(m.XFRM_MSG_MIGRATE_STATE) == 2


@pytest.mark.parametrize("name", TRIED)
def test_each_request_refused_once(name: str, tmp_path: Path) -> None:
    """With each errno it can give; the request is not done."""
    case = CASES[name]
    _, undisturbed = run(case, tmp_path / "undisturbed", lambda n, kind: 0)
    for at, kind in enumerate(undisturbed.types):
        for number in ERRNOS[kind]:
            state, _ = run(
                case,
                tmp_path / f"{at}-{number}",
                lambda n, _, at=at, number=number: number * (n == at),
            )
            if name == "recreate-local" and state is State.LOST:
                continue
            assert state in (State.MOVED, State.AS_BEFORE), (at, kind, errno.errorcode[number])


@pytest.mark.parametrize("fault", ["deaf", "lost"])
@pytest.mark.parametrize("name", TRIED)
def test_each_answer_lost_once(name: str, fault: str, tmp_path: Path) -> None:
    """Done and not told, or neither done nor told: the kernel is asked which it was."""
    case = CASES[name]
    _, undisturbed = run(case, tmp_path / "undisturbed", lambda n, kind: 0)
    for at in range(len(undisturbed.types)):
        state, _ = run(case, tmp_path / str(at), lambda n, _, at=at: fault if n == at else 0)
        assert state is State.MOVED, at


@pytest.mark.parametrize("kind", ERRNOS)
@pytest.mark.parametrize("name", TRIED)
def test_a_kind_of_request_always_refused(name: str, kind: int, tmp_path: Path) -> None:
    state, faulty = run(CASES[name], tmp_path, lambda _, asked: errno.EINVAL * (asked == kind))
    if kind not in faulty.types:
        assert state is State.MOVED
    elif kind in (m.XFRM_MSG_MIGRATE_STATE, m.XFRM_MSG_MIGRATE, m.XFRM_MSG_NEWSA):
        assert state in (State.AS_BEFORE, State.LOST)
    else:
        assert state in (State.AS_BEFORE, State.LOST, State.MOVED)


def test_a_refused_move_leaves_everything_as_before(tmp_path: Path) -> None:
    state, _ = run(
        CASES["migrate-state-local"],
        tmp_path,
        lambda _, kind: errno.EEXIST * (kind == m.XFRM_MSG_MIGRATE_STATE),
    )
    assert state is State.AS_BEFORE


def test_the_second_sa_refused_moves_the_first_back_by_migrating(tmp_path: Path) -> None:
    moves = []

    def strike(_: int, kind: int) -> int:
        if kind == m.XFRM_MSG_MIGRATE_STATE:
            moves.append(kind)
            return errno.EINVAL if len(moves) == 2 else 0
        return 0

    state, faulty = run(CASES["migrate-state-local"], tmp_path, strike)
    assert state is State.AS_BEFORE
    assert len(moves) == 3
    assert m.XFRM_MSG_NEWSA not in faulty.types


def test_an_sa_lost_by_the_kernel_is_blocked_and_told(tmp_path: Path) -> None:
    """The move deleted the old SA and could not insert the new one: both are gone."""
    scene = Scene(CASES["migrate-state-local"], tmp_path)
    outbound = scene.plan.sas[-1].old.id

    class Losing(Faulty):
        def _one(self, message: bytes) -> None:
            super()._one(message)
            last = self.types[-1:]
            if last == [m.XFRM_MSG_MIGRATE_STATE] and self.types.count(last[0]) == 2:
                _delete(scene.world.xfrm, outbound)

    driver = scene.world.driver(Losing(scene.world.host.connect(), lambda n, kind: 0))
    outcome = driver.relocate(scene.plan)
    assert outcome.state is State.LOST
    scene.check(outcome)
    assert outbound in outcome.lost
    assert {p.dir for p in outcome.blocked} == {1}


def _delete(xfrm: Xfrm, name: SaId) -> None:
    if any(r.id == name for r in xfrm.sas()):
        xfrm.delete_sa(name)


def test_an_sa_that_expired_since_the_plan_stops_it_before_anything_is_done(tmp_path: Path) -> None:
    scene = Scene(CASES["hold-local"], tmp_path)
    scene.world.xfrm.delete_sa(scene.plan.sas[0].old.id)
    faulty = Faulty(scene.world.host.connect(), lambda n, kind: 0)
    outcome = scene.world.driver(faulty).relocate(scene.plan)
    assert outcome.state is State.AS_BEFORE
    assert "gone" in outcome.troubles[0]
    assert faulty.changes == 0


def test_an_sa_replaced_since_the_plan_stops_it(tmp_path: Path) -> None:
    scene = Scene(CASES["hold-local"], tmp_path)
    old = scene.plan.sas[0].old
    scene.world.xfrm.delete_sa(old.id)
    scene.world.xfrm.add_sa(sa(old.saddr, old.id.daddr, old.id.spi, reqid=9))
    outcome = scene.world.driver().relocate(scene.plan)
    assert outcome.state is State.AS_BEFORE
    assert "another SA" in outcome.troubles[0]


def test_an_sa_replaced_by_its_like_stops_it(tmp_path: Path) -> None:
    """Same SPI, addresses, algorithms and reqid, but installed at another time: a restarted daemon's."""
    scene = Scene(CASES["hold-local"], tmp_path)
    old = scene.plan.sas[0].old
    scene.world.xfrm.delete_sa(old.id)
    scene.world.host.clock = lambda: old.added + 100.0
    scene.world.xfrm.add_sa(sa(old.saddr, old.id.daddr, old.id.spi))
    outcome = scene.world.driver().relocate(scene.plan)
    assert outcome.state is State.AS_BEFORE
    assert "another SA" in outcome.troubles[0]


def test_a_policy_changed_since_the_plan_stops_it(tmp_path: Path) -> None:
    from dataclasses import replace

    scene = Scene(CASES["hold-local"], tmp_path)
    scene.world.xfrm.update_policy(replace(scene.plan.policies[0].old, priority=5))
    outcome = scene.world.driver().relocate(scene.plan)
    assert outcome.state is State.AS_BEFORE
    assert "has changed" in outcome.troubles[0]


def test_the_new_place_taken_since_the_plan_stops_it(tmp_path: Path) -> None:
    scene = Scene(CASES["migrate-state-both"], tmp_path)
    new = scene.plan.sas[0].new
    scene.world.xfrm.add_sa(sa(new.saddr, new.id.daddr, new.id.spi, reqid=9))
    outcome = scene.world.driver().relocate(scene.plan)
    assert outcome.state is State.AS_BEFORE
    assert "another SA is at" in outcome.troubles[0]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(TRIED))
def test_a_bad_day(seed: int, name: str, tmp_path: Path) -> None:
    """Answers vanish, come twice, late, or are refused for want of memory."""
    scene = Scene(CASES[name], tmp_path / f"{seed}-{name}")
    faults = Faults(drop=0.02, duplicate=0.1, delay=0.1, enobufs=0.02, refuse=0.03, eintr=0.1)
    driver = scene.world.driver(FaultInjector(scene.world.host.connect(), seed, faults))
    driver.ends[0].xfrm.timeout = 0.01
    driver.sleep = lambda _: scene.traffic.burst()
    try:
        outcome = driver.relocate(scene.plan)
    except XfrmError:
        # The tables could not be read, three times: another process goes on.
        outcome = scene.world.driver().resume()
    scene.check(outcome)


def test_without_a_listener_success_comes_with_a_frightening_text(tmp_path: Path) -> None:
    """Nobody hears the notification; the kernel says so in an ACK that is an ACK."""
    state, _ = run(Case(LOCAL, Options(strategy=Strategy.MIGRATE_STATE)), tmp_path, lambda n, k: 0)
    assert state is State.MOVED
