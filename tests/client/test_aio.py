"""The asyncio client: the same answers, many askers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pyxfrm.abi.messages import XFRM_MSG_NEWPOLICY, XFRM_MSG_NEWSA
from pyxfrm.client import AsyncEventStream, AsyncXfrm, EventStream, Group, Xfrm, verbs
from pyxfrm.client.events import Event, EventsLost, SaAdded, SaExpired, SasFlushed
from pyxfrm.engine import Engine
from pyxfrm.errors import RefusedError, TransportError
from pyxfrm.model import Limits
from pyxfrm.transport.base import LOST, Lost
from pyxfrm.transport.faults import FaultInjector, Faults
from pyxfrm.transport.local import EngineHost
from pyxfrm.transport.server import serving
from tests.client.scenarios import SA, numbered
from tests.client.scripted import Scripted, Stalled
from tests.transport.bytes import MULTI, ack, message

Scenario = Callable[[AsyncXfrm], Awaitable[None]]


@asynccontextmanager
async def remote(path: Path) -> AsyncIterator[AsyncXfrm]:
    with serving(EngineHost(Engine()), path):
        async with AsyncXfrm.connect(path) as xfrm:
            yield xfrm


@pytest.fixture(params=["local", "remote"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], None]:
    def run_it(scenario: Scenario) -> None:
        async def main() -> None:
            if request.param == "local":
                async with AsyncXfrm.engine(Engine()) as xfrm:
                    await scenario(xfrm)
            else:
                async with remote(tmp_path / "xfrm") as xfrm:
                    await scenario(xfrm)

        asyncio.run(asyncio.wait_for(main(), 30))

    return run_it


def test_many_ask_at_once_and_each_gets_its_own_answer(run: Callable[[Scenario], None]) -> None:
    async def scenario(xfrm: AsyncXfrm) -> None:
        async def one(spi: int) -> int:
            await xfrm.add_sa(numbered(spi))
            if spi % 3 == 0:
                with pytest.raises(RefusedError) as caught:
                    await xfrm.add_sa(numbered(spi))
                assert caught.value.errno == errno.EEXIST
            return (await xfrm.get_sa(numbered(spi).id)).spi

        found = await asyncio.gather(*(one(spi) for spi in range(0x100, 0x200)))
        assert found == list(range(0x100, 0x200))
        async for record in xfrm.sas():
            await xfrm.delete_sa(record.id)
        assert (await xfrm.sad_info()).sas == 0

    run(scenario)


def test_a_batch(run: Callable[[Scenario], None]) -> None:
    async def scenario(xfrm: AsyncXfrm) -> None:
        tickets = await xfrm.batch([verbs.add_sa(numbered(5))] * 2 + [verbs.flush_sas()] * 800)
        assert [getattr(t.error, "errno", 0) for t in tickets[:3]] == [0, errno.EEXIST, 0]
        assert len(tickets) == 802

    run(scenario)


def test_events_wake_the_listener(run: Callable[[Scenario], None]) -> None:
    async def scenario(xfrm: AsyncXfrm) -> None:
        async with xfrm.events(Group.SA) as events:

            async def listen() -> list[int]:
                heard: list[int] = []
                async for event in events:
                    assert isinstance(event, SaAdded)
                    heard.append(event.sa.spi)
                    if len(heard) == 20:
                        break
                return heard

            listener = asyncio.create_task(listen())
            for spi in range(0x100, 0x100 + 20):
                await asyncio.sleep(0)
                await xfrm.add_sa(numbered(spi))
            assert await listener == list(range(0x100, 0x100 + 20))

    run(scenario)


def test_a_slow_listener_learns_that_events_are_missing() -> None:
    async def main() -> None:
        async with AsyncXfrm.engine(Engine()) as xfrm, xfrm.events(Group.SA) as events:
            await xfrm.batch(verbs.add_sa(numbered(spi)) for spi in range(0x100, 0x100 + 1000))
            kinds: list[type] = []
            with contextlib.suppress(TimeoutError):
                while True:
                    kinds.append(type(await asyncio.wait_for(anext(aiter(events)), 0.5)))
            assert kinds.count(EventsLost) == 1
            assert set(kinds) == {SaAdded, EventsLost}
            await xfrm.flush_sas()
            assert type(await anext(aiter(events))) is SasFlushed

    asyncio.run(asyncio.wait_for(main(), 30))


def test_an_engines_timers_run_under_the_event_loop() -> None:
    async def main() -> None:
        async with AsyncXfrm.engine(Engine()) as xfrm, xfrm.events(Group.EXPIRE) as events:
            await xfrm.add_sa(replace(SA, limits=Limits(hard_add=1)))
            event = await asyncio.wait_for(anext(aiter(events)), 20)
            assert isinstance(event, SaExpired)
            assert event.hard

    asyncio.run(main())


def test_one_who_waits_in_vain_does_not_hold_up_the_others() -> None:
    async def main() -> None:
        transport = Scripted(lambda _: [], lambda data: [ack(data)])
        xfrm = AsyncXfrm(transport=transport, timeout=60)
        vain = asyncio.create_task(xfrm.flush_sas())
        await asyncio.sleep(0)
        await asyncio.wait_for(xfrm.flush_sas(), 30)
        assert not vain.done()
        vain.cancel()
        await asyncio.gather(vain, return_exceptions=True)


def test_one_who_waits_in_vain_is_told_in_the_end() -> None:
    async def main() -> None:
        xfrm = AsyncXfrm(transport=Scripted(lambda _: []), timeout=0.05)
        with pytest.raises(TransportError, match=r"no answer in 0\.05 s"):
            await xfrm.flush_sas()

    asyncio.run(main())


def test_a_loss_cuts_the_wait_short() -> None:
    async def main() -> None:
        xfrm = AsyncXfrm(transport=Scripted(lambda _: [LOST]), timeout=60)
        with pytest.raises(TransportError, match="answers were lost"):
            await asyncio.wait_for(xfrm.flush_sas(), 10)

    asyncio.run(main())


def test_a_cancelled_request_leaves_nothing_behind() -> None:
    async def main() -> None:
        xfrm = AsyncXfrm(transport=Scripted(lambda _: [], lambda data: [ack(data)]), timeout=60)
        task = asyncio.create_task(xfrm.flush_sas())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await xfrm.flush_sas()
        assert xfrm._core.pending == []
        assert xfrm._waiting == []

    asyncio.run(main())


def test_an_answer_that_came_in_time_counts_however_late_it_is_looked_for() -> None:
    async def main() -> None:
        xfrm = AsyncXfrm(transport=Stalled(1), timeout=0.02)
        await asyncio.wait_for(xfrm.flush_sas(), 30)

    asyncio.run(main())


def test_a_cancelled_batch_leaves_nothing_behind() -> None:
    async def main() -> None:
        xfrm = AsyncXfrm(transport=Scripted(lambda _: [], lambda data: [ack(data)]), timeout=60)
        task = asyncio.create_task(xfrm.batch([verbs.flush_sas()] * 3))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await xfrm.flush_sas()
        assert xfrm._core.pending == []

    asyncio.run(main())


@pytest.mark.parametrize("table", ["sas", "policies"])
@pytest.mark.parametrize("leave", ["cancel", "close"])
def test_a_dump_that_is_left_in_its_middle_closes_its_port(table: str, leave: str) -> None:
    async def main() -> None:
        kind = {"sas": XFRM_MSG_NEWSA, "policies": XFRM_MSG_NEWPOLICY}[table]
        stops = Scripted(lambda _: [message(kind, MULTI, 1, 77, bytes(224))])
        dump = getattr(AsyncXfrm(transport=Scripted(others=[stops]), timeout=60), table)()
        await asyncio.wait_for(anext(dump), 30)
        assert not stops.closed
        if leave == "cancel":
            task = asyncio.ensure_future(anext(dump))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await dump.aclose()
        assert stops.closed

    asyncio.run(main())


def nothing_is_watched(loop: asyncio.AbstractEventLoop) -> bool:
    """Save the loop's own waking."""
    return len(loop._selector.get_map()) == 1  # type: ignore[attr-defined]


