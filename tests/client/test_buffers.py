"""Batches that are larger than a socket's buffers, on a real kernel: what is not known is said to be unknown, and nothing hangs."""

from __future__ import annotations

import socket
import sys
import time
from typing import Any

import pytest

from pyxfrm.client import Xfrm, verbs
from pyxfrm.errors import RefusedError, TransportError
from pyxfrm.lab import Lab
from pyxfrm.transport.kernel import KernelTransport
from tests.client.scenarios import numbered

COUNT = 3000
SMALL = 2304  # bytes: the least that a socket can be given (include/net/sock.h: SOCK_MIN_RCVBUF)


def refusals(receive_buffer: int) -> dict[str, Any]:
    """Delete what is not there, but for every hundredth; runs in the guest."""
    transport = KernelTransport(receive_buffer=receive_buffer)
    with Xfrm() as other, Xfrm(transport=transport) as xfrm:
        there = range(0x100, 0x100 + COUNT, 100)
        other.batch(verbs.add_sa(numbered(spi)) for spi in there).check()
        began = time.monotonic()
        batch = xfrm.batch(verbs.delete_sa(numbered(spi).id) for spi in range(0x100, 0x100 + COUNT))
        took = time.monotonic() - began
        wrong = 0
        counts = {"done": 0, "refused": 0, "unknown": 0}
        for spi, ticket in enumerate(batch, 0x100):
            kind = {RefusedError: "refused", TransportError: "unknown"}.get(type(ticket.error))
            counts[kind or "done"] += 1
            wrong += kind == ("refused" if spi in there else None)
        return {**counts, "wrong": wrong, "took": took, "left": other.sad_info().sas}


@pytest.mark.kernel
def test_refusals_that_do_not_fit_are_unknown_and_never_taken_for_success(lab72: Lab) -> None:
    told = lab72.call("tests.client.test_buffers:refusals", SMALL)
    assert told["wrong"] == 0
    assert told["unknown"] > COUNT / 2
    assert told["refused"] > 0
    assert told["took"] < 3.0  # a loss is not waited for as long as silence


@pytest.mark.kernel
def test_the_usual_buffer_holds_the_refusals_of_a_whole_datagram(lab72: Lab) -> None:
    told = lab72.call("tests.client.test_buffers:refusals", 8 << 20)
    del told["took"]
    assert told == {
        "done": COUNT // 100,
        "refused": COUNT - COUNT // 100,
        "unknown": 0,
        "wrong": 0,
        "left": 0,
    }


# In the guest's first namespace, which alone has the setting.
NARROW = """
from pathlib import Path
from pyxfrm.client import Xfrm, verbs
from tests.client.scenarios import numbered
setting = Path("/proc/sys/net/core/wmem_default")
before = setting.read_text()
setting.write_text("4608")
try:
    xfrm = Xfrm()
finally:
    setting.write_text(before)
with xfrm:
    xfrm.batch(verbs.add_sa(numbered(spi)) for spi in range(0x100, 0x100 + 2000)).check()
    print(xfrm.sad_info().sas)
    xfrm.flush_sas()
"""


@pytest.mark.kernel
def test_a_machine_with_small_send_buffers_takes_batches_too(lab72: Lab) -> None:
    code = f"import sys; sys.path[:0] = {sys.path}\n{NARROW}"
    done = lab72.run([sys.executable, "-c", code], namespace=False)
    assert (done.stdout.strip(), done.stderr) == (b"2000", b"")


def too_much(_: None) -> dict[str, Any]:
    """A send buffer that was made small behind the transport's back; runs in the guest."""
    transport = KernelTransport()
    with Xfrm(transport=transport) as xfrm, Xfrm() as other:
        transport._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
        try:
            xfrm.batch(verbs.add_sa(numbered(spi)) for spi in range(0x100, 0x200))
        except TransportError as why:
            return {"why": str(why), "sas": other.sad_info().sas, "open": len(xfrm._core.pending)}
    return {}


@pytest.mark.kernel
def test_a_datagram_that_cannot_be_sent_is_an_error_and_nothing_was_done(lab72: Lab) -> None:
    told = lab72.call("tests.client.test_buffers:too_much", None)
    assert "send it in parts" in told["why"]
    assert (told["sas"], told["open"]) == (0, 0)
