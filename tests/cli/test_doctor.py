"""``xfrm doctor``: findings, and how it finds out who else is there. On Linux: its neighbours, too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyxfrm import cli
from pyxfrm.cli import doctor as doctor_command
from pyxfrm.client.doctor import Socket
from pyxfrm.lab import Lab
from tests.cli import guest_doctor

Captured = pytest.CaptureFixture[str]


def test_doctor_with_nothing_to_find(capsys: Captured) -> None:
    assert cli.main(["doctor", "--engine", "7.2"]) == 0
    assert capsys.readouterr().out == "0 SAs, 0 policies: nothing was found\n"


@pytest.mark.parametrize(
    ("text", "word"),
    [("none [integrity] confidentiality\n", "integrity"), ("nonsense", ""), (None, "")],
)
def test_lockdown(
    text: str | None, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is not None:
        (tmp_path / "lockdown").write_text(text)
    monkeypatch.setattr(doctor_command, "LOCKDOWN", tmp_path / "lockdown")
    assert doctor_command._lockdown() == word


def test_the_owner_of_a_socket_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fds = tmp_path / "31" / "fd"
    fds.mkdir(parents=True)
    (fds / "3").symlink_to("socket:[99]")
    (tmp_path / "31" / "comm").write_text("charon\n")
    monkeypatch.setattr(doctor_command, "PROC", tmp_path)
    assert doctor_command._owner(Socket(4294963199, 1, 99)) == "charon"
    assert doctor_command._owner(Socket(31, 1, 98)) == ""


@pytest.mark.kernel
def test_on_linux(lab72: Lab) -> None:
    lines = [["doctor", "--json"], ["doctor"], ["probe", "--json"], ["stat"]]
    told = lab72.call("tests.cli.guest_doctor:commands", lines)
    assert [status for status, _ in told] == [4, 4, 0, 0]
    rules = [one["rule"] for one in json.loads(told[0][1])["doctor"]]
    assert sorted(rules) == ["ambiguous-marks", "missing-fwd", "template-without-sa"]
    assert "2 SAs, 1 policy: 3 findings" in told[1][1]
    assert json.loads(told[2][1])["probe"] | {"sign": ""} == {
        "migrate_state": "available",
        "sign": "",
        "exact_marks": False,
    }
    assert "nothing was dropped" in told[3][1]


@pytest.mark.kernel
@pytest.mark.parametrize("rule", guest_doctor.SICK)
def test_each_fault_is_found_on_linux(lab72: Lab, rule: str) -> None:
    """Tables of the kernel that have one fault: it is found, and nothing else is."""
    status, as_json, text = lab72.call("tests.cli.guest_doctor:found", rule)
    findings = json.loads(as_json)["doctor"]
    assert [one["rule"] for one in findings] == [rule]
    assert status == guest_doctor.SICK[rule][1]
    assert all(findings[0][what] in text for what in ("subject", "reason", "next"))


@pytest.mark.kernel
def test_a_time_below_zero_expires_an_sa_at_once(lab72: Lab) -> None:
    """What the doctor says of such limits is what Linux does."""
    left, event = lab72.call("tests.cli.guest_doctor:first_packet", None)
    assert left == "0"
    assert "nlmsg_type = 24 XFRM_MSG_EXPIRE\n" in event
