"""Loading kernel modules without kmod.

A modules directory as depmod leaves it is three text files and the modules:

    modules.dep     ``path/esp4.ko: path/xfrm_algo.ko path/aead.ko``   (nearest dependency first)
    modules.alias   ``alias xfrm-type-2-50 esp4``                      (left side is a glob)
    modules.builtin paths of what the kernel has inside

`ModuleTree` answers the one question modprobe answers: which files, in which order, does this name
need? `insert` gives one file to the kernel with finit_module(2). The guest's init uses both, and so
does the program that the kernel itself calls when it misses something (see `pyxfrm.lab.guest`).
Source: depmod(8), modules.dep(5), kernel/module/main.c: finit_module.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from fnmatch import fnmatchcase
from pathlib import Path

from pyxfrm.lab.errors import LabError

__all__ = ["ModuleTree", "find_tree", "insert"]

_SYS_INIT_MODULE = 175  # x86_64
_SYS_FINIT_MODULE = 313
_SUFFIX = re.compile(r"\.ko(\.(gz|xz|zst))?$")


def _stem(path: str) -> str:
    """Module name of a file: ``kernel/crypto/des-generic.ko.xz`` -> ``des_generic``."""
    return _SUFFIX.sub("", path.rsplit("/", 1)[-1]).replace("-", "_")


class ModuleTree:
    """One modules directory (the one that holds ``modules.dep``)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._needs: dict[str, tuple[str, ...]] = {}
        self._path: dict[str, str] = {}
        for line in _lines(root / "modules.dep"):
            path, _, needs = line.partition(":")
            self._path[_stem(path)] = path
            self._needs[_stem(path)] = tuple(needs.split())
        self._exact: dict[str, list[str]] = {}
        self._globs: list[tuple[str, str]] = []
        for line in _lines(root / "modules.alias"):
            words = line.split()
            if len(words) == 3 and words[0] == "alias":
                self._add_alias(words[1], words[2])
        self.builtin = frozenset(_stem(line) for line in _lines(root / "modules.builtin"))

    def _add_alias(self, pattern: str, module: str) -> None:
        if any(c in pattern for c in "*?["):
            self._globs.append((pattern, module))
        else:
            self._exact.setdefault(pattern, []).append(module)

    @property
    def names(self) -> list[str]:
        """Names of all loadable modules, sorted."""
        return sorted(self._path)

    @property
    def patterns(self) -> list[str]:
        """Every name and alias (globs included) that some module here answers to."""
        return sorted({*self._path, *self._exact, *(pattern for pattern, _ in self._globs)})

    def matches(self, name: str) -> list[str]:
        """Modules a name stands for: the module so called, else all that have it as an alias.

        In names ``-`` and ``_`` are one; in aliases they are not, as for modprobe.
        """
        plain = name.replace("-", "_")
        if plain in self._path:
            return [plain]
        found = list(self._exact.get(name, ()))
        found += [module for pattern, module in self._globs if fnmatchcase(name, pattern)]
        return [m for m in dict.fromkeys(m.replace("-", "_") for m in found) if m in self._path]

    def load_order(self, name: str) -> list[Path]:
        """Files to insert for ``name``, dependencies first; empty when nothing answers to it."""
        order: dict[str, None] = {}
        for module in self.matches(name):
            for path in reversed(self._needs[module]):
                order.setdefault(path)
            order.setdefault(self._path[module])
        return [self.root / path for path in order]

    def load(self, name: str, parameters: str = "") -> bool:
        """Load what ``name`` needs, itself with ``parameters``.

        False: nothing here answers to it. Raises OSError.
        """
        order = self.load_order(name)
        for path in order:
            insert(path, parameters if path == order[-1] else "")
        return bool(order)


def _lines(path: Path) -> list[str]:
    """Lines of an index that are not comments; an absent file is an empty one."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def find_tree(directory: Path, release: str = "") -> Path:
    """The directory with ``modules.dep`` at or below ``directory``.

    Takes what people have at hand: the directory itself, its parent with one release in it, or
    the root of ``make modules_install INSTALL_MOD_PATH=``. Raises LabError.
    """
    candidates = [directory]
    for parent in (directory, directory / "lib/modules", directory / "usr/lib/uml/modules"):
        candidates += [parent / release] if release else []
        candidates += sorted(parent.iterdir()) if parent.is_dir() else []
    for candidate in candidates:
        if (candidate / "modules.dep").is_file():
            return candidate
    raise LabError(f"{directory} holds no modules.dep: give the directory depmod wrote it to")


def insert(path: Path, parameters: str = "") -> None:
    """Give one module file to the kernel; one that is loaded already is no error.

    ``parameters`` are words like ``numdummies=0``.

    Raises OSError with the kernel's errno (ENOEXEC: made for another kernel).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if path.suffix == ".ko":
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            failed = libc.syscall(_SYS_FINIT_MODULE, fd, parameters.encode(), 0)
        finally:
            os.close(fd)
    else:
        image = _decompress(path)
        failed = libc.syscall(
            _SYS_INIT_MODULE, image, ctypes.c_ulong(len(image)), parameters.encode()
        )
    code = ctypes.get_errno()
    if failed and code != errno.EEXIST:
        raise OSError(code, os.strerror(code), str(path))


def _decompress(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".gz":
        import gzip  # here and below: boot time counts, and Debian's modules are not compressed

        return gzip.decompress(data)
    if path.suffix == ".xz":
        import lzma

        return lzma.decompress(data)
    import subprocess

    try:
        run = subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as problem:
        raise LabError(f"{path} is compressed with zstd and the zstd program fails") from problem
    return run.stdout
