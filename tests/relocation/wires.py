"""Inside the lab's kernel: two namespaces with a wire between them, what passes on it, and what is put back on it.

one -- w ======== w -- two        one has A and B, two has C and D; 10.1.0.1 and 10.2.0.1 live on their loopback devices
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from pyxfrm.model import Address, Encap, Family, Policy, ReplayState, Sa, ip
from pyxfrm.relocation.ends import KernelEnd
from tests.relocation.test_pair import other_end
from tests.relocation.world import A6, C6, A, B, C, D, child

ONE, TWO = "one", "two"
INNER = {ONE: "10.1.0.1", TWO: "10.2.0.1"}
PORT = 9999
DEVICE = "w"
D6 = ip("2001:db8:2::99")
_OUTGOING = 4  # PACKET_OUTGOING
_UDP_ENCAP, _ESPINUDP = 100, 2
_SO_RCVBUFFORCE = 33
_QUIET = 4  # tenths of a second
_ESP, _UDP = socket.IPPROTO_ESP, socket.IPPROTO_UDP


def sh(line: str) -> str:
    """One command; RuntimeError with its words where it fails."""
    done = subprocess.run(line.split(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{line}: {done.stderr.strip()}")
    return done.stdout


def addresses_up(name: str, addresses: tuple[Address, ...], far: tuple[Address, ...]) -> None:
    """Addresses of the wire's end, and routes to those of the other one."""
    for address in addresses:
        more = " nodad" if address.family == Family.INET6 else ""
        sh(f"ip -n {name} addr add {address} dev {DEVICE}{more}")
    for address in far:
        sh(f"ip -n {name} route add {address} dev {DEVICE}")


class Wires:
    """The network. ``delay``: seconds that packets from two to one take."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        for name in (ONE, TWO):
            sh(f"ip netns add {name}")
            self.stack.callback(subprocess.run, ["ip", "netns", "del", name], check=False)
        sh(f"ip link add {DEVICE} netns {ONE} type veth peer name {DEVICE} netns {TWO}")
        for name in (ONE, TWO):
            sh(f"ip -n {name} link set lo up")
            sh(f"ip -n {name} link set {DEVICE} up")
            sh(f"ip -n {name} addr add {INNER[name]} dev lo")
        addresses_up(ONE, (A, B, A6), (C, D, C6, D6))
        addresses_up(TWO, (C, D, C6, D6), (A, B, A6))
        sh(f"ip -n {ONE} route add 10.2.0.0/16 dev {DEVICE} src {INNER[ONE]}")
        sh(f"ip -n {TWO} route add 10.1.0.0/16 dev {DEVICE} src {INNER[TWO]}")
        if self.delay:
            sh(f"tc -n {TWO} qdisc add dev {DEVICE} root netem delay {1000 * self.delay:g}ms")
        self.ends = (KernelEnd(ONE), KernelEnd(TWO))
        for end in self.ends:
            self.stack.callback(end.close)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stack.close()

    def install(self, *, window: int = 128, encap: Encap | None = None) -> None:
        """One Child SA, a half of it at each end."""
        mine, theirs = child(encap=encap), other_end(encap=encap)
        for end, (sas, policies) in zip(self.ends, (mine, theirs), strict=True):
            put(end, [replace(sa, replay=ReplayState.of(window)) for sa in sas], policies)

    def socket(self, name: str, kind: int, proto: int = 0) -> socket.socket:
        """A socket in a namespace."""
        family = socket.AF_PACKET if proto == socket.htons(3) else socket.AF_INET
        end = self.ends[0 if name == ONE else 1]
        made = end.within(lambda: socket.socket(family, kind, proto))
        self.stack.callback(made.close)
        return made

    def open_encap(self, name: str, port: int) -> None:
        """A UDP socket that takes ESP in UDP (RFC 3948)."""
        made = self.socket(name, socket.SOCK_DGRAM)
        made.setsockopt(socket.IPPROTO_UDP, _UDP_ENCAP, _ESPINUDP)
        made.bind(("0.0.0.0", port))  # a namespace of its own

    def put_back(self, packets: list[bytes], daddr: Address) -> None:
        """Send IPv4 packets that were seen once more, from two, to another address."""
        with contextlib.closing(
            self.ends[1].within(
                lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            )
        ) as raw:
            for packet in packets:
                changed = packet[:16] + daddr.packed + packet[20:]
                raw.sendto(changed, (str(daddr), 0))


def put(end: KernelEnd, sas: list[Sa], policies: list[Policy]) -> None:
    """Install them."""
    for sa in sas:
        end.xfrm.add_sa(sa)
    for policy in policies:
        end.xfrm.add_policy(policy)


@dataclass
class Seen:
    """An IPv4 packet that left. ``at``: seconds."""

    at: float
    packet: bytes

    @property
    def daddr(self) -> Address:
        """Where to."""
        return Address(Family.INET, self.packet[16:20])

    @property
    def proto(self) -> int:
        """What it carries."""
        return self.packet[9]

    @property
    def number(self) -> tuple[int, int]:
        """SPI and sequence number, plain or in UDP."""
        spi, number = struct.unpack_from("!II", self.packet, 28 if self.proto == _UDP else 20)
        return spi, number


class Ear:
    """Every IPv4 packet that leaves a namespace by the wire, as it leaves."""

    def __init__(self, wires: Wires, name: str) -> None:
        self.seen: list[Seen] = []
        self._socket = wires.socket(name, socket.SOCK_DGRAM, socket.htons(3))
        self._socket.bind((DEVICE, 3))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 24)
        _runs(wires.stack, self._listen)

    def _listen(self, ends: threading.Event) -> None:
        self._socket.settimeout(0.1)
        while not ends.is_set():
            with contextlib.suppress(TimeoutError):
                packet, (_, ethertype, kind, *_) = self._socket.recvfrom(4096)
                if kind == _OUTGOING and ethertype == 0x0800:
                    self.seen.append(Seen(time.monotonic(), packet))

    @property
    def clear(self) -> int:
        """Packets of the tunnel's networks that left as they were."""
        return sum(s.packet[12] == 10 for s in self.seen)

    @property
    def reused(self) -> int:
        """Sequence numbers that left more than once."""
        numbers = [s.number for s in self.seen if s.proto in (_ESP, _UDP)]
        return len(numbers) - len(set(numbers))


