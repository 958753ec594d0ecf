"""The client against scripts and engines."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2
from pyxfrm.client import Group, Xfrm, verbs
from pyxfrm.client.events import (
    EventsLost,
    PolicyAdded,
    SaAdded,
    SasFlushed,
)
from pyxfrm.client.request import Done, Request
from pyxfrm.engine import Engine
from pyxfrm.errors import InterruptedDumpError, RefusedError, TransportError
from pyxfrm.model import (
    Encap,
    Migration,
)
from pyxfrm.transport.base import LOST
from pyxfrm.transport.faults import FaultInjector, Faults
from pyxfrm.transport.local import EngineHost
from pyxfrm.transport.recorder import Recorder
from pyxfrm.transport.recording import read
from pyxfrm.transport.replayer import Replayer
from pyxfrm.transport.tracer import Tracer
from tests.client.scenarios import KEY, POLICY, SA, THERE, numbered
from tests.client.scripted import Scripted, Stalled
from tests.transport.bytes import MULTI, NLMSG_DONE, ack, error, message


@pytest.fixture
def xfrm() -> Iterator[Xfrm]:
    with Xfrm.engine(Engine()) as client:
        yield client


# -- events ------------------------------------------------------------------------------------------


def test_only_the_groups_asked_for_are_heard(xfrm: Xfrm) -> None:
    with xfrm.events(Group.POLICY) as events:
        xfrm.add_sa(SA)
        xfrm.add_policy(POLICY)
        event = events.poll(5)
        assert isinstance(event, PolicyAdded)
        assert event.policy.priority == 10
        assert events.drain() == []


def test_a_slow_listener_learns_that_events_are_missing() -> None:
    with Xfrm.engine(Engine()) as xfrm, xfrm.events(Group.SA) as events:
        xfrm.batch(verbs.add_sa(numbered(spi)) for spi in range(0x100, 0x100 + 1000))
        got = events.drain()
        assert sum(isinstance(e, EventsLost) for e in got) == 1
        xfrm.flush_sas()
        assert isinstance(next(events), SasFlushed)


# -- what goes wrong -----------------------------------------------------------------------------


def test_no_answer_is_an_error_after_the_timeout() -> None:
    transport = Scripted(lambda _: [])
    xfrm = Xfrm(transport=transport, timeout=0.02)
    with pytest.raises(
        TransportError, match=r"FLUSHSA: no answer in 0.02 s: it may have been done"
    ):
        xfrm.flush_sas()
    assert transport.waited > 0


def test_a_lost_answer_is_not_waited_for_as_long() -> None:
    transport = Scripted(lambda _: [LOST])
    xfrm = Xfrm(transport=transport, timeout=60)
    with pytest.raises(TransportError, match="answers were lost"):
        xfrm.flush_sas()


def test_an_answer_that_came_in_time_counts_however_late_it_is_looked_for() -> None:
    Xfrm(transport=Stalled(2), timeout=0.02).flush_sas()


def test_a_closed_stream_has_no_more_events(xfrm: Xfrm) -> None:
    events = xfrm.events(Group.SA)
    xfrm.add_sa(SA)
    xfrm.flush_sas()
    heard = []
    for event in events:
        heard.append(type(event))
        events.close()
    assert heard == [SaAdded]
    with pytest.raises(TransportError, match="closed"):
        events.poll()


def test_an_answer_behind_a_loss_counts() -> None:
    xfrm = Xfrm(transport=Scripted(lambda data: [LOST, ack(data)]))
    xfrm.flush_sas()


def test_a_late_answer_is_not_the_next_ones() -> None:
    late: list[bytes] = []

    def keep(data: bytes) -> list[bytes | object]:
        late.append(error(-1, data))
        return []

    transport = Scripted(keep, lambda data: [late[0], ack(data)])  # type: ignore[arg-type]
    xfrm = Xfrm(transport=transport, timeout=0.01)
    with pytest.raises(TransportError):
        xfrm.flush_sas()
    xfrm.flush_sas()


def test_after_silence_the_rest_of_a_batch_is_not_sent() -> None:
    transport = Scripted(lambda _: [])
    xfrm = Xfrm(transport=transport, timeout=0.01)
    tickets = xfrm.batch([verbs.delete_sa(SA.id)] * 3000)
    assert len(tickets) == 3000
    assert len(transport.sent) == 1
    assert all(isinstance(t.error, TransportError) for t in tickets)
    assert "not sent" in str(tickets[-1].error)
    assert "may have been done" in str(tickets[0].error)


def test_a_dump_that_stops_or_was_interrupted() -> None:
    entry = message(0x10, MULTI, 1, 77, bytes(224))
    done = message(NLMSG_DONE, MULTI | 0x10, 1, 77, bytes(4))
    stops, interrupted = Scripted(lambda _: [entry]), Scripted(lambda _: [entry, done])
    xfrm = Xfrm(transport=Scripted(others=[stops, interrupted]), timeout=0.01)
    entries = xfrm.sas()
    next(entries)
    with pytest.raises(TransportError, match="stopped in its middle"):
        next(entries)
    assert stops.closed
    with pytest.raises(InterruptedDumpError):
        list(xfrm.sas())
    assert interrupted.closed


@pytest.mark.parametrize("seed", range(30))
def test_whatever_fails_nothing_is_believed_that_did_not_happen(seed: int) -> None:
    """An SA reported as added is there; one reported as refused by an injected error is not."""
    engine = EngineHost(Engine())
    faults = Faults(
        drop=0.05, duplicate=0.1, delay=0.1, enobufs=0.05, refuse=0.1, eintr=0.1, errno=errno.ENOMEM
    )
    shaky = FaultInjector(engine.connect(), seed, faults)
    xfrm = Xfrm(transport=shaky, timeout=0.005)
    outcome: dict[int, str] = {}
    for spi in range(0x100, 0x100 + 60):
        try:
            xfrm.add_sa(numbered(spi))
        except RefusedError as no:
            outcome[spi] = "refused" if no.errno == errno.ENOMEM else "other"
        except TransportError:
            outcome[spi] = "unknown"
        else:
            outcome[spi] = "added"
    there = {r.spi for r in Xfrm(transport=engine.connect()).sas()}
    assert {spi for spi, what in outcome.items() if what == "added"} <= there
    assert not {spi for spi, what in outcome.items() if what == "refused"} & there
    assert "other" not in outcome.values()
    assert "added" in outcome.values()


def test_an_old_kernel_refuses_the_new_message() -> None:
    xfrm = Xfrm.engine(Engine(LINUX_6_12))
    xfrm.add_sa(SA)
    with pytest.raises(RefusedError) as caught:
        xfrm.migrate_sa(Migration.of(SA, daddr=THERE))
    assert caught.value.errno == errno.EINVAL
    assert xfrm.get_sa(SA.id).sa == SA


def test_the_attribute_at_fault_is_named() -> None:
    xfrm = Xfrm.engine(Engine(LINUX_7_2))
    xfrm.add_sa(replace(SA, encap=Encap(4500, 4500)))
    whole = verbs.migrate_sa(Migration.of(SA))
    request: Request[Done] = Request(whole.type, whole.payload + b"\x08\0\x1f\0\5\0\0\0")  # IF_ID
    with pytest.raises(RefusedError) as caught:
        xfrm.call(request)
    assert caught.value.attribute == "XFRMA_IF_ID"
    assert caught.value.text == "Unsupported attribute in XFRM_MSG_MIGRATE_STATE"


# -- around it -----------------------------------------------------------------------------------


def test_a_trace_shows_no_key() -> None:
    out = io.StringIO()
    with Xfrm(transport=Tracer(EngineHost(Engine()).connect(), out)) as xfrm:
        xfrm.add_sa(SA)
        list(xfrm.sas())
    assert "XFRM_MSG_NEWSA" in out.getvalue()
    assert KEY.hex() not in out.getvalue()


def test_a_recorded_run_can_be_played_to_the_same_client(tmp_path: Path) -> None:
    def work(xfrm: Xfrm) -> list[object]:
        xfrm.add_sa(SA)
        moved = xfrm.migrate_sa(Migration.of(SA, daddr=THERE), verify=True)
        found: list[object] = [moved.warning, *[r.sa for r in xfrm.sas()]]
        xfrm.delete_sa(moved.move.new_id)
        return found

    path = tmp_path / "run.jsonl"
    with path.open("w") as out:
        recorder = Recorder(EngineHost(Engine()).connect(), out)
        with Xfrm(transport=recorder) as xfrm:
            told = work(xfrm)
    played = Replayer(read(path))
    assert work(Xfrm(transport=played)) == told
    assert played.finished


def test_a_dump_of_many_holds_few() -> None:
    xfrm = Xfrm.engine(Engine())
    xfrm.batch(verbs.add_sa(numbered(spi)) for spi in range(0x100, 0x100 + 10_000))
    tracemalloc.start()
    count = sum(1 for _ in xfrm.sas())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 10_000
    assert peak < 2_000_000  # all of them are 4.5 MB


def test_every_public_name_is_there_and_has_one_home() -> None:
    import pyxfrm.client

    names = {name: getattr(pyxfrm.client, name) for name in pyxfrm.client.__all__}
    for name, thing in names.items():
        assert getattr(thing, "__name__", name).rpartition(".")[2] == name
    assert set(pyxfrm.client._HOMES) == set(names) - {"verbs"}
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        pyxfrm.client.Nothing  # noqa: B018


def test_importing_the_client_is_cheap() -> None:
    code = "import sys, pyxfrm.client; print(*sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(out.stdout.split())
    assert not loaded & {"asyncio", "rich", "cryptography", "pyroute2", "pyxfrm.engine", "json"}
