"""``xfrm lab``: a real Linux kernel at hand.

    xfrm lab run -- ip xfrm state          boot, run, switch off; its output and exit status
    xfrm lab shell                         the same with a shell on this terminal
    xfrm lab info                          what the kernel is and supports
    xfrm lab script FILE                   run a netlink script, print the transcript (JSON)
    xfrm lab fuzz                          random messages to the kernel and to an engine
    xfrm lab fetch                         only fill the cache (CI images)

All take ``--kernel 7.2|6.12``, or ``--kernel-image PATH --modules DIR`` for a kernel of one's own
(``make ARCH=um``): the quick way to try a backport.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyxfrm.abi.profiles import PROFILES, profile_named
from pyxfrm.cli.arguments import Parser, add_profile
from pyxfrm.cli.json_table import SCHEMA
from pyxfrm.cli.lab_script import told_step
from pyxfrm.errors import UsageError
from pyxfrm.lab import imitation
from pyxfrm.lab.boot import Options, run_in_terminal
from pyxfrm.lab.errors import LabError
from pyxfrm.lab.fetch import KERNELS, Kernel, cached, forget, iproute2, kernel, own
from pyxfrm.lab.lab import Lab, run_once
from pyxfrm.lab.script import Script, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["main", "parser"]

_TIMED_OUT = 124  # as timeout(1)


def main(argv: list[str]) -> int:
    """Run one of the lab's verbs; the status is the guest command's own where there is one."""
    words = parser().parse_args(argv)
    work: Callable[[argparse.Namespace], int] = words.work
    try:
        with _ended_properly():
            return work(words)
    except LabError as problem:
        sys.stderr.write(problem.console)  # of a kernel that died: all that it said
        raise


@contextlib.contextmanager
def _ended_properly() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end this process the way an exception does: with what it booted."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(n, lambda n, _: sys.exit(128 + n)) for n in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser("xfrm lab", description="A real Linux kernel in user space.")
    verbs = made.add_subparsers(required=True, metavar="VERB")
    run = _verb(verbs, "run", _run, "boot, run one command, switch off")
    run.add_argument("--timeout", type=float, metavar="S", help="kill the command after S seconds")
    run.add_argument(
        "-i", "--stdin", action="store_true", help="read stdin to its end and give it to COMMAND"
    )
    run.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="-- COMMAND ...", help="what to run in it"
    )
    shell = _verb(verbs, "shell", _shell, "boot, with a shell on this terminal")
    shell.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="[-- COMMAND ...]", help="default: bash -l"
    )
    info = _verb(verbs, "info", _info, "what the kernel is and supports")
    info.add_argument("--json", action="store_true", help="the same as JSON")
    script = _verb(verbs, "script", _script, "run a netlink script, print the transcript")
    script.add_argument("file", help="JSON, see docs/lab.md; - is stdin")
    script.add_argument("--text", action="store_true", help="in words, field by field, not JSON")
    script.add_argument(
        "--engine",
        action="store_true",
        help="on an engine in the place of that kernel: nothing is booted",
    )
    fuzz = _verb(
        verbs, "fuzz", _fuzz, "random messages to the kernel and to an engine, until they disagree"
    )
    fuzz.add_argument("--seed", type=int, default=1, metavar="N", help="default: 1")
    fuzz.add_argument("--messages", type=int, metavar="N", help="stop after N messages")
    fuzz.add_argument(
        "--seconds", type=float, default=60, metavar="S", help="or after S seconds (default: 60)"
    )
    add_profile(fuzz, "what the engine is (by the kernel's release unless given)")
    fetch = verbs.add_parser(
        "fetch",
        help="fill the cache: all kernels, and iproute2's ip",
        description="Fill the cache: all kernels, and iproute2's ip.",
    )
    fetch.add_argument("--renew", action="store_true", help="fetch again what is cached")
    fetch.set_defaults(work=_fetch)
    return made


def _verb(
    verbs: Any, name: str, work: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    """A verb that boots: the options that all of those have."""
    about = f"{text[:1].upper()}{text[1:]}."
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=about)
    verb.set_defaults(work=work)
    which = verb.add_mutually_exclusive_group()
    which.add_argument("--kernel", default="7.2", choices=list(KERNELS), help="default: 7.2")
    which.add_argument(
        "--kernel-image", type=Path, metavar="PATH", help="your own ARCH=um kernel program"
    )
    verb.add_argument("--modules", type=Path, metavar="DIR", help="with it: its modules")
    verb.add_argument("--mem", default="256M", help="memory of the guest (default: 256M)")
    verb.add_argument(
        "--tap", default="", metavar="NAME", help="a TAP device, as vec0 (privileged)"
    )
    verb.add_argument(
        *("--share", "-s"),
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="let the guest write to this directory of the host",
    )
    verb.add_argument(
        "--append", action="append", default=[], metavar="WORD", help="for the kernel command line"
    )
    verb.add_argument(
        "-v", "--verbose", action="store_true", help="show what the kernel says, on stderr"
    )
    return verb


def _kernel(words: argparse.Namespace) -> Kernel:
    if words.kernel_image:
        return own(words.kernel_image, words.modules)
    if words.modules:
        raise UsageError("--modules belongs to --kernel-image")
    return _fetched(words.kernel)


def _fetched(version: str) -> Kernel:
    if not cached(version):
        print(f"fetching Linux {version} (some 40 MB, once) ...", file=sys.stderr)
    return kernel(version)


def _options(words: argparse.Namespace) -> Options:
    for directory in words.share:
        if not directory.is_dir():
            raise UsageError(f"--share {directory}: no such directory")
    shares = tuple(directory.resolve() for directory in words.share)
    return Options(words.mem, shares, words.tap, tuple(words.append), words.verbose)


def _command(words: argparse.Namespace) -> list[str]:
    command: list[str] = words.command
    return command[1:] if command[:1] == ["--"] else command


# The words are looked at first: fetching a kernel takes its time.


def _run(words: argparse.Namespace) -> int:
    command, options = _command(words), _options(words)
    if not command:
        raise UsageError("no command: xfrm lab run -- COMMAND ...")
    stdin = sys.stdin.buffer.read() if words.stdin else None
    done = run_once(
        command,
        kernel=_kernel(words),
        options=options,
        timeout=words.timeout,
        stdin=stdin,
        stream=True,
    )
    if done.timed_out:
        print(f"xfrm: {command[0]} was killed after {words.timeout:g} s", file=sys.stderr)
        return _TIMED_OUT
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _shell(words: argparse.Namespace) -> int:
    options = _options(words)
    return run_in_terminal(_kernel(words), options, _command(words) or ["bash", "-l"])


def _info(words: argparse.Namespace) -> int:
    options, chosen = _options(words), _kernel(words)
    started = time.monotonic()
    with Lab(kernel=chosen, options=options) as lab:
        booted = time.monotonic() - started
        facts = lab.call("pyxfrm.lab.probe:survey")
    facts |= {"package": chosen.package, "image": str(chosen.image), "boot_seconds": booted}
    print(json.dumps({"schema": SCHEMA, **facts}, indent=2) if words.json else _told(facts))
    return 0


def _told(facts: dict[str, Any]) -> str:
    """The facts of `pyxfrm.lab.probe.survey` for people."""
    words = {"y": [], "m": [], "n": []}  # type: dict[str, list[str]]
    for name, how in facts["options"].items():
        words.setdefault(how, []).append(name)
    rows = [
        ("kernel", f"Linux {facts['release']} ({facts['package'] or 'your own'})"),
        ("program", facts["image"]),
        ("boot", f"{facts['boot_seconds']:.1f} s"),
        ("machine", f"{facts['processors']} processor, {facts['memory'] // 1024} MiB"),
        ("MIGRATE_STATE", facts["migrate_state"]),
        ("built in", " ".join(words["y"])),
        ("as modules", " ".join(words["m"])),
        ("lacks", " ".join(words["n"])),
        ("loaded now", " ".join(facts["modules"])),
    ]
    return "\n".join(f"{name:<14} {value}" for name, value in rows if value)


def _script(words: argparse.Namespace) -> int:
    script = Script.from_json(_json_file(words.file))
    transcript = _on_an_engine(script, words) if words.engine else _on_a_kernel(script, words)
    if words.text:
        for step, outcome in zip(script.steps, transcript.outcomes, strict=True):
            print(told_step(step, outcome))
    else:
        print(json.dumps({"schema": SCHEMA, "outcomes": transcript.to_json()}, indent=2))
    return 0


def _on_an_engine(script: Script, words: argparse.Namespace) -> Transcript:
    if words.kernel_image:
        raise UsageError("--kernel-image and --engine: give one of them")
    return imitation.run(script, profile_named(words.kernel))


def _on_a_kernel(script: Script, words: argparse.Namespace) -> Transcript:
    options = _options(words)
    with Lab(kernel=_kernel(words), options=options) as lab:
        return lab.run_script(script)


def _json_file(name: str) -> Any:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError) as problem:
        raise UsageError(f"{name}: {problem}") from problem


def _fuzz(words: argparse.Namespace) -> int:
    from pyxfrm.cli import lab_fuzz

    options = _options(words)
    chosen = PROFILES[words.profile] if words.profile else None
    with Lab(kernel=_kernel(words), options=options) as lab:
        profile = chosen or lab_fuzz.profile_of(lab.release)
        return lab_fuzz.run(lab, profile, words.seed, words.messages, words.seconds)


def _fetch(words: argparse.Namespace) -> int:
    if words.renew:
        forget()
    for version in KERNELS:
        chosen = _fetched(version)
        print(f"Linux {version}: {chosen.package}, {chosen.image}")
    print(f"ip: {iproute2().package}")
    return 0
