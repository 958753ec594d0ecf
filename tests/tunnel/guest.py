"""A kernel on one side: runs in a network namespace of its own, in the lab or on this machine. Arguments and results are JSON."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyxfrm.lab import rtnetlink
from pyxfrm.lab.guest.linux import lo_up
from pyxfrm.model import ip, network
from pyxfrm.tunnel import End, Keys, Loop, Point, Static, Station, Tun

PATIENCE = 10.0  # seconds
INSIDE = ("10.9.0.1", "2001:db8:9::1")
BEYOND = ("10.9.0.2", "2001:db8:9::2")


def devices() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _route_count() -> int:
    return len(Path("/proc/thread-self/net/route").read_text().splitlines())


def tun(words: dict[str, Any]) -> dict[str, Any]:
    """The kernel behind a TUN device talks to a station behind another end; ``port`` null: over raw ESP. What went through, and what is left."""
    lo_up()
    for address in ("192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"):
        rtnetlink.add_address("lo", address)
    before, routes, descriptors = devices(), _route_count(), _descriptors()
    found = _through(words)
    found["left"] = sorted(devices() - before)
    found["routes_left"] = _route_count() - routes
    found["descriptors_left"] = _descriptors() - descriptors
    return found


def _through(words: dict[str, Any]) -> dict[str, Any]:
    port = words["port"]
    here, there, new = (Point(ip(f"192.0.2.{n}"), port) for n in (1, 2, 3))
    view = Static(
        *(Keys.fresh(), here, there),
        [network(address) for address in INSIDE],
        [network(address) for address in BEYOND],
    )
    other = view.mirror()
    station, device = Station(*map(ip, BEYOND)), Tun()
    with End(device, hold=1.0) as left, End(station, hold=1.0) as right, Loop(left, right) as loop:
        device.configure(
            [network(f"{INSIDE[0]}/24"), network(f"{INSIDE[1]}/64")], [network("10.77.0.0/16")]
        )
        view.install(left.client())
        other.install(right.client())
        found: dict[str, Any] = {"device": device.name in devices(), "problems": left.problems}
        found["before"] = _talk(loop, station)
        other.move(right.client(), there=new)
        view.move(left.client(), here=new)
        found["after"] = _talk(loop, station)
        found["stranger"] = _stranger(loop, left)
        counters = (left.datapath.stat, right.datapath.stat)
        found["drops"] = sum(sum(stat.values()) for stat in counters)
    return found


def _talk(loop: Loop, station: Station) -> dict[str, int]:
    """Pings from the kernel, and a stream to it, over both families."""
    counts = {}
    for family, inside, beyond in zip(
        (socket.AF_INET, socket.AF_INET6), INSIDE, BEYOND, strict=True
    ):
        name = "v4" if family == socket.AF_INET else "v6"
        counts[f"pong {name}"] = _ping(loop, family, beyond)
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((inside, 9))
            stream = station.stream(ip(inside), rate=2000, size=600, total=50)
            counts[f"stream {name}"] = _count(loop, sock, 50, lambda _: True)
            station.streams.remove(stream)
    return counts


def _ping(loop: Loop, family: int, beyond: str) -> int:
    """Echo requests of a raw socket, which see all replies; over IPv6 the kernel makes the checksum."""
    proto, kind, reply = (1, 8, 0) if family == socket.AF_INET else (58, 128, 129)
    with socket.socket(family, socket.SOCK_RAW, proto) as sock:
        for seq in range(5):
            message = struct.pack(">BBHHH", kind, 0, 0, 77, seq)
            if family == socket.AF_INET:
                total = sum(struct.unpack(">4H", message))
                message = message[:2] + (0xFFFF - total % 0xFFFF).to_bytes(2, "big") + message[4:]
            sock.sendto(message, (beyond, 0))
        return _count(loop, sock, 5, lambda data: data[20 if proto == 1 else 0] == reply)


def _count(loop: Loop, sock: socket.socket, wanted: int, good: Callable[[bytes], bool]) -> int:
    """What comes, until there is as much as wanted and a moment longer; PATIENCE at most."""
    sock.setblocking(False)
    count, end = 0, time.monotonic() + PATIENCE
    while time.monotonic() < end:
        loop.run(seconds=0.05)
        before = count
        while True:
            try:
                count += good(sock.recv(2048))
            except BlockingIOError:
                break
        if before == count >= wanted:
            break
    return count


def _stranger(loop: Loop, left: End) -> int:
    """A packet that no policy is for goes into the device, and no further."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"hello", ("10.77.1.1", 7))
    loop.run(seconds=0.1)
    return left.stats.clear_out


def _serves(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        return sock.connect_ex(str(path)) == 0


def killed(words: dict[str, Any]) -> dict[str, Any]:
    """A process that has a TUN device is killed: what is left of it. ``signal``: which one."""
    from pyxfrm.cli import main

    lo_up()
    folder = Path(words["folder"])
    before = devices()
    pid = os.fork()
    if not pid:
        os.environ["XDG_RUNTIME_DIR"] = str(folder)
        argv = ["tunnel", "run", "name", "gw", "tun", "vpn0", "address", "10.9.0.1/24"]
        os._exit(main(argv))
    path = folder / "pyxfrm" / "gw"
    end = time.monotonic() + 20
    while not _serves(path) and time.monotonic() < end:
        time.sleep(0.02)
    during = sorted(devices() - before)
    os.kill(pid, words["signal"])
    _, status = os.waitpid(pid, 0)
    time.sleep(0.1)
    return {
        "during": during,
        "left": sorted(devices() - before),
        "socket": path.exists(),
        "status": os.waitstatus_to_exitcode(status),
    }


def too_long(_: Any) -> dict[str, Any]:
    """The way outside carries 1300 bytes, and the device lets in 1400: a socket that must not fragment is told, one that may is not."""
    lo_up()
    rtnetlink.set_link("lo", mtu=1300)
    for address in ("192.0.2.1/32", "192.0.2.2/32"):
        rtnetlink.add_address("lo", address)
    here, there = (Point(ip(f"192.0.2.{n}")) for n in (1, 2))
    view = Static(Keys.fresh(), here, there, [network(INSIDE[0])], [network(BEYOND[0])])
    station, device = Station(ip(BEYOND[0])), Tun()
    found: dict[str, Any] = {}
    with End(device) as left, End(station) as right, Loop(left, right) as loop:
        device.configure([network(f"{INSIDE[0]}/24")])
        view.install(left.client())
        view.mirror().install(right.client())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((BEYOND[0], 7))
            for name, option in (("must not", 2), ("may", 0)):
                sock.setsockopt(socket.IPPROTO_IP, 10, option)  # IP_MTU_DISCOVER
                sock.send(bytes(1300))
                loop.run(seconds=0.3)
                found[name] = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                found[f"{name}: arrived"] = len(station.others)
            found["learned"] = sock.getsockopt(socket.IPPROTO_IP, 14)  # IP_MTU
            sock.setsockopt(socket.IPPROTO_IP, 10, 2)
            sock.send(bytes(found["learned"] - 28))
            loop.run(seconds=0.3)
            found["the longest arrived"] = len(station.others)
        found["too big"] = left.stats.too_big
        found["unsent"] = dict(left.stats.unsent)
    return found
