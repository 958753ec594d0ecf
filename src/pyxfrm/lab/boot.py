"""Starting, watching and ending one user-mode kernel.

A run directory (private, temporary) holds everything one machine needs on the host:

    guest.json    what the guest's init is to do          init       the program the kernel starts
    request-N     requests (see `pyxfrm.lab.line`)        console    what the kernel said
    scratch/      where the guest mounts its memory       lab/       UML's own pid file and socket

The kernel is one process group of its own, never more: whatever happens (an exception, a timeout, a
Ctrl-C, the end of this interpreter) the whole group is killed before its leader is waited for, so
the number cannot have gone to somebody else. Should this process be killed outright, the guest sees
the end of its line and switches itself off.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyxfrm
from pyxfrm.errors import UsageError
from pyxfrm.lab.errors import LabError
from pyxfrm.lab.line import Frame, FrameReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxfrm.lab.fetch import Kernel

__all__ = ["Machine", "Options", "command_line", "run_in_terminal"]

BOOT_TIMEOUT = 60.0  # seconds; 1 to 2 on an idle machine
_MARGIN = 5.0  # seconds the guest gets beyond a job's own timeout before it counts as hung
_START = Path(__file__).with_name("guest") / "start.py"
# Without it the kernel measures for 0.7 s which RAID 6 code is fastest, half of the time it boots.
_NO_BENCHMARK = "initcall_blacklist=raid6_init,raid6_select_algo"
_MEMORY = re.compile(r"[0-9]{1,9}[kKmMgG]")
_TELLING = re.compile(r"Kernel panic|Bus error|\w*(Error|Exception)\b")
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")


@dataclass(frozen=True, slots=True)
class Options:
    """What a machine is to have.

    ``memory`` a number and K, M or G; ``share`` directories of the host that the guest
    may write to; ``tap`` the name of a TAP device of the host that appears as ``vec0`` in the
    guest (needs CAP_NET_ADMIN on the host); ``append`` words for the kernel's command line;
    ``verbose`` sends all that the kernel says to this process's stderr.
    """

    memory: str = "256M"
    share: tuple[Path, ...] = ()
    tap: str = ""
    append: tuple[str, ...] = ()
    verbose: bool = False

    def __post_init__(self) -> None:
        if not _MEMORY.fullmatch(self.memory):
            raise UsageError(
                f"memory {self.memory!r} makes no sense: give a number and K, M or G, as in 256M"
            )

    @property
    def memory_bytes(self) -> int:
        """``memory`` as a number."""
        return int(self.memory[:-1]) << {"K": 10, "M": 20, "G": 30}[self.memory[-1].upper()]


def command_line(kernel: Kernel, options: Options, run: Path, *lines: str) -> list[str]:
    """The kernel's whole command line.

    Its console is con0, which goes to its stdout and from there into a file; ``lines`` are the
    words for those that are for us, and free of what the kernel has to say.
    """
    words = [
        str(kernel.image),
        f"mem={options.memory}",
        *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"),
        f"init={run / 'init'}",
        *("umid=lab", f"uml_dir={run}"),
        f"ubd0={run / 'no-disk'}",  # else it takes ./root_fs, if there happens to be one
        *(() if options.verbose else ("quiet",)),
        *("noreboot", "con=null", "ssl=null", "con0=null,fd:1"),
        _NO_BENCHMARK,
        *filter(None, lines),
        *kernel.options,
    ]
    if options.tap:
        words.append(f"vec0:transport=tap,ifname={options.tap},depth=128,gro=1")
    return [*words, *options.append]


class Machine:
    """A running guest whose agent answers. Use `request`; end it with `close`.

    Raises LabError when it does not come up, with what its console said last.
    """

    def __init__(self, kernel: Kernel, options: Options) -> None:
        self._run = _run_directory(kernel, options, {"mode": "agent"})
        self._number = 0
        self._reader = FrameReader()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = _start(kernel, options, self._run, theirs.fileno())
        except BaseException:
            ours.close()
            shutil.rmtree(self._run, ignore_errors=True)
            raise
        self._line = ours
        self._poll = select.poll()
        self._poll.register(ours, select.POLLIN)
        self._finalizer = weakref.finalize(self, _end, self._process, ours, self._run)
        try:
            _, hello = next(self._frames(time.monotonic() + BOOT_TIMEOUT))
        except BaseException:
            self.close()
            raise
        self.hello: dict[str, Any] = json.loads(hello)

    @property
    def run_directory(self) -> Path:
        """The directory both sides see; gone after `close`."""
        return self._run

    @property
    def pid(self) -> int:
        """Process id (and group) of the kernel on the host."""
        return self._process.pid

    def request(
        self, request: dict[str, Any], patience: float | None
    ) -> Iterator[tuple[Frame, bytes]]:
        """Send a request and yield its frames up to and with DONE.

        ``patience`` is for the longest silence between two frames, in seconds, beyond which the
        guest counts as hung: LabError, and the machine is ended. None waits for ever. An iteration
        that is left early ends the machine as well, for the line would hold what nobody read.
        """
        if not self._finalizer.alive:
            raise LabError("this lab is closed")
        self._number += 1
        file = self._run / f"request-{self._number}"
        file.write_text(json.dumps(request), encoding="utf-8")
        finished = False
        try:
            self._line.sendall(b"%d\n" % self._number)
            while not finished:
                limit = None if patience is None else time.monotonic() + patience + _MARGIN
                for kind, payload in self._frames(limit, once=True):
                    finished = kind is Frame.DONE
                    yield kind, payload
        except BrokenPipeError as problem:
            raise self._dead("the guest is gone") from problem
        finally:
            if finished:
                file.unlink()
            else:
                self.close()

    def _frames(self, limit: float | None, once: bool = False) -> Iterator[tuple[Frame, bytes]]:
        """Frames as they come until ``limit`` (monotonic time); ``once``: those of one arrival."""
        while True:
            left = None if limit is None else max(0.0, limit - time.monotonic()) * 1000
            if not self._poll.poll(left):
                raise self._dead("the guest does not answer")
            try:
                data = self._line.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            if not data:
                raise self._dead("the guest is gone")
            try:
                frames = self._reader.feed(data)
            except ValueError as problem:
                raise self._dead("the guest's line is garbled") from problem
            yield from frames
            if once and frames:
                return

    def _dead(self, what: str) -> LabError:
        """An error with what the console says of the end: all of it, and the line that tells most."""
        time.sleep(0.05)  # a dying kernel is still writing
        try:
            text = (self._run / "console").read_text(errors="replace")
        except OSError:
            text = ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        telling = [line for line in lines if _TELLING.match(line)]
        words = f"; its console: {(telling or lines)[-1]}" if lines else ""
        return LabError(what + words, console=text)

    def close(self) -> None:
        """End the machine and remove its run directory. May be called twice."""
        self._finalizer()


def run_in_terminal(kernel: Kernel, options: Options, argv: list[str]) -> int:
    """Boot with the console on this process's terminal, run ``argv`` there; returns its status.

    The kernel gets the terminal without being of its session, so job control on the host has no
    say; it makes the terminal raw, and what is typed goes to the guest, Ctrl-C too. The terminal's
    settings are restored, whatever happens. Raises LabError where there is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise LabError("a shell needs a terminal; use `xfrm lab run -- COMMAND`")
    size = shutil.get_terminal_size()
    shell = {"mode": "shell", "argv": argv, "terminal_size": [size.lines, size.columns]}
    run = _run_directory(kernel, options, shell)
    keyboard, screen = os.dup(0), os.dup(1)  # 0 and 1 themselves are for the kernel's own chatter
    ours, theirs = socket.socketpair()  # its end tells the guest that we are gone
    with _terminal_kept(), ours:
        try:
            with theirs:
                terminal = f"con1=fd:{keyboard},fd:{screen}"
                process = _start(kernel, options, run, theirs.fileno(), terminal, keyboard, screen)
        except BaseException:
            shutil.rmtree(run, ignore_errors=True)
            raise
        finally:
            os.close(keyboard)
            os.close(screen)
        try:
            _wait_unreaped(process, None)
            return _exit_status(run)
        finally:
            _end(process, ours, run)


