"""Programs that know nothing of engines, led to one: a library for ``LD_PRELOAD``.

    with serving(Engine(), path):
        subprocess.run(["ip", "xfrm", "state"], env=os.environ | environment(path))

The library is C (``data/preload.c``, which tells how it works and what it cannot do) and is compiled when it is first asked for, into the user's cache.
Linux and a C compiler (``$CC``, else ``cc``) are needed. Programs that do not call the C library, Go's among them, speak the frames of
:mod:`pyxfrm.transport.frames` themselves.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from hashlib import sha256
from pathlib import Path

from pyxfrm.abi.profiles import LINUX_7_2, Profile
from pyxfrm.errors import UsageError

__all__ = ["SOURCE", "environment", "library"]

SOURCE = Path(__file__).parents[1] / "data" / "preload.c"


def library(cache: Path | None = None) -> Path:
    """The compiled library; ``cache`` is ``$XDG_CACHE_HOME/pyxfrm`` or ``~/.cache/pyxfrm`` unless given. UsageError without a working compiler."""
    if cache is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "pyxfrm"
    name = sha256(SOURCE.read_bytes() + os.uname().machine.encode()).hexdigest()[:16]
    made = cache / f"preload-{name}.so"
    if not made.exists():
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as why:
            raise UsageError(f"{cache}: {why.strerror}: nowhere to put what is compiled") from None
        _compile(made)
    return made


def environment(
    path: str | Path, profile: Profile = LINUX_7_2, *, cache: Path | None = None
) -> dict[str, str]:
    """What to add to a program's environment so that its XFRM sockets lead to the engine that serves at ``path``.

    ``profile``  the engine's; its release is what uname tells the program. strongSwan uses MIGRATE_STATE from release 7.2 on.
    ``cache``    see :func:`library`
    """
    loaded = [str(library(cache)), *os.environ.get("LD_PRELOAD", "").split()]
    return {
        "LD_PRELOAD": " ".join(loaded),
        "PYXFRM_ENGINE": str(Path(path).absolute()),
        "PYXFRM_RELEASE": profile.release,
    }


def _compile(made: Path) -> None:
    """Into another file first: two processes may do it at once."""
    half = made.with_suffix(f".{os.getpid()}")
    compiler = os.environ.get("CC") or "cc"
    words = [
        *shlex.split(compiler),
        "-shared",
        "-fPIC",
        "-O2",
        "-o",
        str(half),
        str(SOURCE),
        "-ldl",
    ]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as why:
        raise UsageError(
            f"{compiler}: {why.strerror}: a C compiler is needed to lead other programs to an engine; install one, or set CC"
        ) from None
    if done.returncode:
        first = next(iter(done.stderr.splitlines()), f"status {done.returncode}")
        raise UsageError(f"{compiler}: {SOURCE.name} cannot be compiled: {first}")
    half.replace(made)
