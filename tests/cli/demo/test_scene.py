"""The account of a scene: every packet in it, and what is lost told as lost, with what became of it."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from typing import Any

import pytest

from pyxfrm.cli.demo import moves
from pyxfrm.cli.demo.account import NOBODY, Account, account_of, percentile
from pyxfrm.cli.demo.moves import CONTRAST, JOURNEY, Move, places, play
from pyxfrm.cli.demo.scene import Scene, Script
from pyxfrm.cli.demo.words import reasons
from pyxfrm.errors import TransportError
from pyxfrm.tunnel import Run
from pyxfrm.tunnel.outer import UdpOuter
from pyxfrm.tunnel.place import Place

FAST: dict[str, Any] = {"rate": 200, "pause": 0.001}


def account(script: tuple[Move, ...], seconds: float = 1.0, **options: Any) -> Account:
    """Play it, and look."""
    with Scene(*places(), **{**FAST, **options}) as scene:
        scene.play(play(script, scene, seconds))
        made = account_of(scene)
        assert made.total.sent == sum(side.stream.sent for side in scene.sides)
    return made


class Lossy(UdpOuter):
    """Every tenth packet is lost on the way, and nobody counts it; ``twice``: it goes out a second time instead."""

    twice = False

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.count = 0

    def send(self, run: Run) -> Counter[str]:
        for payload in run.payloads:
            self.count += 1
            times = 1 if self.count % 10 else 2 * self.twice
            for _ in range(times):
                super().send(run._replace(payloads=(payload,), size=len(payload)))
        return Counter()


class Doubling(Lossy):
    """Every tenth packet goes out twice."""

    twice = True


def test_a_move_loses_nothing() -> None:
    made = account(JOURNEY[:5], 1.5)
    assert made.clean
    assert [row.name for row in made.rows] == ["no move", *(move.name for move in JOURNEY[:5])]
    assert [row.calls for row in made.rows] == [0, 10, 4, 10, 2, 10]
    assert all(row.sent == row.received for row in made.rows)
    assert made.total.reasons == Counter()
    before, after = made.rows[4].ways
    assert before != after
    assert "NAT 127.0.0.5:" in before
    assert "NAT 127.0.0.5:" in after


def test_loss_is_told_as_loss() -> None:
    made = account((), 0.5, make=Lossy)
    assert not made.clean
    assert made.total.lost == pytest.approx(made.total.sent / 10, abs=2)
    assert made.total.reasons == Counter({NOBODY: made.total.lost})


def test_a_second_copy_is_refused_and_no_loss() -> None:
    """The replay window sees to it; what it refuses must not be taken for a lost packet."""
    made = account((), 0.5, make=Doubling)
    assert (made.total.lost, made.total.twice) == (0, 0)
    assert made.total.reasons["XfrmInStateSeqError"] > 0
    assert made.clean


def test_without_help_packets_are_lost_and_accounted_for() -> None:
    made = account(CONTRAST, 1.5, rate=500, hold=0.0, drain=0.0, pause=0.004)
    quiet, waiting, copied = made.rows
    assert quiet.bad == 0
    assert waiting.lost > 0
    assert waiting.reused == 0
    assert waiting.reasons["XfrmOutNoStates"] > 0
    assert copied.lost > 0
    assert copied.reused > 0
    for row in made.rows:
        assert row.reasons.total() >= row.lost


class Small(UdpOuter):
    """A socket with room for a few packets, each sent by itself."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.batched = False
        with socket.socket(fileno=os.dup(self.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)


def test_what_the_kernel_had_no_room_for_is_told() -> None:
    """As on a machine that stands still for a moment."""
    with Scene(*places(), rate=500, make=Small) as scene:

        def script() -> Script:
            scene.mark("a pause")
            yield 0.1
            time.sleep(0.4)
            yield 0.1

        scene.play(script())
        total = account_of(scene).total
    assert total.lost > 0
    assert total.reasons["socket buffer was full"] == total.lost
    assert any("too busy for this rate" in line for line in reasons(total))


def test_an_engine_that_is_silent_about_a_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moves, "MappingChanged", int)
    monkeypatch.setattr(moves, "_NOTICE", 0.05)
    with pytest.raises(TransportError, match=r"no MAPPING came in 0\.05 s"):
        account(JOURNEY[2:4], 0.5)


def test_percentile() -> None:
    assert percentile([], 50) == 0
    assert percentile([1, 2, 3, 4], 50) == 3
    assert percentile([1, 2, 3, 4], 100) == 4