def _exit_status(run: Path) -> int:
    """What the guest's shell ended with; 1 when it never came so far."""
    try:
        return int((run / "status").read_text())
    except (OSError, ValueError):
        return 1


@contextlib.contextmanager
def _terminal_kept() -> Iterator[None]:
    import termios

    before = termios.tcgetattr(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSANOW, before)


def _start(
    kernel: Kernel, options: Options, run: Path, line: int, terminal: str = "", *more: int
) -> subprocess.Popen[bytes]:
    """Start the kernel with its serial line on ``line``; LabError when there is no such program.

    ``terminal`` is a further word for its command line, ``more`` the descriptors that it names.
    """
    with (run / "console").open("wb") as file:
        console = sys.stderr.fileno() if options.verbose else file
        try:
            return subprocess.Popen(
                command_line(kernel, options, run, f"ssl0=fd:{line},fd:{line}", terminal),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=_environment(options),
                pass_fds=[line, *more],
                start_new_session=True,
            )
        except OSError as problem:
            raise LabError(f"cannot start {kernel.image}: {problem.strerror}") from problem


def _run_directory(kernel: Kernel, options: Options, work: dict[str, Any]) -> Path:
    """Make the run directory with what the guest's init reads."""
    run = Path(tempfile.mkdtemp(prefix="xfrm-lab-", dir=_plain_temporary()))
    (run / "scratch").mkdir()
    start = shlex.join([sys.executable, "-IS", str(_START)])
    config = {
        **work,
        "run": str(run),
        "start": start,
        "cwd": str(Path.cwd()),
        "modules": str(kernel.modules) if kernel.modules else "",
        "shares": [str(path.absolute()) for path in options.share],
        "sys_path": _sys_path(),
        "environment": dict(os.environ),
    }
    (run / "guest.json").write_text(json.dumps(config), encoding="utf-8")
    init = run / "init"
    init.write_text(f"#!/bin/sh\nexec {start} init {shlex.quote(str(run))}\n")
    init.chmod(0o755)
    return run


