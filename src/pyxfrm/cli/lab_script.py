"""``xfrm lab script --text``: a conversation in words, as the tracer shows messages."""

from __future__ import annotations

from collections.abc import Iterator

from pyxfrm.errors import errno_name
from pyxfrm.lab.script import Outcome, Script, Send, Step
from pyxfrm.wire import netlink
from pyxfrm.wire.describe import lines, summary

__all__ = ["told_step"]


def told_step(step: Step, outcome: Outcome) -> str:
    """A step and what came of it: ``>`` what is sent, ``<`` what is received, a line a field."""
    socket = str(getattr(step, "socket", ""))
    if isinstance(step, Send):
        told = [*_messages(">", socket, step.data)]
    else:
        (words,) = Script((step,)).to_json()
        told = [" ".join([words.pop("op"), *(f"{name}={value}" for name, value in words.items())])]
    if outcome.errno:
        told.append(f"    refused: {errno_name(outcome.errno)}")
    for one in outcome.received:
        if one.errno:
            told.append(f"< {socket}: {errno_name(one.errno)}")
        told += _messages("<", socket, one.data)
    if outcome.text:
        told.append(outcome.text.rstrip())
    return "\n".join(told)


def _messages(arrow: str, socket: str, datagram: bytes) -> Iterator[str]:
    for start, end in netlink.frames(datagram):
        message = datagram[start:end]
        yield f"{arrow} {socket}: {summary(message)}"
        yield from (f"    {name} = {value}" for name, value in lines(message))
    if left := netlink.leftover(datagram):
        yield f"{arrow} {socket}: {len(left)} bytes that are no message"
