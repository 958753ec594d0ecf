"""Every scenario on every lane: an engine here, one behind a socket, under asyncio; and Linux 7.2 in the lab."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from pyxfrm.client import AsyncXfrm, EventStream, Xfrm
from pyxfrm.engine import Engine
from pyxfrm.lab import Lab
from pyxfrm.transport.base import ALL_GROUPS
from pyxfrm.transport.local import EngineHost
from pyxfrm.transport.server import serving
from tests.client.scenarios import SCENARIOS, Told, plain

names = pytest.mark.parametrize("name", SCENARIOS)


class Awaited:
    """An asyncio client that waits for everything at once, so that a scenario can be played on it."""

    def __init__(self, xfrm: AsyncXfrm, loop: asyncio.AbstractEventLoop) -> None:
        self.xfrm = xfrm
        self.loop = loop
        self.transport = xfrm.transport

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.xfrm, name)

        def call(*arguments: Any, **named: Any) -> Any:
            result = method(*arguments, **named)
            if hasattr(result, "__aiter__"):
                return iter(self.loop.run_until_complete(self.collect(result)))
            return self.loop.run_until_complete(result)

        return call

    @staticmethod
    async def collect(entries: Any) -> list[Any]:
        return [entry async for entry in entries]

    def events(self, *groups: Any) -> EventStream:
        return EventStream(self.xfrm.transport.sibling(groups or ALL_GROUPS))


def on_engine(name: str) -> Told:
    with Xfrm.engine(Engine()) as xfrm:
        return plain(SCENARIOS[name](xfrm))


@names
def test_local(name: str) -> None:
    on_engine(name)


@names
def test_asyncio(name: str) -> None:
    told = on_engine(name)
    loop = asyncio.new_event_loop()
    try:
        xfrm = Awaited(AsyncXfrm.engine(Engine()), loop)
        assert plain(SCENARIOS[name](cast(Xfrm, xfrm))) == told
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@names
def test_remote(name: str, tmp_path: Path) -> None:
    told = on_engine(name)
    with (
        serving(EngineHost(Engine()), tmp_path / "xfrm"),
        Xfrm.connect(tmp_path / "xfrm") as xfrm,
    ):
        assert plain(SCENARIOS[name](xfrm)) == told


@pytest.fixture(scope="session")
def linux72(lab72: Lab) -> dict[str, Any]:
    """What each scenario was told by Linux 7.2; each in a namespace of its own."""
    played = lab72.map("tests.client.scenarios:play", list(SCENARIOS))
    return dict(zip(SCENARIOS, played, strict=True))


@pytest.mark.kernel
@names
def test_linux(name: str, linux72: dict[str, Any]) -> None:
    result = linux72[name]
    assert result.error == "", result.traceback
    assert result.value == on_engine(name)
