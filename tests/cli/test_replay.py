"""``xfrm replay`` from outside: what it prints, what it returns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.cli import main
from pyxfrm.transport.recording import bundled
from pyxfrm.wire.messages import Message
from tests.transport.replay.edit import change, find, records_of, saved

A1 = next(path for path in bundled() if path.name == "A1-v4-linkdown.jsonl")


@pytest.fixture
def spoilt(tmp_path: Path) -> Path:
    """A recording in which one reply has another reqid, and one a key of another length."""
    records = records_of("A1-v4-linkdown.jsonl")
    at = find(records, "reply", m.XFRM_MSG_NEWSA, "ini", skip=3)
    records = change(records, at, lambda made: made._replace(body=made.body._replace(reqid=77)))
    return saved(tmp_path / "spoilt.jsonl", records)


def test_a_sound_recording(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(A1)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "A1" in out
    assert "50/50" in out
    assert "36/36" in out
    assert "86 of 86 replies and events are identical to the last byte" in " ".join(out.split())


def test_a_difference_is_told_and_shown(spoilt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--diff", str(spoilt), str(A1)]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "171 of 172 replies and events" in out
    assert "XFRM_MSG_NEWSA is not what the engine sent" in out
    assert "xfrm_usersa_info.reqid 77 1" in out


def test_the_bundled_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pyxfrm.cli.replay.bundled", lambda: bundled()[:2])
    assert main(["replay", "--bundled", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert [file["file"] for file in files] == [str(path) for path in bundled()[:2]]
    assert main(["replay"]) == 2
    assert "--bundled for those of pyxfrm" in capsys.readouterr().err
    assert main(["replay", "--help"]) == 0
    assert f"({len(bundled())})" in capsys.readouterr().out


def test_without_diff_nothing_is_shown(spoilt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(spoilt)]) == 1
    assert "reqid" not in capsys.readouterr().out


def test_json(spoilt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = spoilt.with_name("broken.jsonl")
    broken.write_text("{}\n")
    assert main(["replay", "--json", str(spoilt), str(broken)]) == 2
    out, err = capsys.readouterr()
    assert err == ""
    told = json.loads(out)
    assert told["identical"] is False
    (report,) = told["files"]
    assert report["file"] == str(spoilt)
    assert report["profile"] == "LINUX_7_2"
    assert report["replies"] == {"compared": 50, "identical": 49, "differing": 1}
    assert report["events"] == {"compared": 36, "identical": 36, "differing": 0}
    assert report["inputs"]["SPIs"] == 2
    (one,) = report["differences"]
    assert (one["kind"], one["netns"], one["type"]) == ("differs", "ini", "XFRM_MSG_NEWSA")
    assert one["fields"] == [{"field": "xfrm_usersa_info.reqid", "expected": "77", "got": "1"}]
    (refused,) = told["refused"]
    assert refused["why"].startswith(f"{broken}:1: no 't'")


def test_one_bad_file_does_not_hide_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b"\x7fELF\n")
    missing = tmp_path / "missing.jsonl"
    assert main(["replay", str(bad), str(A1), str(missing)]) == 2
    out, err = capsys.readouterr()
    assert "50/50" in out
    assert err.splitlines() == [
        f"xfrm: {bad}:1: no JSON: this is no recording, or the line was cut",
        f"xfrm: {missing}:0: cannot be read: No such file or directory",
    ]


def test_a_directory_is_all_its_recordings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(tmp_path)]) == 2
    assert "no *.jsonl in this directory" in capsys.readouterr().err
    for name in ("one.jsonl", "two@7.3.4.jsonl"):
        (tmp_path / name).write_bytes(A1.read_bytes())
    assert main(["replay", "--json", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [report["profile"] for report in told["files"]] == ["LINUX_7_2", "LINUX_7_3"]


def test_a_profile_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = tmp_path / "A1@9.9.jsonl"
    odd.write_bytes(A1.read_bytes())
    assert main(["replay", str(odd)]) == 2
    assert "choose one with --profile" in capsys.readouterr().err
    assert main(["replay", "--profile", "linux-7.2", str(odd)]) == 0
    assert main(["replay", "--profile", "linux-6.12", str(odd)]) == 1
    assert main(["replay", "--profile", "nonsense", str(odd)]) == 2
    assert "no profile 'nonsense'" in capsys.readouterr().err


def test_no_key_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = records_of("A1-v4-linkdown.jsonl")
    at = find(records, "event", m.XFRM_MSG_NEWSA, "ini")

    def shorten(made: Message) -> Message:
        attrs = [
            attr._replace(payload=attr.payload[:-4]) if attr.number == m.XFRMA_ALG_AEAD else attr
            for attr in made.attrs
        ]
        return made._replace(attrs=tuple(attrs))

    path = saved(tmp_path / "x.jsonl", change(records, at, shorten))
    key = records[at].message[-80:].hex()
    assert main(["replay", "--diff", str(path)]) == 1
    shown = capsys.readouterr().out
    assert main(["replay", "--json", str(path)]) == 1
    shown += capsys.readouterr().out
    assert "bytes hidden" in shown
    for i in range(0, len(key) - 16, 8):
        part = key[i : i + 16]
        assert part == "0" * 16 or part not in shown
