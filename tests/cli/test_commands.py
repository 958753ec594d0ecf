"""The commands against an engine that runs elsewhere, as a shell would use them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyxfrm.abi.profiles import EXACT_MARKS
from pyxfrm.cli import COMMANDS, main
from pyxfrm.cli.complete import candidates
from pyxfrm.cli.grammar import GROUPS, VALUES, VERBS, Keyword
from pyxfrm.cli.help import of, syntax
from pyxfrm.cli.manpage import page
from pyxfrm.cli.schema import json_schema
from pyxfrm.engine import Engine
from pyxfrm.transport.base import ALL_GROUPS
from pyxfrm.transport.local import EngineHost
from pyxfrm.transport.server import serving
from tests.cli.schemas import faults
from tests.processes import ended

Run = Callable[..., str]
SCHEMA = json_schema()

KEY = "0x000102030405060708090a0b0c0d0e0f10111213"
SA = (
    "state add src 192.0.2.1 dst 198.51.100.1 proto esp spi 0x100 mode tunnel reqid 7 "
    f"replay-window 128 sel src 10.1.0.0/16 dst 10.2.0.0/16 aead rfc4106(gcm(aes)) {KEY} 128"
)
NAME = "dst 198.51.100.1 proto esp spi 0x100"
POLICY = (
    "policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out priority 5 "
    "tmpl src 192.0.2.1 dst 198.51.100.1 proto esp mode tunnel reqid 7"
)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs a command line against one engine; its output, or (with ``status``) what it said on stderr."""
    path = tmp_path / "xfrm"
    with serving(EngineHost(Engine()), path):

        def run_it(line: str, *more: str, status: int = 0) -> str:
            got = main(["--engine", str(path), *line.split(" "), *more])
            out, err = capsys.readouterr()
            if "--json" in line and not got:
                assert faults(json.loads(out), SCHEMA, SCHEMA["$defs"]) == []
            assert got == status, (out, err)
            return str(err if status else out)

        yield run_it


# -- moves -----------------------------------------------------------------------------------------


def test_an_sa_is_moved_and_keeps_its_selector(run: Run) -> None:
    run(SA)
    run(f"state migrate {NAME} new-dst 203.0.113.1 new-src 192.0.2.9 new-reqid 7 --json")
    text = run("state list")
    assert "src 192.0.2.9 dst 203.0.113.1" in text
    assert "sel src 10.1.0.0/16 dst 10.2.0.0/16" in text
    assert "reqid 7" in text


def test_every_word_of_a_move(run: Run) -> None:
    run(SA + " dir out replay-window 0")
    move = f"state migrate {NAME} new-dst 198.51.100.1 new-src 192.0.2.1 new-reqid 7"
    run(move + " encap espinudp 4500 4501 192.0.2.99 nat-keepalive 20")
    assert "encap type espinudp sport 4500 dport 4501 addr 192.0.2.99" in run("state")
    run(move + " encap none new-mark 5 mask 0xff")
    assert "encap" not in run("state")
    assert "mark 0x5/0xff" in run("state")
    marked = move.replace("new-dst", "mark 5 mask 0xff new-dst", 1)
    run(marked + " set-mark 7 offload none new-sel src 10.9.0.0/16 dst 10.8.0.0/16")
    assert "output-mark 0x7" in run("state")
    assert "sel src 10.9.0.0/16 dst 10.8.0.0/16" in run("state")
    run(marked + " set-mark 0 mask 0 new-mark 0 mask 0 new-reqid 8 new-reqid 9")
    text = run("state")
    assert "mark" not in text
    assert "reqid 9" in text  # of a repeated word the last counts
    run(move.replace("new-reqid 7", "new-reqid 0") + " new-sel src 192.0.2.1 dst 198.51.100.1")
    run(move.replace("192.0.2.1", "192.0.2.7") + " update-h2h-sel")
    assert "sel src 192.0.2.7/32 dst 198.51.100.1/32" in run("state")


