"""``xfrm monitor`` beside iproute2 7.3's: messages of every kind, from files, and live from several network namespaces."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from random import Random

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.cli import main
from pyxfrm.lab import Lab
from tests.cli import events

Captured = pytest.CaptureFixture[str]

FORMS: tuple[list[str], ...] = ([], ["-s"], ["-o"], ["-s", "-o"])


def hexadecimal(messages: list[bytes]) -> str:
    return b"".join(one + bytes(-len(one) % 4) for one in messages).hex()


@pytest.mark.kernel
@pytest.mark.parametrize("options", FORMS, ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_messages_of_every_kind_look_the_same(lab72: Lab, seed: int, options: list[str]) -> None:
    data = hexadecimal([*events.messages(seed, 60), *events.others()])
    theirs, ours = lab72.call("tests.cli.guest:monitor_file", [options, data])
    assert len(theirs.splitlines()) > 900
    assert ours.splitlines() == theirs.splitlines()
    assert ours == theirs


@pytest.mark.kernel
@pytest.mark.parametrize("option", ["-t", "-ts", "-timestamp", "-tshort"])
def test_the_time_in_front_looks_the_same(lab72: Lab, option: str) -> None:
    data = hexadecimal(events.messages(1, 3))
    digits = re.compile(r"\d+(?= usec)|(?<=\d\.)\d{6}(?=\])|(?<=:)\d\d(?=[ .])")
    told = lab72.call("tests.cli.guest:monitor_file", [[option], data])
    theirs, ours = (digits.sub("N", text) for text in told)
    assert theirs.count("N") > 30
    assert ours == theirs


@pytest.mark.kernel
def test_events_of_other_namespaces_look_the_same(lab72: Lab) -> None:
    theirs, ours = lab72.call("tests.cli.guest:monitor_everywhere", None)
    assert ours == theirs
    marks = re.findall(r"(?m)^\[nsid (\w+)\]", ours)
    assert marks == ["7"] * 3 + ["42"] * 3 + ["current"] * 3


@pytest.mark.kernel
def test_words_are_shortened_as_in_iproute2(lab72: Lab) -> None:
    whole = ("acquire", "expire", "SA", "policy", "aevent", "report")
    words = ["a", "ac", "e", "S", "p", "ae", "r", "all", "all-n", *whole]
    found = lab72.call("tests.cli.guest:monitored_groups", words, timeout=120)
    for word, (theirs, ours) in found.items():
        # For "everything" iproute2 asks for groups that do not exist, too.
        assert ours & 0x7F == theirs & 0x7F, word


def test_a_file_is_told_as_json(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "events"
    file.write_bytes(events.messages(1, 1)[0])
    assert main(["monitor", "file", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["event"], "time" in told, "nsid" in told) == ("SaAdded", False, False)
    assert main(["-t", "monitor", "all-nsid", "f", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["time"] > 1.7e9


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_told_as_text_is_told_as_json(
    seed: int, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """Also what no kernel sends: a value that the model refuses is shown as bytes that it does not know."""
    data = bytes.fromhex(hexadecimal(events.messages(seed, 5)))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert main(["monitor", "file", "-", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 * len(events.KINDS)
    assert all(json.loads(line)["schema"] == 1 for line in lines)


def test_what_is_no_file_of_messages_is_refused(tmp_path: Path, capsys: Captured) -> None:
    assert main(["monitor", "file", str(tmp_path / "none")]) == 2
    assert "No such file" in capsys.readouterr().err
    whole = events.message(Random(1), m.XFRM_MSG_MAPPING)
    (tmp_path / "cut").write_bytes(whole + whole[:-4])
    assert main(["monitor", "file", str(tmp_path / "cut")]) == 2
    told = capsys.readouterr()
    assert told.out.count("Mapping change") == 1
    assert f"its last {len(whole) - 4} bytes" in told.err
