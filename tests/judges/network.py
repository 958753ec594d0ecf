"""Two network namespaces of this machine, joined by a cable; nothing of the machine's own network is touched.

Each end has a TUN device, and the cable is a thread that carries packets from one to the other. On the way it may translate addresses and ports as a NAT
does. Addresses are single hosts and routes belong to the device, so that one address may go without taking another, or a route, with it.
"""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pyxfrm.closing import Closing
from pyxfrm.esp.ip import finish
from pyxfrm.model import ip
from pyxfrm.transport.netns import in_netns, in_new_netns
from pyxfrm.tunnel.tun import Tun

__all__ = ["Cable", "DEVICE", "Namespace", "SHIFT"]

DEVICE = "wan"
SHIFT = 10_000  # what the NAT adds to a port, unless it is told otherwise

_MOST = 64  # packets at a time
_UDP = 17


class Namespace(Closing):
    """A new network namespace with a device; it lasts until it is closed and the programs in it have ended.

    TransportError without CAP_SYS_ADMIN or without TUN devices.
    """

    def __init__(self) -> None:
        self._fd = in_new_netns(lambda: os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        try:
            self.device = in_netns(self._fd, lambda: Tun(DEVICE))
        except BaseException:
            os.close(self._fd)
            raise
        self.path = Path(f"/proc/{os.getpid()}/fd/{self._fd}")

    def configure(self, hosts: Iterable[str], routes: Iterable[str]) -> None:
        """Bring it up, with addresses and routes."""
        self.ip(
            "link set lo up",
            f"link set {DEVICE} addrgenmode none",  # no address that nobody asked for
            f"link set {DEVICE} up",
            *(f"address add {host} dev {DEVICE} nodad" for host in hosts),
            *(f"route add {route} dev {DEVICE}" for route in routes),
        )

    def inside(self, argv: Sequence[str]) -> list[str]:
        """The same command, started in there."""
        return ["nsenter", f"--net={self.path}", "--", *argv]

    def ip(self, *lines: str) -> str:
        """Lines for ``ip``, one after the other; what it prints."""
        done = subprocess.run(
            self.inside(["ip", "-batch", "-"]),
            input="\n".join(lines),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, f"{done.stderr}of: {lines}"
        return done.stdout

    def socket(self, family: int) -> socket.socket:
        """A UDP socket in there."""
        return in_netns(self._fd, lambda: socket.socket(family, socket.SOCK_DGRAM))

    def read(self, path: str) -> str:
        """What a file says in there."""
        own = Path(path.replace("/proc/", "/proc/thread-self/"))
        return in_netns(self._fd, own.read_text)

    def close(self) -> None:
        """Let it go."""
        self.device.close()
        os.close(self._fd)


class Cable(Closing):
    """Carries packets between two devices, by a thread.

    ``nat``    addresses on the left and what they are on the right, IPv4
    ``shift``  ports of what is translated are so much higher on the right
    ``tap``    is shown what comes to the left end, and says whether it has taken it
    """

    def __init__(self, left: Tun, right: Tun) -> None:
        self.nat: dict[str, str] = {}
        self.shift = SHIFT
        self.tap: Callable[[bytes], bool] = lambda _: False
        self._ends = {left: right, right: left}
        self._left = left
        self._over, self._end = os.pipe()
        self._thread = threading.Thread(target=self._carry, name="cable")
        self._thread.start()

    def _carry(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._over, selectors.EVENT_READ)
            for end in self._ends:
                selector.register(end, selectors.EVENT_READ, end)
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        return
                    self._pass_on(key.data)

    def _pass_on(self, end: Tun) -> None:
        outwards = end is self._left
        packets = [self.translated(one, outwards=outwards) for one in end.read(0.0, _MOST)]
        left = packets if outwards else [one for one in packets if not self.tap(one)]
        self._ends[end].write(left, None, 0.0)

    def send(self, packet: bytes) -> None:
        """A packet from the left end that did not come out of its device."""
        self._ends[self._left].write([self.translated(packet, outwards=True)], None, 0.0)

    def translated(self, packet: bytes, *, outwards: bool) -> bytes:
        """A packet at the other side of the NAT; ``outwards``: from left to right."""
        if packet[0] != 0x45 or packet[9] != _UDP:
            return packet
        at, port_at, shift = (12, 20, self.shift) if outwards else (16, 22, -self.shift)
        for inside, outside in self.nat.items():
            before, after = ip(inside).packed, ip(outside).packed
            if not outwards:
                before, after = after, before
            if packet[at : at + 4] == before:
                port = int.from_bytes(packet[port_at : port_at + 2], "big") + shift
                changed = bytearray(packet)
                changed[at : at + 4] = after
                changed[port_at : port_at + 2] = port.to_bytes(2, "big")
                changed[26:28] = b"\0\0"  # without a checksum, which IPv4 allows
                return finish(bytes(changed[:20]), 9, _UDP, len(packet)) + bytes(changed[20:])
        return packet

    def close(self) -> None:
        """Cut it."""
        os.close(self._end)
        self._thread.join()
        os.close(self._over)
