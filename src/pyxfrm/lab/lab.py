"""`Lab`: a real Linux kernel to run things on, as an object.

    with Lab("7.2") as lab:
        lab.run(["ip", "xfrm", "state"])                   # a command, in a fresh network namespace
        lab.call("package.module:function", {"any": 1})    # a function, in a fresh namespace
        lab.map("package.module:function", many)           # thousands of them
        lab.run_scripts(scripts)                           # netlink conversations (lab.script)

One boot serves all of them; `run_once` boots for a single command, in the initial namespace. The
guest sees the host's files and runs the host's programs, this interpreter among them; what it
writes is lost with it, but for the directories that were shared.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyxfrm.closing import Closing
from pyxfrm.lab import fetch
from pyxfrm.lab.boot import Machine, Options
from pyxfrm.lab.errors import LabError
from pyxfrm.lab.line import Frame
from pyxfrm.lab.script import Script, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["Completed", "JobError", "JobResult", "Lab", "run_once"]

_SCRIPT_RUNNER = "pyxfrm.lab.kernel:run_json"
_BATCH = 500  # jobs a request: bounds what is lost when a guest dies


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended. ``returncode`` as in subprocess: negative is a signal."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class JobResult:
    """What became of one function call. ``error`` is "" or one line; ``traceback`` the guest's."""

    value: Any
    stdout: str = ""
    stderr: str = ""
    error: str = ""
    traceback: str = ""


class JobError(LabError):
    """A function that was called in the guest raised, hung or killed its process.

    ``result`` has the traceback and what it had written.
    """

    def __init__(self, function: str, result: JobResult) -> None:
        super().__init__(f"{function} in the guest: {result.error}")
        self.result = result


class Lab(Closing):
    """A booted kernel. A context manager; `close` ends it. Calls from several threads take turns.

    ``version`` picks one of `pyxfrm.lab.fetch.KERNELS` (fetched if need be), unless ``kernel`` is
    given. Raises LabError where it cannot be had or does not start.
    """

    def __init__(
        self,
        version: str = "7.2",
        *,
        kernel: fetch.Kernel | None = None,
        options: Options = Options(),  # noqa: B008 - frozen
    ) -> None:
        self.kernel = kernel or fetch.kernel(version)
        self._machine = Machine(self.kernel, options)
        self._turn = threading.Lock()

    def close(self) -> None:
        """Switch the guest off and wait until all of it is gone."""
        self._machine.close()

    @property
    def release(self) -> str:
        """What ``uname -r`` says in the guest, e.g. ``7.2.7``."""
        return str(self._machine.hello["release"])

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules that were loaded when the guest was up."""
        return tuple(self._machine.hello["modules"])

    @property
    def pid(self) -> int:
        """The kernel's process on the host, which leads a process group of its own."""
        return self._machine.pid

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float | None = 60,
        stdin: bytes | None = None,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        namespace: bool = True,
        output: Callable[[Frame, bytes], None] | None = None,
    ) -> Completed:
        """Run one command in the guest and wait for it.

        With ``namespace`` it gets a fresh network namespace (``lo`` up), else the guest's initial
        one. ``env`` and ``cwd`` are by default this process's own. ``output`` gets each piece of
        output as it comes; the result holds all of it either way. After ``timeout`` seconds the
        command and its children are killed and the result says ``timed_out``.
        """
        if not argv:
            raise LabError("no command to run in the guest")
        request = {
            "op": "exec",
            "argv": list(argv),
            "env": dict(os.environ) if env is None else env,
            "cwd": str(cwd or Path.cwd()),
            "timeout": timeout,
            "namespace": namespace,
            "stdin": None,
        }
        with self._turn:
            if stdin is not None:
                file = self._machine.run_directory / "stdin"
                file.write_bytes(stdin)
                request["stdin"] = str(file)
            return self._command(request, output)

    def _command(
        self, request: dict[str, Any], output: Callable[[Frame, bytes], None] | None
    ) -> Completed:
        streams = {Frame.STDOUT: bytearray(), Frame.STDERR: bytearray()}
        done: dict[str, Any] = {}
        for kind, payload in self._machine.request(request, request["timeout"]):
            if kind is Frame.DONE:
                done = json.loads(payload)
                continue
            streams[kind] += payload
            if output is not None:
                output(kind, payload)
        return Completed(
            tuple(request["argv"]),
            done["returncode"],
            bytes(streams[Frame.STDOUT]),
            bytes(streams[Frame.STDERR]),
            done.get("timed_out", False),
        )

    def map(
        self,
        function: str,
        arguments: Iterable[Any],
        *,
        timeout: float = 30,
        fresh: bool = False,
    ) -> Iterator[JobResult]:
        """Call ``function`` (``"module:name"``) in the guest for each argument; results in order.

        Arguments and results are JSON values. Each call has a fresh network namespace with ``lo``
        down, and ``timeout`` seconds. Calls share one process in the guest, unless ``fresh``, which
        forks one for each and takes ten times as long.
        """
        waiting = list(arguments)
        while waiting:
            batch, waiting = waiting[:_BATCH], waiting[_BATCH:]
            request = {
                "op": "call",
                "function": function,
                "arguments": batch,
                "timeout": timeout,
                "fresh": fresh,
            }
            with self._turn:
                frames = list(self._machine.request(request, timeout))
            yield from (_job_result(payload) for kind, payload in frames if kind is Frame.RESULT)

    def call(
        self, function: str, argument: Any = None, *, timeout: float = 30, fresh: bool = False
    ) -> Any:
        """Call one function in the guest and return its value. Raises JobError."""
        (result,) = self.map(function, [argument], timeout=timeout, fresh=fresh)
        if result.error:
            raise JobError(function, result)
        return result.value

    def run_scripts(self, scripts: Iterable[Script], *, timeout: float = 30) -> list[Transcript]:
        """Run netlink conversations, each in a fresh namespace. Raises JobError."""
        results = self.map(_SCRIPT_RUNNER, (s.to_json() for s in scripts), timeout=timeout)
        return [_transcript(result) for result in results]

    def run_script(self, script: Script, *, timeout: float = 30) -> Transcript:
        """Run one netlink conversation in a fresh namespace. Raises JobError."""
        return self.run_scripts([script], timeout=timeout)[0]


def _job_result(payload: bytes) -> JobResult:
    result = json.loads(payload)
    error = result["error"] or {}
    line = f"{error['type']}: {error['message']}" if error else ""
    trace = error.get("traceback", "")
    return JobResult(result["value"], result["stdout"], result["stderr"], line, trace)


def _transcript(result: JobResult) -> Transcript:
    if result.error:
        raise JobError(_SCRIPT_RUNNER, result)
    return Transcript.from_json(result.value)


def run_once(
    argv: Sequence[str],
    version: str = "7.2",
    *,
    kernel: fetch.Kernel | None = None,
    options: Options = Options(),  # noqa: B008 - frozen
    timeout: float | None = 60,
    stdin: bytes | None = None,
    stream: bool = False,
) -> Completed:
    """Boot, run one command in the initial network namespace, switch off.

    ``stream`` writes its output to this process's own stdout and stderr as it comes.
    """
    with Lab(version, kernel=kernel, options=options) as lab:
        output = _pass_on if stream else None
        return lab.run(argv, timeout=timeout, stdin=stdin, namespace=False, output=output)


def _pass_on(kind: Frame, data: bytes) -> None:
    target = sys.stdout if kind is Frame.STDOUT else sys.stderr
    target.buffer.write(data)
    target.buffer.flush()
