"""``xfrm relocate`` against an engine behind a socket: what it prints, and its exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyxfrm.cli import main
from pyxfrm.cli.schema import json_schema
from pyxfrm.errors import TransportError
from pyxfrm.relocation.ends import EngineEnd
from pyxfrm.relocation.journal import Journal
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import Options, Strategy
from pyxfrm.relocation.wish import Wish
from pyxfrm.transport.server import serving
from tests.cli.schemas import faults
from tests.relocation.world import KEY, A, B, World, child

MOVE = ("--from-local", str(A), "--to-local", str(B), "--listen", "0")


class Command:
    """The command, with an engine and a journal of its own."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capfd = capfd
        self.world = World(folder, *child())
        self.words = ["--engine", str(folder / "engine"), "--journal", str(folder / "journal.db")]
        self.out = self.err = ""

    def __call__(self, *words: str) -> int:
        status = main(["relocate", *self.words, *words])
        self.out, self.err = self.capfd.readouterr()
        assert KEY[:6].hex() not in self.out + self.err
        assert "Traceback" not in self.err
        return status

    def sources(self) -> set[str]:
        return {str(r.saddr) for r in self.world.xfrm.sas()}


@pytest.fixture
def command(
    tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    made = Command(tmp_path_factory.mktemp("c"), capfd)
    with serving(made.world.host, made.folder / "engine"):
        yield made


def test_dry_run_shows_the_plan_and_does_nothing(command: Command) -> None:
    assert command(*MOVE, "--dry-run") == 0
    assert "strategy:   migrate-state" in command.out
    assert str(A) in command.sources()
    assert command("--status") == 0


def test_it_moves(command: Command) -> None:
    assert command(*MOVE) == 0
    assert command.out.splitlines()[0] == "moved"
    assert str(B) in command.sources()
    assert str(A) not in command.sources()
    assert command("--history") == 0
    assert "local 192.0.2.10 -> 203.0.113.10: moved in" in command.out


def undocumented(told: Any) -> list[str]:
    """What ``xfrm schema`` has against a document."""
    schema = json_schema()
    return faults(told, schema, schema["$defs"])


def test_json_and_events(command: Command) -> None:
    events = command.folder / "events"
    assert command(*MOVE, "--json", "--events", str(events), "--strategy", "recreate") == 0
    told = json.loads(command.out)
    assert told["outcome"]["state"] == "moved"
    assert undocumented(told) == []
    assert told["plans"][0]["strategy"] == "recreate"
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert [fault for line in lines for fault in undocumented(line)] == []
    assert "journal moving" in {
        line["command"] for line in lines if isinstance(line["command"], str)
    }


NOWHERE = ("--from-local", "192.0.2.99", "--to-local", str(B), "--listen", "0")


def test_a_refusal_is_a_line_for_each_reason(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = command.folder / "tc"  # that there is none would be a reason, too
    program.touch(0o700)
    monkeypatch.setenv("PATH", str(command.folder), prepend=os.pathsep)
    assert command(*NOWHERE) == 2
    assert command.out == ""
    assert len(command.err.splitlines()) == 1
    assert command.err.startswith("xfrm: relocation refused: nothing here belongs")
    assert command(*NOWHERE, "--dual", "eth0") == 2
    assert len(command.err.splitlines()) == 2


def test_a_dry_run_shows_the_reasons_in_the_plan(command: Command) -> None:
    assert command(*NOWHERE, "--dry-run") == 2
    assert "refused: nothing here belongs" in command.out
    assert command.err == ""


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--from-local", "x", "--to-local", str(B)), "not an IPv4 or IPv6 address"),
        (("--from-local", str(A)), "nothing changes"),
        ((), "say which endpoint"),
        ((*MOVE, "--encap", "4500"), "two ports as in 4500:4500"),
        ((*MOVE, "--select", "colour=red"), "say one of spi, reqid"),
        ((*MOVE, "--select", "spi=red"), "'red' is not a number"),
        (("--watch", "eth0"), "which local address"),
        (("--watch-mappings",), "name the inbound SAs"),
        ((*MOVE, "--report", "x.svg"), "no packets to listen to"),
        (("--resume",), "nothing to resume"),
        (("--resume", "--engine", "/nowhere/engine"), "/nowhere/engine"),
    ],
)
def test_mistakes_get_one_line(command: Command, words: tuple[str, ...], why: str) -> None:
    assert command(*words) in (1, 2)
    assert why in command.err
    assert len(command.err.splitlines()) == 1


