"""``xfrm stat``: counters of dropped packets."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pyxfrm import cli
from pyxfrm.cli import target

Captured = pytest.CaptureFixture[str]


COUNTERS = "XfrmInNoStates \t3\nXfrmOutError \t0\nXfrmNew \t4\n"


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc/net of our own."""
    monkeypatch.setattr(target, "PROC_NET", tmp_path)
    (tmp_path / "xfrm_stat").write_text(COUNTERS)
    return tmp_path


def test_stat_tells_what_counts(proc: Path, capsys: Captured) -> None:
    assert cli.main(["stat"]) == 0
    told = capsys.readouterr().out
    assert "XfrmInNoStates" in told
    assert "XfrmNew" in told
    assert "XfrmOutError" not in told
    assert cli.main(["stat", "--all"]) == 0
    assert "XfrmOutError" in capsys.readouterr().out


def test_stat_as_json(proc: Path, capsys: Captured) -> None:
    assert cli.main(["stat", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == 1
    assert [(row["counter"], row["value"]) for row in told["stat"]] == [
        ("XfrmInNoStates", 3),
        ("XfrmOutError", 0),
        ("XfrmNew", 4),
    ]
    assert sorted(told["stat"][0]) == ["counter", "likely", "next", "value"]


def test_stat_of_a_quiet_host(proc: Path, capsys: Captured) -> None:
    (proc / "xfrm_stat").write_text("XfrmInError 0\n")
    assert cli.main(["stat"]) == 0
    assert capsys.readouterr().out == "No counter has counted: nothing was dropped.\n"


def test_stat_watches(proc: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([COUNTERS.replace("\t3", "\t10"), COUNTERS.replace("\t3", "\t11")])
    monkeypatch.setattr(time, "sleep", lambda _: (proc / "xfrm_stat").write_text(next(readings)))
    assert cli.main(["stat", "--watch", "--count", "1"]) == 0
    assert " XfrmInNoStates +7  a packet came" in capsys.readouterr().out
    assert cli.main(["stat", "--watch", "--count", "1", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["stat"]
    assert (row["counter"], row["value"]) == ("XfrmInNoStates", 1)


def test_stat_of_a_kernel_without_counters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(target, "PROC_NET", tmp_path)
    assert cli.main(["stat"]) == 1
    assert "CONFIG_XFRM_STATISTICS" in capsys.readouterr().err


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "1e300"])
def test_an_interval_is_one(interval: str, capsys: Captured) -> None:
    assert cli.main(["stat", "--watch", "--interval", interval]) == 2
    assert "must be over 0, and a day at most" in capsys.readouterr().err
