"""Runs inside the lab's kernel: one strongSwan on an engine, the other on Linux, and packets between the data path of the one and ESP of the other.

Behind the right end a socket echoes; its answers come back through the kernel's ESP. What is ESP on the cable is for the left end's engine.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

from pyxfrm.abi.profiles import LINUX_7_2
from pyxfrm.client.stat import parse
from pyxfrm.engine.datapath import Action
from pyxfrm.esp import Datagram, classify
from pyxfrm.esp.udpencap import udp_checksum
from pyxfrm.model import Family, SaDir, ip
from tests.engine.datapath.support import packet4, packet6, udp
from tests.judges.charon import until
from tests.judges.guest import OUTSIDE, SECOND, ends, esp_spis, replaced, wait_for
from tests.judges.network import DEVICE, Cable, Namespace
from tests.judges.pair import LEFT, RIGHT, End, Gateway, establish

PORT = 2000
PATIENCE = 5.0  # seconds, for an echo
ESP, UDP = 50, 17


def across(words: dict[str, Any]) -> dict[str, Any]:
    """``rounds`` of echoes of both families before and after each of: a NAT appears, the NAT goes, rekeying; with ``child`` settings."""
    with ends(LINUX_7_2, None) as (left, right, cable), echoing(right.namespace):
        assert isinstance(left, Gateway)
        wire = Wire(left, cable)
        establish(left, right, child=words["child"])
        numbers = []

        def exchange() -> None:
            wire.echo(words["rounds"])
            numbers.append([number(left, right), number(right, left)])

        exchange()
        cable.nat[SECOND] = OUTSIDE
        left.lose(LEFT.first)
        wait_for(left, SECOND)
        wait_for(right, OUTSIDE)
        exchange()
        left.gain(LEFT.first)
        left.lose(SECOND)
        wait_for(left, LEFT.first)
        wait_for(right, LEFT.first)
        exchange()
        old = esp_spis(left)
        left.daemon.swanctl("--rekey", "--child", "net")
        until("new SAs", lambda: all(replaced(end, old, 2) for end in (left, right)))
        exchange()
        return {"echoes": wire.echoes, "numbers": numbers, "counters": counters(left, right)}


def number(here: End, there: End) -> int:
    """The last sequence number that one end used, and the other has seen."""
    sent = here.sa(SaDir.OUT).replay.oseq
    assert there.sa(SaDir.IN).replay.seq == sent
    return sent


class Wire:
    """What the left end sends and hears. ``echoes``: those that came back as they should."""

    def __init__(self, left: Gateway, cable: Cable) -> None:
        self.left = left
        self.cable = cable
        self.echoes = 0
        self._heard: Queue[bytes] = Queue()
        cable.tap = self._take

    def _take(self, packet: bytes) -> bool:
        if not is_esp(packet):
            return False
        action, inner = self.left.input(packet)
        if action is Action.DELIVERED:
            self._heard.put(inner)
        return True

    def echo(self, rounds: int) -> None:
        """Packets there and back, one after the other."""
        for number in range(rounds):
            data = f"number {number:03}".encode()
            for packet in packets(data):
                action, sealed = self.left.output(packet)
                assert action is Action.PROTECTED
                self.cable.send(sealed)
                heard = self._heard.get(timeout=PATIENCE)
                assert heard.endswith(data)
                assert hosts(heard) == hosts(packet)[::-1]
                self.echoes += 1


def packets(data: bytes) -> Iterator[bytes]:
    """One of each family, from behind the left end to the socket behind the right one."""
    (from4, from6), (to4, to6) = (
        [ip(host).packed for host in side.hosts] for side in (LEFT, RIGHT)
    )
    datagram = udp(1000, PORT, data)
    yield packet4(from4, to4, datagram)
    checksum = udp_checksum(from6, to6, datagram).to_bytes(2, "big")
    yield packet6(from6, to6, datagram[:6] + checksum + data)


def hosts(packet: bytes) -> tuple[bytes, bytes]:
    """Source and destination."""
    if packet[0] >> 4 == 4:
        return packet[12:16], packet[16:20]
    return packet[8:24], packet[24:40]


def is_esp(packet: bytes) -> bool:
    """Over IPv4, in UDP or not."""
    if packet[0] != 0x45:
        return False
    to_4500 = packet[9] == UDP and packet[22:24] == (4500).to_bytes(2, "big")
    return packet[9] == ESP or (to_4500 and classify(packet[28:]) is Datagram.ESP)


@contextmanager
def echoing(place: Namespace) -> Iterator[None]:
    """Sockets in there that send everything back."""
    place.ip(
        *(f"address add {host} dev lo nodad" for host in RIGHT.hosts),
        *(f"route add {network} dev {DEVICE}" for network in LEFT.inner),
    )
    over = threading.Event()
    families = (Family.INET, Family.INET6)
    sockets = [place.socket(family) for family in families]
    for sock, host in zip(sockets, RIGHT.hosts, strict=True):
        sock.bind((host, PORT))
        sock.settimeout(0.1)
    threads = [threading.Thread(target=_echo, args=(sock, over)) for sock in sockets]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread, sock in zip(threads, sockets, strict=True):
            thread.join()
            sock.close()


def _echo(sock: socket.socket, over: threading.Event) -> None:
    while not over.is_set():
        try:
            data, sender = sock.recvfrom(2000)
        except TimeoutError:
            continue
        sock.sendto(data, sender)


def counters(left: Gateway, right: End) -> dict[str, int]:
    """What went wrong with packets, at either end: counters that are not zero."""
    kernel = parse(right.namespace.read("/proc/net/xfrm_stat"))
    found = {**{f"kernel {name}": n for name, n in kernel.items()}, **left.datapath.stat}
    return {name: n for name, n in found.items() if n}
