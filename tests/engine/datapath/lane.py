"""One host, twice: a Linux kernel and an engine with a data path, which are asked the same and must say the same.

The host is 192.0.2.1 outside and 10.0.1.1 inside; everything else is behind one device. A case (:mod:`tests.engine.datapath.cases`) takes a :class:`Lane`, which notes for
each step what a packet or a request came to: the counters of /proc/net/xfrm_stat that moved, the packets that left (as far as they do not depend on chance), what a socket received, the error
of the sending one, and every netlink datagram byte by byte.

Blanked in netlink: the sequence number of an ACQUIRE (counted through all namespaces) and the index of the policy in it; and what Linux 7.2 leaves
uninitialised: the port in the header of NEWAE and MAPPING, and the 12 bytes behind an IPv4 address in MAPPING.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REQUEST
from pyxfrm.abi.profiles import LINUX_7_2, Profile
from pyxfrm.engine.datapath import Action, Datapath, Verdict
from pyxfrm.esp import Drop, locate, trim
from pyxfrm.lab.imitation import Imitator
from pyxfrm.lab.script import Clock, Open, Receive, Send, Sleep, Step, Sysctl
from pyxfrm.wire import messages
from tests.engine.datapath.support import packet4, udp

__all__ = ["EngineLane", "ICMP", "INSIDE", "Lane", "OUTSIDE", "PEER", "REMOTE", "Step", "shown"]

START = 1_700_000_000.1
OUTSIDE, INSIDE = bytes((192, 0, 2, 1)), bytes((10, 0, 1, 1))
PEER, REMOTE = bytes((192, 0, 2, 2)), bytes((10, 0, 2, 1))
DEVICE = 2  # its ifindex
ICMP = 1
PORT = 2000  # where the host has a socket
GROUPS = (1, 2, 5, 8)  # ACQUIRE, EXPIRE, AEVENTS, MAPPING

_PORT_AT = (12, 4)
_BLANKED = {
    m.XFRM_MSG_ACQUIRE: ((16 + 252, 4), (16 + 276, 4)),
    m.XFRM_MSG_NEWSA: ((16 + 204, 4),),
    m.XFRM_MSG_NEWAE: (_PORT_AT,),
    m.XFRM_MSG_MAPPING: (_PORT_AT, (16 + 24 + 4 + 16 + 4, 12)),
}


def shown(packet: bytes) -> list[Any]:
    """A packet that left: protocol, addresses, length; of a protected one SPI, number and port; of an ICMP error type and code, MTU, and whom it quotes."""
    saddr, daddr = packet[12:16], packet[16:20]
    what = [packet[9], saddr.hex(), daddr.hex(), len(packet)]
    if packet[9] == ICMP:
        return [
            *what,
            packet[20:22].hex(),
            int.from_bytes(packet[26:28], "big"),
            packet[28:48].hex(),
        ]
    if packet[9] in (50, 51, 108):
        try:
            arrival = locate(packet)
        except Drop:
            return what
        number = {50: 4, 51: 8}.get(packet[9])
        at = arrival.at + (number or 0)
        return [*what, arrival.spi, packet[at : at + 4].hex() if number else ""]
    return what


def blanked(data: bytes) -> str:
    """A netlink datagram without what is decided by chance."""
    raw, start = bytearray(data), 0
    while start + 16 <= len(raw):
        size = int.from_bytes(raw[start : start + 4], "little")
        kind = int.from_bytes(raw[start + 4 : start + 6], "little")
        for at, length in _BLANKED.get(kind, ()):
            raw[start + at : start + at + length] = bytes(length)
        start += max(16, (size + 3) & ~3)
    return raw.hex()


class Lane:
    """What both lanes share. ``notes``: what every step came to."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []
        self.now = START
        self.seq = 0
        self.listening = False
        self._step(Open("a", 1000))

    # what differs

    def _step(self, step: Step) -> Any:
        raise NotImplementedError

    def _transmit(
        self, data: bytes, daddr: bytes, sport: int, dport: int, mark: int, whole: bool
    ) -> int:
        """Send a UDP datagram from the inside; the errno."""
        raise NotImplementedError

    def _arrive(self, datagram: bytes) -> None:
        raise NotImplementedError

    def _seen(self) -> tuple[dict[str, int], list[Any], list[str]]:
        """(counters that moved, packets that left, data a socket received) since the last call."""
        raise NotImplementedError

    # what cases do

    def listen(self) -> None:
        """From now on somebody hears of ACQUIRE, EXPIRE, NEWAE and MAPPING."""
        self._step(Open("ev", 2000, GROUPS))
        self.listening = True

    def sysctl(self, name: str, value: int) -> None:
        """Write a setting."""
        self._step(Sysctl(name, str(value)))

    def ask(
        self,
        kind: int,
        body: Any = None,
        attrs: Iterable[tuple[int, Any]] = (),
        flags: int = NLM_F_ACK,
        *,
        noted: bool = True,
    ) -> list[messages.Message]:
        """One request; what the requester reads. ``noted``: else what it does to packets is noted with the next step."""
        self.seq += 1
        data = messages.build(kind, flags | NLM_F_REQUEST, body, attrs, seq=self.seq).encode()
        self._step(Clock(self.now))
        self._step(Send("a", data))
        answers = [r.data for r in self._step(Receive("a")).received]
        if noted:
            self._note(f"ask {kind:#x}", answers=[blanked(one) for one in answers])
        return [one for answer in answers for one in messages.decode_all(answer)]

    def transmit(
        self,
        data: bytes = b"hello",
        *,
        daddr: bytes = REMOTE,
        sport: int = 1000,
        dport: int = 2000,
        mark: int = 0,
        times: int = 1,
        whole: bool = False,
    ) -> None:
        """Send UDP from 10.0.1.1. ``whole``: the socket asks for path MTU discovery, nothing is to be fragmented."""
        self._step(Clock(self.now))
        errnos = [self._transmit(data, daddr, sport, dport, mark, whole) for _ in range(times)]
        self._note("transmit", errnos=errnos)

    def arrive(self, *datagrams: bytes) -> None:
        """Let IP datagrams arrive, one after the other."""
        self._step(Clock(self.now))
        for datagram in datagrams:
            self._arrive(datagram)
            self._note("arrive")

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._step(Sleep(seconds))
        self.now += seconds
        self._note("sleep")

    def _note(self, what: str, **more: Any) -> None:
        counters, sent, received = self._seen()
        heard: list[str] = []
        if self.listening:
            heard = [blanked(r.data) for r in self._step(Receive("ev")).received]
        found = {"counters": counters, "sent": sent, "received": received, "heard": heard}
        self.notes.append({"what": what, **{k: v for k, v in found.items() if v}, **more})