def test_a_move_is_refused_in_one_line(run: Run) -> None:
    move = f"state migrate {NAME} new-dst 203.0.113.1 new-src 192.0.2.9 new-reqid 7"
    told = run(move, status=1)
    assert "ESRCH" in told
    run(SA)
    run(SA.replace("198.51.100.1", "203.0.113.1"))
    told = run(move, status=1)
    assert told.startswith("xfrm: XFRM_MSG_MIGRATE_STATE dst 198.51.100.1")
    assert "EEXIST: New SA tuple already occupied" in told
    told = run(move + " new-sel src 1.1.1.1 update-h2h-sel", status=2)
    assert "two things" in told


WIDE = SA  # an SA without a mark stands before older ones that have one
NARROW = SA + " mark 1 mask 1"


@pytest.mark.parametrize(
    "line",
    [
        f"state migrate {NAME} mark 1 mask 1 new-dst 203.0.113.1 new-src 192.0.2.9 new-reqid 7",
        f"state delete {NAME} mark 1 mask 1",
        f"state delete {NAME} mark 1",
        NARROW.replace("add", "update") + " limit time-hard 5000",
        "state deleteall reqid 8",
    ],
)
def test_a_shadowed_sa_is_left_alone(run: Run, line: str) -> None:
    run(NARROW.replace("reqid 7", "reqid 8"))
    run(WIDE)
    before = run("-s state")
    told = run(line, status=1)
    assert told.startswith("xfrm: SA dst 198.51.100.1 proto esp spi 0x00000100 mark 0x1/0x")
    assert "the kernel would take" in told
    assert "--unchecked" in told
    assert told.count("\n") == 1
    assert run("-s state") == before
    run(line + " --unchecked")
    after = run("-s state")
    assert after != before
    assert "mark 0x1/0x1" in after  # whatever was done, it was done to the other one


def test_a_mask_that_is_not_written_is_not_held_against_an_sa_that_stands_alone(run: Run) -> None:
    for mark, how in (("mark 5 mask 0xff", "mark 5"), ("mark 0 mask 0xf", "reqid 9"), ("", "")):
        run(f"{SA} {mark}".strip())
        run(f"{SA.replace('add', 'update')} {how}".strip())
        run(f"state delete {NAME} {how if 'mark' in how else ''}".strip())
        assert run("state") == ""


def test_a_mask_that_is_written_must_be_the_sas(run: Run) -> None:
    run(SA)
    told = run(f"state delete {NAME} mark 5 mask 0xff", status=1)
    assert "there is none with the mark named" in told


def test_all_that_match_are_deleted_though_they_stand_before_each_other(run: Run) -> None:
    run(NARROW)
    run(WIDE)
    run("state deleteall reqid 7 src 192.0.2.0/24")
    assert run("state") == ""


def test_deleteall_sees_an_sa_of_another_source(run: Run) -> None:
    run(NARROW)
    run(WIDE.replace("192.0.2.1", "192.0.2.77"))
    assert "the kernel would take" in run("state deleteall src 192.0.2.1", status=1)


def test_a_kernel_that_compares_marks_exactly_is_not_held_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "exact"
    with serving(EngineHost(Engine(EXACT_MARKS)), path):
        for line in (
            NARROW.replace("reqid 7", "reqid 8"),
            WIDE,
            "state deleteall reqid 8",
            "state",
        ):
            assert main(["--engine", str(path), *line.split(" ")]) == 0
    assert "reqid 7" in capsys.readouterr().out


