"""What runs inside the lab's guest: a batch file, given to iproute2 or to this command."""

from __future__ import annotations

import re
import shlex
import tempfile
import time
from pathlib import Path
from typing import Any

from pyxfrm.client import Xfrm
from tests.cli.guest import NOON, iproute2, tables, this_command


def play(argument: list[Any]) -> dict[str, Any]:
    """``[whose, options, text]``: which lines failed, what was printed, and the tables afterwards."""
    whose, options, text = argument
    with Xfrm() as xfrm, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        path.write_text(text)
        run = iproute2 if whose == "iproute2" else this_command
        run("-batch", "/dev/null")  # so that everything is loaded
        time.clock_settime(time.CLOCK_REALTIME, NOON)
        status, out, err = run(*options, "-batch", str(path))
        return {
            "took": time.time() - NOON,
            "done": status == 0,
            "failed": sorted({int(n) for n in re.findall(re.escape(str(path)) + r":(\d+)", err)}),
            "out": out,
            "tables": tables(xfrm),
            "err": err,
        }


def one_by_one(lines: list[str]) -> dict[str, Any]:
    """Each line by an iproute2 of its own, all at the same second: that is how long a batch takes."""
    failed, printed = [], ""
    with Xfrm() as xfrm:
        for at, line in enumerate(lines, 1):
            time.clock_settime(time.CLOCK_REALTIME, NOON)
            status, out, _ = iproute2("xfrm", *shlex.split(line))
            printed += out
            if status:
                failed.append(at)
        return {"failed": failed, "out": printed, "tables": tables(xfrm)}
