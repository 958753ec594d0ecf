"""A private apt: the machine's mirror and keys, our own state, no root.

`private_apt` lends an `Archive` whose whole state lives in a temporary directory. It is driven by a
configuration file that overrides every directory apt writes to, and pins (preferences), hooks and
extra index files that would only be in the way. Source: apt.conf(5), apt-get(8).
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyxfrm.lab.errors import LabError
from pyxfrm.lab.sources import main_archive, read_sources, stanza

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Archive", "private_apt"]

_MACHINE = Path("/etc/apt")
_TIMEOUT = 900  # seconds, for one run of apt: a slow mirror is no reason to give up early

_CONFIGURATION = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
Dir::State "{root}/state";
Dir::State::lists "{root}/state/lists";
Dir::State::status "{root}/state/status";
Dir::State::extended_states "{root}/state/extended_states";
Dir::Cache "{root}/cache";
Dir::Cache::archives "{root}/cache/archives";
Dir::Log "{root}/log";
Dir::Etc::sourcelist "{root}/lab.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "{user}";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::Retries "3";
"""


@dataclass(frozen=True, slots=True)
class Archive:
    """A Debian archive seen through a private apt state under ``root``."""

    root: Path
    suites: tuple[str, ...]

    def versions(self, package: str) -> list[str]:
        """Versions of a package that the suites have, newest first."""
        return list(dict.fromkeys(version for version, _ in self._madison(package)))

    def suite_of(self, package: str, version: str) -> str:
        """The suite that has this very version of a package."""
        for known, suite in self._madison(package):
            if known == version:
                return suite
        raise LabError(f"no suite of {', '.join(self.suites)} has {package} {version}")

    def _madison(self, package: str) -> list[tuple[str, str]]:
        """(version, suite), as ``apt-cache madison`` lists them: newest version first."""
        rows = []
        for line in self._run("apt-cache", "madison", package).splitlines():
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) == 3 and cells[2].endswith("Packages"):
                suite = cells[2].split()[1].split("/")[0]
                rows.append((cells[1], suite))
        return rows

    def unpack(self, package: str, target: Path) -> None:
        """Download one package (``name``, ``name=version`` or ``name/suite``) and unpack it."""
        self._download((package,), target)

    def unpack_with_needs(self, package: str, target: Path) -> None:
        """The same with everything the package depends on, down to the C library."""
        plan = self._run("apt-get", "--simulate", "--no-install-recommends", "install", package)
        steps = [line.split() for line in plan.splitlines()]
        self._download([step[1] for step in steps if step[:1] == ["Inst"]], target)

    def _download(self, packages: Sequence[str], target: Path) -> None:
        """``apt-get download`` also fetches from archives in the file system, which ``install --download-only`` leaves where they are."""
        with tempfile.TemporaryDirectory(dir=self.root) as place:
            self._run("apt-get", "download", *packages, cwd=Path(place))
            self._unpack_all(Path(place), target)

    def _unpack_all(self, place: Path, target: Path) -> None:
        files = sorted(place.glob("*.deb"))
        if not files:
            raise LabError("apt said it downloaded packages but there are none")
        target.mkdir(parents=True, exist_ok=True)
        for file in files:
            self._run("dpkg-deb", "-x", str(file), str(target))

    def _run(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        """Output of one program; LabError with its last complaint when it fails."""
        path = shutil.which(program)
        if path is None:
            raise LabError(
                f"{program} is not on this machine: the lab takes its kernel from Debian's archive "
                "through apt; elsewhere name a kernel of your own with --kernel-image"
            )
        options = ("-c", str(self.root / "apt.conf")) if program.startswith("apt") else ()
        try:
            run = subprocess.run(
                [path, *options, *arguments],
                cwd=cwd or self.root,
                env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as problem:
            raise LabError(f"{program} {arguments[0]} did not end in {_TIMEOUT} s") from problem
        if run.returncode:
            raise LabError(f"{program} {arguments[0]} failed: {_complaint(run.stderr)}")
        return run.stdout


def _complaint(stderr: str) -> str:
    """The line of apt's complaints that tells most: its first error, else the last line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line[2:].strip() for line in lines if line.startswith("E:")]
    return (errors or lines[-1:] or ["it gave no reason"])[0]


def _codename() -> str:
    """VERSION_CODENAME of os-release(5), e.g. ``bookworm``; "" where there is none."""
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return ""
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value.strip().strip("\"'")
    return ""


@contextlib.contextmanager
def private_apt(suites: tuple[str, ...]) -> Iterator[Archive]:
    """An archive with the given suites of the machine's own mirror; its state ends with the block.

    Downloads the suites' package lists (some 10 MB each). Raises LabError: no apt, no Debian
    archive among the machine's sources, network down, bad signature.
    """
    source = main_archive(read_sources(_MACHINE), _codename())
    with tempfile.TemporaryDirectory(prefix="pyxfrm-apt-") as place:
        root = Path(place)
        for directory in ("state/lists/partial", "cache/archives/partial", "log"):
            (root / directory).mkdir(parents=True)
        (root / "state/status").touch()
        (root / "lab.sources").write_text(stanza(source, suites))
        (root / "apt.conf").write_text(_CONFIGURATION.format(root=root, user=getpass.getuser()))
        archive = Archive(root, suites)
        archive._run("apt-get", "-qq", "--error-on=any", "update")
        yield archive
