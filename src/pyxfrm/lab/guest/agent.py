"""The agent: reads the doorbell, executes the request, sends frames back (see `pyxfrm.lab.line`).

    request                                                  frames
    {"op": "exec", "argv": [...], "env": {...}, "cwd": "",   STDOUT* STDERR* DONE {"returncode": 0,
     "stdin": "path" | null, "timeout": s | null,                             "timed_out": false}
     "namespace": true}
    {"op": "call", "function": "module:name",                RESULT for each argument, in order
     "arguments": [...], "timeout": s, "fresh": false}       DONE {}

One request at a time; the host waits for DONE. A job that hangs is killed here, by its own clock; a
guest that hangs as a whole is the host's to kill. When the line ends, so does the agent: the host
is gone. As it sends nothing during a request, a line that can be read then has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
import tty
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyxfrm.lab.guest import linux, modprobe, worker
from pyxfrm.lab.line import LINE, Frame, FrameReader, pack

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Agent", "HostGoneError", "clear", "main"]

_CHUNK = 65536


def main(config: dict[str, Any]) -> None:
    """Serve the host until it hangs up."""
    line = os.open(LINE, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    tty.setraw(line)
    run = Path(config["run"])
    with contextlib.suppress(HostGoneError):
        Agent(line, run).serve()
    clear(run)


def clear(run: Path) -> None:
    """Remove the run directory's files: a host that was killed cannot, and some may hold keys."""
    for file in run.iterdir():
        if file.is_file():
            file.unlink(missing_ok=True)


class HostGoneError(Exception):
    """The line ended during a request."""


class Agent:
    """Executes requests that come over ``line``; their files lie in ``run``."""

    def __init__(self, line: int, run: Path) -> None:
        self._line = line
        self._run = run
        self._worker = _Worker(line)

    def serve(self) -> None:
        """Serve until end of file."""
        release = os.uname().release
        self._send(Frame.READY, {"release": release, "modules": _loaded_modules()})
        for number in self._doorbells():
            request = json.loads((self._run / f"request-{number}").read_text(encoding="utf-8"))
            answer = {"exec": self._exec, "call": self._call}[request["op"]](request)
            self._send(Frame.DONE, answer)

    def _doorbells(self) -> Iterator[int]:
        pending = b""
        while data := os.read(self._line, 256):
            pending += data
            *numbers, pending = pending.split(b"\n")
            yield from map(int, numbers)

    def _send(self, kind: Frame, value: Any) -> None:
        self._write(pack(kind, json.dumps(value).encode()))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._line, view) :]

    # -- commands -------------------------------------------------------------------------------

    def _exec(self, request: dict[str, Any]) -> dict[str, Any]:
        stdin = request["stdin"]
        with Path(stdin or os.devnull).open("rb") as source:
            try:
                process = subprocess.Popen(
                    request["argv"],
                    stdin=source,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=request["cwd"] or None,
                    env=_with_modprobe(request["env"]),
                    start_new_session=True,
                    preexec_fn=_own_namespace if request["namespace"] else None,  # noqa: PLW1509
                )
            except OSError as problem:
                return self._cannot_run(problem, request["argv"][0])
        timed_out = self._relay(process, request["timeout"])
        return {"returncode": process.wait(), "timed_out": timed_out}

    def _cannot_run(self, problem: OSError, program: str) -> dict[str, Any]:
        """As shells do: 127 not found, 126 found but not to be run."""
        text = f"xfrm lab: {problem.filename or program}: {problem.strerror}\n"
        self._write(pack(Frame.STDERR, text.encode()))
        return {"returncode": 127 if isinstance(problem, FileNotFoundError) else 126}

    def _relay(self, process: subprocess.Popen[bytes], timeout: float | None) -> bool:
        """Pass output on until both pipes are closed; True: killed, for it took too long."""
        assert process.stdout is not None  # noqa: S101 - for the type checker: both are pipes
        assert process.stderr is not None  # noqa: S101
        kinds = {process.stdout.fileno(): Frame.STDOUT, process.stderr.fileno(): Frame.STDERR}
        deadline = None if timeout is None else time.monotonic() + timeout
        poll = select.poll()
        for fd in (*kinds, self._line):
            poll.register(fd, select.POLLIN)
        while kinds:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready = poll.poll(None if left is None else left * 1000)
            if not ready:
                _kill_group(process.pid)
                return True
            for fd, _ in ready:
                if fd == self._line:
                    raise HostGoneError
                data = os.read(fd, _CHUNK)
                if data:
                    self._write(pack(kinds[fd], data))
                else:
                    poll.unregister(fd)
                    del kinds[fd]
        return False

    # -- functions ------------------------------------------------------------------------------

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        number, done = len(request["arguments"]), 0
        reader = FrameReader()
        while done < number:
            self._worker.ask(request, done)
            done += self._results(reader, number - done, request["timeout"])
            if done < number and not self._worker.alive:
                self._send(Frame.RESULT, worker.failure(self._worker.obituary))
                reader = FrameReader()
                done += 1
        return {}

    def _results(self, reader: FrameReader, wanted: int, timeout: float) -> int:
        """Pass results on until all are there or the worker is gone; how many there were."""
        count = 0
        while count < wanted:
            data = self._worker.read(timeout)
            if not data:
                break
            frames = reader.feed(data)
            for kind, payload in frames:
                self._write(pack(kind, payload))
            count += len(frames)
        return count


class _Worker:
    """The process that runs functions; made when first needed, and again when it has died."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._pid = 0
        self._requests = self._results = -1
        self.obituary = ""

    @property
    def alive(self) -> bool:
        return self._pid > 0

    def ask(self, request: dict[str, Any], start: int) -> None:
        """Hand over the arguments from number ``start`` on."""
        if not self.alive:
            self._start()
        text = json.dumps({**request, "arguments": request["arguments"][start:]})
        view = memoryview(pack(Frame.DONE, text.encode()))
        while view:
            view = view[os.write(self._requests, view) :]

    def _start(self) -> None:
        ask_read, self._requests = os.pipe()
        self._results, answer_write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.setsid()
            os.close(self._requests)
            os.close(self._results)
            worker.serve(ask_read, answer_write)
        os.close(ask_read)
        os.close(answer_write)

    def read(self, timeout: float) -> bytes:
        """Bytes of results; b"" when the worker is dead or was killed for taking too long."""
        ready = select.select([self._results, self._line], [], [], timeout)[0]
        if self._line in ready:
            raise HostGoneError
        if ready:
            data = os.read(self._results, _CHUNK)
            if data:
                return data
            self._bury("")
        else:
            self._bury(f"no result within {timeout:g} s")
        return b""

    def _bury(self, reason: str) -> None:
        _kill_group(self._pid)
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        end = f"signal {-code}" if code < 0 else f"exit status {code}"
        self.obituary = reason or f"the process that ran it ended: {end}"
        os.close(self._requests)
        os.close(self._results)
        self._pid = 0


def _own_namespace() -> None:
    linux.new_network_namespace()
    linux.lo_up()


def _with_modprobe(env: dict[str, str]) -> dict[str, str]:
    """The environment with our modprobe last on its PATH, for hosts that have none."""
    return {**env, "PATH": f"{env.get('PATH', os.defpath)}:{modprobe.PLACE.parent}"}


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(leader, signal.SIGKILL)


def _loaded_modules() -> list[str]:
    try:
        text = Path("/proc/modules").read_text(encoding="utf-8")
    except OSError:
        return []
    return sorted(line.split()[0] for line in text.splitlines())
