"""The lab: a real Linux kernel in user space, to run anything against. No root, no KVM, no image.

    sources, apt, fetch   the kernel: from the machine's own Debian mirror, verified, into a cache
    boot, line            a machine: started, watched, talked to, and ended with all it is made of
    lab                   `Lab`: commands and Python functions on one booted kernel
    script, kernel        netlink conversations as data, and their execution on a kernel
    probe                 what a kernel's XFRM supports
    modules               loading kernel modules without kmod
    guest/                what runs inside

The kernel is ARCH=um (user-mode Linux): an ordinary process that is a Linux kernel. Its root file
system is the host's, so this interpreter and this package run inside. It needs Linux on x86_64.
Names are imported when first asked for: the guest starts through this package too, and in a hurry.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyxfrm.lab.boot import Options
    from pyxfrm.lab.errors import LabError
    from pyxfrm.lab.fetch import KERNELS, Kernel
    from pyxfrm.lab.lab import Completed, JobError, JobResult, Lab, run_once
    from pyxfrm.lab.script import Script, Transcript

__all__ = [
    "Completed",
    "JobError",
    "JobResult",
    "KERNELS",
    "Kernel",
    "Lab",
    "LabError",
    "Options",
    "Script",
    "Transcript",
    "run_once",
]

_HOME = {
    "Completed": "lab",
    "JobError": "lab",
    "JobResult": "lab",
    "KERNELS": "fetch",
    "Kernel": "fetch",
    "Lab": "lab",
    "LabError": "errors",
    "Options": "boot",
    "Script": "script",
    "Transcript": "script",
    "run_once": "lab",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"pyxfrm.lab.{_HOME[name]}"), name)
