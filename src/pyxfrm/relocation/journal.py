"""The journal: what a relocation is about to do, durable before it does it.

One SQLite file in WAL mode with ``synchronous=FULL``: when :meth:`Journal.enter` returns, the line is on the disk. No keys are in it: plans hold footprints
(:mod:`pyxfrm.relocation.record` writes nothing else).

Three tables: ``relocation`` (one row each: namespaces, plans, state), ``step`` (its history), ``undo`` (settings that were changed and what they were, so that
they are put back by whoever comes next).

At most one relocation is open in a namespace; a unique index holds that. While a process works on one it also holds a lock on a file beside
the journal, which the kernel lets go when the process ends, however it ends: so an open relocation whose lock is free was cut off, and one whose lock is taken is running.

A namespace is named by its device and inode, its cookie, and the machine's boot: one that comes later is another one, and after a restart its SAs are gone, and a relocation that was
open then is *abandoned*, for there is nothing to finish.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import sqlite3
import stat
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyxfrm.closing import Closing
from pyxfrm.errors import MalformedError, TransportError, UsageError
from pyxfrm.model import SaId
from pyxfrm.relocation import record
from pyxfrm.relocation.machine import TERMINAL, State
from pyxfrm.relocation.moves import Plan

__all__ = ["Entry", "Journal", "StepLine", "Undo", "default_path"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS relocation (
    id INTEGER PRIMARY KEY,
    boot TEXT NOT NULL,
    began REAL NOT NULL,
    ended REAL,
    state TEXT NOT NULL,
    abandoned INTEGER NOT NULL DEFAULT 0,
    plans TEXT NOT NULL,
    cuts TEXT NOT NULL DEFAULT '[]',
    outcome TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE IF NOT EXISTS place (
    relocation INTEGER NOT NULL REFERENCES relocation(id),
    end INTEGER NOT NULL,
    netns TEXT NOT NULL,
    open INTEGER NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX IF NOT EXISTS one_open ON place (netns) WHERE open;
CREATE TABLE IF NOT EXISTS step (
    relocation INTEGER NOT NULL REFERENCES relocation(id),
    at REAL NOT NULL,
    state TEXT NOT NULL,
    note TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS undo (
    relocation INTEGER NOT NULL REFERENCES relocation(id),
    end INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    was TEXT NOT NULL,
    PRIMARY KEY (relocation, end, kind, name)
);
"""


_LOCK_TRIES, _LOCK_PAUSE = 5, 0.01  # seconds
_VERSION = 1


def default_path() -> Path:
    """``/var/lib/pyxfrm/journal.db`` for root, else under ``$XDG_STATE_HOME``."""
    if os.geteuid() == 0:
        return Path("/var/lib/pyxfrm/journal.db")
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "pyxfrm" / "journal.db"


@dataclass(frozen=True, slots=True)
class Undo:
    """A setting that was changed: ``was`` is what it must become again."""

    end: int
    kind: str
    name: str
    was: str

    def same(self, other: Undo) -> bool:
        """Both are of one setting."""
        return (self.end, self.kind, self.name) == (other.end, other.kind, other.name)

    def __str__(self) -> str:
        if self.kind == "tc":
            return f"rules of tc at {self.name}, end {self.end}"
        return f"{self.name} {self.was} at end {self.end}"


