"""strongSwan's IKE daemon, unmodified, with settings of its own in a folder of its own."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pyxfrm.lab import fetch
from tests.judges.network import Namespace

__all__ = ["Charon", "Process", "Start", "Settings", "until"]

PLUGINS = ("random", "nonce", "openssl", "kernel-netlink", "socket-default", "vici")
PATIENCE = 20.0  # seconds, for anything that is going to happen
PAUSE = 0.02

# What kernel-netlink says when something went wrong, and what it says of this machine's own kernel: whether that has XFRM interfaces
# is tried with NETLINK_ROUTE.
TROUBLE = re.compile(
    r"\[KNL\].*(error|fail|unable|not supported|not support|no reply|lost|Invalid)", re.IGNORECASE
)
HARMLESS = re.compile(r"Unknown device type|xfrmi-test")

Settings = Mapping[str, "str | Settings"]


class Process(Protocol):
    """What a started program can be asked."""

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def terminate(self) -> None: ...


Start = Callable[..., Process]  # as subprocess.Popen


def until(what: str, look: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """What ``look`` gives as soon as it gives something."""
    end = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < end, f"not in {patience:g} s: {what}"
        time.sleep(PAUSE)
    return found


def _text(settings: Settings, indent: str = "") -> str:
    lines = []
    for name, value in settings.items():
        if isinstance(value, str):
            lines.append(f"{indent}{name} = {value}\n")
        else:
            lines.append(f"{indent}{name} {{\n{_text(value, indent + '  ')}{indent}}}\n")
    return "".join(lines)


class Charon:
    """A daemon in ``namespace``, started by ``start`` (as subprocess.Popen), listening to swanctl in ``folder``."""

    def __init__(
        self,
        folder: Path,
        namespace: Namespace,
        start: Start,
        settings: Settings | None = None,
    ) -> None:
        folder.mkdir()
        self.folder = folder
        self.namespace = namespace
        self._vici = folder / "vici"
        self._log = folder / "log"
        self._told = folder / "swanctl.log"
        daemon: Settings = {
            "load": " ".join(PLUGINS),
            "install_routes": "no",
            "delete_rekeyed_delay": "1",  # seconds, for packets that are on their way
            "plugins": {"vici": {"socket": f"unix://{self._vici}"}},
            "filelog": {
                "main": {"path": str(self._log), "default": "1", "knl": "2", "flush_line": "yes"}
            },
            **(settings or {}),
        }
        (folder / "strongswan.conf").write_text(
            _text({"charon-systemd": daemon, "swanctl": {"load": "random"}})
        )
        self._env = os.environ | {
            "STRONGSWAN_CONF": str(folder / "strongswan.conf"),
            "SWANCTL_DIR": str(folder),
        }
        argv = namespace.inside(fetch.strongswan("charon-systemd", PLUGINS).argv)
        with (folder / "output").open("wb") as output:
            self._process = start(argv, env=self._env, stdout=output, stderr=output)
        until("the daemon listens", self._listens)

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.log() + (self.folder / "output").read_text()
        with socket.socket(socket.AF_UNIX) as probe:
            return not probe.connect_ex(str(self._vici))

    def load(self, settings: Settings) -> None:
        """Connections and secrets, instead of those before."""
        file = self.folder / "swanctl.conf"
        file.write_text(_text(settings))
        self.swanctl("--load-all", "--file", str(file), "--noprompt")

    def swanctl(self, *words: str, ok: Sequence[int] = (0,)) -> str:
        """What swanctl says; fails where it fails."""
        tool = fetch.strongswan("swanctl", ("random",))
        done = subprocess.run(
            [*tool.argv, *words, "--uri", f"unix://{self._vici}"],
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        said = done.stdout + done.stderr
        assert done.returncode in ok, f"swanctl {' '.join(words)}: {said}\n{self.log()}"
        return said

    def log(self) -> str:
        """All it has logged."""
        return self._log.read_text() if self._log.exists() else ""

    def troubles(self) -> list[str]:
        """What its kernel-netlink complained of."""
        lines = self.log().splitlines()
        return [line for line in lines if TROUBLE.search(line) and not HARMLESS.search(line)]

    def stop(self) -> None:
        """SIGTERM: it deletes its IKE SAs, tells its peers, and ends."""
        self._process.terminate()
        self._process.wait(PATIENCE)
