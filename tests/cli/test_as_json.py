"""Lists as JSON that fail on the way: what was printed is a document all the same, and says so."""

from __future__ import annotations

import errno
import io
import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from pyxfrm import cli
from pyxfrm.abi.netlink import NLMSG_ERROR
from pyxfrm.cli import as_json, target
from pyxfrm.cli.schema import json_schema
from pyxfrm.client import Xfrm
from pyxfrm.engine import Engine
from pyxfrm.errors import RefusedError, TransportError
from pyxfrm.transport.base import LOST, Lost, Transport, Wrapper
from pyxfrm.transport.faults import FaultInjector, Faults
from pyxfrm.transport.local import EngineHost
from tests.cli import guest
from tests.cli.schemas import faults

Captured = pytest.CaptureFixture[str]

SCHEMA = json_schema()
KEY = "0x000102030405060708090a0b0c0d0e0f10111213"


def entries(count: int, problem: BaseException | None) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {"number": number}
    if problem:
        raise problem


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_stream_that_does_not_fail_has_no_error(count: int) -> None:
    out = io.StringIO()
    as_json.stream(out, "numbers", entries(count, None))
    assert json.loads(out.getvalue()) == {"schema": 1, "numbers": [*entries(count, None)]}


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize(
    ("problem", "error"),
    [
        (TransportError('a "part"\nwas lost'), r'a "part"\nwas lost'),
        (RefusedError("XFRM_MSG_GETSA", errno.ENOMEM, f"no {KEY}"), "<<Keys hidden>>"),
        (KeyboardInterrupt(), "interrupted"),
    ],
    ids=["lost", "refused", "Ctrl-C"],
)
def test_a_stream_that_fails_is_a_whole_document(
    count: int, problem: BaseException, error: str
) -> None:
    out = io.StringIO()
    with pytest.raises(type(problem)) as raised:
        as_json.stream(out, "numbers", entries(count, problem))
    assert raised.value is problem
    told = json.loads(out.getvalue())
    assert told["numbers"] == [*entries(count, None)]
    assert error in told.pop("error")
    assert [*told] == ["schema", "numbers"]
    assert KEY not in out.getvalue()


def test_entries_are_written_before_the_next_is_asked_for() -> None:
    out = io.StringIO()
    as_json.stream(out, "numbers", ({"before": out.getvalue().count("before")} for _ in "abc"))
    assert [one["before"] for one in json.loads(out.getvalue())["numbers"]] == [0, 1, 2]


class Cut(Wrapper):
    """After its first datagram something else comes."""

    def __init__(self, inner: Transport, *, lost: bool) -> None:
        super().__init__(inner)
        self.lost = lost
        self.received = 0

    def wrap(self, inner: Transport) -> Transport:
        return Cut(inner, lost=self.lost)

    def recv(self) -> bytes | Lost | None:
        self.received += 1
        if self.received == 1:
            return self.inner.recv()
        refused = struct.pack("=IHHIIi16x", 36, NLMSG_ERROR, 0, 1, self.portid, -errno.ENOMEM)
        return LOST if self.lost else refused


def cut(inner: Transport, how: str) -> Transport:
    if how == "changed":
        return FaultInjector(inner, 1, Faults(interrupt=1.0))
    return Cut(inner, lost=how == "lost")


@pytest.mark.parametrize("how", ["lost", "refused", "changed"])
@pytest.mark.parametrize(("name", "what"), [("state", "states"), ("policy", "policies")])
def test_a_list_that_fails_half_way(
    name: str, what: str, how: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    host = EngineHost(Engine())
    with Xfrm(transport=host.connect()) as xfrm:
        guest.fill(xfrm, 1, 300)
        there = len([*(xfrm.sas() if name == "state" else xfrm.policies())])
    monkeypatch.setattr(target, "connect", lambda *_: cut(host.connect(), how))
    assert cli.main(["--json", name, "list"]) == 1
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert 0 < len(told[what]) <= there
    assert (len(told[what]) == there) is (how == "changed")
    assert err == f"xfrm: {told['error']}\n"
    word = {"lost": "a part of the dump was lost", "refused": "ENOMEM", "changed": "changed"}[how]
    assert word in told["error"]
    assert faults(told, SCHEMA, SCHEMA["$defs"]) == []


@pytest.mark.parametrize("name", ["state", "policy"])
def test_a_list_that_is_refused_at_once(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    host = EngineHost(Engine())
    refuse = Faults(refuse=1.0, errno=errno.EPERM)
    monkeypatch.setattr(target, "connect", lambda *_: FaultInjector(host.connect(), 1, refuse))
    assert cli.main(["--json", name, "list"]) == 1
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert "EPERM" in told["error"]
    assert err == f"xfrm: {told['error']}\n"
    assert faults(told, SCHEMA, SCHEMA["$defs"]) == []