@dataclass(frozen=True, slots=True)
class StepLine:
    """One line of a relocation's history; ``at``: seconds since the epoch."""

    at: float
    state: State
    note: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One relocation in the journal.

    ``running``    a living process works on it
    ``abandoned``  the machine was restarted in its middle
    ``undos``      settings that are still to be put back
    """

    id: int
    netns: tuple[str, ...]
    state: State
    began: float
    ended: float | None
    plans: tuple[Plan, ...]
    cuts: dict[tuple[int, SaId], int]
    running: bool = False
    abandoned: bool = False
    outcome: dict[str, Any] = field(default_factory=dict)
    undos: tuple[Undo, ...] = ()

    @property
    def unfinished(self) -> bool:
        """It was begun and not ended, or has left a setting changed."""
        return (self.state not in TERMINAL or bool(self.undos)) and not self.abandoned


class Journal(Closing):
    """The journal in a file, made if it is not there. It closes itself, too, when nobody has it any more. Threads may share it.

    ``boot``     name of this run of the machine
    ``durable``  False: do not wait for the disk (rehearsals)
    """

    def __init__(
        self,
        path: Path,
        *,
        boot: str | None = None,
        durable: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.boot = _boot_id() if boot is None else boot
        self.clock = clock
        self._turn = threading.RLock()  # a transaction is one thread's, and the connection has one
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _be_file(path)
            self._db = sqlite3.connect(
                path,
                isolation_level=None,
                timeout=5.0,
                check_same_thread=False,  # whoever drops it last closes it
            )
            self._closing = weakref.finalize(self, self._db.close)
            self._set_up(durable)
        except (OSError, sqlite3.Error) as why:
            reason = getattr(why, "strerror", None) or why
            raise UsageError(f"journal {path}: {reason}; name another file") from None

    def _set_up(self, durable: bool) -> None:
        db = self._db
        db.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
        # In this order: another process may be making them just now.
        ((tables,),) = db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        ((version,),) = db.execute("PRAGMA user_version").fetchall()
        if version == _VERSION:
            return
        if version or tables:
            whose = f"of version {version}" if version else "of another program"
            raise UsageError(
                f"journal {self.path}: it is {whose}, and this is for version {_VERSION}; "
                f"{'use the program that wrote it' if version else 'name another file'}"
            )
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version={_VERSION};COMMIT;")

    @property
    def sync(self) -> int:
        """SQLite's ``synchronous``: 2 is FULL, each commit waits for the disk."""
        ((level,),) = self._db.execute("PRAGMA synchronous").fetchall()
        return int(level)

    def close(self) -> None:
        """Close the file."""
        self._closing()

    # -- locks -------------------------------------------------------------------------------------

    @contextmanager
    def locked(self, netns: Sequence[str]) -> Iterator[None]:
        """Be the only one that relocates in these namespaces. UsageError if somebody else does."""
        with ExitStack() as stack:
            for name in sorted(netns):
                stack.callback(os.close, self._patiently(name))
            yield

    def _patiently(self, netns: str) -> int:
        """The lock. Whoever looks whether a relocation is running (:meth:`_is_running`) has it, too, for a moment."""
        for left in reversed(range(_LOCK_TRIES)):
            fd = self._lock(netns)
            if fd is not None:
                return fd
            if left:
                time.sleep(_LOCK_PAUSE)
        raise UsageError(f"another relocation is running in namespace {netns}; wait for it")

    def _lock(self, netns: str) -> int | None:
        safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in netns)
        path = self.path.with_name(f"{self.path.name}.{safe}.lock")
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as why:
            raise UsageError(f"journal {self.path}: {path.name}: {why.strerror}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return fd

    def _is_running(self, netns: Iterable[str]) -> bool:
        for name in netns:
            fd = self._lock(name)
            if fd is None:
                return True
            os.close(fd)
        return False

    # -- writing -----------------------------------------------------------------------------------

    def begin(self, netns: Sequence[str], plans: tuple[Plan, ...]) -> int:
        """A new relocation, planned. UsageError if one is unfinished in any of the namespaces."""
        for name in netns:
            there = self.unfinished(name)
            if there is not None:
                raise UsageError(
                    f"relocation {there.id} was cut off in namespace {name} and is unfinished; "
                    "resume it or abort it first"
                )
        with self._write() as db:
            row = db.execute(
                "INSERT INTO relocation (boot, began, state, plans) VALUES (?, ?, ?, ?)",
                (self.boot, self.clock(), State.PLANNED.value, record.dumps(plans)),
            )
            number = row.lastrowid or 0
            db.executemany(
                "INSERT INTO place (relocation, end, netns) VALUES (?, ?, ?)",
                [(number, end, name) for end, name in enumerate(netns)],
            )
        return number

    def enter(
        self,
        number: int,
        state: State,
        note: str = "",
        cuts: tuple[tuple[int, SaId, int], ...] = (),
    ) -> None:
        """What is done from now on is done under ``state``. It is on the disk when this returns."""
        with self._write() as db:
            now = self.clock()
            db.execute(
                "UPDATE relocation SET state = ?, cuts = ? WHERE id = ?",
                (state.value, record.dumps(cuts), number),
            )
            db.execute("INSERT INTO step VALUES (?, ?, ?, ?)", (number, now, state.value, note))
            if state in TERMINAL:
                db.execute("UPDATE relocation SET ended = ? WHERE id = ?", (now, number))
            _close(db, number)

    def conclude(self, number: int, outcome: dict[str, Any]) -> None:
        """How it ended, for the history: names and counters, no keys."""
        with self._write() as db:
            text = json.dumps(outcome, sort_keys=True)
            db.execute("UPDATE relocation SET outcome = ? WHERE id = ?", (text, number))

    def remember(self, number: int, undo: Undo) -> Undo:
        """Before a setting is changed. The first value is kept if it is changed again: what it was then is the answer."""
        with self._write() as db:
            db.execute(
                "INSERT OR IGNORE INTO undo VALUES (?, ?, ?, ?, ?)",
                (number, undo.end, undo.kind, undo.name, undo.was),
            )
        return next(each for each in self.undos(number) if each.same(undo))

    def forget(self, number: int, undo: Undo) -> None:
        """After a setting was put back. The last one closes a relocation that has ended."""
        with self._write() as db:
            db.execute(
                "DELETE FROM undo WHERE relocation = ? AND end = ? AND kind = ? AND name = ?",
                (number, undo.end, undo.kind, undo.name),
            )
            _close(db, number)

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._turn:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.IntegrityError:
                raise UsageError(
                    "another relocation was begun in this namespace just now"
                ) from None
            except sqlite3.Error as why:
                raise TransportError(f"journal {self.path}: {why}") from None
            finally:
                with suppress(sqlite3.Error):  # a COMMIT that fails may leave it open, or not
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")

    # -- reading -----------------------------------------------------------------------------------

    def _read(self, query: str, *values: object) -> list[Any]:
        try:
            with self._turn:
                return self._db.execute(query, values).fetchall()
        except sqlite3.DatabaseError as why:
            raise TransportError(
                f"journal {self.path}: {why}; what was unfinished cannot be told: look at SAs and "
                "policies (xfrm doctor), then name another file"
            ) from None

    def undos(self, number: int) -> list[Undo]:
        """Settings that are still to be put back."""
        rows = self._read(
            "SELECT end, kind, name, was FROM undo WHERE relocation = ? ORDER BY rowid", number
        )
        return [Undo(*row) for row in rows]

    def unfinished(self, netns: str) -> Entry | None:
        """The relocation that is open in a namespace. One from before a restart is closed here."""
        rows = self._read("SELECT relocation FROM place WHERE netns = ? AND open", netns)
        if not rows:
            return None
        entry = self.entry(rows[0][0])
        if entry.abandoned:
            with self._write() as db:
                db.execute("UPDATE place SET open = 0 WHERE relocation = ?", (entry.id,))
                db.execute("DELETE FROM undo WHERE relocation = ?", (entry.id,))
                db.execute("UPDATE relocation SET abandoned = 1 WHERE id = ?", (entry.id,))
            return None
        return entry

    def entry(self, number: int) -> Entry:
        """One relocation. UsageError if there is none of that number."""
        rows = self._read(
            "SELECT boot, state, began, ended, plans, cuts, abandoned, outcome "
            "FROM relocation WHERE id = ?",
            number,
        )
        if not rows:
            raise UsageError(f"journal {self.path}: there is no relocation {number}")
        places = self._read(
            "SELECT netns, open FROM place WHERE relocation = ? ORDER BY end", number
        )
        try:
            return self._entry(number, rows[0], places)
        except (MalformedError, ValueError, TypeError) as why:
            raise MalformedError(
                f"journal {self.path}: relocation {number} cannot be read: {why}"
            ) from None

    def _entry(self, number: int, row: tuple[Any, ...], places: list[tuple[str, int]]) -> Entry:
        boot, state, began, ended, plans, cuts, abandoned, outcome = row
        netns = tuple(name for name, _ in places)
        is_open = any(is_open for _, is_open in places)
        return Entry(
            number,
            netns,
            State(state),
            began,
            ended,
            record.loads(plans),
            {(end, sa): cut for end, sa, cut in record.loads(cuts)},
            running=is_open and self._is_running(netns),
            abandoned=bool(abandoned) or (is_open and boot != self.boot),
            outcome=json.loads(outcome),
            undos=tuple(self.undos(number)) if is_open else (),
        )

    def history(self, count: int = 20) -> list[Entry]:
        """The last relocations, newest first."""
        rows = self._read("SELECT id FROM relocation ORDER BY id DESC LIMIT ?", count)
        return [self.entry(number) for (number,) in rows]

    def steps(self, number: int) -> list[StepLine]:
        """What one relocation went through."""
        rows = self._read(
            "SELECT at, state, note FROM step WHERE relocation = ? ORDER BY rowid", number
        )
        return [StepLine(at, State(state), note) for at, state, note in rows]


def _be_file(path: Path) -> None:
    """Make it, or see what is there: SQLite would say no more than that it cannot.

    A file that is there is not opened: closing it would let go of the locks that another connection of this process has on it.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a file") from None
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
        if mode & 0o077:
            path.chmod(0o600)


def _close(db: sqlite3.Connection, number: int) -> None:
    """No longer open, if it has ended and no setting is to be put back."""
    db.execute(
        "UPDATE place SET open = 0 WHERE relocation = ?1 "
        "AND (SELECT ended FROM relocation WHERE id = ?1) IS NOT NULL "
        "AND NOT EXISTS (SELECT * FROM undo WHERE relocation = ?1)",
        (number,),
    )


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
