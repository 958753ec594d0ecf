"""The worker: runs importable Python functions, each in a network namespace of its own.

A fork costs some 15 ms in a user-mode kernel, a new network namespace less than 1 ms. So one
process runs job after job, and what each job gets is the part that matters here: a fresh network
namespace (``lo`` down, no SA, no policy), its own captured stdout and stderr, and a result that is
reported whatever happens. What jobs share is the process: imported modules, globals, the clock. Ask
for ``fresh`` to have a process for each job as well.

A job that ends the process, or hangs, costs that job only: the agent starts another worker for the
rest.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

from pyxfrm.lab.guest import linux
from pyxfrm.lab.line import Frame, FrameReader, pack

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["failure", "serve"]


def serve(requests: int, results: int) -> None:
    """Work until the agent hangs up. Never returns."""
    try:
        capture = _Capture()
        reader = FrameReader()
        while data := os.read(requests, 65536):
            for _, payload in reader.feed(data):
                _run_all(json.loads(payload), results, capture)
    finally:
        os._exit(0)


def failure(message: str, kind: str = "LabError", trace: str = "") -> dict[str, Any]:
    """The result of a job that has none."""
    error = {"type": kind, "message": message, "traceback": trace}
    return {"value": None, "stdout": "", "stderr": "", "error": error}


def _run_all(request: dict[str, Any], results: int, capture: _Capture) -> None:
    for argument in request["arguments"]:
        if request["fresh"]:
            _in_child(request["function"], argument, results, capture)
        else:
            _write(results, _encoded(_run(request["function"], argument, capture)))


def _in_child(name: str, argument: Any, results: int, capture: _Capture) -> None:
    with contextlib.suppress(Exception):  # the child meets it again, and tells
        _function(name)  # imported before the fork: once, not in each child
    pid = os.fork()
    if pid == 0:
        _write(results, _encoded(_run(name, argument, capture)))
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    if status:
        code = os.waitstatus_to_exitcode(status)
        end = f"signal {-code}" if code < 0 else f"exit status {code}"
        _write(results, _encoded(failure(f"the process that ran it ended: {end}")))


def _run(name: str, argument: Any, capture: _Capture) -> dict[str, Any]:
    try:
        linux.new_network_namespace()
        result = {"value": _function(name)(argument), "error": None}
    except BaseException as problem:  # noqa: BLE001 - a job's exit is its result, not ours
        result = failure(str(problem), type(problem).__name__, traceback.format_exc())
    result["stdout"], result["stderr"] = capture.take()
    return result


def _function(name: str) -> Callable[[Any], Any]:
    module, _, attribute = name.partition(":")
    function: Callable[[Any], Any] = getattr(importlib.import_module(module), attribute)
    return function


def _encoded(result: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(result)
    except (TypeError, ValueError) as problem:
        text = json.dumps(failure(f"the result is not JSON: {problem}", type(problem).__name__))
    return pack(Frame.RESULT, text.encode())


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class _Capture:
    """Takes over file descriptors 1 and 2 of this process, into memory.

    A system call costs 50 us here: a job that writes nothing costs two.
    """

    def __init__(self) -> None:
        for target in (1, 2):
            memory = os.memfd_create("captured")
            os.dup2(memory, target)
            os.close(memory)

    def take(self) -> tuple[str, str]:
        """What was written to each since the last time."""
        sys.stdout.flush()
        sys.stderr.flush()
        return self._take(1), self._take(2)

    @staticmethod
    def _take(fd: int) -> str:
        size = os.lseek(fd, 0, os.SEEK_CUR)
        if not size:
            return ""
        data = os.pread(fd, size, 0)
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        return data.decode(errors="replace")