def test_a_plain_deletion_reads_no_table(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyxfrm.client.verbs.sas", lambda *_, **__: pytest.fail("a dump"))
    for mark in ("", " mark 5", " mark 5 mask 0xff"):
        run(SA + mark)
        run(SA.replace("add", "update") + mark)
        run(f"state delete {NAME}{mark}")


def test_a_move_onto_a_name_that_is_taken(run: Run) -> None:
    run(SA + " mark 1 mask 1")
    run(SA)
    move = f"state migrate {NAME} new-dst 198.51.100.1 new-src 192.0.2.1 new-reqid 7"
    told = run(move + " new-mark 1 mask 1", status=1)
    assert "the kernel would make a second one" in told


def test_a_policy_is_moved_with_its_sas(run: Run) -> None:
    run(SA)
    run(POLICY)
    run(
        "migrate src 10.1.0.0/16 dst 10.2.0.0/16 dir out reqid 7 mode tunnel proto esp "
        "old-src 192.0.2.1 old-dst 198.51.100.1 new-src 192.0.2.1 new-dst 203.0.113.1"
    )
    assert "dst 203.0.113.1" in run("state")
    assert "tmpl src 192.0.2.1 dst 203.0.113.1" in run("policy")


# -- JSON and keys -----------------------------------------------------------------------------------


def test_keys_are_hidden_unless_asked_for(run: Run) -> None:
    run(SA)
    hex_key = KEY[2:]
    for line in ("state", "state list spi 0x100", f"state get {NAME}", "-s state", "state --json"):
        assert hex_key not in run(line)
        assert hex_key in run(line + " --show-keys")
    assert hex_key not in run("state list nokeys --show-keys")


def test_json_says_what_the_text_says(run: Run) -> None:
    run(SA + " mark 5 encap espinudp 4500 4501 0.0.0.0")
    run(POLICY)
    document = json.loads(run("state list --json"))
    assert document["schema"] == 1
    (sa,) = document["states"]
    assert sa["id"] == {
        "dst": "198.51.100.1",
        "proto": "esp",
        "spi": 0x100,
        "mark": {"value": 5, "mask": 0xFFFFFFFF},
    }
    assert (sa["src"], sa["reqid"], sa["mode"]) == ("192.0.2.1", 7, "tunnel")
    assert sa["algorithms"] == [
        {"kind": "aead", "name": "rfc4106(gcm(aes))", "key": {"bits": 160}, "icv_bits": 128}
    ]
    assert sa["replay"]["window"] == 128
    assert sa["encap"] == {"sport": 4500, "dport": 4501, "kind": "espinudp"}
    assert sa["sel"]["src"] == "10.1.0.0/16"
    (policy,) = json.loads(run("policy --json"))["policies"]
    assert (policy["dir"], policy["priority"], policy["action"]) == ("out", 5, "allow")
    assert policy["templates"][0]["src"] == "192.0.2.1"
    assert json.loads(run(f"state get {NAME} mark 5 --json"))["state"]["id"] == sa["id"]
    assert json.loads(run("policy get index 1 dir out --json"))["policy"]["index"] == 1
    assert json.loads(run("state count --json"))["count"]["sas"] == 1
    assert json.loads(run("policy count --json"))["count"]["policies"]["out"] == 1
    assert json.loads(run("policy getdefault --json"))["defaults"]["in"] == "accept"
    empty = json.loads(run("state list proto ah --json"))
    assert empty["states"] == []


# -- monitor -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["monitor"], ["monitor", "SA", "policy", "--json"]])
def test_the_monitor_tells_until_it_is_stopped(tmp_path: Path, words: list[str]) -> None:
    path = tmp_path / "xfrm"
    command = [sys.executable, "-m", "pyxfrm.cli", "--engine", str(path), *words]
    with (
        serving(EngineHost(Engine()), path) as server,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as monitor,
        ended(monitor),
    ):
        wanted = 2 if "SA" in words else len(ALL_GROUPS)  # they are joined one after the other
        while sum(len(port.groups) for port in list(server.host.engine.ports.values())) < wanted:
            assert monitor.poll() is None
            time.sleep(0.01)
        assert main(["--engine", str(path), *SA.split(" ")]) == 0
        assert main(["--engine", str(path), *POLICY.split(" ")]) == 0
        assert monitor.stdout is not None
        first = monitor.stdout.readline()
        rest = ""
        while not ("PolicyAdded" in rest or "tmpl" in rest):
            line = monitor.stdout.readline()
            assert line, "the monitor ended by itself"
            rest += line
        monitor.send_signal(signal.SIGINT)
        more, _ = monitor.communicate(timeout=60)
        rest += more
        assert monitor.returncode == 130
    if "--json" in words:
        assert json.loads(first)["event"] == "SaAdded"
        assert json.loads(rest.splitlines()[0])["event"] == "PolicyAdded"
    else:
        assert first == "src 192.0.2.1 dst 198.51.100.1\n"
        assert "dir out priority 5" in rest
    assert KEY[2:] not in first + rest


# -- help, manual, completion --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        (name, *verb, asked)
        for name, verbs in VERBS.items()
        for verb in ((), *((v,) for v in verbs if v))
        for asked in ("-h", "--help")
    ],
)
def test_help_is_had_by_its_options_too(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words[:-1], "help"]) == 0
    by_word = capsys.readouterr()
    assert main(list(words)) == 0
    assert capsys.readouterr() == by_word


