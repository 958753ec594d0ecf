"""The journal: durable, one at a time, no keys, and true after any death."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyxfrm.errors import MalformedError, TransportError, UsageError
from pyxfrm.relocation.facts import Facts
from pyxfrm.relocation.journal import Journal, Undo, default_path
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.plan import make_plan
from pyxfrm.relocation.wish import Wish
from tests.relocation.world import KEY, A, B, child

SAS, POLICIES = child()
PLAN = make_plan(Wish(local=A, new_local=B), Facts(tuple(SAS), tuple(POLICIES)))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "deep" / "journal.db", boot="one")


def test_a_relocation_from_begin_to_end(journal: Journal) -> None:
    number = journal.begin(["4-1"], (PLAN,))
    cuts = ((0, PLAN.sas[1].old.id, 4096),)
    journal.enter(number, State.MOVING, "off we go", cuts)
    entry = journal.unfinished("4-1")
    assert entry is not None
    assert (entry.id, entry.state, entry.plans) == (number, State.MOVING, (PLAN,))
    assert entry.cuts == {(0, PLAN.sas[1].old.id): 4096}
    assert entry.unfinished
    journal.enter(number, State.MOVED)
    journal.conclude(number, {"state": "moved"})
    assert journal.unfinished("4-1") is None
    assert [s.state for s in journal.steps(number)] == [State.MOVING, State.MOVED]
    (last,) = journal.history()
    assert last.outcome == {"state": "moved"}
    assert last.ended is not None


def test_one_at_a_time_in_a_namespace(journal: Journal) -> None:
    journal.begin(["4-1", "4-2"], (PLAN, PLAN))
    for taken in ("4-1", "4-2"):
        with pytest.raises(UsageError, match="resume it or abort it"):
            journal.begin([taken], (PLAN,))
    journal.begin(["4-3"], (PLAN,))


def test_two_processes_at_once(journal: Journal) -> None:
    other = Journal(journal.path, boot="one")
    with (
        journal.locked(["4-1"]),
        pytest.raises(UsageError, match="another relocation is running"),
        other.locked(["4-2", "4-1"]),
    ):
        pass
    with other.locked(["4-1"]):
        pass


def test_running_is_told_from_cut_off(journal: Journal) -> None:
    with journal.locked(["4-1"]):
        journal.begin(["4-1"], (PLAN,))
        (entry,) = Journal(journal.path, boot="one").history()
        assert entry.running
    (entry,) = journal.history()
    assert not entry.running
    assert entry.unfinished


def test_a_restart_of_the_machine_abandons_what_was_open(journal: Journal) -> None:
    number = journal.begin(["4-1"], (PLAN,))
    journal.remember(number, Undo(0, "sysctl", "net.core.xfrm_larval_drop", "1"))
    later = Journal(journal.path, boot="two")
    assert later.unfinished("4-1") is None
    assert later.history()[0].abandoned
    assert not later.history()[0].unfinished
    assert later.undos(number) == []
    later.begin(["4-1"], (PLAN,))


def test_the_first_value_of_a_setting_is_the_one_to_put_back(journal: Journal) -> None:
    number = journal.begin(["4-1"], (PLAN,))
    first = Undo(0, "sysctl", "x", "1")
    journal.remember(number, first)
    journal.remember(number, Undo(0, "sysctl", "x", "0"))
    assert journal.undos(number) == [first]
    journal.forget(number, first)
    assert journal.undos(number) == []


def test_no_key_is_in_the_file(journal: Journal) -> None:
    journal.begin(["4-1"], (PLAN,))
    journal.close()
    for path in journal.path.parent.iterdir():
        data = path.read_bytes()
        assert KEY[:8] not in data
        assert KEY[:8].hex().encode() not in data


def test_only_its_owner_reads_it(journal: Journal) -> None:
    assert journal.path.stat().st_mode & 0o777 == 0o600


def test_every_commit_reaches_the_disk(journal: Journal) -> None:
    connection = sqlite3.connect(journal.path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    assert journal.sync == 2  # FULL


def test_a_file_that_is_no_journal_is_told_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 40)
    with pytest.raises(UsageError, match="journal"):
        Journal(path)


def changed(journal: Journal, *statements: str) -> Path:
    """The journal's file, closed and edited."""
    journal.close()
    with contextlib.closing(sqlite3.connect(journal.path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()
    return journal.path


def test_a_journal_of_a_newer_version_is_left_alone(journal: Journal) -> None:
    path = changed(journal, "PRAGMA user_version=7")
    with pytest.raises(
        UsageError, match="of version 7, and this is for version 1; use the program"
    ):
        Journal(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (7,)


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="of another program"):
        Journal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("path", "why"), [("/dev/null", "not a file"), ("/", "not a file"), ("/proc/x", "No such file")]
)
def test_what_is_no_file_is_told_and_left_alone(path: str, why: str) -> None:
    mode = Path(path).stat().st_mode if Path(path).exists() else None
    with pytest.raises(UsageError, match=why):
        Journal(Path(path))
    assert mode is None or Path(path).stat().st_mode == mode


def test_a_broken_file_is_told_in_a_line(journal: Journal) -> None:
    for _ in range(20):
        journal.enter(journal.begin([os.urandom(4).hex()], (PLAN,)), State.MOVED)
    path = changed(journal, "PRAGMA journal_mode=DELETE")
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes([255]) * (len(data) - 4096))
    broken = Journal(path, boot="one")
    for work in (broken.history, lambda: broken.unfinished("x"), lambda: broken.begin(["x"], ())):
        with pytest.raises(TransportError, match=r"malformed.*xfrm doctor"):
            work()