def _environment(options: Options) -> dict[str, str]:
    """The kernel's own environment: where the file goes that is the guest's memory.

    It grows as the guest touches its memory, and code is run from it. /dev/shm is best, but often
    small and noexec in containers; then the ordinary temporary directory has to do.
    """
    place = "/dev/shm"  # noqa: S108 - the kernel makes a file without a name there
    try:
        there = os.statvfs(place)
        fits = there.f_bavail * there.f_frsize >= options.memory_bytes
        good = fits and not there.f_flag & os.ST_NOEXEC
    except OSError:
        good = False
    return {"TMPDIR": place if good else tempfile.gettempdir(), "PATH": os.defpath}


def _plain_temporary() -> str:
    """A directory for run directories; their name goes into the kernel's command line and mount
    options, where blanks, commas and colons mean something."""
    place = tempfile.gettempdir()
    return place if _PLAIN.fullmatch(place) else "/tmp"  # noqa: S108 - mkdtemp goes below it


def _sys_path() -> list[str]:
    """This interpreter's module path, absolute, with this package on it."""
    package = str(Path(pyxfrm.__file__).resolve().parents[1])
    path = [str(Path(entry).absolute()) for entry in sys.path]
    return path if package in path else [package, *path]


def _end(process: subprocess.Popen[bytes], line: socket.socket, run: Path) -> None:
    """Hang up, give the guest a moment to switch itself off, then kill whatever is left."""
    try:
        line.close()
        _wait_unreaped(process, 1.0)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(run, ignore_errors=True)


def _wait_unreaped(process: subprocess.Popen[bytes], seconds: float | None) -> None:
    """Wait for the process to end without taking its exit status, which keeps its number ours."""
    if process.returncode is not None:
        return
    fd = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(None if seconds is None else seconds * 1000)
    finally:
        os.close(fd)
