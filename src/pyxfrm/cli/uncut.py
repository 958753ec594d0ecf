"""Signals while a relocation runs: it comes to its end first, because half-way packets wait or are blocked.

    SIGINT, SIGTERM  heard at the end; the same one again cuts off, for ``--resume`` to go on
    SIGHUP           heard at the end, however often it comes: the terminal has gone, nobody insists
    SIGTSTP, SIGTTOU, SIGTTIN  not at all: nobody shall stop it half-way, nor the terminal because it writes

A signal that was ignored before (nohup) stays ignored.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

from pyxfrm.cli import told
from pyxfrm.errors import XfrmError

__all__ = ["to_its_end"]

_HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STOPS = (signal.SIGTSTP, signal.SIGTTOU, signal.SIGTTIN)
_FIRST = b"\nxfrm: finishing first; again to cut off (--resume goes on)\n"


@contextlib.contextmanager
def to_its_end() -> Iterator[None]:
    """What is in the block is not cut off; at its end, what came ends the program: KeyboardInterrupt, or SystemExit with 128 and the signal's number.

    An error in the block is told then, since it does not come through: whoever goes on after errors would forget the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def hear(number: int, _: object) -> None:
        if number != signal.SIGHUP and number in came:
            raise KeyboardInterrupt
        if number != signal.SIGHUP and not came:
            with contextlib.suppress(OSError):
                os.write(2, _FIRST)  # not print: it may be in the middle of a print
        came.append(number)

    before = {each: signal.getsignal(each) for each in (*_HEARD, *_STOPS)}
    try:
        for each, was in before.items():
            if was is not signal.SIG_IGN:
                signal.signal(each, hear if each in _HEARD else signal.SIG_IGN)
        yield
    except XfrmError as why:
        if not came:
            raise
        print(f"xfrm: {told(why)}", file=sys.stderr, flush=True)
    finally:
        for each, was in before.items():
            signal.signal(each, was if was is not None else signal.SIG_DFL)
    if came and came[0] == signal.SIGINT:
        raise KeyboardInterrupt
    if came:
        raise SystemExit(128 + came[0])
