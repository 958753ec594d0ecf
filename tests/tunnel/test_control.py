"""Requests that come while packets flow: who is served first, and what has happened by the time that the answer can be read."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pyxfrm.client import Request, verbs
from pyxfrm.client.request import Done
from pyxfrm.model import Action, Direction, Policy, network
from pyxfrm.transport.remote import RemoteTransport
from pyxfrm.tunnel import End, Keys, Queue, Run, Static, Station, Via
from pyxfrm.tunnel.place import Place
from tests.tunnel.pair import LEFT4, RIGHT4, point

NO_DESCRIPTOR = -1


class Device(Queue):
    """An inner side that has a descriptor, as TUN devices have."""

    def __init__(self) -> None:
        super().__init__()
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._fd

    def deadline(self) -> float | None:
        return None

    def put(self, *packets: bytes) -> None:
        super().put(*packets)
        os.eventfd_write(self._fd, 1)

    def read(self, now: float, most: int) -> Sequence[bytes]:
        os.eventfd_read(self._fd)
        return super().read(now, most)

    def close(self) -> None:
        os.close(self._fd)


class Wire:
    """A socket that notes what is sent, and whether the answer could be read by then."""

    def __init__(self, place: Place, scene: Scene) -> None:
        self.place = place
        self.scene = scene

    def fileno(self) -> int:
        return NO_DESCRIPTOR

    def send(self, run: Run) -> Counter[str]:
        self.scene.sent += [self.scene.answered()] * len(run.payloads)
        return Counter()

    def receive(self) -> list[Run]:
        came, self.scene.came = self.scene.came, []
        return came

    def close(self) -> None:
        pass


class Scene:
    """An end with a client that sends without waiting.

    ``sent``  for each packet, whether the client could read an answer before it left; ``came``: what the sockets have
    """

    def __init__(self, path: Path) -> None:
        self.sent: list[bool] = []
        self.came: list[Run] = []
        self.device = Device()
        self.end = End(self.device, hold=60.0, make=lambda place: Wire(place, self))
        self.view = Static(
            *(Keys.fresh(), point("127.0.0.1"), point("127.0.0.2")),
            *([network("10.9.0.1")], [network("10.9.0.2")]),
        )
        self.view.install(self.end.client())
        self.end.serve(path)
        self.port = self._connect(path)
        while _readable(self.end):
            self.end.turn(0)

    def _connect(self, path: Path) -> RemoteTransport:
        ports: list[RemoteTransport] = []
        thread = threading.Thread(target=lambda: ports.append(RemoteTransport(path)))
        thread.start()
        while thread.is_alive():
            self.end.turn(0.01)
        return ports[0]

    def policy(self, action: Action) -> Policy:
        """The outbound one, to let pass or to block."""
        (found,) = (one for one in self.view.policies() if one.dir is Direction.OUT)
        return replace(found, action=action)

    def ask(self, request: Request[Done]) -> None:
        """Send it, as another process does."""
        self.port.send(request.numbered(1, self.port.portid))

    def answered(self) -> bool:
        return self.port.wait(0)

    def packets(self, count: int) -> list[bytes]:
        station = Station(LEFT4)
        station.stream(RIGHT4, rate=1, total=1)
        return list(station.read(self.end.clock(), 1)) * count


def _readable(end: End) -> bool:
    return bool(select.select([end], [], [], 0)[0])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "engine")
    with made.end:
        yield made
    made.port.close()


def test_a_request_does_not_wait_for_packets_that_have_come(scene: Scene) -> None:
    """Both are there in one turn; what was blocked does not leave."""
    scene.device.put(*scene.packets(20))
    scene.ask(verbs.update_policy(scene.policy(Action.BLOCK)))
    scene.end.turn(0)
    assert scene.answered()
    assert scene.sent == []
    assert len(scene.end.datapath.moves.waiting) == 20


def test_what_waited_has_left_when_the_answer_can_be_read(scene: Scene) -> None:
    """In one turn, after which there is nothing to do."""
    scene.end.client().update_policy(scene.policy(Action.BLOCK))
    scene.device.put(*scene.packets(20))
    while _readable(scene.end):
        scene.end.turn(0)
    assert scene.sent == []
    scene.ask(verbs.update_policy(scene.policy(Action.ALLOW)))
    scene.end.turn(0)
    assert scene.sent == [False] * 20
    assert scene.answered()
    assert not _readable(scene.end)


def test_what_waited_leaves_when_another_thread_ends_the_block(scene: Scene) -> None:
    """Nobody is in a turn then: the end is woken."""
    client = scene.end.client()
    client.update_policy(scene.policy(Action.BLOCK))
    scene.device.put(*scene.packets(20))
    while _readable(scene.end):
        scene.end.turn(0)
    client.update_policy(scene.policy(Action.ALLOW))
    assert scene.sent == []
    assert _readable(scene.end)
    scene.end.turn(0)
    assert len(scene.sent) == 20


def test_a_request_that_comes_while_packets_are_opened_is_answered_among_them(scene: Scene) -> None:
    """Packets that take long, as on a slow machine."""
    seen: list[bool] = []

    def tap(out: bool, _: Run) -> None:
        if not out:
            seen.append(scene.answered())
            if len(seen) == 2:
                scene.ask(verbs.update_policy(scene.policy(Action.BLOCK)))
            time.sleep(0.002)

    scene.end.tap = tap
    (place,) = scene.end.outer.places
    scene.came = [Run(Via(place, bytes((127, 0, 0, 2)), 4500), (bytes(64),), 64)] * 5
    scene.end.step(scene.end.clock(), [NO_DESCRIPTOR])
    assert seen == [False, False, True, True, True]
