"""Time, where it counts: nothing in our own way, and enough of it for others.

:func:`hurry` is for what is between two batches: Python's collector rests, and the process has real-time priority where it may. Its memory is not locked: mlockall(2) takes this
process 4 to 7 ms each time and munlockall(2) 2 ms (measured), ten times what a script takes, and the pages that a script needs were just used to build it.

:func:`wait` is for the drain. A thread that sends a packet looks up its route and its SA first and transforms the packet later, and the scheduler may stop it between the two: it is in the
kernel, and runnable (a voluntary preemption point, such as the allocation of the packet, is enough). If its SA is gone by the time it runs again, the packet is lost: XfrmOutStateInvalid,
and EINVAL for its sender. One sleep does not help where the machine stands still until it is over, as virtual ones do: then we wake up first. So some short sleeps follow:
each is a chance for others to run that has begun after the machine went on. A thread that competes for its CPU may need longer: ask for a longer drain there.
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Iterator

__all__ = ["hurry", "wait"]

CHANCES = 4
CHANCE = 0.00025  # seconds; a send takes a fifth of that on a slow machine


@contextlib.contextmanager
def hurry() -> Iterator[None]:
    """No collector, and real-time priority where it is allowed."""
    collects = gc.isenabled()
    gc.disable()
    was = _real_time()
    try:
        yield
    finally:
        if was is not None:
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, *was)
        if collects:
            gc.enable()


def _real_time() -> tuple[int, os.sched_param] | None:
    """Take SCHED_FIFO; the policy to go back to, None if nothing was changed."""
    try:
        was = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except (OSError, AttributeError):
        return None
    return was


def wait(seconds: float) -> None:
    """Sleep, and sleep some more."""
    time.sleep(seconds)
    for _ in range(CHANCES):
        time.sleep(CHANCE)