@pytest.mark.parametrize(
    "edit", ["plans='[]x'", "state='weird'", "cuts='[1]'", "outcome='{'", "plans='{\"X\":1}'"]
)
def test_an_edited_entry_is_told_in_a_line(journal: Journal, edit: str) -> None:
    number = journal.begin(["4-1"], (PLAN,))
    broken = Journal(changed(journal, f"UPDATE relocation SET {edit}"), boot="one")
    with pytest.raises(MalformedError, match=f"relocation {number} cannot be read"):
        broken.unfinished("4-1")


def test_a_lock_that_cannot_be_taken_is_told_in_a_line(journal: Journal) -> None:
    journal.path.with_name("journal.db.4-1.lock").mkdir()
    with (
        pytest.raises(UsageError, match=r"journal\.db\.4-1\.lock: Is a directory"),
        journal.locked(["4-1"]),
    ):
        pass


def test_it_stays_open_until_settings_are_put_back(journal: Journal) -> None:
    number = journal.begin(["4-1"], (PLAN,))
    undo = Undo(0, "sysctl", "x", "1")
    journal.remember(number, undo)
    journal.enter(number, State.MOVED)
    entry = journal.unfinished("4-1")
    assert entry is not None
    assert entry.undos == (undo,)
    assert entry.unfinished
    journal.forget(number, undo)
    assert journal.unfinished("4-1") is None
    assert not journal.entry(number).unfinished


def test_threads_may_share_it(journal: Journal) -> None:
    """As a controller does that relocates in many namespaces at once."""

    def work(name: str) -> State:
        for _ in range(20):
            with journal.locked([name]):
                number = journal.begin([name], (PLAN,))
                undo = journal.remember(number, Undo(0, "sysctl", "x", "1"))
                journal.enter(number, State.MOVING)
                journal.forget(number, undo)
                journal.enter(number, State.MOVED)
        return journal.entry(number).state

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(work, map(str, range(6)))) == {State.MOVED}
    assert len(journal.history(1000)) == 120


def test_a_full_disk_is_told_and_passes(journal: Journal) -> None:
    number = journal.begin(["4-1"], (PLAN,))
    wal = journal.path.with_name("journal.db-wal")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size, limits[1]))
    try:
        for _ in range(2):
            with pytest.raises(TransportError, match=r"journal.db: (disk I/O error|.* is full)"):
                journal.enter(number, State.MOVED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    entry = journal.unfinished("4-1")
    assert entry is not None
    assert entry.state is State.PLANNED
    journal.enter(number, State.MOVED)
    assert journal.unfinished("4-1") is None


def test_many_may_make_it_at_once(tmp_path: Path) -> None:
    for attempt in range(10):
        path = tmp_path / str(attempt)
        with ThreadPoolExecutor(6) as pool:
            made = list(pool.map(lambda _, path=path: Journal(path, boot="one"), range(6)))
        assert all(each.history() == [] for each in made)


def test_the_usual_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_path() == Path("/var/lib/pyxfrm/journal.db")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "pyxfrm" / "journal.db"


WRITER = """
import sys
from pathlib import Path
from pyxfrm.relocation.journal import Journal
from pyxfrm.relocation.machine import State
journal = Journal(Path(sys.argv[1]), boot="one")
with journal.locked(["4-1"]):
    number = journal.begin(["4-1"], ())
    for n in range(10**6):
        journal.enter(number, State.MOVING, str(n))
        print(n, flush=True)
"""


def test_what_was_entered_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    seen = [int(process.stdout.readline()) for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    journal = Journal(path, boot="one")
    entry = journal.unfinished("4-1")
    assert entry is not None
    assert not entry.running
    notes = [int(s.note) for s in journal.steps(entry.id)]
    assert notes == list(range(len(notes)))
    assert len(notes) > seen[-1]


def test_whoever_looks_whether_one_is_running_keeps_nobody_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--status`` has the lock for a moment, to see whether somebody has it."""
    journal = Journal(tmp_path / "journal.db", boot="boot", durable=False)
    lock, looks = journal._lock, [None, None]
    monkeypatch.setattr(journal, "_lock", lambda name: looks.pop() if looks else lock(name))
    with journal.locked(["ns"]):
        assert looks == []
        assert lock("ns") is None