def test_who_waits_for_an_event_is_told_when_the_stream_is_closed(
    run: Callable[[Scenario], None],
) -> None:
    async def scenario(xfrm: AsyncXfrm) -> None:
        events = xfrm.events(Group.SA)

        async def listen() -> list[Event]:
            return [event async for event in events]

        listeners = [asyncio.create_task(listen()) for _ in range(2)]
        await asyncio.sleep(0)
        await xfrm.add_sa(SA)
        while not any(task.done() for task in listeners):
            await asyncio.sleep(0)
            events.close()
        heard = await asyncio.gather(*listeners)
        assert sum(len(each) for each in heard) <= 1
        assert nothing_is_watched(asyncio.get_running_loop())
        with pytest.raises(TransportError, match="closed"):
            await events.poll()

    run(scenario)


def test_each_event_is_heard_by_one_of_those_who_share_a_stream(
    run: Callable[[Scenario], None],
) -> None:
    async def scenario(xfrm: AsyncXfrm) -> None:
        async with xfrm.events(Group.SA) as events:
            listeners = [asyncio.create_task(anext(events)) for _ in range(3)]
            for spi in (0x100, 0x101, 0x102):
                await asyncio.sleep(0)
                await xfrm.add_sa(numbered(spi))
            heard = await asyncio.gather(*listeners)
            assert sorted(e.sa.spi for e in heard if isinstance(e, SaAdded)) == [
                0x100,
                0x101,
                0x102,
            ]

    run(scenario)


