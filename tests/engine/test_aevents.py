"""Replay events: by distance, by time, deferred; the same steps that Linux 7.2.7 was watched at with packets of its own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi.xfrm import XFRM_AE_CE, XFRM_AE_CR, XFRMNLGRP_AEVENTS
from pyxfrm.engine import aevents, traffic
from pyxfrm.engine.sa import Sa
from tests.engine.algos import esn
from tests.engine.helpers import NOW, Talk, add_sa, sa_info

BY_DISTANCE, BY_TIME = XFRM_AE_CR, XFRM_AE_CE
MAXDIFF, MAXAGE = m.XFRMA_REPLAY_THRESH, m.XFRMA_ETIMER_THRESH


class Sender:
    """An SA that sends packets; each action gives the (cause, oseq) of the events it led to."""

    def __init__(self, *attrs: Any, flags: int = 0, listen: bool = True) -> None:
        self.talk = Talk()
        if not listen:
            self.talk.engine.leave(self.talk.listener, XFRMNLGRP_AEVENTS)
        add_sa(self.talk, sa_info(flags=flags), attrs)
        self.sa: Sa = next(iter(self.talk.engine.sadb))
        self.now = NOW
        self.talk.events()

    def told(self) -> list[tuple[int, int]]:
        number = m.XFRMA_REPLAY_ESN_VAL if self.sa.esn else m.XFRMA_REPLAY_VAL
        return [(event.body.flags, event.get(number).oseq) for event in self.talk.events()]

    def packets(self, count: int) -> list[tuple[int, int]]:
        for _ in range(count):
            assert traffic.output(self.talk.engine, self.sa, 38)
        return self.told()

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        self.now += seconds
        self.talk.engine.expire(self.now)
        return self.told()


LEGACY: tuple[Any, ...] = ((), 0)
BITMAP: tuple[Any, ...] = ((esn(2, 64),), 0)
EXTENDED: tuple[Any, ...] = ((esn(2, 64),), 128)


@pytest.mark.parametrize(("attrs", "flags"), [LEGACY, BITMAP, EXTENDED])
def test_defaults(attrs: Any, flags: int) -> None:
    """Two packets or a second; a second without a packet makes the next one tell."""
    sender = Sender(*attrs, flags=flags)
    assert sender.packets(5) == [(BY_DISTANCE, 2), (BY_DISTANCE, 4)]
    assert sender.wait(1.3) == [(BY_TIME, 5)]
    assert sender.packets(2) == [(BY_DISTANCE, 7)]
    assert sender.wait(1.2) == []
    assert sender.wait(1.2) == []
    assert sender.packets(1) == [(BY_TIME, 8)]
    assert sender.wait(1.2) == []
    assert sender.packets(3) == [(BY_TIME, 9), (BY_DISTANCE, 11)]


def test_time_alone() -> None:
    sender = Sender((MAXDIFF, 0), (MAXAGE, 30))
    assert sender.packets(3) == []
    assert sender.wait(0.5) == [(BY_TIME, 3)]
    assert sender.packets(1) == []
    assert sender.wait(0.5) == [(BY_TIME, 4)]
    assert sender.wait(0.5) == []
    assert sender.packets(1) == [(BY_TIME, 5)]


def test_distance_alone() -> None:
    sender = Sender((MAXDIFF, 3), (MAXAGE, 0))
    assert sender.packets(7) == [(BY_DISTANCE, 3), (BY_DISTANCE, 6)]
    assert sender.wait(100) == []
    assert sender.packets(2) == [(BY_DISTANCE, 9)]


def test_neither() -> None:
    sender = Sender((MAXDIFF, 0), (MAXAGE, 0))
    assert sender.packets(50) == sender.wait(100) == sender.packets(1) == []


def test_what_is_set_counts_as_told() -> None:
    sender = Sender((MAXDIFF, 2), (MAXAGE, 0))
    assert sender.packets(1) == []
    now = sender.sa.replay
    sender.sa.told = now
    assert sender.packets(1) == []


def test_an_event_comes_before_its_packet_is_counted() -> None:
    sender = Sender()
    for _ in range(2):
        traffic.output(sender.talk.engine, sender.sa, 38)
    (event,) = sender.talk.events()
    assert event.get(m.XFRMA_LTIME_VAL).packets == 1


def test_one_who_joins_hears_the_timer_that_is_running() -> None:
    sender = Sender(listen=False)
    assert sender.packets(1) == []
    sender.talk.engine.join(sender.talk.listener, XFRMNLGRP_AEVENTS)
    assert sender.wait(0.5) == []
    assert sender.wait(0.6) == [(BY_TIME, 1)]


def test_one_who_joins_late_hears_the_next_packet() -> None:
    sender = Sender(listen=False)
    assert sender.packets(1) == []
    assert sender.wait(1.1) == []
    sender.talk.engine.join(sender.talk.listener, XFRMNLGRP_AEVENTS)
    assert sender.wait(1) == []
    assert sender.packets(1) == [(BY_DISTANCE, 2)]


def test_a_timer_that_nobody_hears_costs_no_deadline() -> None:
    sender = Sender(listen=False)
    assert sender.talk.engine.next_deadline() is None
    sender = Sender()
    assert sender.talk.engine.next_deadline() == NOW + 1
    aevents.stop(sender.talk.engine, sender.sa)
    assert sender.talk.engine.next_deadline() is None


class Slow:
    """The rule of net/xfrm/xfrm_replay.c and its timer told again, with a timer that is always set."""

    def __init__(self, maxdiff: int, maxage: int) -> None:
        self.maxdiff, self.maxage = maxdiff, maxage
        self.seq = self.told = 0
        self.deferred = False
        self.due: float | None = NOW + maxage / 100 if maxage else None
        self.now = NOW
        self.heard: list[tuple[int, int]] = []

    def send(self, cause: int) -> None:
        self.told = self.seq
        self.heard.append((cause, self.seq))
        if self.maxage:
            if self.due is None:
                self.deferred = False
            self.due = self.now + self.maxage / 100

    def packet(self) -> None:
        self.seq += 1
        if self.maxdiff and self.seq - self.told >= self.maxdiff:
            self.send(BY_DISTANCE)
        elif self.deferred:
            self.send(BY_TIME)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.due is not None and self.due <= end:
            self.now, self.due = self.due, None
            if self.seq != self.told:
                self.send(BY_TIME)
            else:
                self.deferred = True
        self.now = end


@given(
    st.integers(0, 4),
    st.integers(0, 200),
    st.lists(st.one_of(st.integers(1, 4), st.floats(0.01, 2.5)), max_size=25),
)
def test_against_a_slow_oracle(maxdiff: int, maxage: int, steps: list[int | float]) -> None:
    sender = Sender((MAXDIFF, maxdiff), (MAXAGE, maxage))
    slow = Slow(maxdiff, maxage)
    heard: list[tuple[int, int]] = []
    for step in steps:
        if isinstance(step, int):
            heard += sender.packets(step)
            for _ in range(step):
                slow.packet()
        else:
            heard += sender.wait(step)
            slow.wait(step)
    assert heard == slow.heard