def test_select_takes_all_its_keys(command: Command) -> None:
    assert command(*MOVE, "--dry-run", "--json", "--select", "spi=0xc0000011,mark=1/0xff") == 2
    told = json.loads(command.out)
    assert undocumented(told) == []
    plan: Any = told["plans"][0]
    assert all("was not selected" in s["why"] for s in plan["stays"] if s["what"].startswith("SA"))
    words = (
        "--select",
        "if_id=1",
        "--select",
        "cpu=0",
        "--select",
        "label=x",
        "--select",
        "reqid=1",
    )
    assert command(*MOVE, "--dry-run", *words) == 2


def cut_off(command: Command, wish: Wish) -> None:
    """A relocation whose process died after its first word to the kernel."""
    plan = command.world.plan(wish, Options(strategy=Strategy.MIGRATE_STATE))
    journal = Journal(command.folder / "journal.db", durable=False)
    number = journal.begin([str(command.folder / "engine")], (plan,))
    journal.enter(number, State.MOVING)
    journal.close()
    command.world.xfrm.migrate_sa(plan.sas[0].migration)


def test_an_empty_history(command: Command) -> None:
    assert command("--history") == 0
    assert command.out == f"nothing was relocated yet (journal {command.folder}/journal.db)\n"


@pytest.mark.parametrize("words", [("--listen", "nan"), ("--delay", "-5"), ("--drain", "1e9")])
def test_times_are_times(command: Command, words: tuple[str, str]) -> None:
    assert command(*MOVE, *words) == 2
    assert f"{words[1]!r} is not a time from 0 to 60000" in command.err
    assert str(A) in command.sources()


def test_status_and_resume(command: Command) -> None:
    cut_off(command, Wish(local=A, new_local=B))
    assert command("--status") == 4
    assert "cut off: resume or abort it" in command.out
    assert command(*MOVE) == 2
    assert "unfinished" in command.err
    assert command("--resume") == 0
    assert command.out.startswith("moved")
    assert command("--status") == 0


def test_abort(command: Command) -> None:
    cut_off(command, Wish(local=A, new_local=B))
    assert command("--abort") == 0
    assert command.out.startswith("as before")
    assert str(B) not in command.sources()


def test_lost_has_a_status_of_its_own(command: Command) -> None:
    cut_off(command, Wish(local=A, new_local=B))
    for record in list(command.world.xfrm.sas()):
        command.world.xfrm.delete_sa(record.id)
    assert command("--resume") == 3
    assert command.out.startswith("lost and blocked")
    assert "re-establish it at the IKE level" in command.out


def test_a_terminal_sees_the_steps(command: Command) -> None:
    ours, theirs = os.openpty()
    words = [sys.executable, "-m", "pyxfrm.cli", "relocate", *command.words, *MOVE]
    done = subprocess.run(words, stderr=theirs, stdout=subprocess.PIPE, text=True, check=False)
    os.close(theirs)
    seen = re.sub(r"\x1b\[[\d;]*m", "", os.read(ours, 65536).decode()).splitlines()
    os.close(ours)
    assert done.stdout.startswith("moved")
    assert seen[0] == "local 192.0.2.10 -> 203.0.113.10, migrate-state"
    assert any("migrate 1 SA, set 4 policies" in line for line in seen)
    assert all(len(line) <= 80 for line in seen)


def signal_at_first(monkeypatch: pytest.MonkeyPatch, number: int, times: int = 1) -> None:
    """A signal when the relocation asks for the first counters."""
    left = [times]

    def counters(_: EngineEnd) -> dict[str, int]:
        while left[0]:
            left[0] -= 1
            signal.raise_signal(number)
        return {}

    monkeypatch.setattr(EngineEnd, "counters", counters)


