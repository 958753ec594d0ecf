"""The kernel's lane: runs inside the lab's guest, in a fresh network namespace for each case.

The host's only device is a TUN device: what is written into its file arrives, what leaves can be read from it.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import time
from pathlib import Path
from typing import Any

from pyxfrm.lab import rtnetlink
from pyxfrm.lab.kernel import Executor
from pyxfrm.lab.script import Step
from tests.engine.datapath.cases import CASES
from tests.engine.datapath.lane import ICMP, INSIDE, PORT, Lane, shown

_TUNSETIFF, _TUN_NO_PI = 0x400454CA, 0x1001
_IP_MTU_DISCOVER, _PMTUDISC_DO = 10, 2
_PATIENCE = 0.1  # seconds for something to come of a datagram
_SO_MARK, _UDP_ENCAP, _ESPINUDP, _IP_XFRM_POLICY = 36, 100, 2, 17


class KernelLane(Lane):
    """The host as the kernel of this machine."""

    def __init__(self) -> None:
        self.executor = Executor(own_clock=True)
        self.tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.tun, _TUNSETIFF, struct.pack("16sH22x", b"tun0", _TUN_NO_PI))
        for name in ("all", "default", "tun0"):
            Path("/proc/sys/net/ipv4/conf", name, "rp_filter").write_text("0")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        rtnetlink.set_link("lo")
        rtnetlink.set_link("tun0", mtu=1500)
        rtnetlink.add_address("tun0", "192.0.2.1/24")
        rtnetlink.add_address("tun0", "10.0.1.1/32")
        rtnetlink.add_route("0.0.0.0/0", "tun0")
        self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.bind((socket.inet_ntoa(INSIDE), PORT))
        self.encap = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.encap.bind(("192.0.2.1", 4500))
        self.encap.setsockopt(socket.IPPROTO_UDP, _UDP_ENCAP, _ESPINUDP)
        self._before = _counters()
        self._patience = 0.0
        super().__init__()

    def close(self) -> None:
        """Put everything back."""
        self.executor.close()
        self.receiver.close()
        self.encap.close()
        os.close(self.tun)

    def _step(self, step: Step) -> Any:
        return self.executor.step(step)

    def _transmit(
        self, data: bytes, daddr: bytes, sport: int, dport: int, mark: int, whole: bool
    ) -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if whole:
                sender.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_DO)
            if mark:
                sender.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)
            sender.bind((socket.inet_ntoa(INSIDE), sport))
            try:
                sender.sendto(data, (socket.inet_ntoa(daddr), dport))
            except OSError as problem:
                return problem.errno or -1
        return 0

    def _arrive(self, datagram: bytes) -> None:
        os.write(self.tun, datagram)
        self._patience = time.monotonic() + _PATIENCE

    def _seen(self) -> tuple[dict[str, int], list[Any], list[str]]:
        """What there is; what arrived may be at work in the kernel for a moment (decompression has a thread of its own)."""
        while not any(seen := self._look()) and time.monotonic() < self._patience:
            time.sleep(0.001)
        self._patience = 0.0
        return seen

    def _look(self) -> tuple[dict[str, int], list[Any], list[str]]:
        sent = []
        while select.select([self.tun], [], [], 0)[0]:
            packet = os.read(self.tun, 65536)
            if packet[0] >> 4 == 4 and (packet[9] != ICMP or packet[20:22] == b"\3\4"):
                sent.append(shown(packet))
        received = []
        while select.select([self.receiver], [], [], 0)[0]:
            received.append(self.receiver.recv(65536).hex())
        before, self._before = self._before, _counters()
        moved = {n: c - before.get(n, 0) for n, c in self._before.items() if c != before.get(n, 0)}
        return moved, sent, received


def _counters() -> dict[str, int]:
    lines = Path("/proc/net/xfrm_stat").read_text().splitlines()
    return {name: int(count) for name, count in map(str.split, lines)}


def names(_: None) -> list[str]:
    """The counters of this kernel, in order."""
    return list(_counters())


def run(name: str) -> list[dict[str, Any]]:
    """A case; what its steps came to."""
    lane = KernelLane()
    try:
        CASES[name](lane)
    finally:
        lane.close()
    return lane.notes
