"""Whatever the command can do is in the manual page, in the shells' completion and, if it is JSON, in the schema."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pyxfrm import cli
from pyxfrm.cli import COMMANDS, as_json, options
from pyxfrm.cli.complete import candidates, line_named
from pyxfrm.cli.grammar import GROUPS, VERBS, Group, Keyword
from pyxfrm.cli.introspect import Line, Word
from pyxfrm.cli.json_documents import DOCUMENTS, OBJECTS
from pyxfrm.cli.json_table import EVENTS
from pyxfrm.cli.manpage import page
from pyxfrm.cli.schema import json_schema, markdown
from pyxfrm.client import Xfrm, events
from pyxfrm.client.info import Aevent
from pyxfrm.engine import Engine
from pyxfrm.lab.script import Open, Outcome, ReadFile, Received, Script, Sleep, Transcript
from pyxfrm.model import Iptfs, Limits, Policy, ReplayState, Sa, Template
from pyxfrm.transport.recording import bundled
from pyxfrm.transport.server import serving
from tests.cli import events as messages
from tests.cli import guest
from tests.cli.schemas import faults
from tests.relocation.world import A, B, World, child

Captured = pytest.CaptureFixture[str]

ROOT = Path(__file__).parents[2]
SCHEMA = json_schema()


def wrong(document: Any) -> list[str]:
    """What the schema has against a document."""
    return faults(document, SCHEMA, SCHEMA["$defs"])


# -- manual page and completion --------------------------------------------------------------------


def lines() -> Iterator[tuple[list[str], Line]]:
    """Every command line of argparse, with the words that lead to it."""

    def walk(words: list[str], line: Line) -> Iterator[tuple[list[str], Line]]:
        yield words, line
        for verb, below in line.verbs.items():
            yield from walk([*words, verb], below)

    for name in COMMANDS:
        line = line_named(name)
        if line is not None:
            yield from walk([name], line)


OPTIONS = [
    pytest.param(words, word, id=" ".join([*words, *word.names[-1:]]))
    for words, line in lines()
    for word in line.words
]


def keywords() -> Iterator[tuple[list[str], Keyword]]:
    for name, verbs in VERBS.items():
        for verb, row in verbs.items():
            words = [name, verb] if verb else [name]
            for each in row.words:
                rows = GROUPS[each.name] if isinstance(each, Group) else (each,)
                yield from ((words, keyword) for keyword in rows)


def plain_page() -> str:
    return page().replace("\\-", "-").replace("\\e", "\\").replace("\\&", "")


PAGE = plain_page()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_somewhere_what_may_follow(name: str) -> None:
    module = import_module(COMMANDS[name].target.partition(":")[0])
    assert name in VERBS or hasattr(module, "parser") or COMMANDS[name].words or name == "man"
    assert f".B xfrm {name}" in PAGE
    assert name in candidates([])


@pytest.mark.parametrize(("words", "word"), OPTIONS)
def test_an_option_is_in_the_page_and_completed(words: list[str], word: Word) -> None:
    assert word.about, "without a line of help"
    section = PAGE[PAGE.index(f".SS xfrm {' '.join(words)}\n") :]
    section = section[: section.index(".SS", 4) if ".SS" in section[4:] else None]
    assert all(name in section for name in word.names)
    offered = candidates(words)
    assert {name for name in word.names if name.startswith("--")} <= set(offered)
    if word.choices and word.names:
        assert candidates([*words, word.names[-1]]) == list(word.choices)


@pytest.mark.parametrize(
    ("words", "keyword"), [pytest.param(*k, id=" ".join([*k[0], k[1].word])) for k in keywords()]
)
def test_a_keyword_is_in_the_page_and_completed(words: list[str], keyword: Keyword) -> None:
    assert keyword.word in PAGE[PAGE.index(f".SS xfrm {' '.join(words)}\n") :]
    assert keyword.word in candidates(words)


def test_shared_options_are_in_the_page_and_completed() -> None:
    """Each meaning of them, in at least one of its spellings."""
    told = {text.split(" ")[0] for text, _ in options.OPTIONS}
    meanings = options._FLAGS | options._WITH_VALUE
    for meaning in set(meanings.values()) - {"details", "family"}:
        assert told & {word for word, own in meanings.items() if own == meaning}, meaning
    assert told <= set(candidates([]))
    for text, _ in options.OPTIONS:
        assert f".B {text}" in PAGE


@pytest.mark.parametrize("command", [["mandoc", "-Tlint"], ["groff", "-man", "-ww", "-z"]], ids=str)
def test_the_page_is_sound(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]} here")
    done = subprocess.run(command, input=page(), capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("", "")


# -- JSON ------------------------------------------------------------------------------------------


def test_the_document_is_what_the_schema_says() -> None:
    """``xfrm schema --markdown > docs/json.md`` mends it."""
    assert (ROOT / "docs" / "json.md").read_text() == markdown()


def test_the_schema_is_printed(capsys: Captured) -> None:
    assert cli.main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
    assert cli.main(["schema", "--markdown"]) == 0
    assert capsys.readouterr().out == markdown()


def test_every_type_that_is_named_is_there() -> None:
    def refs(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from (own for name, own in value.items() if name == "$ref")
            value = list(value.values())
        if isinstance(value, list):
            for one in value:
                yield from refs(one)

    used = {ref.rpartition("/")[2] for ref in refs(SCHEMA)}
    assert used == set(SCHEMA["$defs"])


OWN = {"saddr": "src", "daddr": "dst"}


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("SA", Sa), ("policy", Policy), ("template", Template), ("limits", Limits),
        ("replay", ReplayState), ("iptfs", Iptfs), ("progress", Aevent),
    ],
)  # fmt: skip
def test_every_field_of_the_model_is_documented(name: str, cls: Any) -> None:
    rows = {row.rstrip("?") for row in OBJECTS[name][1]}
    own = {} if name == "progress" else OWN
    assert {own.get(field.name, field.name) for field in fields(cls)} <= rows


def test_every_event_and_each_of_its_fields_is_documented() -> None:
    kinds = {
        name: {field.name for field in fields(getattr(events, name))} - {"port", "seq"}
        for name in events.__all__
        if isinstance(getattr(events, name), type)
        and issubclass(getattr(events, name), events.Event)
    }
    del kinds["Event"], kinds["EventsLost"]  # the kind of all; a line on stderr
    assert kinds == {name: {row.rstrip("?") for row in rows} for name, rows in EVENTS.items()}


def test_sas_and_policies_of_every_kind() -> None:
    with Xfrm.engine(Engine()) as xfrm:
        guest.fill(xfrm, 1, 80)
        sas, policies = list(xfrm.sas()), list(xfrm.policies())
    assert len(sas) > 40
    for keys in (False, True):
        assert wrong({"schema": 1, "states": [as_json.state(sa, keys=keys) for sa in sas]}) == []
    assert wrong({"schema": 1, "policies": [as_json.policy(policy) for policy in policies]}) == []


@pytest.mark.parametrize("seed", range(10))
def test_events_of_every_kind(seed: int) -> None:
    for message in messages.messages(seed, 10):
        assert wrong(json.loads(as_json.event(events.read(message), keys=True))) == []


def test_what_happens_is_told_as_documented() -> None:
    with Xfrm.engine(Engine()) as xfrm:
        port = xfrm.transport.sibling(range(1, 10))
        guest.happen(xfrm)
        told = []
        while isinstance(data := port.recv(), bytes):
            told.append(json.loads(as_json.event(events.read(data), keys=False)))
    assert [fault for one in told for fault in wrong(one)] == []
    assert {"SaMigrated", "SaProgress", "Acquire"} <= {one["event"] for one in told}


DATA = ROOT / "tests" / "client" / "data"
FILES = [["show", str(path), "--json"] for path in sorted(DATA.glob("*.txt"))]
E = ["--engine", "7.2"]


@pytest.mark.parametrize(
    "argv",
    [
        *FILES,
        [*E, "--json", "state"], [*E, "--json", "policy"], [*E, "--json", "state", "count"],
        [*E, "--json", "policy", "count"], [*E, "--json", "policy", "getdefault"],
        [*E, "--json", "state", "allocspi", "src", "1.1.1.1", "dst", "2.2.2.2", "proto", "esp"],
        ["probe", *E, "--json"], ["doctor", *E, "--json"], ["stat", "--json"],
        ["tunnel", "list", "--json"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_commands_write_is_documented(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    from pyxfrm.cli import target

    (tmp_path / "xfrm_stat").write_text("XfrmInNoStates 3\nXfrmNew 0\n")
    monkeypatch.setattr(target, "PROC_NET", tmp_path)
    assert cli.main(argv) == 0
    assert wrong(json.loads(capsys.readouterr().out)) == []


def test_every_document_has_its_schema() -> None:
    for each in SCHEMA["anyOf"]:
        assert each["properties"]["schema"] == {"const": 1}, each["description"]
        assert each["required"][0] == "schema", each["description"]


def test_steps_of_a_relocation_are_told_as_documented(tmp_path: Path, capsys: Captured) -> None:
    world = World(tmp_path, *child())
    ends = ["--engine", str(tmp_path / "engine"), "--journal", str(tmp_path / "journal.db")]
    move = ["--from-local", str(A), "--to-local", str(B), "--listen", "0", "--events", "-"]
    with serving(world.host, tmp_path / "engine"):
        assert cli.main(["relocate", *ends, *move]) == 0
    told = [json.loads(one) for one in capsys.readouterr().out.splitlines() if one[0] == "{"]
    assert [one["step"] for one in told] == list(range(1, len(told) + 1)) != []
    assert [fault for one in told for fault in wrong(one)] == []


def test_what_comes_of_a_netlink_script_is_documented() -> None:
    received = (Received(b"x", port=7, groups=1), Received(b"", errno=105))
    outcomes = (Outcome(), Outcome(errno=22), Outcome(received=received), Outcome(text="x"))
    told = Transcript(outcomes).to_json()
    assert wrong({"schema": 1, "outcomes": told}) == []
    for name, cls in (("step outcome", Outcome), ("datagram", Received)):
        assert {field.name for field in fields(cls)} == {
            row.rstrip("?") for row in OBJECTS[name][1]
        }


@pytest.mark.kernel
@pytest.mark.usefixtures("lab72")
def test_a_netlink_script_is_told_as_documented(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "script.json"
    steps = Script((Open("a", port=1), Sleep(0), ReadFile("/proc/net/xfrm_stat"), ReadFile("/no")))
    file.write_text(json.dumps(steps.to_json()))
    assert cli.main(["lab", "script", str(file)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["outcomes"]) == 4
    assert wrong(told) == []


def test_a_replay_is_told_as_documented(capsys: Captured) -> None:
    smallest = min(bundled(), key=lambda file: file.stat().st_size)
    for profile in ("LINUX_7_2", "LINUX_6_12"):  # with one of them there are differences
        assert cli.main(["replay", str(smallest), "--json", "--profile", profile]) in (0, 1)
        assert wrong(json.loads(capsys.readouterr().out)) == []


@pytest.mark.kernel
@pytest.mark.usefixtures("lab72")
def test_a_kernel_of_the_lab_is_told_as_documented(capsys: Captured) -> None:
    assert cli.main(["lab", "info", "--json"]) == 0
    assert wrong(json.loads(capsys.readouterr().out)) == []


def test_a_closed_schema_finds_what_is_not_named() -> None:
    assert wrong({"schema": 1, "states": [{"id": {}}]}) != []
    assert wrong({"schema": 1, "stat": [{"counter": "x", "value": 1, "new": 1}]}) == [
        ".stat[0].new: is not documented"
    ]
    assert wrong({"schema": 2, "stat": []}) != []


def test_commands_that_write_json_have_a_document() -> None:
    with_option = {words[0] for words, line in lines() for w in line.words if "--json" in w.names}
    assert with_option | {"state", "policy", "monitor", "tunnel"} == {
        document.command.split(" ")[0] for document in DOCUMENTS
    }


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("state mig", "migrate"),
        ("-s state add proto esp mode tun", "tunnel"),
        ("--engine linux-7.2 policy add dir f", "fwd"),
        ("lab run --kernel 6", "6.12"),
        ("doctor --j", "--json"),
        ("monitor all-", "all-nsid"),
    ],
)
def test_bash_completes(words: str, found: str) -> None:
    """As bash calls a completion function; with a terminal the same was looked at, in zsh too."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash here")
    script = (
        f'xfrm() {{ {sys.executable} -m pyxfrm.cli "$@"; }}; eval "$(xfrm completion bash)"\n'
        f'COMP_WORDS=(xfrm {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); _xfrm; echo "${{COMPREPLY[@]}}"'
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=env, check=True
    )
    assert (done.stdout.split(), done.stderr) == ([found], "")
