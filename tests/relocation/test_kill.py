"""SIGKILL at system calls of a real process: file journal, engine behind a unix socket; then another process resumes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyxfrm.relocation.machine import State
from pyxfrm.relocation.record import dumps
from pyxfrm.relocation.ways.hold import LARVAL_DROP
from pyxfrm.transport.server import serving
from tests.relocation.cutting import every
from tests.relocation.mortal import driver_for
from tests.relocation.test_crash import CASES, Scene

NAMES = ("migrate-state-both", "hold-both", "recreate-both", "gap-both", "migrate-both")


class Executioner:
    """The program of :mod:`tests.relocation.mortal`."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.relocation.mortal"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, folder: Path, kill_at: int | None) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"folder": str(folder), "kill_at": kill_at}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        if "error" in answer:
            pytest.skip(answer["error"])
        return answer


@pytest.fixture(scope="module")
def executioner() -> Iterator[Executioner]:
    made = Executioner()
    yield made
    assert made.process.stdin is not None
    assert made.process.stdout is not None
    made.process.stdin.close()
    made.process.wait(10)
    made.process.stdout.close()


class Served(Scene):
    """A scene whose engine serves in ``folder``."""

    def __init__(self, name: str, folder: Path) -> None:
        folder.mkdir()
        super().__init__(CASES[name], folder)
        self.folder = folder
        (folder / "plan").write_text(dumps(self.plan))
        (folder / "settings").write_text(json.dumps({LARVAL_DROP: "1"}))
        self._served = serving(self.world.host, folder / "engine")

    def __enter__(self) -> Served:
        self._served.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._served.__exit__(None, None, None)


def kill_and_resume(name: str, executioner: Executioner, tmp: Path, stride: int) -> None:
    with Served(name, tmp / "whole") as scene:
        whole = executioner.run(scene.folder, None)
        assert whole == {"calls": whole["calls"], "killed": False, "status": 0}
        assert (scene.folder / "outcome").read_text() == State.MOVED.value
    ends = []
    for at in range(0, whole["calls"], stride):
        with Served(name, tmp / str(at)) as scene:
            killed = executioner.run(scene.folder, at)
            assert killed["killed"] or killed["status"] == 0
            with (
                scene.world.host.changed
            ):  # the server may be at work on what the dead one has sent
                scene.traffic.burst()
            driver = driver_for(scene.folder)
            if driver.unfinished() is not None:
                outcome = driver.resume(abort=at % 2 == 1)
                scene.check(outcome)
                ends.append(outcome.state)
            assert json.loads((scene.folder / "settings").read_text()) == {LARVAL_DROP: "1"}
            driver.journal.close()
            driver.ends[0].xfrm.close()
    assert set(ends) <= {State.MOVED, State.AS_BEFORE}
    assert State.MOVED in ends


@pytest.mark.parametrize("name", NAMES)
def test_killed_at_system_calls(
    name: str, executioner: Executioner, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kill_and_resume(name, executioner, tmp_path_factory.mktemp("k"), every(17))