class EngineLane(Lane):
    """The host as an engine."""

    def __init__(self, profile: Profile = LINUX_7_2) -> None:
        self.imitator = Imitator(profile)
        self.datapath = Datapath(
            self.imitator.engine,
            local=lambda address: address in (OUTSIDE, INSIDE) or len(address) == 16,
            source=lambda _family, _daddr, _oif: OUTSIDE,
            mtu=lambda _: 1500,
            address=lambda _: OUTSIDE,
        )
        self._before = dict(self.datapath.stat)
        self._verdicts: list[Verdict] = []
        super().__init__()

    def _step(self, step: Step) -> Any:
        return self.imitator.step(step)

    def _transmit(
        self, data: bytes, daddr: bytes, sport: int, dport: int, mark: int, whole: bool
    ) -> int:
        packet = packet4(INSIDE, daddr, udp(sport, dport, data))
        verdict = self.datapath.output(packet, self.imitator.now, mark=mark, oif=DEVICE)
        self._verdicts.append(verdict._replace(icmp=b""))  # its socket has the errno
        return verdict.errno

    def _arrive(self, datagram: bytes) -> None:
        self._verdicts.append(self.datapath.input(datagram, self.imitator.now))

    def _seen(self) -> tuple[dict[str, int], list[Any], list[str]]:
        verdicts = [*self._verdicts, *self.datapath.take()]
        self._verdicts.clear()
        counters = self.datapath.stat.moved(self._before)
        self._before = dict(self.datapath.stat)
        sent = [
            shown(verdict.packet)
            for verdict in verdicts
            if verdict.action in (Action.PROTECTED, Action.CLEAR)
        ]
        sent += [shown(verdict.icmp) for verdict in verdicts if verdict.icmp]
        received = [
            trim(verdict.packet)[28:].hex()
            for verdict in verdicts
            if verdict.action is Action.DELIVERED and verdict.packet[9] == 17
        ]
        return counters, sent, received
