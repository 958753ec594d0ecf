"""Packets a second through two ends on loopback, against the same loop that copies packets instead of sealing and opening them.

Twice: from memory to memory, where nothing but the loop and the sockets costs time; and, for root, from one TUN device to another, as a VPN end works: a kernel's sender fills one
device, and a socket behind the other counts. Only the turns of the two ends are timed, not the sender.

    pytest benchmarks/bench_tunnel.py --benchmark-only     times of 64 packets, from one end's inner side to the other's
    python -m benchmarks.bench_tunnel                      packets a second and ratios, everything interleaved in one run

Both ends are in this process: the same sockets, runs (UDP_SEGMENT, UDP_GRO), headers and bookkeeping. What copies puts as many bytes around each packet as ESP would (a header
in front, a trailer behind) and takes them off again, with a verdict for each, but has no policies, SAs, numbers or cipher. One flow of IPv4 in IPv4, AES-256-GCM.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from statistics import median
from typing import Any

import pytest

from benchmarks.bench_esp import packets
from pyxfrm.engine.datapath import Verdict
from pyxfrm.engine.datapath.verdict import delivered, protected
from pyxfrm.model import ip, network
from pyxfrm.transport.netns import in_new_netns
from pyxfrm.tunnel import End, Inner, Keys, Point, Static, Tun, Via
from pyxfrm.tunnel.framing import header
from pyxfrm.tunnel.place import UDP, Place

SIZES = (64, 512, 1400)
COUNT = 64
GOAL = 0.75
HERE, THERE = Point(ip("127.0.0.1"), 14561), Point(ip("127.0.0.2"), 14562)
INSIDE, BEYOND = "10.9.0.1", "10.9.0.2"
_ESP, _TAIL = 16, 18  # SPI, number and IV; trailer and ICV


class Sink:
    """An inner side that counts."""

    def __init__(self) -> None:
        self.count = 0

    def fileno(self) -> int:
        return -1

    def deadline(self) -> float | None:
        return None

    def read(self, now: float, most: int) -> Sequence[bytes]:
        raise AssertionError((now, most))

    def write(self, packets: Sequence[bytes], via: Via | None, now: float) -> None:
        assert via is not None or now
        self.count += len(packets)

    def close(self) -> None:
        pass


class Copying:
    """In the place of a data path: the same bytes around each packet, and off again."""

    def __init__(self, size: int) -> None:
        there = Via(Place(THERE.address.packed, UDP, 14562), HERE.address.packed, 14561)
        self.front = header(there, size + _ESP + _TAIL) + bytes(_ESP)
        self.sas: Any = (object(),)
        self.encap_ports: set[int] = set()

    def output_batch(self, some: Iterable[bytes], now: float) -> list[Verdict]:
        assert now
        front, tail, sas = self.front, bytes(_TAIL), self.sas
        return [protected(front + one + tail, None, sas, 0) for one in some]  # type: ignore[arg-type]

    def input_batch(self, some: Iterable[bytes], now: float) -> list[Verdict]:
        assert now
        at, sas = 28 + _ESP, self.sas
        return [delivered(one[at:-_TAIL], None, sas) for one in some]  # type: ignore[arg-type]

    def take(self) -> list[Verdict]:
        return []

    def changed(self) -> None:
        pass


def of_flow(size: int) -> list[bytes]:
    """Different packets of one UDP flow inside."""
    ends = ip(INSIDE).packed + ip(BEYOND).packed
    return [
        one[:9] + b"\x11" + one[10:12] + ends + b"\0\x09\0\x09" + one[24:]
        for one in packets(size)[:COUNT]
    ]


class Rig:
    """Two ends; ``send`` passes a batch through both and gives (packets, seconds)."""

    def __init__(self, inner: tuple[Inner, Inner], size: int, *, copying: bool) -> None:
        self.ends = left, right = End(inner[0]), End(inner[1])
        view = Static(Keys.fresh(), HERE, THERE, [network(INSIDE)], [network(BEYOND)])
        view.install(left.client())
        view.mirror().install(right.client())
        if copying:
            for end in self.ends:
                end.datapath = Copying(size)  # type: ignore[assignment]

    def send(self) -> tuple[int, float]:
        raise NotImplementedError

    def warm_up(self) -> None:
        """The first packets make what the others use."""
        for _ in range(10):
            self.send()

    def close(self) -> None:
        for end in self.ends:
            end.close()


class Memory(Rig):
    """From memory to memory."""

    def __init__(self, size: int, *, copying: bool) -> None:
        self.sink = Sink()
        super().__init__((Sink(), self.sink), size, copying=copying)
        self.sent = of_flow(size)

    def send(self) -> tuple[int, float]:
        left, right = self.ends
        before, begin = self.sink.count, time.perf_counter()
        left.protect(self.sent, left.clock())
        right.turn(0)
        return self.sink.count - before, time.perf_counter() - begin


class Devices(Rig):
    """From one TUN device to another, each in a namespace of its own."""

    def __init__(self, size: int, *, copying: bool) -> None:
        device, self.source = in_new_netns(lambda: _device(INSIDE, BEYOND))
        other, self.target = in_new_netns(lambda: _device(BEYOND, INSIDE))
        super().__init__((device, other), size, copying=copying)
        self.payload = bytes(size - 28)

    def send(self) -> tuple[int, float]:
        for _ in range(COUNT):
            self.source.send(self.payload)
        begin = time.perf_counter()
        for end in self.ends:
            end.turn(0)
        seconds = time.perf_counter() - begin
        return self._arrived(), seconds

    def _arrived(self) -> int:
        count = 0
        with suppress(BlockingIOError):
            while self.target.recv(2048):
                count += 1
        return count

    def close(self) -> None:
        super().close()
        self.source.close()
        self.target.close()


def _device(own: str, other: str) -> tuple[Tun, socket.socket]:
    device = Tun("bench0", mtu=1500)
    device.configure([network(own)], [network(other)])
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((own, 9))
    sock.connect((other, 9))
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    return device, sock


RIGS: dict[str, type[Memory | Devices]] = {"memory": Memory, "TUN": Devices}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", ["copy", "tunnel"])
def test_through_two_ends(benchmark: Any, way: str, size: int) -> None:
    benchmark.group = f"{COUNT} packets of {size} bytes"
    rig = Memory(size, copying=way == "copy")
    rig.warm_up()
    benchmark.pedantic(rig.send, rounds=200)
    rig.close()


def main() -> int:
    """Packets a second, and ratios; status 1 where the goal is missed."""
    say("| from, to | bytes | tunnel, packets/s | copying, packets/s | ratio | goal |")
    say("|---|---|---|---|---|---|")
    missed = False
    for name, kind in RIGS.items():
        if kind is Devices and os.geteuid():
            continue
        for size in SIZES:
            rates = measure(kind, size)
            ratio = median(a / b for a, b in zip(*rates, strict=True))
            tunnel, copying = (median(one) for one in rates)
            say(f"| {name} | {size} | {tunnel:,.0f} | {copying:,.0f} | {ratio:.2f} | {GOAL} |")
            missed |= ratio < GOAL
    return int(missed)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def measure(kind: type[Memory | Devices], size: int) -> tuple[list[float], list[float]]:
    """Packets a second of the tunnel and of copying, in turns (each binds the same places)."""
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(8):
        for copying in (False, True):
            rig = kind(size, copying=copying)
            rig.warm_up()
            rates[copying].append(_rate(rig))
            rig.close()
    return rates


def _rate(rig: Rig) -> float:
    """Of 200 batches the one that only a tenth was faster than: other work on the machine only ever slows down."""
    times = sorted(seconds / max(1, count) for count, seconds in (rig.send() for _ in range(200)))
    return 1 / times[len(times) // 10]


if __name__ == "__main__":
    sys.exit(main())
