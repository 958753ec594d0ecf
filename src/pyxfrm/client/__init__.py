"""Talk to any XFRM: a kernel's, or an engine's.

    from pyxfrm.client import Xfrm

    with Xfrm() as xfrm:
        for sa in xfrm.sas():
            print(sa.id, sa.replay.oseq)

``xfrm``     :class:`Xfrm`, the client; ``aio``: :class:`AsyncXfrm`, the same for asyncio; ``stream``: events as they come
``verbs``    every message as a function that makes a :class:`Request`, for batches
``core``     requests and answers without IO; ``request``: one of them; ``batch``: many; ``dump``: a table; ``procedure``: several with decisions between
``safety``   whether the kernel takes the SA that is meant, and the proof of a move; ``probe``: what it can do
``doctor``   what is wrong with the SAs and policies that are there; ``stat``: counters of dropped packets, and why they count
``iptext``   text of ``ip xfrm`` read back (``iptext_lines``: line by line), and without its keys (``iptext_scrub``)
``records``  SAs and policies as shown, decoded when looked at; ``events``, ``info``: what else it tells
``to_wire``, ``from_wire``  values to bytes, bytes to values
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyxfrm.client import verbs
    from pyxfrm.client.aio import AsyncEventStream, AsyncXfrm
    from pyxfrm.client.batch import Batch, Ticket
    from pyxfrm.client.probe import Probe, Support
    from pyxfrm.client.records import PolicyRecord, SaRecord
    from pyxfrm.client.request import Done, Request
    from pyxfrm.client.safety import AmbiguousError, Moved, Pick, ShadowedError, UnprovenError
    from pyxfrm.client.stream import EventStream
    from pyxfrm.client.xfrm import Xfrm
    from pyxfrm.transport.base import Group

__all__ = [
    "AmbiguousError",
    "AsyncEventStream",
    "AsyncXfrm",
    "Batch",
    "Done",
    "EventStream",
    "Group",
    "Moved",
    "Pick",
    "PolicyRecord",
    "Probe",
    "Request",
    "SaRecord",
    "ShadowedError",
    "Support",
    "Ticket",
    "UnprovenError",
    "Xfrm",
    "verbs",
]

# Where each name is: loaded when it is first asked for, since a command that lists one SA should not wait for all of this.
_HOMES = {
    "AmbiguousError": "pyxfrm.client.safety",
    "AsyncEventStream": "pyxfrm.client.aio",
    "AsyncXfrm": "pyxfrm.client.aio",
    "Batch": "pyxfrm.client.batch",
    "Done": "pyxfrm.client.request",
    "EventStream": "pyxfrm.client.stream",
    "Group": "pyxfrm.transport.base",
    "Moved": "pyxfrm.client.safety",
    "Pick": "pyxfrm.client.safety",
    "PolicyRecord": "pyxfrm.client.records",
    "Probe": "pyxfrm.client.probe",
    "Request": "pyxfrm.client.request",
    "SaRecord": "pyxfrm.client.records",
    "ShadowedError": "pyxfrm.client.safety",
    "Support": "pyxfrm.client.probe",
    "Ticket": "pyxfrm.client.batch",
    "UnprovenError": "pyxfrm.client.safety",
    "Xfrm": "pyxfrm.client.xfrm",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