@dataclass
class Stream:
    """Numbered UDP packets through the tunnel, ``rate`` a second, from two to one."""

    wires: Wires
    rate: float = 500.0
    near: str = TWO
    far: str = ONE
    sent: int = 0
    refused: int = 0
    came: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._out = self.wires.socket(self.near, socket.SOCK_DGRAM)
        self._out.bind((INNER[self.near], 0))
        self._in = self.wires.socket(self.far, socket.SOCK_DGRAM)
        self._in.bind((INNER[self.far], PORT))
        self._in.settimeout(0.1)
        self._in.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 24)
        self._stop_listening = _runs(self.wires.stack, self._listen)
        self._stop_sending = _runs(self.wires.stack, self._send)

    def _send(self, ends: threading.Event) -> None:
        due = time.monotonic()
        while not ends.is_set():
            try:
                self._out.sendto(struct.pack("!Q", self.sent), (INNER[self.far], PORT))
            except OSError:
                self.refused += 1
            self.sent += 1
            due += 1 / self.rate
            time.sleep(max(0.0, due - time.monotonic()))

    def _listen(self, ends: threading.Event) -> None:
        """Until nothing has come for a while after the end: a machine that stood still must not count as loss."""
        quiet = 0
        while not ends.is_set() or quiet < _QUIET:
            try:
                (number,) = struct.unpack("!Q", self._in.recv(64))
            except TimeoutError:
                quiet += 1
            else:
                quiet = 0
                self.came.append((time.monotonic(), number))

    def stop(self) -> dict[str, int]:
        """Stop sending, let the last arrive; what was sent, lost, and came twice."""
        self._stop_sending()
        time.sleep(2 * self.wires.delay)
        self._stop_listening()
        numbers = [number for _, number in self.came]
        return {
            "sent": self.sent,
            "refused": self.refused,
            "lost": self.sent - len(set(numbers)),
            "twice": len(numbers) - len(set(numbers)),
        }


def _runs(
    stack: contextlib.ExitStack, work: Callable[[threading.Event], None]
) -> Callable[[], None]:
    """``work`` in a thread; what ends it."""
    ends = threading.Event()
    thread = threading.Thread(target=work, args=(ends,), daemon=True)
    thread.start()

    def stop() -> None:
        ends.set()
        thread.join()

    stack.callback(stop)
    return stop


class Apart:
    """Streams in both directions and ears on both ends, in a process of their own: nobody waits for our interpreter."""

    def __init__(self, wires: Wires, rate: float) -> None:
        self._says, says = os.pipe()
        hears, self._hears = os.pipe()
        self.process = os.fork()
        if not self.process:
            os.close(self._hears)
            try:
                os.write(says, json.dumps(_traffic(wires, rate, hears)).encode())
            finally:
                os._exit(0)
        os.close(says)
        os.close(hears)

    def stop(self) -> dict[str, Any]:
        """What became of each stream, and what left in clear or with a number for the second time."""
        os.close(self._hears)
        with os.fdopen(self._says) as told:
            found: dict[str, Any] = json.load(told)
        os.waitpid(self.process, 0)
        return found


def _traffic(wires: Wires, rate: float, stop: int) -> dict[str, Any]:
    ears = [Ear(wires, name) for name in INNER]
    streams = {"there": Stream(wires, rate, ONE, TWO), "back": Stream(wires, rate)}
    os.read(stop, 1)
    return {
        **{name: stream.stop() for name, stream in streams.items()},
        "clear": sum(ear.clear for ear in ears),
        "reused": sum(ear.reused for ear in ears),
    }


def rises(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """How counters rose."""
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


def tc_words(name: str = ONE) -> dict[str, str]:
    """What tc and the interfaces of a namespace have of a relocation."""
    links = sh(f"ip -n {name} -o link show")
    return {
        "filters": sh(f"tc -n {name} filter show dev {DEVICE} ingress"),
        "qdiscs": sh(f"tc -n {name} qdisc show dev {DEVICE}"),
        "dummy": "there" if "pyxfrm-dual" in links else "",
    }
