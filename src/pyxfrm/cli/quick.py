"""Listing everything as text, with as little as possible loaded: what people type most should be there at once.

``xfrm state`` and ``xfrm policy`` without a filter need neither the values of the model nor the client's methods: a dump's messages are printed as they come.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from pyxfrm.cli.text.form import Form
from pyxfrm.client.dump import DumpReader
from pyxfrm.client.request import Dump
from pyxfrm.errors import TransportError
from pyxfrm.transport.base import Transport

__all__ = ["dump"]


def dump(
    transport: Transport,
    request: Dump[bytes],
    text_of: Callable[[Form, bytes], str],
    form: Form,
    timeout: float,
) -> None:
    """Print a table, entry by entry, as it comes."""
    reader = DumpReader(request, transport.portid)
    transport.send(reader.datagram())
    write = sys.stdout.write
    while not reader.done:
        data = transport.recv()
        if data is None:
            if not transport.wait(timeout):
                raise TransportError(f"{request.name}: the dump stopped in its middle")
            continue
        for message in reader.feed(data):
            write(text_of(form, message))
