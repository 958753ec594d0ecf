"""Recordings made here and now on real kernels run without a difference, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyxfrm.lab import Lab
from pyxfrm.transport.replay.kernel import profile_of
from pyxfrm.transport.replay.session import replay
from pyxfrm.wire.describe import difference
from tests.transport.replay.scene import SCENES, scene

pytestmark = pytest.mark.kernel


def check(lab: Lab, release: str, title: str, path: Path, *, aevents: bool) -> None:
    text = lab.call("tests.transport.replay.scene:record", scene(title, aevents=aevents))
    file = path / f"{title}@{release}.jsonl"
    file.write_text(text)
    report = replay(file, profile_of(file))
    assert [
        (one.kind, one.line, list(difference(one.expected, one.got))) for one in report.differences
    ] == []
    assert report.replies.identical == report.replies.compared > 5


@pytest.mark.parametrize("aevents", [False, True], ids=["", "aevents"])
@pytest.mark.parametrize("title", SCENES)
def test_linux_7_2(lab72: Lab, title: str, aevents: bool, tmp_path: Path) -> None:
    check(lab72, "7.2.7", title, tmp_path, aevents=aevents)


@pytest.mark.parametrize("aevents", [False, True], ids=["", "aevents"])
@pytest.mark.parametrize("title", SCENES)
def test_linux_6_12(lab612: Lab, title: str, aevents: bool, tmp_path: Path) -> None:
    check(lab612, "6.12.101", title, tmp_path, aevents=aevents)
