"""``xfrm engine``: an engine for other processes, at a socket that only its owner may open.

xfrm engine serve /run/user/1000/xfrm &
xfrm --engine /run/user/1000/xfrm state list
xfrm engine run -- ip xfrm state              any program, its XFRM sockets led to an engine
LD_PRELOAD=$(xfrm engine preload) PYXFRM_ENGINE=/run/user/1000/xfrm ip xfrm state
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from pyxfrm.abi.profiles import LINUX_7_2, PROFILES
from pyxfrm.cli.arguments import Parser, add_profile
from pyxfrm.engine import Engine
from pyxfrm.errors import UsageError
from pyxfrm.transport.base import wait_readable
from pyxfrm.transport.local import EngineHost
from pyxfrm.transport.preload import environment, library
from pyxfrm.transport.server import EngineServer, serving

__all__ = ["main", "parser"]

_NOT_FOUND = 127  # as of a shell


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser("xfrm engine", description="A NETLINK_XFRM in user space.")
    verbs = made.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, work: Callable[[argparse.Namespace], int], text: str) -> Parser:
        added: Parser = verbs.add_parser(
            name, help=text, description=f"{text[:1].upper()}{text[1:]}."
        )
        added.set_defaults(work=work)
        return added

    serve = verb("serve", _serve, "serve an engine at a unix socket, until Ctrl-C")
    serve.add_argument("path", help="the socket; it must not exist, or its server must be gone")
    run = verb("run", _run, "run a program whose XFRM sockets lead to an engine of its own")
    run.add_argument(
        "--socket", metavar="PATH", help="where the engine serves, for others to ask it meanwhile"
    )
    run.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        metavar="-- COMMAND ...",
        help="the program and its words",
    )
    verb("preload", _preload, "print the library that leads programs to $PYXFRM_ENGINE")
    for each in (serve, run):
        add_profile(each, "the kernel to behave as (7.2 unless given)", LINUX_7_2.name)
    return made


def main(argv: list[str]) -> int:
    """Run one of the verbs."""
    words = parser().parse_args(argv)
    work: Callable[[argparse.Namespace], int] = words.work
    return work(words)


def _serve(words: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    profile = PROFILES[words.profile]
    with EngineServer(EngineHost(Engine(profile)), words.path) as server:

        def stop(_: int, __: FrameType | None) -> None:
            server.stop()

        signal.signal(signal.SIGTERM, stop)
        print(f"xfrm: {profile.name} serves at {words.path}", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print(f"ask it: xfrm --engine {words.path} state list; Ctrl-C ends it", file=sys.stderr)
        server.serve_forever()
    return 0


def _run(words: argparse.Namespace) -> int:
    """The status is the program's own, or 128 and the signal that ended it."""
    command = words.command[1:] if words.command[:1] == ["--"] else words.command
    if not command:
        raise UsageError("engine run: which program? xfrm engine run -- COMMAND ...")
    with TemporaryDirectory(prefix="xfrm-") as folder:
        path = Path(words.socket or Path(folder) / "engine")
        profile = PROFILES[words.profile]
        with serving(Engine(profile), path):
            return _wait(command, os.environ | environment(path, profile))


def _wait(command: list[str], env: dict[str, str]) -> int:
    """SIGTERM is handed on to the program, also one that comes while it is started; Ctrl-C the terminal gives to both, and the program decides."""
    program: subprocess.Popen[bytes] | None = None
    asked = False

    def hand_on(*_: object) -> None:
        nonlocal asked
        asked = True
        if program is not None:
            program.terminate()

    heard = {signal.SIGTERM: hand_on, signal.SIGINT: lambda *_: None}  # not passed on by exec
    before = {number: signal.signal(number, handler) for number, handler in heard.items()}
    try:
        program = subprocess.Popen(command, env=env)  # noqa: S603
        if asked:
            program.terminate()
        status = _end_of(program)
    except OSError as why:
        print(f"xfrm: {command[0]}: {why.strerror}", file=sys.stderr)
        return _NOT_FOUND
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def _end_of(program: subprocess.Popen[bytes]) -> int:
    """Its status, when it has ended; a signal that comes just before the wait is heard, too (:mod:`pyxfrm.transport.base`)."""
    with suppress(OSError):  # a kernel without pidfd_open
        ends = os.pidfd_open(program.pid)
        try:
            poll = select.poll()
            poll.register(ends, select.POLLIN)
            wait_readable(poll, None)
        finally:
            os.close(ends)
    return program.wait()


def _preload(_: argparse.Namespace) -> int:
    print(library())
    return 0
