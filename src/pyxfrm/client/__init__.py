"""Talk to any XFRM: a kernel's, or an engine's.

    from pyxfrm.client import Xfrm

    with Xfrm() as xfrm:
        for sa in xfrm.sas():
            print(sa.id, sa.replay.oseq)

``xfrm``     :class:`Xfrm`, the client; ``aio``: :class:`AsyncXfrm`, the same for asyncio; ``stream``: events as they come
``verbs``    every message as a function that makes a :class:`Request`, for batches
``core``     requests and answers without IO; ``request``: one of them; ``procedure``: several with decisions between
``safety``   whether the kernel takes the SA that is meant, and the proof of a move; ``probe``: what it can do
``records``  SAs and policies as shown, decoded when looked at; ``events``, ``info``: what else it tells
``to_wire``, ``from_wire``  values to bytes, bytes to values
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyxfrm.client import verbs
from pyxfrm.client.core import Ticket
from pyxfrm.client.probe import Probe, Support
from pyxfrm.client.records import PolicyRecord, SaRecord
from pyxfrm.client.request import Done, Request
from pyxfrm.client.safety import Moved, Pick, ShadowedError, UnprovenError
from pyxfrm.client.stream import EventStream
from pyxfrm.client.xfrm import Xfrm
from pyxfrm.transport.base import Group

if TYPE_CHECKING:
    from pyxfrm.client.aio import AsyncEventStream, AsyncXfrm

__all__ = [
    "AsyncEventStream",
    "AsyncXfrm",
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


def __getattr__(name: str) -> Any:
    # asyncio is a fifth of a second on a slow machine: only for those who use it.
    if name in ("AsyncEventStream", "AsyncXfrm"):
        from pyxfrm.client import aio

        return getattr(aio, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
