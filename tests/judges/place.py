"""Where a daemon's XFRM goes: to an engine of this process."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyxfrm.abi.profiles import Profile
from pyxfrm.transport.local import EngineHost
from pyxfrm.transport.preload import environment
from pyxfrm.transport.server import serving
from tests.judges.charon import Process, Start

__all__ = ["standing_in"]


@contextmanager
def standing_in(host: EngineHost, profile: Profile) -> Iterator[Start]:
    """What starts programs (as subprocess.Popen) whose XFRM is the engine of ``host``, and whose uname tells the release of ``profile``."""
    with TemporaryDirectory(prefix="xfrm-") as folder:
        path = Path(folder) / "engine"

        def start(argv: list[str], env: dict[str, str], **more: Any) -> Process:
            return subprocess.Popen(argv, env=env | environment(path, profile), **more)

        with serving(host, path):
            yield start
