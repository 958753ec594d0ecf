"""Shows every message that passes, field by field, on stderr. Keys are shown as their length.

``PYXFRM_DEBUG=1`` in the environment puts it around every transport that a client opens (:func:`traced`).
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

from pyxfrm.transport.base import LOST, Lost, Transport, Wrapper
from pyxfrm.wire import netlink

__all__ = ["Tracer", "traced"]


class Tracer(Wrapper):
    """``>`` what is sent, ``<`` what is received; a summary a message, its fields below.

    ``out``: None for stderr as it is when something is written.
    """

    def __init__(self, inner: Transport, out: TextIO | None = None) -> None:
        super().__init__(inner)
        self.out = out

    def wrap(self, inner: Transport) -> Transport:
        """``inner``, traced to the same place."""
        return Tracer(inner, self.out)

    def send(self, data: bytes) -> None:
        """Show, then send."""
        self._show(">", data)
        self.inner.send(data)

    def recv(self) -> bytes | Lost | None:
        """Receive, then show."""
        data = self.inner.recv()
        if data is LOST:
            self._write(f"< {self.portid}: messages were lost (ENOBUFS)\n")
        elif isinstance(data, bytes):
            self._show("<", data)
        return data

    def _show(self, arrow: str, datagram: bytes) -> None:
        from pyxfrm.wire.describe import lines, summary

        for start, end in netlink.frames(datagram):
            message = datagram[start:end]
            text = [f"{arrow} {self.portid}: {summary(message)}\n"]
            text += [f"    {name} = {value}\n" for name, value in lines(message)]
            self._write("".join(text))
        left = netlink.leftover(datagram)
        if left:
            self._write(f"{arrow} {self.portid}: {len(left)} bytes that are no message\n")

    def _write(self, text: str) -> None:
        out = self.out or sys.stderr
        out.write(text)
        out.flush()


def traced(transport: Transport) -> Transport:
    """``transport``, in a Tracer if PYXFRM_DEBUG asks for it (set, not empty, not 0)."""
    wanted = os.environ.get("PYXFRM_DEBUG", "") not in ("", "0")
    return Tracer(transport) if wanted else transport
