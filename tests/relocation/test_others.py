"""Somebody else is at work on the same tables: an IKE daemon, an administrator, a program of one's own. And traffic is heavy, or this process has no time.

Between any two requests that change something another program may delete SAs, put others in their places, or set policies anew, and some packets are sent. Between two steps of the procedure
this process may have no time for so long that more packets are sent than a gap holds (within a step it is in a hurry, and a quarter of the gap is its own). Whatever it is: a
relocation ends in one of three ways, nothing leaves in clear, no key meets a number twice, and what is said to be moved is.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyxfrm.client import Xfrm
from pyxfrm.errors import RefusedError
from pyxfrm.model import Action, Algorithm
from pyxfrm.relocation.driver import Moment
from pyxfrm.relocation.machine import State
from pyxfrm.transport.base import Transport, Wrapper
from pyxfrm.wire.netlink import frames
from tests.relocation.cutting import Fuse, Killed, every
from tests.relocation.faulty import READS
from tests.relocation.test_crash import CASES, Case, Scene
from tests.relocation.world import sa

TRIED = (
    "migrate-state-both",
    "hold-both",
    "hold-local",
    "recreate-both",
    "recreate-local",
    "recreate-nat",
    "gap-both",
    "gap-remote",
    "gap-recreate-both",
    "gap-recreate-remote",
    "migrate-both",
    "hosts",
    "overlay",
    "three",
)
OTHER_KEY = Algorithm.aes_gcm(bytes(range(100, 120)))
SAS = ("delete old", "delete new", "put at old", "put at new")
POLICIES = ("allow", "priority")
JUMP = 400  # numbers; as wide as in earnest it would take too long to use up
MANY = 600


@dataclass(frozen=True)
class Deed:
    """What happens before the request, or after the step, of this number. ``which``: of the SAs or policies, counted round."""

    at: int
    what: str
    which: int = 0


class Others:
    """The other program, and the traffic."""

    def __init__(self, scene: Scene, deeds: list[Deed]) -> None:
        self.scene = scene
        self.deeds = deeds
        self.requests = 0

    def go_on(self) -> None:
        """A request is about to be handled."""
        for deed in self.deeds:
            if deed.at == self.requests and deed.what != "packets":
                with contextlib.suppress(RefusedError):  # nothing to delete, or something there
                    self._ask(deed, self.scene.world.xfrm)
        self.scene.traffic.burst()
        self.requests += 1

    def hear(self, moment: Moment) -> None:
        """A step was done."""
        if any(deed == Deed(moment.number, "packets", deed.which) for deed in self.deeds):
            self.scene.traffic.burst(MANY)

    def _ask(self, deed: Deed, xfrm: Xfrm) -> None:
        plan = self.scene.plan
        verb, _, where = deed.what.partition(" ")
        if verb in ("delete", "put"):
            move = plan.sas[deed.which % len(plan.sas)]
            place = move.old if where == "old" else move.new
            if verb == "put":
                stranger = sa(place.saddr, place.id.daddr, place.id.spi, reqid=place.reqid)
                xfrm.add_sa(replace(stranger, id=place.id, algorithms=(OTHER_KEY,)))
            else:
                xfrm.delete_sa(place.id)
            return
        policy = plan.policies[deed.which % len(plan.policies)]
        form = policy.new if where == "new" and policy.in_place else policy.old
        if verb == "priority":
            form = replace(form, priority=form.priority + 7)
        assert form.action == Action.ALLOW
        xfrm.update_policy(form)


class Watched(Wrapper):
    """Requests that change something are told of, one by one."""

    def __init__(self, inner: Transport, before: Callable[[], None]) -> None:
        super().__init__(inner)
        self.before = before

    def send(self, data: bytes) -> None:
        for start, end in frames(data):
            if int.from_bytes(data[start + 4 : start + 6], "little") not in READS:
                self.before()
            self.inner.send(data[start:end])


def run(case: Case, tmp: Path, deeds: list[Deed]) -> State:
    scene = Scene(case, tmp)
    scene.plan = replace(scene.plan, jump=JUMP)
    others = Others(scene, deeds)
    watched = Watched(scene.world.host.connect(), others.go_on)
    driver = scene.world.driver(watched, listener=others.hear)
    driver.sleep = lambda _: scene.traffic.burst()
    outcome = driver.relocate(scene.plan)
    scene.check(outcome)
    return outcome.state


@st.composite
def days(draw: st.DrawFn) -> tuple[str, list[Deed]]:
    """A case and what others do. Whoever switches between an SA and its copy behind the gap, in our place, has nobody check how far the old one has come."""
    name = draw(st.sampled_from(TRIED))
    if draw(st.booleans()):
        what = (*SAS, *POLICIES, "allow new")
    else:
        what = (*SAS, "packets", "packets", *(() if "gap" in name else POLICIES))
    one = st.builds(Deed, st.integers(0, 40), st.sampled_from(what), st.integers(0, 5))
    return name, draw(st.lists(one, max_size=5))


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(day=days())
def test_whatever_others_do(day: tuple[str, list[Deed]], tmp_path: Path) -> None:
    name, deeds = day
    state = run(CASES[name], Path(tempfile.mkdtemp(dir=tmp_path)), deeds)
    if all(deed.what == "packets" for deed in deeds) and "gap" not in name:
        assert state is State.MOVED


RECREATE = ("recreate-both", "recreate-local")


@pytest.mark.parametrize("name", RECREATE)
def test_a_policy_that_is_allowed_again_while_its_sa_is_copied(name: str, tmp_path: Path) -> None:
    """Before any request, and then more packets than the gap holds after any step."""
    moved = 0
    for at in range(0, 12, every(2)):
        for step in range(at + 4, at + 12, every(2)):
            deeds = [Deed(at, "allow", 0), Deed(at, "allow", 1), Deed(step, "packets")]
            moved += run(CASES[name], tmp_path / f"{at}-{step}", deeds) is State.MOVED
    assert moved


@pytest.mark.parametrize("abort", [False, True], ids=["resume", "abort"])
@pytest.mark.parametrize("name", RECREATE)
def test_a_policy_that_is_allowed_again_after_a_death(
    name: str, abort: bool, tmp_path: Path
) -> None:
    """The old SA goes on, past the cut, before somebody resumes."""
    case, left, ends = CASES[name], 0, set()
    while True:
        scene = Scene(case, tmp_path / str(left))
        scene.plan = replace(scene.plan, jump=JUMP)
        try:
            scene.driver(Fuse(left)).relocate(scene.plan)
            break
        except Killed:
            pass
        others = Others(scene, [Deed(0, "allow", n) for n in (0, 1)])
        others.go_on()
        scene.traffic.burst(MANY)
        driver = scene.driver(Fuse())
        if driver.unfinished() is not None:
            outcome = driver.resume(abort=abort)
            scene.check(outcome)
            ends.add(outcome.state)
        left += 1
    assert (State.AS_BEFORE if abort else State.MOVED) in ends