def test_help_may_come_after_other_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["state", "add", "src", "192.0.2.1", "-h"]) == 0
    assert capsys.readouterr().out == of("state", "add") + "\n"


@pytest.mark.parametrize("name", ["man", "completion"])
def test_small_commands_have_a_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: xfrm {name}")


def test_each_verb_has_a_help_and_every_word_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    for name, verbs in VERBS.items():
        assert main([name, "help"]) == 0
        assert capsys.readouterr().out.startswith(f"usage: xfrm {name}")
        for verb, row in verbs.items():
            text = of(name, verb)
            assert row.summary[1:] in text
            for each in row.words:
                assert each.about, each
                assert (each.word if isinstance(each, Keyword) else each.name) in text
            assert max(map(len, text.splitlines())) < 100


def test_the_table_names_only_what_it_has() -> None:
    for group in GROUPS.values():
        for keyword in group:
            assert keyword.about
            assert syntax(keyword)
            for name in filter(None, (*keyword.values, keyword.many, keyword.maybe)):
                assert name in VALUES
            for name in filter(None, (keyword.run, keyword.one)):
                assert name in GROUPS


def test_the_manual_page_is_one() -> None:
    text = page()
    for command in COMMANDS:
        assert f"xfrm {command}" in text.replace("\\-", "-")
    if shutil.which("man") is None:
        return
    done = subprocess.run(
        ["man", "--warnings", "-l", "-"], input=text, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "new-dst" in done.stdout


@pytest.mark.parametrize(
    ("words", "some"),
    [
        ([], ["state", "policy", "--json"]),
        (["-s", "state"], ["add", "migrate", "help"]),
        (["state", "add"], ["src", "mode", "aead", "limit"]),
        (["state", "add", "mode"], ["transport", "tunnel"]),
        (["state", "add", "src"], []),
        (["state", "add", "src", "1.1.1.1"], ["dst", "mode"]),
        (["state", "add", "mark", "5"], ["mask", "reqid"]),
        (["state", "add", "flag"], ["noecn", "esn"]),
        (["state", "add", "flag", "noecn"], ["icmp", "mode"]),
        (["state", "add", "limit"], ["time-hard", "byte-soft"]),
        (["state", "add", "encap"], ["espinudp"]),
        (["state", "migrate", "encap"], ["none", "espinudp"]),
        (["policy", "add", "dir"], ["in", "out", "fwd"]),
        (["p", "a", "tmpl"], []),
        (["monitor"], ["SA", "migrate"]),
        (["lab"], ["run", "shell", "info"]),
        (["lab", "run", "--kernel"], ["7.2", "6.12"]),
        (["lab", "run"], ["--kernel", "--timeout"]),
        (["doctor"], ["--json", "--engine"]),
        (["relocate", "--guard"], ["in-place"]),
        (["engine", "serve", "--profile"], ["LINUX_7_2"]),
        (["completion"], ["bash", "zsh"]),
        (["complete"], []),
        (["man"], []),
        (["monitor"], ["all-nsid", "file"]),
    ],
)
def test_the_shell_is_told_what_could_follow(words: list[str], some: list[str]) -> None:
    found = candidates(words)
    assert set(some) <= set(found)
    if not some:
        assert found == []


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_scripts_are_sound(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "xfrm complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
    assert main(["completion", "csh"]) == 2


def test_an_engine_can_be_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "xfrm"
    command = [sys.executable, "-m", "pyxfrm.cli", "engine", "serve", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        assert "LINUX_7_2 serves at" in server.stderr.readline()
        assert main(["--engine", str(path), *SA.split(" ")]) == 0
        assert main(["--engine", str(path), "state", "count"]) == 0
        assert capsys.readouterr().out == "\t SAD count 1\n"
        server.terminate()
        assert server.wait(10) == 0
    assert not path.exists()