def test_events_are_polled_and_drained(run: Callable[[Scenario], None]) -> None:
    async def scenario(xfrm: AsyncXfrm) -> None:
        async with xfrm.events(Group.SA) as events:
            assert await events.poll() is None
            assert await events.poll(0.01) is None
            await xfrm.add_sa(SA)
            assert isinstance(await events.poll(20), SaAdded)
            await xfrm.flush_sas()
            await xfrm.add_sa(SA)
            heard: list[Event] = []
            while len(heard) < 2:
                heard += await events.drain()
                await asyncio.sleep(0)
            assert [type(event) for event in heard] == [SasFlushed, SaAdded]

    run(scenario)


def test_who_waits_for_an_answer_is_told_when_the_client_is_closed() -> None:
    """And the descriptor's number is free for others, for the event loop, too."""

    class Silent(FaultInjector):
        def recv(self) -> bytes | Lost | None:
            return None

    async def main() -> None:
        silent = Silent(EngineHost(Engine()).connect(), 0, Faults())
        xfrm = AsyncXfrm(transport=silent, timeout=60)
        tasks = [asyncio.create_task(xfrm.flush_sas()) for _ in range(2)]
        await asyncio.sleep(0.01)
        fd = silent.fileno()
        xfrm.close()
        for task in tasks:
            with pytest.raises(TransportError, match="the client was closed"):
                await asyncio.wait_for(task, 30)
        assert nothing_is_watched(asyncio.get_running_loop())
        assert fd >= 0

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(5))
def test_faults_do_not_confuse_it(seed: int) -> None:
    async def main() -> None:
        host = EngineHost(Engine())
        faults = Faults(drop=0.05, duplicate=0.1, delay=0.2, enobufs=0.05, eintr=0.1)
        shaky = FaultInjector(host.connect(), seed, faults)
        xfrm = AsyncXfrm(transport=shaky, timeout=0.05)

        async def add(spi: int) -> int | None:
            try:
                await xfrm.add_sa(numbered(spi))
            except TransportError:
                return None
            return spi

        added = await asyncio.gather(*(add(spi) for spi in range(0x100, 0x120)))
        there = {r.spi for r in Xfrm(transport=host.connect()).sas()}
        assert {spi for spi in added if spi} <= there
        assert any(added)

    asyncio.run(main())


@pytest.mark.parametrize(("plain", "awaited"), [(Xfrm, AsyncXfrm), (EventStream, AsyncEventStream)])
def test_both_clients_have_the_same_methods(plain: type, awaited: type) -> None:
    """Same names, same arguments; only the waiting differs."""
    own = {"dump", "sas", "policies", "events", "close"}
    for name, method in inspect.getmembers(plain, callable):
        if name.startswith("_"):
            continue
        other = getattr(awaited, name)
        assert list(inspect.signature(method).parameters) == list(
            inspect.signature(other).parameters
        ), name
        if name not in own and not inspect.ismethod(method):
            assert inspect.iscoroutinefunction(other), name