def test_ctrl_c_waits_until_the_move_is_done(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal_at_first(monkeypatch, signal.SIGINT)
    assert command(*MOVE) == 130
    assert "finishing first" in command.err
    assert str(B) in command.sources()
    assert command("--status") == 0


def test_a_second_ctrl_c_cuts_off(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    signal_at_first(monkeypatch, signal.SIGINT, 2)
    assert command(*MOVE) == 130
    assert str(A) in command.sources()
    assert command("--status") == 4
    assert command("--resume") == 0
    assert str(B) in command.sources()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_wait_until_the_move_is_done_and_told(
    command: Command, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    signal_at_first(monkeypatch, number)
    assert command(*MOVE) == 128 + number
    assert command.out.startswith("moved")
    assert str(B) in command.sources()
    assert command("--status") == 0


def test_a_journal_that_fails_at_the_end_leaves_it_unfinished_and_says_so(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = Journal.enter

    def fail(self: Journal, number: int, state: State, *more: Any) -> None:
        if state is State.MOVED:
            raise TransportError("journal: database or disk is full")
        enter(self, number, state, *more)

    monkeypatch.setattr(Journal, "enter", fail)
    assert command(*MOVE) == 4
    assert "database or disk is full" in command.err
    assert "--resume goes on" in command.err
    monkeypatch.setattr(Journal, "enter", enter)
    assert command("--resume") == 0


def test_a_history_that_fails_is_a_trouble_of_a_move_that_is_done(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TransportError("journal: database or disk is full")

    monkeypatch.setattr(Journal, "conclude", fail)
    assert command(*MOVE) == 0
    assert "trouble: not in the history: journal: database or disk is full" in command.out


def test_steps_that_nobody_can_be_told_do_not_stop_it(command: Command) -> None:
    assert command(*MOVE, "--events", "/dev/full") == 0
    assert "trouble: the listener failed at step 1: OSError: [Errno 28]" in command.out
    assert str(B) in command.sources()


def test_events_go_to_a_file_that_can_be_made(command: Command) -> None:
    assert command(*MOVE, "--events", "/nonexistent/x") == 2
    assert command.err == "xfrm: --events /nonexistent/x: No such file or directory\n"
    assert str(A) in command.sources()


@pytest.mark.parametrize(
    ("shell", "status"),
    [
        ("{} > /dev/full", 0),  # the status tells how it ended, not whether that was heard
        ("{} >&- 2>&-", 0),
        ("{} | true; exit ${{PIPESTATUS[0]}}", 141),
        ("{} --events - | true; exit ${{PIPESTATUS[0]}}", 141),
    ],
)
def test_output_that_cannot_be_written_never_stops_it(
    command: Command, shell: str, status: int
) -> None:
    words = " ".join([sys.executable, "-m", "pyxfrm.cli", "relocate", *command.words, *MOVE])
    done = subprocess.run(
        ["bash", "-c", shell.format(words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == status, done
    assert str(B) in command.sources()
    assert command("--status") == 0


def test_the_journal_as_json(command: Command) -> None:
    assert command("--status", "--json") == 0
    assert json.loads(command.out) == {"schema": 1, "relocations": []}
    cut_off(command, Wish(local=A, new_local=B))
    assert command("--status", "--json") == 4
    told = json.loads(command.out)
    assert undocumented(told) == []
    assert [one["state"] for one in told["relocations"]] == ["moving"]
    assert command("--resume") == 0
    assert command("--history", "--json") == 0
    told = json.loads(command.out)
    assert undocumented(told) == []
    assert told["relocations"][0]["outcome"]["state"] == "moved"


def test_an_engine_that_has_gone_is_not_said_to_be_unfinished(command: Command) -> None:
    gone = command.folder / "gone"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(str(gone))
    assert command("--resume", "--engine", str(gone)) == 1
    assert "nobody serves there: its process has gone" in command.err
    assert "unfinished" not in command.err
