"""What a message costs the engine, from its bytes to the ACK and the notification, with few and with many SAs.

Each round is one message (a dump: all of its messages, so divide by the number of SAs). Somebody listens to all groups but AEVENTS, so that every
notification is built and queued; reading the queues is part of the round.

``crowded`` is the worst that SAs can have in common: addresses, SPI, reqid and the number of an ACQUIRE; only marks tell them apart. It should cost
what the others do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST
from pyxfrm.abi.structs import (
    AlgoAead,
    Id,
    LifetimeCfg,
    LifetimeCur,
    MarkVM,
    Selector,
    Stats,
    UserMigrateState,
    UserSaId,
    UserSaInfo,
)
from pyxfrm.abi.xfrm import (
    AF_INET,
    IPPROTO_ESP,
    XFRM_INF,
    XFRM_MODE_TUNNEL,
    XFRMNLGRP_AEVENTS,
    XFRMNLGRP_MAX,
)
from pyxfrm.engine.core import Engine
from pyxfrm.engine.port import Port
from pyxfrm.wire.messages import build

SIZES = [1_000, 100_000]
ROUNDS = 1_000  # of each kind; also how many SAs a round may use up
NOW = 1_700_000_000.0
HERE = bytes((192, 0, 2, 1)) + bytes(12)
THERE = bytes((192, 0, 2, 2)) + bytes(12)
ELSEWHERE = bytes((203, 0, 113, 2)) + bytes(12)
ASK = NLM_F_REQUEST | NLM_F_ACK
ANY = Selector(bytes(16), bytes(16), 0, 0, 0, 0, AF_INET, 0, 0, 0, 0, 0)
NO_LIMITS = LifetimeCfg(XFRM_INF, XFRM_INF, XFRM_INF, XFRM_INF, 0, 0, 0, 0)
KEY = AlgoAead(b"rfc4106(gcm(aes))".ljust(64, b"\0"), 288, 128, bytes(range(36)))

sizes = pytest.mark.parametrize("world", SIZES, indirect=True, ids=lambda n: f"{n}-SAs")


def new_sa(spi: int, mark: int = 0) -> bytes:
    info = UserSaInfo(
        ANY,
        Id(THERE, spi, IPPROTO_ESP),
        HERE,
        NO_LIMITS,
        LifetimeCur(0, 0, 0, 0),
        Stats(0, 0, 0),
        7 if mark else 0,
        1,
        AF_INET,
        XFRM_MODE_TUNNEL,
        32,
        0,
    )
    attrs = [(m.XFRMA_ALG_AEAD, KEY), *marked(mark)]
    return build(m.XFRM_MSG_NEWSA, ASK, info, attrs, seq=spi).encode()


def marked(mark: int) -> list[tuple[int, MarkVM]]:
    return [(m.XFRMA_MARK, MarkVM(mark, 0xFFFFFFFF))] if mark else []


def name_sa(kind: int, spi: int, mark: int = 0) -> bytes:
    flags = NLM_F_REQUEST if kind == m.XFRM_MSG_GETSA else ASK
    body = UserSaId(THERE, spi, AF_INET, IPPROTO_ESP)
    return build(kind, flags, body, marked(mark), seq=spi).encode()


def move_sa(spi: int, old: bytes, new: bytes, mark: int = 0) -> bytes:
    old_mark = MarkVM(mark, 0xFFFFFFFF if mark else 0)
    body = UserMigrateState(
        UserSaId(old, spi, AF_INET, IPPROTO_ESP), new, HERE, old_mark, ANY, 1, 0, AF_INET, 0
    )
    return build(m.XFRM_MSG_MIGRATE_STATE, ASK, body, seq=spi).encode()


class World:
    """An engine with ``size`` SAs, SPIs from 256 on, and two sockets: one that asks, one that listens."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.engine = Engine()
        self.port: Port = self.engine.port(1, ext_ack=True, cap_ack=True, rcvbuf=1 << 30)
        self.fill(range(256, 256 + size))
        groups = [g for g in range(1, XFRMNLGRP_MAX + 1) if g != XFRMNLGRP_AEVENTS]
        self.listener: Port = self.engine.port(2, groups, rcvbuf=1 << 30)

    def fill(self, spis: range) -> None:
        for spi in spis:
            self.engine.handle(new_sa(spi), self.port, NOW)

    def ask(self, message: bytes) -> list[bytes]:
        got = self.engine.handle(message, self.port, NOW)
        while self.engine.receive(self.listener) is not None:
            pass
        return got

    def spis(self) -> range:
        """SAs for the rounds, spread over the table."""
        return range(256, 256 + self.size, max(1, self.size // ROUNDS))


class Crowded(World):
    """SAs that only marks tell apart."""

    def fill(self, spis: range) -> None:
        for mark in spis:
            self.engine.handle(new_sa(256, mark), self.port, NOW)


_WORLDS: dict[int, World] = {}


@pytest.fixture
def world(request: pytest.FixtureRequest) -> World:
    """One world a size: every benchmark leaves it as it was."""
    if request.param not in _WORLDS:
        _WORLDS[request.param] = World(request.param)
    return _WORLDS[request.param]


def rounds(benchmark: Any, world: World, messages: list[bytes]) -> None:
    """Each message is one round."""
    left: Iterator[bytes] = iter(messages)
    answers: list[list[bytes]] = []

    def one(message: bytes) -> None:
        answers.append(world.ask(message))

    def setup() -> tuple[tuple[bytes], dict[str, Any]]:
        return (next(left),), {}

    benchmark.pedantic(one, setup=setup, rounds=len(messages))
    assert all(len(got) == 1 for got in answers)
    assert not any(refused(got[0]) for got in answers)


def refused(answer: bytes) -> bool:
    return answer[4:6] == b"\2\0" and answer[16:20] != bytes(4)


@sizes
def test_newsa(benchmark: Any, world: World) -> None:
    first = 256 + world.size
    spis = range(first, first + ROUNDS)
    rounds(benchmark, world, [new_sa(spi) for spi in spis])
    for spi in spis:
        world.ask(name_sa(m.XFRM_MSG_DELSA, spi))


@sizes
def test_migrate_state(benchmark: Any, world: World) -> None:
    rounds(benchmark, world, [move_sa(spi, THERE, ELSEWHERE) for spi in world.spis()])
    for spi in world.spis():
        world.ask(move_sa(spi, ELSEWHERE, THERE))


@sizes
def test_getsa(benchmark: Any, world: World) -> None:
    rounds(benchmark, world, [name_sa(m.XFRM_MSG_GETSA, spi) for spi in world.spis()])


@sizes
def test_delsa(benchmark: Any, world: World) -> None:
    rounds(benchmark, world, [name_sa(m.XFRM_MSG_DELSA, spi) for spi in world.spis()])
    for spi in world.spis():
        world.ask(new_sa(spi))


@pytest.fixture(scope="module")
def crowded() -> Crowded:
    return Crowded(SIZES[-1])


def test_crowded_newsa(benchmark: Any, crowded: Crowded) -> None:
    first = 256 + crowded.size
    marks = range(first, first + ROUNDS)
    rounds(benchmark, crowded, [new_sa(256, mark) for mark in marks])
    for mark in marks:
        crowded.ask(name_sa(m.XFRM_MSG_DELSA, 256, mark))


def test_crowded_migrate_state(benchmark: Any, crowded: Crowded) -> None:
    marks = crowded.spis()
    rounds(benchmark, crowded, [move_sa(256, THERE, ELSEWHERE, mark) for mark in marks])
    for mark in marks:
        crowded.ask(move_sa(256, ELSEWHERE, THERE, mark))


def test_crowded_getsa(benchmark: Any, crowded: Crowded) -> None:
    messages = [name_sa(m.XFRM_MSG_GETSA, 256, mark) for mark in crowded.spis()]
    rounds(benchmark, crowded, messages)


def test_crowded_delsa(benchmark: Any, crowded: Crowded) -> None:
    marks = crowded.spis()
    rounds(benchmark, crowded, [name_sa(m.XFRM_MSG_DELSA, 256, mark) for mark in marks])
    for mark in marks:
        crowded.ask(new_sa(256, mark))


@sizes
def test_dump(benchmark: Any, world: World) -> None:
    message = build(m.XFRM_MSG_GETSA, NLM_F_REQUEST | NLM_F_DUMP).encode()
    dump: Callable[[], list[bytes]] = lambda: world.ask(message)  # noqa: E731
    got = benchmark.pedantic(dump, rounds=5 if world.size > 10_000 else 50)
    assert sum(map(len, got)) > world.size * 300
